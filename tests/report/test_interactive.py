"""``index.html``: the numbers of the tables, in one file that fetches nothing and runs no text."""

import json
import re

import pandas as pd
import pytest
import yaml

from ltvm.report.answer import answer
from ltvm.report.comparability import Marks
from ltvm.report.interactive.contents import PICTURED, contents
from ltvm.report.interactive.render import as_script
from ltvm.report.long_table import long_table_of_manifest
from ltvm.report.page import write_report
from ltvm.runtime.files import read_json


def read(written, file=None):
    manifest = read_json(file or written.manifest())
    return manifest, long_table_of_manifest(manifest, written.root)


def page_data(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def test_it_has_the_numbers_of_the_tables(written, tmp_path, unrendered):
    folder = write_report(written.manifest(), tmp_path, interval="t")
    shown = page_data((folder / "index.html").read_text())
    titles = {c["id"]: c["title"] for c in shown["columns"]}
    names = {c["id"]: c["name"] for c in shown["cells"]}
    for file, kind in (("table", "values"), ("differences", "differences")):
        frame = pd.read_csv(folder / f"{file}.csv", dtype=str).set_index("cell")
        for metric, cells in shown[kind].items():
            if titles[metric] in frame.columns:
                for cell, value in cells.items():
                    assert value["text"] == frame.loc[names[cell], titles[metric]], (metric, cell)
    marked = (folder / "table.md").read_text().count("**") // 2
    best = sum(v["best"] for m, cells in shown["values"].items() for v in cells.values())
    assert best == marked
    fd = shown["values"]["fd_digits"]["short_run_ot-cell"]
    assert fd["mean"] == pytest.approx(11.0)
    assert fd["seeds"] == {"0": 10.0, "1": 11.0, "2": 12.0}
    assert fd["high"] - fd["mean"] == pytest.approx(4.302653 / 3**0.5, rel=1e-5)


def test_every_number_has_its_records(written, tmp_path, unrendered):
    folder = write_report(written.manifest(), tmp_path)
    shown = page_data((folder / "index.html").read_text())
    (run, *_) = shown["runs"]["short_run_ot-cell"]
    assert run["command"] == "ltvm train method=short_run_ot seed=0"
    assert (run["commit"], run["device"], run["status"]) == ("abc", "cpu", "done")
    stated = shown["provenance"]["texts"][
        shown["provenance"]["of"]["fd_digits"]["short_run_ot-cell"]
    ]
    assert stated["checksum"].startswith("2dcf40c6bc21")
    assert (stated["n"], stated["split"]) == (1000, "test")


def test_the_answer_says_what_stands_and_what_does_not(written):
    manifest, table = read(written)
    text = answer(table, manifest, Marks(), "t")
    assert text.startswith("“short-run OT” against “same, no correction”: ")
    # +0.193 with a spread of 0.012 stands; -0.1 with a spread of 0.46 does not
    assert "worse in MSE, unseen images +0.193" in text
    assert "no difference that stands in FD, digit features -0.1" in text
    assert "3 seeds, paired, p corrected" in text


def test_the_answer_is_not_given_early(written):
    written.run("short_run_ot", 3, status="interrupted")
    manifest, table = read(written)
    assert answer(table, manifest, Marks(), "t") == "Not answered yet: runs are still to come."


def test_without_a_reference_it_names_what_is_best(written):
    manifest, table = read(written, written.manifest(reference=None))
    text = answer(table, manifest, Marks(), "t")
    assert "Best beyond doubt in FD, digit features: no row." in text
    assert "Best beyond doubt in MSE, unseen images: same, no correction." in text


def test_strangers_texts_stay_texts(written, tmp_path, unrendered):
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    for entry in written.entries:
        entry["label"] = bad
    folder = write_report(written.manifest(question=bad, command=bad), tmp_path)
    text = (folder / "index.html").read_text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert page_data(text)["cells"][0]["name"].startswith("</script>")
    assert "</" not in as_script({"a": "</script>"})


def test_it_fetches_nothing_and_stays_small(written, tmp_path, unrendered):
    text = (write_report(written.manifest(), tmp_path) / "index.html").read_text()
    assert "default-src 'none'" in text
    urls = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<]*", text))
    assert urls == {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches
    assert len(text) < 2_000_000


def test_pictures_and_curves_are_capped_and_it_says_so(written, tmp_path, unrendered):
    for number in range(PICTURED + 3):
        folder = written.run("abp", 0, cell=f"abp-{number}", values={"method.alpha": number})
        written.evaluation(folder, "e1", {"fd_digits": 5.0 + number})
    file = written.manifest(axes=["method", "method.alpha"], reference=None)
    manifest, table = read(written, file)
    shown = contents(manifest, table, Marks(), "t", written.root)
    # Of three methods: both that have one cell, and a third of what there is room for.
    assert len(shown["pictures"]["of"]["samples"]) == 2 + PICTURED // 3
    assert shown["pictures"]["left_out"] == 11
    assert shown["curves"]["left_out"] == 11
    assert [c["keys"]["method.alpha"] for c in shown["cells"]][2:4] == [0, 1]
    assert "11 rows more are not shown" in (write_report(file, tmp_path) / "index.html").read_text()


def test_a_damaged_picture_is_none(written, tmp_path, unrendered):
    picture = next(written.root.rglob("samples.png"))
    picture.write_bytes(b"no picture")
    (written.root / written.entries[0]["path"] / "config.yaml").write_text(yaml.safe_dump({}))
    manifest, table = read(written)
    shown = contents(manifest, table, Marks(), "t", written.root)
    assert len(shown["pictures"]["of"]["samples"]) == 1
