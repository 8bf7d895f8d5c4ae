"""``index.html`` in a real browser: Debian's Chromium, driven by playwright."""

import pytest

from ltvm.report.interactive import write_index
from ltvm.report.values.comparability import Marks
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from tests.report.conftest import nearest_picture, quiet_page, two_methods

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of two methods and of a third that is swept, without the tables beside it."""
    written = two_methods(tmp_path_factory.mktemp("page") / "records")
    for method, cell in (("abp", "a"), ("abp", "b")):
        for seed in range(3):
            folder = written.run(
                method, seed, cell=cell, values={"method.steps": len(cell) + ord(cell)}
            )
            values = {"fd_digits": 20.0 + seed + ord(cell), "mse_test": 0.2}
            written.evaluation(folder, "e1", values)
    for entry in written.entries[:6:3]:
        nearest_picture(written.root / entry["path"] / "nearest.png", [0.25, 0.75], [0.5])
    manifest = read_manifest(written.manifest(axes=["method", "method.steps"]))
    table = long_table_of_manifest(manifest, written.root)
    return write_index(manifest, table, Marks(), "t", written.root, written.root)


@pytest.fixture
def page(browser, report):
    """The page, which must ask for nothing and complain of nothing."""
    with quiet_page(browser, report) as opened:
        yield opened


def rows(page):
    return page.locator("#table tbody tr:visible th span:first-child").all_text_contents()


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
    assert "of inferred codes. Lower is better." in page.locator("#definition").inner_text()
    groups = page.locator(".groups th:visible")
    assert groups.all_text_contents() == ["generation", "reconstruction", "codes"]
    assert [groups.nth(i).get_attribute("colspan") for i in range(3)] == ["1", "2", "1"]
    assert page.locator("#count").inner_text() == "4 of 4 shown"


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


def test_the_answer_stands_first_and_every_row_against_its_reference(page):
    verdicts = page.locator(".answer .verdicts tbody tr.worse")
    assert "significantly worse" in verdicts.inner_text()
    assert page.locator(".answer .reach").count() == 2  # of two metrics; costs are the same
    points = page.locator("#against .point")
    assert points.count() == 1  # the swept rows have no reference
    assert "short-run OT" in page.locator("#against text").all_text_contents()
    points.first.focus()
    assert "p alone (adjusted)" in page.locator("#against .readout").inner_text()
    assert page.locator("#against text.side").all_text_contents() == ["← better", "worse →"]
    page.select_option('[data-filter="method"]', "abp")
    assert points.count() == 0
    assert "Nothing to show" in page.locator("#against .plot").inner_text()


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


def test_rows_that_differ_in_colour_alone_have_numbers(page):
    legend = page.locator("#legend .order").all_text_contents()
    assert legend == ["1", "2", "3", "4"]  # three of them are circles
    assert page.locator("#numbered").is_visible()
    assert sorted(page.locator("#cost .order").all_text_contents()) == legend
    assert sorted(page.locator("#sweep .order").all_text_contents()) == ["3", "4"]
    page.locator("#legend button").first.click()
    assert sorted(page.locator("#cost .order").all_text_contents()) == ["2", "3", "4"]
    assert page.locator("#against .order").count() == 0  # names stand there


def test_a_bar_states_its_scale_and_a_phone_what_is_spent(page):
    texts = page.locator(".reach text").all_text_contents()
    assert texts == ["-1.5", "0", "+1.5", "-0.3", "0", "+0.3"]
    page.set_viewport_size({"width": 360, "height": 700})
    definitions = page.locator(".verdicts tr.cost .what")
    assert definitions.count() == 3
    assert all(definitions.nth(i).is_visible() for i in range(3))
    assert "Forward and backward through the decoder" in definitions.nth(1).inner_text()


def test_figures_say_what_is_pointed_at_and_show_every_seed(page):
    point = page.locator("#cost .point").first
    point.focus()
    assert page.locator("#cost .readout").inner_text() == point.get_attribute("aria-label")
    assert page.locator("#cost .seed").count() == 12
    assert page.locator("#sweep .seed").count() == 6
    effects = page.locator("#effects .point")
    labels = effects.evaluate_all("points => points.map(p => p.getAttribute('aria-label'))")
    assert sum(", before," in label for label in labels) == len(labels) // 2 > 0
    titles = page.locator("#curves-y option").all_text_contents()
    assert not [title for title in titles if "correction" in title]


def test_pictures_of_two_rows_are_compared(page):
    assert page.locator("#pictures-what option").all_text_contents() == [
        "Samples", "Reconstructions", "Nearest training images"
    ]  # fmt: skip
    assert page.locator("#pair figcaption").all_text_contents() == [
        "short-run OT", "same, no correction"
    ]  # fmt: skip
    page.select_option("#pictures-what", "nearest")
    assert "the nearest of 9 training images: 2 samples 0.5 (least 0.25), 1 unseen images 0.5" in (
        page.locator("#pair figure").first.inner_text()
    )
    assert (
        page.locator("#pair img").first.get_attribute("alt").startswith("Nearest training images")
    )
    assert page.locator("#pictures-a option").count() == 2
    absent = page.locator("#absent").inner_text()  # quietly: no weights, no command of each run
    assert absent.startswith("Not made of these runs: nearest training images of abp")
    assert absent.endswith(
        "interpolations. They are kept without weights: ltvm ablate ablation=ot makes them where "
        "it trains these runs anew."
    )


def test_on_a_phone_numbers_come_first_and_the_rows_stay_at_hand(page):
    page.set_viewport_size({"width": 360, "height": 700})
    page.reload()
    assert page.locator("#controls").is_hidden()  # folded: numbers first
    first = page.locator("#legend button").first
    page.locator("#pictures-title").scroll_into_view_if_needed()
    box = first.bounding_box()
    assert 0 <= box["y"] < 60  # the legend sticks to the top
    assert page.locator(".legend").bounding_box()["height"] < 90
    count = page.locator("#against .point, #cost .point").count()
    first.click()
    assert page.locator("#against .point, #cost .point").count() < count
    page.locator("#filters summary").press("Enter")
    assert page.locator("#find").is_visible()


def test_it_prints_in_light_with_its_legend(page):
    page.click("#theme")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("html").get_attribute("data-theme") == "light"
    assert page.locator("#legend").is_visible()
    assert page.locator(".columns").is_visible()
    assert page.locator("#controls").is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.locator(".columns").is_hidden()


def test_the_theme_turns(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    assert page.evaluate(ground) != light


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_it_fits_and_is_accessible_at_every_width(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.select_option("#pictures-what", "nearest")
    for _ in ("light", "dark"):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        told = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]
        assert told == []
        page.click("#theme")
