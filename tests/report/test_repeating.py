"""What a page says that all its runs took: sums of closed form, each run counted once."""

import pandas as pd
import pytest

import ltvm
from ltvm.report.page.repeating import duration, repeating_text


def costs(cell, path, values, device="A, 1 threads", identity="i"):
    return [
        {"cell": cell, "path": path, "metric": metric, "value": value, "device": device,
         "identity": identity}
        for metric, value in values.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"), (119.4, "119 s"), (119.6, "2 min"), (3569, "59 min"), (3571, "1 h"),
        (3600, "1 h"), (6690, "1 h 52 min"), (36000, "10 h"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_run_is_counted_once_and_its_measuring_in_every_row():
    trained = {"training_seconds": 600.0, "curve_seconds": 60.0, "inference_seconds": 400.0}
    rows = [
        *costs("a", "p0", trained | {"evaluation_seconds": 30.0, "tuning_seconds": 7200.0}),
        *costs("a", "p1", trained | {"evaluation_seconds": 30.0, "tuning_seconds": 7200.0}),
        # the same run, sampled from a density
        *costs("a+gmm", "p0", trained | {"evaluation_seconds": 90.0, "tuning_seconds": 7200.0}),
        *costs("b", "p2", {"training_seconds": float("nan")}, "B", "j"),
    ]
    text = repeating_text(pd.DataFrame(rows))
    assert text == (
        "As recorded, the 2 runs took 24 min one after the other, 2 min of it to measure what was "
        "made; on A, 1 threads. The trials that found settings took 2 h of training before.\n"
    )
    rows += costs("b", "p2", {"training_seconds": 3600.0}, "B", "j")
    text = repeating_text(pd.DataFrame(rows))
    assert "the 3 runs took 1 h 24 min" in text
    assert "on A, 1 threads (2 of them), B (1 of them)." in text
    assert repeating_text(pd.DataFrame(rows[2:3])) == ""  # no run says what it took


def test_a_search_that_two_rows_share_is_counted_once():
    trained = {"training_seconds": 600.0, "tuning_seconds": 3600.0}
    rows = [
        *costs("medium", "p0", trained, identity="i"),
        *costs("large", "p1", trained, identity="j"),  # by what was found at medium
        *costs("other", "p2", trained, identity="k"),
    ]
    table = pd.DataFrame(rows).assign(tuning_study=["s"] * 4 + ["t"] * 2)
    assert "settings took 2 h of training" in repeating_text(table)


def test_a_page_says_it_beside_the_costs(written, unrendered):
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    text = (folder / "README.md").read_text()
    assert "As recorded, the " in text[text.index("## Cost") :]
