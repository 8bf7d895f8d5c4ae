"""The leaderboard's pages in a real browser: Debian's Chromium, driven by playwright."""

import pytest

from ltvm.report.leaderboard import write_leaderboard
from tests.report.conftest import Results, quiet_page

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Three rows, of which one is best by the one metric and worst by the other, and one more."""
    place = tmp_path_factory.mktemp("board")
    made = Results(place / "records")
    for method, level in (("abp", 1.0), ("vae", 20.0), ("short_run_ot", 22.0)):
        for seed in range(4):
            folder = made.run(method, seed)
            noise = 0.2 * ((7 * seed + len(method)) % 5) + (method == "abp") * seed / 20
            values = {"fd_digits": level + noise, "mse_test": 1 / level + noise / 100}
            made.evaluation(folder, "e1", values)
    made.run("beta_vae", 0, status="diverged")
    write_leaderboard([made.root], place)
    return place / "leaderboard" / "mnist5k-smoke.html"


@pytest.fixture
def page(browser, file):
    with quiet_page(browser, file) as opened:
        yield opened


def rows(page):
    return page.locator("#table tbody tr:visible th").all_inner_texts()


def test_it_ranks_sorts_finds_and_says_where_numbers_come_from(page):
    assert [row.split()[0] for row in rows(page)] == ["abp", "vae", "short-run", "beta_vae"]
    ranks = page.locator("#table td.rank")
    assert ranks.all_inner_texts()[0] == "1"
    assert "“abp” is significantly first" in page.locator("#answer").inner_text()
    page.select_option("#by", "mse_test")
    assert rows(page)[2].startswith("abp")
    assert ranks.all_inner_texts()[2:] == ["3", "\u2013"]
    assert "no row is significantly first" in page.locator("#answer").inner_text()
    page.locator('thead button[data-sort="fd_digits"]').click()
    assert rows(page)[0].startswith("abp")
    page.fill("#find", "vae")
    assert len(rows(page)) == 2
    page.fill("#find", "")
    cost = page.locator("th[data-cost]").first
    assert cost.is_hidden()
    page.check("#all-costs")
    assert cost.is_visible()
    page.locator('tr:has-text("abp") button[data-metric="fd_digits"]').press("Enter")
    text = page.locator("dialog[open]").inner_text()
    for words in ("significantly better than", "ltvm train", "abp-cell", "e1.json", "1000"):
        assert words in text, words
    page.keyboard.press("Escape")
    assert page.locator("#ranks-plot circle").count() == 3
    assert "1 diverged of 1 runs" in page.locator("main").inner_text()


def test_on_a_phone_the_ranked_values_are_in_sight(page):
    page.set_viewport_size({"width": 390, "height": 844})
    value = page.locator('#table tbody button[data-metric="fd_digits"]').first.bounding_box()
    assert value["x"] + value["width"] <= 390 - 16
    assert value["y"] < 844


def test_it_fits_and_is_accessible(page):
    for width in (360, 1400):  # light, then dark
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found] == []
        page.click("#theme")
