"""``index.html``: the numbers of the tables, in one file that fetches nothing and runs no text."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from ltvm.report.interactive import contents as contents_of_page
from ltvm.report.interactive.contents import contents
from ltvm.report.interactive.header import budget_texts
from ltvm.report.interactive.pictures import PICTURED, facts_of, pictures_of
from ltvm.report.interactive.render import as_script, page
from ltvm.report.page.write import write_report
from ltvm.report.sentences.answer import answer
from ltvm.report.values.cells import cell_names, short_names
from ltvm.report.values.comparability import Marks, differences, marks_of
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runtime.files import read_json, write_json
from tests.report.conftest import nearest_picture


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
    found = answer(table, manifest, Marks(), "t")
    # +0.193 with a spread of 0.012 stands; -0.1 with a spread of 0.46 does not
    assert found.sentence == (
        "“short-run OT” against “same, no correction” at 3 shared seeds: "
        "1 of 2 headline metrics is significantly worse, 1 is not settled (mean better)."
    )
    fd, mse = found.lines
    assert (fd.title, fd.reference, fd.own) == ("FD, digit features ↓", "11.1 ± 2.4", "11.0 ± 2.5")
    assert (fd.difference, fd.verdict) == ("-0.1 ± 1.1", "open")
    assert re.fullmatch(r"not settled, mean better \(p\s0\.\d+\)", fd.said)
    assert (mse.verdict, mse.difference[:6]) == ("worse", "+0.193")
    low, mean, high = mse.reach
    assert 0 < low < mean < high == pytest.approx((0.19333 + 0.02868) / 0.3, abs=1e-4)
    assert mse.full == "0.3"  # of a bar: round, and no less than where its interval ends
    assert found.corrected == 2  # two headline metrics, one comparison
    assert found.rows == ()  # two rows: the comparison says it all


def test_the_answer_says_what_it_costs(written):
    for entry in written.entries[:3]:
        file = written.root / entry["path"] / "record.json"
        record = read_json(file)
        record["seconds"]["transport"] += 1 + entry["seed"] / 10
        write_json(file, record)
    manifest, table = read(written)
    flops, passes, seconds = answer(table, manifest, Marks(), "t").cost
    assert (flops.own, flops.difference, flops.said) == ("3.1e13", "", "the same")
    assert (passes.own, passes.reference) == ("6", "6")
    assert (seconds.reference, seconds.difference[:4], seconds.said) == (
        "3.500 ± 0.000", "+1.1", "more"
    )  # fmt: skip


def test_the_answer_is_not_given_early(written):
    written.run("short_run_ot", 3, status="interrupted")
    manifest, table = read(written)
    found = answer(table, manifest, Marks(), "t")
    assert found.sentence == "Not answered yet: runs are still to come."
    assert (found.lines, found.cost) == ((), ())


def test_without_a_reference_it_names_what_is_best(written):
    manifest, table = read(written, written.manifest(reference=None))
    found = answer(table, manifest, Marks(), "t")
    assert (found.sentence, dict(found.rows)) == ("", {
        "FD, digit features ↓": "Best by its mean, not significantly: “short-run OT”.",
        "MSE, unseen images ↓": "Significantly best: “same, no correction”.",
    })  # fmt: skip


def test_a_row_that_diverged_is_not_the_best_by_its_mean(written):
    """At the one seed that it has it may be the best of all, or seem so by an easy seed."""
    written.run("abp", 0)
    folder = written.root / written.entries[-1]["path"]
    written.evaluation(folder, "e1", {"fd_digits": 1.0, "mse_test": 0.1})
    for seed in (1, 2):
        written.run("abp", seed, status="diverged", reason="nan")
    manifest, table = read(written)
    said = dict(answer(table, manifest, Marks(), "t").rows)["FD, digit features ↓"]
    assert said.startswith("Best by its mean, not significantly: “short-run OT”.")


def test_no_mean_is_best_of_numbers_that_do_not_compare(written):
    said = "Best by its mean, not significantly: “"
    for seed in range(3):
        folder = written.run("abp", seed)
        written.evaluation(folder, "e1", {"fd_digits": 10.9 + seed, "mse_test": 0.5})
    manifest, table = read(written)
    assert dict(answer(table, manifest, Marks(), "t").rows)["FD, digit features ↓"].startswith(said)
    written.change("abp", n=50)
    manifest, table = read(written)
    found = differences(table, cell_names(table, manifest), manifest["axes"])
    told = answer(table, manifest, marks_of(table, found), "t").rows
    assert said not in str(told)


def test_rows_with_equal_means_are_best_together(written):
    values = {seed: 11.0 + seed for seed in range(3)}
    for method in ("abp", "vae"):
        for seed in range(3):
            folder = written.run(method, seed)
            written.evaluation(folder, "e1", {"fd_digits": values[seed] - 9, "mse_test": 0.5})
    manifest, table = read(written)
    said = dict(answer(table, manifest, Marks(), "t").rows)["FD, digit features ↓"]
    assert said.startswith("Best by their equal means, not significantly: “abp” and “vae”.")


def test_a_row_from_elsewhere_may_have_the_best_mean(written):
    card = {"external": {"source": "s", "n": 9, "cost": {"text": "a day"}}}
    for seed in range(3):
        folder = written.run("gan", seed, cell="outside")
        file = folder / "record.json"
        write_json(file, read_json(file) | card)
        written.evaluation(folder, "e1", {"fd_digits": 1.0})
    manifest, table = read(written)
    said = dict(answer(table, manifest, Marks(), "t").rows)["FD, digit features ↓"]
    assert "est by its mean" not in said
    assert said.startswith("No row is significantly best.")


def test_a_tie_leans_nowhere(written):
    for entry in written.entries:
        file = written.root / entry["path"] / "evaluations" / "e1.json"
        content = read_json(file)
        content["values"]["fd_digits"]["value"] = 10.0 + entry["seed"]
        write_json(file, content)
    manifest, table = read(written)
    found = answer(table, manifest, Marks(), "t")
    assert next(line.leaning for line in found.lines if line.title.startswith("FD")) == "equal"
    assert "not settled (mean equal)" in found.sentence


def test_of_many_rows_the_answer_says_which_differ_and_rows_on_other_terms_do_not_compete(written):
    for method, mse in (("abp", 0.2), ("vae", 0.9)):
        for seed in range(3):
            folder = written.run(method, seed)
            values = {"fd_digits": 11.0 + seed, "mse_test": mse * (1 + seed / 50)}
            written.evaluation(folder, "e1", values)
    manifest, table = read(written)
    rows = dict(answer(table, manifest, Marks(), "t").rows)
    assert rows["MSE, unseen images ↓"] == (
        "Significantly best: “abp”. Against “same, no correction”, significantly better: 1 "
        "(“abp”); worse: 2 (“short-run OT”, “vae”)."
    )
    assert rows["FD, digit features ↓"].endswith("better: none; worse: none; not settled: 3.")
    table.loc[table["method"] == "abp", "equal"] = "passes"
    rows = dict(answer(table, manifest, marks_of(table, ()), "t").rows)
    assert rows["MSE, unseen images ↓"].startswith("Against “same, no correction”, ")


def test_what_most_rows_have_in_common_is_said_once(written):
    for entry in written.entries:
        entry["values"]["method.batchnorm"] = "batch"
    for cell, batchnorm in (("abp", "batch"), ("vae", "running")):
        folder = written.run(cell, 0, values={"method.batchnorm": batchnorm})
        written.evaluation(folder, "e1", {"fd_digits": 5.0})
    manifest, table = read(written, written.manifest(axes=["method", "method.batchnorm"]))
    short, common = short_names(table, manifest)
    assert common == ["batchnorm = batch"]
    assert list(short.values()) == [
        "short-run OT", "same, no correction", "abp", "vae, batchnorm = running"
    ]  # fmt: skip
    text = page(manifest, table, Marks(), "t", written.root)
    assert "All rows have batchnorm = batch" in " ".join(text.split())
    alike = table.copy()
    alike.loc[alike["method"] == "vae", ["label", "method.batchnorm"]] = ["abp", None]
    names, common = short_names(alike, manifest)  # else two rows would be "abp"
    assert (list(names.values())[2:], common) == (["abp, batchnorm = batch", "abp"], [])


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


def test_what_the_page_says_above_its_numbers(written):
    manifest, table = read(written)
    runs, spent = budget_texts(table)
    assert runs.startswith(
        "6 of 6 runs are done: 2 rows, seeds 0 to 2; protocol smoke; data mnist5k"
    )
    assert spent == "A run spends 6 passes per image, 3.1e13 FLOP, 3.5 s of training."
    text = page(manifest, table, Marks(), "t", written.root)
    equal, fold = "equal in one currency: training, FLOP (protocol.equal=flops", "Terms and command"
    assert text.index(equal) > text.index(fold)
    several = table.assign(equal=["flops", *["passes"] * (len(table) - 1)])
    text = page(manifest, several, Marks(), "t", written.root)
    assert text.index("Compare rows of one currency only") < text.index(fold)
    written.run("short_run_ot", 3, status="failed")
    assert budget_texts(read(written)[1])[0].startswith("6 of 7 runs are done")


def test_how_to_read_the_numbers_is_folded_and_what_is_to_come_is_not(
    written, tmp_path, unrendered
):
    """Whatever a page adds to a sentence of its terms."""
    tuned = {"trials": 8, "metric": "fd_digits", "study": "short_run_ot-mnist5k-large-0a1b2c"}
    written.entries[0] |= {"tuned": tuned}
    written.entries[1]["path"] = "runs/to/come"
    text = (write_report(written.manifest(), tmp_path) / "index.html").read_text()
    above, _, folded = text.partition("<summary>Terms and command")
    folded, _, _ = folded.partition("</details>")
    assert "The trials were at another protocol: large." in folded
    assert "Every value is of the last state" in folded
    assert "runs are still to come" in above
    assert "Every value" not in above
    assert "Tuning trials:" not in above


def test_rows_are_paired_with_what_they_are_compared_with(written):
    shown = contents(*read(written), Marks(), "t", written.root)
    assert shown["pairs"] == {"short_run_ot-cell": "short_run_uncorrected-cell"}
    assert shown["reference"] == "same, no correction"
    for sigma in (0.1, 0.2):
        for method in ("short_run_ot", "short_run_uncorrected"):
            folder = written.run(method, 0, cell=f"{method}-{sigma}", values={"model.sigma": sigma})
            written.evaluation(folder, "e1", {"fd_digits": 5.0})
    written.entries[:6] = []
    file = written.manifest(axes=["method", "model.sigma"])
    shown = contents(*read(written, file), Marks(), "t", written.root)
    assert shown["pairs"]["short_run_ot-0.2"] == "short_run_uncorrected-0.2"
    assert shown["reference"] == "same, no correction, all else equal"


def test_codes_before_and_after_a_correction_stand_in_one_figure(written):
    manifest, table = read(written)
    curves = contents(manifest, table, Marks(), "t", written.root)["curves"]
    (effect,) = curves["effects"]
    assert effect["title"].startswith("sliced W2 to the prior")
    for when in ("before", "after"):
        points = curves["of"][effect[when]]["cells"]["short_run_ot-cell"]
        assert [p["seeds"] for p in points] == [[1, 2, 3], [0.5, 1.5, 2.5]]


def test_pictures_say_how_near_they_are_and_which_are_not_made(written):
    manifest, table = read(written)
    ot, twin = (written.root / manifest["runs"][i]["path"] for i in (0, 3))
    nearest_picture(ot / "nearest.png", [0.1, 0.3, 0.2], [0.5, 0.4], 4000)
    (twin / "final.safetensors").touch()
    shown = pictures_of(manifest, table, written.root)
    assert [kind["id"] for kind in shown["kinds"]] == ["samples", "reconstructions", "nearest"]
    assert shown["said"]["nearest"] == {
        "short_run_ot-cell": "Median distance to the nearest of 4,000 training images: 3 samples "
        "0.2 (least 0.1), 2 unseen images 0.45 (least 0.4)."
    }
    place = f"results/{manifest['runs'][3]['path']}"
    assert shown["absent"]["nearest"] == {
        "rows": ["same, no correction"], "commands": [f"ltvm pictures {place}"]
    }  # fmt: skip
    assert shown["absent"]["interpolations"] == {  # weights of one of them are kept
        "rows": ["short-run OT", "same, no correction"], "commands": [f"ltvm pictures {place}"]
    }  # fmt: skip
    assert "samples" not in shown["absent"]
    (twin / "samples.png").unlink()  # of a sampler its evaluation has them
    for entry in manifest["runs"][3:]:
        entry |= {
            "sampler": {"name": "gmm", "label": "GMM"},
            "command": "ltvm train seed=0 sampler=gmm",
        }
    (command,) = pictures_of(manifest, table, written.root)["absent"]["samples"]["commands"]
    assert command == f"ltvm pictures {place} sampler=gmm"
    for entry in manifest["runs"][3:]:  # whoever makes the page, the run's own parts are needed
        entry["command"] += " --config-dir mine"
    (command,) = pictures_of(manifest, table, written.root)["absent"]["samples"]["commands"]
    assert command == f"ltvm pictures {place} sampler=gmm --config-dir mine"


@pytest.mark.parametrize(
    "text",
    [None, "no JSON", "[1]", '{"samples": [1], "unseen": [], "train": 3}',
     '{"samples": [NaN], "unseen": [1], "train": 3}', '{"samples": 1, "unseen": [1], "train": 3}',
     '{"samples": [-1], "unseen": [1], "train": 3}', '{"samples": [1], "unseen": [1], "train": ""}',
     '{"samples": [1e999], "unseen": [1], "train": 3}'],
)  # fmt: skip
def test_what_a_strangers_picture_says_is_looked_at(text):
    assert facts_of(text) == {}


def test_pictures_give_way_to_the_rest_and_rows_have_an_end(written, monkeypatch, tmp_path):
    manifest, table = read(written)
    whole = pictures_of(manifest, table, written.root)
    size = sum(map(len, whole["files"]))
    fewer = pictures_of(manifest, table, written.root, size - 1)
    assert (len(fewer["of"]["samples"]), fewer["left_out"]) == (1, 1)
    none = pictures_of(manifest, table, written.root, 0)
    assert (none["files"], none["kinds"], none["left_out"]) == ([], [], 2)
    monkeypatch.setattr(contents_of_page, "ROWS", 1)
    shown = contents(manifest, table, Marks(), "t", written.root)
    assert (len(shown["cells"]), shown["left_out"]) == (1, 1)
    assert set(shown["values"]["fd_digits"]) == {"short_run_ot-cell"}
    monkeypatch.undo()
    monkeypatch.setattr(contents_of_page, "LEFT", contents_of_page.LARGEST - 10_000)
    shown = contents(manifest, table, Marks(), "t", written.root)
    assert (len(shown["cells"]), shown["left_out"]) == (1, 1)  # two rows would be more than that


def test_of_thousands_of_rows_it_shows_some_and_says_where_all_are(written):
    manifest, table = read(written, written.manifest(axes=["method", "method.alpha"]))
    copies = 1_500  # of two cells
    numbers = np.repeat(np.arange(copies), len(table))
    many = pd.concat([table] * copies, ignore_index=True)
    many = many.assign(cell=many["cell"] + "-" + numbers.astype(str), **{"method.alpha": numbers})
    runs = [e | {"cell": f"{e['cell']}-{n}"} for n in range(copies) for e in manifest["runs"]]
    manifest |= {"runs": runs}
    whole = ["table-generation.csv"]
    text = page(manifest, many, Marks(), "t", written.root, tests={}, whole=whole)
    shown = page_data(text)
    cells = {cell["id"] for cell in shown["cells"]}
    assert len(text.encode()) <= 2_000_000
    assert 0 < len(cells) <= contents_of_page.ROWS
    assert {cell["method"] for cell in shown["cells"]} == set(table["method"])
    assert set(shown["runs"]) == cells == set(shown["values"]["fd_digits"])
    said = " ".join(text.split())
    assert f"{len(cells)} rows, some of each method, of 3000: all are in" in said
    assert '<a href="table-generation.csv">table-generation.csv</a>.' in said


def test_a_damaged_picture_is_none(written, tmp_path, unrendered):
    picture = next(written.root.rglob("samples.png"))
    picture.write_bytes(b"no picture")
    (written.root / written.entries[0]["path"] / "config.yaml").write_text(yaml.safe_dump({}))
    manifest, table = read(written)
    shown = contents(manifest, table, Marks(), "t", written.root)
    assert len(shown["pictures"]["of"]["samples"]) == 1
    assert len(shown["pictures"]["absent"]["samples"]["rows"]) == 1


def test_the_page_says_what_its_methods_are_and_escapes_it(written, tmp_path):
    for entry in written.entries:
        if entry["method"] == "short_run_ot":
            entry["about"] = "Chains <b>and</b> transport."
    text = (write_report(written.manifest(), tmp_path) / "index.html").read_text()
    assert "<dt>short-run OT</dt><dd>Chains &lt;b&gt;and&lt;/b&gt; transport.</dd>" in text
    assert "<dt>same, no correction</dt>" not in text
