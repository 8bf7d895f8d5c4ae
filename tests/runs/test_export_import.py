"""Records travel as one file, and join those of another machine without overwriting any."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.errors import InputError
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.manifest import manifest_file, read_manifest, write_manifest
from ltvm.runs.files.store import Store
from ltvm.runs.housekeeping.merge import import_records
from ltvm.runtime.files import read_json, write_json, write_text

FEW = [
    "ablation=ot", "ablation.axes.method=[vae]", "protocol=smoke", "evaluation=none",
    "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20", "device=cpu",
    "protocol.iterations=1", "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40",
    *SMALL,
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds of a VAE and their manifest, trained once for all tests here."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTVM_RESULTS", str(root / "results"))
        planned = plan([*FEW, "ablation.seeds=[0,1]"], "vaes")
        for run in planned.runs:
            ltvm.train(run.overrides)
        write_manifest(planned, root / "results")
    write_text(root / "reports" / "vaes" / "table.md", "| cell |\n")
    return root


@pytest.fixture
def archive(trained, tmp_path):
    """Those records as one file."""
    file = tmp_path / "vaes.tar.gz"
    places = ["--results", f"{trained}/results", "--reports", f"{trained}/reports"]
    assert main(["export", "vaes", "--to", str(file), *places]) == 0
    return file


@pytest.fixture
def elsewhere(archive, tmp_path):
    """Another machine's results, which have them already."""
    results = tmp_path / "elsewhere"
    assert not import_records(archive, results).conflicts
    return results


def contents(root):
    """Every file below a directory but locks, with its bytes."""
    files = [p for p in root.rglob("*") if p.is_file() and p.name != ".held"]
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def long_table(results):
    return long_table_of_manifest(read_json(results / "ablations" / "vaes.json"), results)


def test_what_is_imported_makes_the_same_report(trained, elsewhere):
    ours, theirs = long_table(trained / "results"), long_table(elsewhere)
    assert len(ours) > 2
    pd.testing.assert_frame_equal(ours, theirs)
    names = {Path(name).name for name in contents(elsewhere / "runs")}
    assert {"record.json", "config.yaml", "history.csv", "samples.png"} <= names
    assert "final.safetensors" not in names
    assert not list(elsewhere.glob(".import*"))


def test_an_archive_can_be_checked_by_hand_and_depends_on_content_alone(archive, trained, tmp_path):
    subprocess.run(["tar", "xzf", str(archive)], cwd=tmp_path, check=True)
    folder = tmp_path / "vaes"
    assert (folder / "reports" / "vaes" / "table.md").is_file()
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, check=True
    )
    assert b"reports/vaes/table.md: OK" in done.stdout
    assert str(trained).encode() not in b"".join(contents(folder / "runs").values())
    assert not import_records(folder, tmp_path / "there").conflicts  # unpacked, it is still one
    again = tmp_path / "again.tgz"
    places = ["--results", f"{trained}/results", "--reports", f"{trained}/reports"]
    assert main(["export", "vaes", "--to", str(again), *places]) == 0
    assert again.read_bytes() == archive.read_bytes()


def test_what_is_equal_is_left(archive, trained, elsewhere, capsys):
    before = contents(elsewhere)
    assert main(["import", str(archive), "--results", str(elsewhere)]) == 0
    assert "runs: 2 equal\nevaluations: 2 equal\nablations: 1 equal" in capsys.readouterr().out
    assert contents(elsewhere) == before
    own = contents(trained / "results")  # whose configurations name other directories
    assert main(["import", str(archive), "--results", str(trained / "results")]) == 0
    assert contents(trained / "results") == own


def test_weights_join_later_and_the_run_can_be_loaded_here(trained, elsewhere, tmp_path, capsys):
    file = tmp_path / "full.tar.gz"
    results = ["--results", str(trained / "results")]
    assert main(["export", "vaes", "--to", str(file), "--weights", *results]) == 0
    assert "without a report" in capsys.readouterr().err
    assert main(["import", str(file), "--results", str(elsewhere)]) == 0
    assert "runs: 2 added\nevaluations: 2 equal" in capsys.readouterr().out
    run = Store(elsewhere).runs()[0]
    assert ltvm.load(run.directory).iteration == 1
    paths = run.config()["paths"]  # this machine's
    assert paths["results"] == str(elsewhere)
    assert paths["data"] == str(tmp_path / "data")


def test_conflicts_are_named_the_rest_is_added_and_nothing_overwritten(
    archive, elsewhere, tmp_path, capsys
):
    changed, gone = Store(elsewhere).runs()
    record = changed.record()
    changed.write_record(record | {"flops": record["flops"] + 1})
    shutil.rmtree(gone.directory)
    before = contents(elsewhere)
    assert main(["import", str(archive), "--results", str(elsewhere)]) == 1
    printed = capsys.readouterr()
    assert "runs: 1 in conflict, 1 added" in printed.out
    where = changed.directory.relative_to(elsewhere)
    assert f"conflict: {where}: record.json: another content (here done, there done)" in printed.err
    after = contents(elsewhere)
    assert {name: after[name] for name in before} == before
    assert gone.status() == "done"


def test_another_content_of_an_evaluation_is_a_conflict_of_that_alone(archive, elsewhere):
    run = Store(elsewhere).runs()[0]
    ((identity, content),) = run.evaluations().items()
    run.write_evaluation(content | {"seconds": 0.0})
    merged = import_records(archive, elsewhere)
    assert [text for text in merged.conflicts if f"evaluations/{identity}.json" in text]
    assert merged.counts["runs", "equal"] == 2
    assert run.evaluation(identity)["seconds"] == 0.0


def test_a_damaged_record_stops_nothing_else(trained, tmp_path, capsys):
    there = tmp_path / "there"
    shutil.copytree(trained / "results", there)
    damaged, sound = Store(there).runs()
    damaged.record_file.write_text("{")
    here = tmp_path / "here"
    assert main(["import", str(there), "--results", str(here)]) == 1
    assert "the record.json there is damaged" in capsys.readouterr().err
    (run,) = Store(here).runs()
    assert run.directory.name == sound.directory.name


def test_a_run_that_another_process_holds_is_left(archive, elsewhere):
    run = Store(elsewhere).runs()[0]
    with run.held() as hold:
        assert hold is not None
        (conflict,) = import_records(archive, elsewhere).conflicts
    assert conflict.endswith(" is at it")


def test_manifests_of_one_ablation_are_merged(archive, elsewhere, tmp_path):
    """Two machines that did a seed and an evaluation each."""
    file = elsewhere / "ablations" / "vaes.json"
    whole = read_json(file)
    other = whole["runs"][0] | {"path": "runs/a/b/c/seed=0", "cell": "c", "evaluations": ["e"]}
    mine = whole | {"seeds": [0], "runs": [whole["runs"][0] | {"evaluations": ["x"]}, other]}
    mine["command"] = whole["command"].replace("[0,1]", "[0]")
    file.write_text(json.dumps(mine))
    merged = import_records(archive, elsewhere)
    assert merged.ablations == ["vaes"]
    assert not merged.conflicts
    found = json.loads(file.read_text())
    cell, (evaluation,) = whole["runs"][0]["cell"], whole["runs"][0]["evaluations"]
    assert [(e["cell"], e["seed"], e["evaluations"]) for e in found["runs"]] == [
        (cell, 0, ["x", evaluation]), (cell, 1, [evaluation]), ("c", 0, ["e"]),
    ]  # fmt: skip
    assert found["seeds"] == [0, 1]
    assert "'ablation.seeds=[0,1]'" in found["command"]  # which makes all of it
    assert found["command"].count("ablation.seeds") == 1
    file.write_text(json.dumps(mine | {"combine": "paired"}))
    (conflict,) = import_records(archive, elsewhere).conflicts
    assert conflict == "ablations/vaes.json: another combine"


@pytest.fixture
def measured_again(trained, tmp_path):
    """Those records with an evaluation more, and a manifest that lists it first."""
    there = tmp_path / "there"
    shutil.copytree(trained / "results", there)
    for run in Store(there).runs():
        (content,) = run.evaluations().values()
        run.write_evaluation(content | {"identity": "more", "started": "9999"})
    file = manifest_file(there, "vaes")
    whole = read_manifest(file)
    for entry in whole["runs"]:
        entry["evaluations"].insert(0, "more")
    write_json(file, whole)
    return there


def test_a_conflict_of_runs_adds_no_evaluation_to_the_manifest(elsewhere, measured_again):
    """It is not here, so the report would wait for it; what was answered stays so."""
    for run in Store(elsewhere).runs():
        run.write_record(run.record() | {"flops": 1})
    before = manifest_file(elsewhere, "vaes").read_bytes()
    merged = import_records(measured_again, elsewhere)
    assert merged.counts == {("runs", "in conflict"): 2, ("ablations", "equal"): 1}
    assert manifest_file(elsewhere, "vaes").read_bytes() == before
    assert set(long_table(elsewhere)["status"]) == {"done"}


@pytest.mark.parametrize("status", [None, "failed"])
def test_an_evaluation_that_is_done_nowhere_is_not_waited_for_here(
    status, elsewhere, measured_again
):
    for run in Store(measured_again).runs():
        content = run.evaluation("more")
        run.evaluation_file("more").unlink()
        if status:
            run.write_evaluation(content | {"status": status, "values": {}})
    merged = import_records(measured_again, elsewhere)
    assert merged.counts["ablations", "equal"] == 1
    assert set(long_table(elsewhere)["status"]) == {"done"}


@pytest.mark.parametrize(("started", "first"), [("9999", True), ("1999", False)])
def test_after_an_import_the_latest_evaluation_is_still_the_first(
    started, first, elsewhere, measured_again
):
    """Of all seeds alike, whether a seed was here before or not: values are of one evaluation."""
    for run in Store(measured_again).runs():
        run.write_evaluation(run.evaluation("more") | {"started": started})
    file = manifest_file(elsewhere, "vaes")
    ours = read_manifest(file)
    (known,) = ours["runs"][0]["evaluations"]
    write_json(file, ours | {"runs": ours["runs"][:1], "seeds": [0]})
    assert not import_records(measured_again, elsewhere).conflicts
    order = ["more", known] if first else [known, "more"]
    assert [entry["evaluations"] for entry in read_manifest(file)["runs"]] == [order, order]
    assert import_records(measured_again, elsewhere).counts["ablations", "equal"] == 1


def test_what_is_claimed_or_asked_otherwise_is_named(archive, elsewhere, trained):
    file = manifest_file(elsewhere, "vaes")
    whole = read_manifest(file)
    write_json(file, whole | {"question": "?", "margin": 0.5, "runs": whole["runs"][:1]})
    merged = import_records(archive, elsewhere)
    assert merged.conflicts == ["ablations/vaes.json: another question, margin; what is here stays"]
    assert read_manifest(file) == whole | {"question": "?", "margin": 0.5}
    assert merged.ablations == ["vaes"]
    claim = {"name": "C", "claim": "c.", "row": {"method": "vae"}, "against": {"method": "abp"},
             "metric": "fd_digits", "smallest": 0.1, "stated": "2026-01-01"}  # fmt: skip
    write_json(file, whole | {"claims": [claim]})  # theirs has none, so that none is left out
    assert not import_records(archive, elsewhere).conflicts
    (conflict,) = import_records(elsewhere, trained / "results").conflicts
    assert conflict == "ablations/vaes.json: another claims; what is here stays"


def test_a_directory_without_checksums_is_taken_as_it_is(trained, tmp_path, capsys):
    there = str(tmp_path / "there")
    assert main(["import", str(trained / "results"), "--results", there]) == 0
    printed = capsys.readouterr()
    assert "no checksums" in printed.err
    assert "next: ltvm report vaes" in printed.out
    assert len(Store(Path(there)).runs()) == 2


def packed(file, members):
    """An archive of names and bytes, or of members as they are."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


def link(name, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"../evil": b"x"}, "member ../evil"),
        ({"x/../../evil": b"x"}, "evil"),
        ({"/tmp/evil": b"x"}, "member /tmp/evil"),
        ({"x/link": link("x/link", "/etc")}, "member x/link"),
        ({"x/record.json": b"{}"}, "no SHA256SUMS"),
        ({"x/SHA256SUMS": b"", "x/y": b"1"}, "y (not listed)"),
        ({"x/SHA256SUMS": b"00  y\n"}, "y (absent)"),
        ({"x/SHA256SUMS": b"00  y\n", "x/y": b"1"}, "y (changed)"),
        ({"x/SHA256SUMS": b""}, "no records"),
    ],
)
def test_what_is_no_export_is_refused_and_leaves_nothing(members, words, tmp_path, capsys):
    file = packed(tmp_path / "bad.tar.gz", members)
    assert main(["import", str(file), "--results", str(tmp_path / "results")]) == 2
    assert words in capsys.readouterr().err
    assert not contents(tmp_path / "results")
    assert not [path for path in tmp_path.rglob("*") if path.name == "evil"]


def test_a_changed_or_cut_archive_is_refused(archive, tmp_path):
    raw = bytearray(archive.read_bytes())
    half = tmp_path / "half.tar.gz"
    half.write_bytes(raw[: len(raw) // 2])
    raw[len(raw) // 2] ^= 255
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(raw)
    for file in (half, bad, tmp_path / "none.tar.gz"):
        with pytest.raises(InputError, match=file.name):
            import_records(file, tmp_path / "results")
    assert not contents(tmp_path / "results")


def test_a_manifest_leads_to_no_other_place(archive, tmp_path):
    source = tmp_path / "source"
    (source / "ablations").mkdir(parents=True)
    entry = {"path": "runs/../../../../secret", "cell": "c", "seed": 0, "evaluations": []}
    text = json.dumps({"name": "x", "runs": [entry]})
    (source / "ablations" / "x.json").write_text(text)
    with pytest.raises(InputError, match="secret"):
        import_records(source, tmp_path / "results")


@pytest.mark.parametrize("name", ["vaes.zip", "vaes.tar", "vaes.tar.xz"])
def test_other_kinds_of_archive_are_refused(name, tmp_path, capsys):
    assert main(["export", "vaes", "--to", str(tmp_path / name)]) == 2
    assert "*.tar.gz or *.tgz" in capsys.readouterr().err


def test_an_export_onto_its_own_records_is_refused(trained, capsys):
    place = f"{trained}/results"
    assert main(["export", "vaes", "--results", place, "--to", f"{trained}/./results"]) == 2
    assert "allowed: another place than --results" in capsys.readouterr().err


def test_what_comes_next_is_of_the_same_results(archive, tmp_path, capsys):
    other = str(tmp_path / "other results")
    assert main(["import", str(archive), "--results", other]) == 0
    assert f"next: ltvm report vaes --results '{other}'" in capsys.readouterr().out


@pytest.fixture
def exported(trained, tmp_path):
    """A copy of those records that a test may change, another directory that has them, and how
    they are exported to it."""
    results, target = tmp_path / "results", tmp_path / "target"
    shutil.copytree(trained / "results", results)
    command = ["export", "vaes", "--results", str(results), "--to", str(target)]
    assert main(command) == 0
    return results, target, command


def test_another_training_is_not_exported_over_one_that_is_done(exported, capsys):
    """What was measured of the one would stand beside the record of the other."""
    results, target, command = exported
    before = contents(target)
    first, second = Store(results).runs()
    record = first.record()
    first.write_record(record | {"final_sha256": "0" * 64})
    capsys.readouterr()
    assert main(command) == 2
    where = first.directory.relative_to(results)
    assert f"--to={target}: runs of another training there: 1 ({where})" in capsys.readouterr().err
    assert contents(target) == before
    second.write_record(second.record() | {"status": "diverged", "final_sha256": None})
    assert main(command) == 2
    assert f"runs of another training there: 2 ({where}, ...)" in capsys.readouterr().err
    shutil.rmtree(target / "runs")
    assert main(command) == 0
    assert Store(target).runs()[0].record()["final_sha256"] == "0" * 64


def test_the_same_weights_or_one_that_was_not_done_are_exported_again(exported, capsys):
    results, target, command = exported
    first, second = Store(results).runs()
    first.write_record(first.record() | {"started": "later"})  # trained again, to the same bits
    there = Store(target).runs()[1]
    there.write_record(there.record() | {"status": "interrupted", "final_sha256": None})
    capsys.readouterr()
    for _ in range(2):
        assert main(command) == 0
        assert capsys.readouterr().err == ""
        assert Store(target).runs()[0].record()["started"] == "later"
        assert there.record() == second.record()


def test_it_is_said_where_a_manifest_that_was_exported_shrinks(exported, capsys):
    results, target, command = exported
    file = manifest_file(results, "vaes")
    whole = read_json(file)
    more = [entry | {"evaluations": [*entry["evaluations"], "e"]} for entry in whole["runs"]]
    steps = [
        (more, ""),
        (more[:1], "no longer lists 1 of 2 runs, 2 of 4 evaluations\n"),
        (whole["runs"][:1], "no longer lists 0 of 1 runs, 1 of 2 evaluations\n"),
        (more, ""),
    ]
    for entries, said in steps:
        write_json(file, whole | {"runs": entries})
        capsys.readouterr()
        assert main(command) == 0
        printed = capsys.readouterr().err
        assert printed.endswith(said) if said else printed == ""
        assert read_manifest(manifest_file(target, "vaes"))["runs"] == entries
