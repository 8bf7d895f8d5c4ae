"""``index.html`` in a real browser: Debian's Chromium, driven by playwright."""

import pytest

from ltvm.report.page import write_report
from tests.report.conftest import quiet_page

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")


@pytest.fixture
def report(written, tmp_path, unrendered):
    for method, cell in (("abp", "a"), ("abp", "b")):
        for seed in range(3):
            folder = written.run(
                method, seed, cell=cell, values={"method.steps": len(cell) + ord(cell)}
            )
            values = {"fd_digits": 20.0 + seed + ord(cell), "mse_test": 0.2}
            written.evaluation(folder, "e1", values)
    file = written.manifest(axes=["method", "method.steps"])
    return write_report(file, tmp_path) / "index.html"


@pytest.fixture
def page(browser, report):
    """The page, which must ask for nothing and complain of nothing."""
    with quiet_page(browser, report) as opened:
        yield opened


def rows(page):
    return page.locator("#table tbody tr:visible th").all_text_contents()


def test_it_sorts_by_what_is_shown(page):
    before = rows(page)
    button = page.locator('thead button[data-sort="fd_digits"]')
    button.click()
    up = rows(page)
    assert up[0] == "same, no correction" or up[0] == "short-run OT"
    assert up[-1].startswith("abp")
    assert page.locator('th[data-metric="fd_digits"]').get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert rows(page) == up[::-1]
    page.locator('thead button[data-sort=""]').click()
    assert rows(page) == before


def test_it_filters_rows_and_columns(page):
    page.fill("#find", "abp")
    assert all(row.startswith("abp") for row in rows(page))
    page.fill("#find", "")
    page.select_option('[data-filter="method"]', "short_run_ot")
    assert rows(page) == ["short-run OT"]
    page.select_option('[data-filter="method"]', "")
    page.locator("#legend button").first.click()
    assert "short-run OT" not in rows(page)
    assert page.locator("#legend button").first.get_attribute("aria-pressed") == "false"
    page.click("#all")
    column = page.locator('th[data-metric="latent_sliced_w2"]')
    assert column.is_hidden()
    page.check('input[data-family="codes"]')
    assert column.is_visible()
    column.locator("button").focus()
    assert "of inferred codes" in page.locator("#definition").inner_text()


def test_a_number_opens_its_records_and_differences_show(page):
    number = page.locator('tr[data-cell="short_run_ot-cell"] td[data-metric="fd_digits"] button')
    assert number.inner_text() == "11.0 ± 2.5"
    number.press("Enter")
    dialog = page.locator("dialog[open]")
    text = dialog.inner_text()
    for words in (
        "ltvm train method=short_run_ot seed=0",
        "abc",
        "2dcf40c6bc21",
        "float32",
        "1000",
    ):
        assert words in text, words
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    page.check("#differences")
    assert number.inner_text() == "-0.1 ± 1.1"


def test_figures_follow_what_is_chosen(page):
    points = page.locator("#cost .point")
    assert points.count() == 4
    page.locator("#legend button").first.click()
    assert points.count() == 3
    page.select_option("#cost-x", "training_seconds")
    assert "training, s" in page.locator("#cost svg").text_content()
    assert page.locator("#sweep .point").count() == 2
    assert page.locator("#curves path").count() > 0
    assert page.locator("#gallery img").count() == 3
    points.first.press("Enter")
    assert page.locator("dialog[open]").count() == 1


def test_the_theme_turns(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    assert page.evaluate(ground) != light


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_it_fits_and_is_accessible_at_every_width(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    for _ in ("light", "dark"):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        told = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]
        assert told == []
        page.click("#theme")
