"""Published figures carry their sources, and say by rule what they cannot be compared with."""

import pandas as pd
import pytest

from ltvm.report.page.write import write_report
from ltvm.report.values import published as module
from ltvm.report.values.published import AGAINST, COUNTERPARTS, published, published_frames


def our_table(data="svhn", metric="fid_inception2048", **fields):
    known = {"extractor": "inception", "n": 50000.0, "split": "train", "value": 1.0, "device": "x"}
    return pd.DataFrame([{"data": data, "metric": metric, **known, **fields}])


def test_published_figures_carry_their_sources():
    rows = published("svhn")
    assert rows["source"].notna().all()
    vae = rows[(rows["our_method"] == "vae") & (rows["metric"] == "fid")]
    assert vae["value"].tolist() == [59.07]
    assert vae["source"].str.contains("submission").all()
    assert sorted(rows[(rows["our_method"] == "abp")]["value"]) == [49.71, 98.63]
    minutes = rows[rows["metric"] == "minutes_inference_per_iteration"]
    assert minutes["value"].tolist() == [124]
    assert published("mnist5k").empty
    every = pd.read_csv(module.FILE)
    assert not every["source"].str.contains("CVPR 2023").any()
    assert every["source"].str.contains("Cui, Wu, Han, ICCV 2023").any()


def test_every_published_metric_has_a_rule():
    rows = pd.read_csv(module.FILE, dtype=str)
    bare = rows["metric"].str.replace(r"_heldout_\d$", "_heldout", regex=True)
    assert set(bare) == set(COUNTERPARTS)


def test_published_detections_stand_by_digit_with_their_digits():
    [frame] = published_frames(published("mnist5k_without"))
    lebm = frame.set_index("method").loc["LEBM"]
    assert lebm["auprc_heldout_4"] == "0.630 ± 0.017"
    assert frame.set_index("method").loc["VAE", "auprc_heldout_1"] == "0.063"


@pytest.fixture
def declared(monkeypatch, tmp_path):
    """One published FID with a declared protocol; returns what its row says."""

    def says(table, metric="fid", **fields):
        row = dict.fromkeys(
            ("table", "our_method", "left_out", "std", "note", *module.DECLARED), ""
        )
        row |= {"source": "S", "data": "svhn", "resolution": 32, "method": "M", "metric": metric,
                "value": 1.0, **fields}  # fmt: skip
        pd.DataFrame([row]).to_csv(tmp_path / "published.csv", index=False)
        monkeypatch.setattr(module, "FILE", tmp_path / "published.csv")
        return published(table["data"].iloc[0], table)[AGAINST].item()

    return says


def test_a_figure_of_our_protocol_is_as_ours_and_any_other_says_in_what(declared):
    full = {"extractor": "inception", "n": "50000", "split": "train"}
    assert declared(our_table(), **full) == "as ours"
    assert declared(our_table(n=1000.0), **full) == "n 50000, ours 1000"
    assert declared(our_table(split="test"), **full) == "split train, ours test"
    digits = our_table(metric="fd_digits", extractor="digits")
    assert declared(digits, **full) == "extractor inception, ours digits"
    both = pd.concat([our_table(), our_table(n=1000.0)])
    assert declared(both, **full) == "n 50000, ours 50000 or 1000"


def test_what_a_source_does_not_state_is_never_taken_to_agree(declared):
    assert declared(our_table(), extractor="inception") == "n, split not stated"
    errors = our_table(metric="mse_test")
    assert declared(errors, "mse", n="100") == "n 100, ours 50000; split not stated"
    assert declared(errors) == "not measured here"


def test_shares_of_positives_are_compared_digit_by_digit(declared):
    table = pd.concat([
        our_table("mnist_without", metric, n=100.0, split="test", value=value,
                  **{"data.load.digit": digit})
        for digit, value in ((1, 0.1), (4, 0.36)) for metric in ("auprc_heldout",
                                                                "auprc_heldout_floor")
    ])  # fmt: skip
    for digit, share, words in (
        ("1", "0.1", "as ours"), ("4", "0.1", "share of positives 0.1, ours 0.36"),
        ("4", "", "share of positives not stated"),
    ):  # fmt: skip
        found = declared(table, f"auprc_heldout_{digit}", data="mnist", left_out=digit,
                         n="100", split="test", positives=share)  # fmt: skip
        assert found == words
    small = table.assign(data="mnist5k_without")
    found = declared(small, "auprc_heldout_1", data="mnist", left_out="1", n="100", split="test",
                     positives="0.1")  # fmt: skip
    assert found == "data mnist, ours mnist5k_without"


def test_the_page_says_it_beside_the_value(written, tmp_path, unrendered):
    for entry in written.entries:
        entry["data"] = "mnist"
    page = (write_report(written.manifest(), tmp_path / "reports") / "README.md").read_text()
    row = next(line for line in page.splitlines() if "RAE-GP" in line and "22.21" in line)
    assert "extractor inception, ours digits; n, split not stated" in row
    assert "**" not in row
