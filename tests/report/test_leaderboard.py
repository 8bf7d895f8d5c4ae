"""The leaderboard: which records compete, what is set aside and why, what the files say."""

import json
import re
import shutil

import pandas as pd
import pytest
import yaml

from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.report.leaderboard.contents import answer, contents
from ltvm.report.leaderboard.entries import read_entries, terms_of
from ltvm.report.leaderboard.names import file_names, overrides_of, page_titles, settings_of
from ltvm.report.leaderboard.pages import pages
from ltvm.report.leaderboard.write import write_leaderboard
from ltvm.runs.files.store import Run
from ltvm.runtime.files import read_json, write_json, write_sealed_json, write_text
from tests.report.conftest import Results


@pytest.fixture(scope="module")
def six_seeds(tmp_path_factory):
    """Two methods that nothing tells apart and one that wins by far, at six seeds."""
    made = Results(tmp_path_factory.mktemp("records"))
    for method, level in (("abp", 1.0), ("vae", 20.0), ("short_run_ot", 20.0)):
        for seed in range(6):
            folder = made.run(method, seed)
            noise = 0.2 * ((7 * seed + len(method)) % 5) + (method == "abp") * seed / 20
            made.evaluation(folder, "e1", {"fd_digits": level + noise + 9 * seed, "mse_test": 0.2})
    return made.root


@pytest.fixture
def results(six_seeds, tmp_path):
    """The same, for a test to change."""
    shutil.copytree(six_seeds, tmp_path / "records")
    return Results(tmp_path / "records")


def change_record(results, method, seeds=range(6), **fields):
    for seed in seeds:
        (file,) = results.root.glob(f"runs/*/{method}/*/seed={seed}/record.json")
        write_json(file, read_json(file) | fields)


def change_evaluation(results, method, seeds=range(6), **fields):
    for seed in seeds:
        (file,) = results.root.glob(f"runs/*/{method}/*/seed={seed}/evaluations/e1.json")
        write_json(file, read_json(file) | fields)


def found(*directories):
    return pages(read_entries([results.root for results in directories]))


def ranks(page, metric="fd_digits"):
    names = {row.id: row.name for row in page.rows}
    return {names[id]: rank.text for id, rank in page.rankings[metric].ranks.items()}


def test_ranks_are_those_of_differences_and_equal_rows_share_them(results):
    (page,) = found(results)
    assert ranks(page) == {"abp": "1", "short-run OT": "2-3", "vae": "2-3"}
    assert page.ranked == ["fd_digits", "mse_test"]
    assert set(ranks(page, "mse_test").values()) == {"1-3"}
    assert page.rankings["fd_digits"].tests == 12  # of both metrics


def test_equal_rows_are_ahead_together(results):
    (page,) = found(results)
    assert "“abp” and “short-run OT” and “vae” have the best rank at one seed, 2.0" in answer(
        page, "mse_test"
    )


def test_other_terms_are_other_pages(results):
    change_record(results, "vae", equal="passes")
    change_record(results, "short_run_ot", fingerprints={"train": "f" * 64, "test": "ft"})
    titles = {page.title: [row.name for row in page.rows] for page in found(results)}
    assert titles == {
        "mnist5k, smoke, equal passes": ["vae"],
        "mnist5k, smoke": ["abp"],
        "mnist5k, smoke, training images = ffffffff": ["short-run OT"],
    }
    change_record(results, "short_run_ot", protocol="small")
    assert "mnist5k, small" in [page.title for page in found(results)]


def test_seconds_are_equal_on_one_device_alone(results):
    for method in ("vae", "abp", "short_run_ot"):
        change_record(results, method, equal="seconds", device="gpu" if method == "abp" else "cpu")
    assert sorted(len(page.rows) for page in found(results)) == [1, 2]


def test_what_a_number_is_decides_whether_it_is_ranked(results):
    for seed in range(6):
        (file,) = results.root.glob(f"runs/*/vae/*/seed={seed}/evaluations/e1.json")
        content = read_json(file)
        content["values"]["fd_digits"] |= {"n": 500, "commit": "another"}
        write_json(file, content)
    (page,) = found(results)
    assert ranks(page) == {"abp": "1", "short-run OT": "2"}
    assert "vae" in ranks(page, "mse_test")
    (vae,) = [row for row in page.rows if row.name == "vae"]
    assert vae.aside == {"fd_digits": "n is 500, of the others 1000"}  # who computed it: noted


def test_a_row_with_seeds_of_another_kind_is_not_ranked_on_the_others(results):
    for seed, fields in ((4, {"n": 500}), (5, {"n": 500}), (1, {"split": "train"})):
        (file,) = results.root.glob(f"runs/*/abp/*/seed={seed}/evaluations/e1.json")
        content = read_json(file)
        content["values"]["fd_digits"] |= fields
        write_json(file, content)
    (folder,) = results.root.glob("runs/*/vae/*/seed=3")  # of both kinds: the usual one counts
    results.evaluation(folder, "e0", {"fd_digits": 7.0})
    content = read_json(folder / "evaluations" / "e0.json")
    content["values"]["fd_digits"]["n"] = 500
    write_json(folder / "evaluations" / "e0.json", content)
    (page,) = found(results)
    (abp,) = [row for row in page.rows if row.name == "abp"]
    assert sorted(abp.values["fd_digits"]) == [0, 2, 3]
    assert abp.aside == {
        "fd_digits": "seed 1: split is train, of the others test; "
        "seeds 4, 5: n is 500, of the others 1000"
    }
    assert ranks(page) == {"short-run OT": "1-2", "vae": "1-2"}
    assert "abp" in ranks(page, "mse_test")
    (told,) = contents(page, "t")["aside"]
    assert (told["row"], told["what"]) == ("abp", page.columns["fd_digits"].title)


def test_rows_that_are_not_done_or_spent_something_else_are_set_aside(results):
    change_record(results, "vae", [3], status="diverged")
    change_record(results, "short_run_ot", flops=62_000_000_000_000)
    results.run("beta_vae", 0)
    (page,) = found(results)
    aside = {row.name: row.aside.get("") for row in page.rows}
    assert aside["vae"] == "1 diverged of 6 runs"
    assert aside["short-run OT"] == "spends 2 times the training, FLOP of the others"
    assert aside["abp"] is None
    assert ranks(page) == {"abp": "1"}


@pytest.mark.parametrize("status", ["diverged", "failed", "interrupted"])
def test_a_row_with_an_evaluation_that_is_not_done_is_set_aside(results, status):
    """Else it would be ranked on the seeds that went well."""
    change_evaluation(results, "abp", [4, 5], status=status, values={}, columns={})
    (page,) = found(results)
    aside = {row.name: row.aside for row in page.rows}
    assert aside["abp"] == {"": f"2 evaluations {status}"}
    assert "abp" not in ranks(page)
    assert aside["vae"] == aside["short-run OT"] == {}


def test_an_evaluation_that_runs_is_one_that_nobody_is_at(results):
    change_evaluation(results, "abp", [4], status="running", values={}, columns={})
    change_evaluation(results, "abp", [5], status="failed", values={}, columns={})
    change_record(results, "abp", [0], status="diverged")
    (page,) = found(results)
    (abp,) = [row for row in page.rows if row.name == "abp"]
    assert abp.aside[""] == "1 diverged of 6 runs; 1 evaluation interrupted, 1 failed"


def test_a_row_whose_seeds_are_not_all_evaluated_is_set_aside(results):
    for seed in (1, 4):
        (file,) = results.root.glob(f"runs/*/vae/*/seed={seed}/evaluations/e1.json")
        file.unlink()
    (page,) = found(results)
    aside = {row.name: row.aside for row in page.rows}
    assert aside == {"abp": {}, "short-run OT": {}, "vae": {"": "2 of 6 runs without evaluation"}}
    assert set(ranks(page)) == {"abp", "short-run OT"}


def test_external_rows_stand_beside_those_of_the_same_images_without_a_rank(results, tmp_path):
    card = {"source": "https://example.org", "n": 1000, "cost": {"flops": 1e12}}
    folder = results.run("my_gan", 0)
    about = {"data": "mnist5k", "method": "my_gan", "identity": "my_gan-cell", "seed": 0}
    write_json(folder / "record.json", about | {
        "status": "done", "reason": None, "label": "My GAN", "command": "ltvm compare",
        "started": "t", "external": card, "fingerprints": {"train": "fp", "test": "ft"},
        "flops": 1e12,
    })  # fmt: skip
    names = {"data": {"name": "mnist5k"}, "method": {"name": "my_gan"}}
    write_text(folder / "config.yaml", yaml.safe_dump({"seed": 0, **names, "external": card}))
    results.evaluation(folder, "e1", {"fd_digits": 0.5})
    (page,) = found(results)
    (row,) = [row for row in page.rows if row.name == "My GAN"]
    assert row.marks[0] == "external"
    assert "shares no seed" in row.aside[""]
    assert ranks(page) == {"abp": "1", "short-run OT": "2-3", "vae": "2-3"}
    write_leaderboard([results.root], tmp_path)
    assert "My GAN" in (tmp_path / "leaderboard" / "mnist5k-smoke.html").read_text()
    for method in ("abp", "vae", "short_run_ot"):
        shutil.rmtree(results.root / "runs" / "mnist5k" / method)
    (page,) = found(results)
    assert page.title == "mnist5k, no protocol"


def test_records_without_checksum_are_marked(results):
    (page,) = found(results)
    assert all(row.marks == ["unverified: 6 of 6 runs"] for row in page.rows)
    for file in results.root.rglob("*.json"):
        write_sealed_json(file, read_json(file))
    (page,) = found(results)
    assert all(row.marks == [] for row in page.rows)


def test_what_a_headline_value_warns_of_marks_its_row(results):
    def warn(method, seeds, metric):
        for seed in seeds:
            (file,) = results.root.glob(f"runs/*/{method}/*/seed={seed}/evaluations/e1.json")
            content = read_json(file)
            content["values"][metric]["warning"] = "near copies"
            write_json(file, content)

    warn("vae", range(6), "fd_digits")
    warn("abp", [3, 4], "fd_digits")
    (folder,) = results.root.glob("runs/*/short_run_ot/*/seed=0")
    results.evaluation(folder, "e2", {"latent_sliced_w2": 0.3})  # no headline
    content = read_json(folder / "evaluations" / "e2.json")
    content["values"]["latent_sliced_w2"]["warning"] = "few codes"
    write_json(folder / "evaluations" / "e2.json", content)
    (page,) = found(results)
    marked = {row.name: row.marks[1:] for row in page.rows}  # the first: without checksum
    title = page.columns["fd_digits"].title
    assert marked == {
        "vae": [f"{title}: near copies"],
        "abp": [f"{title}: near copies (2 of 6 seeds)"],
        "short-run OT": [],
    }
    assert "vae" in ranks(page)  # it is ranked all the same


def test_of_several_directories_a_run_counts_once(results, tmp_path):
    other = Results(tmp_path / "other")
    for seed in (0, 7):  # of the first, other seconds are another training
        folder = other.run("abp", seed)
        other.evaluation(folder, "e1", {"fd_digits": 500.0})
        other.evaluation(folder, "e2", {"mse_train": 0.3})  # the other directory alone has it
    (page,) = found(results, other)
    (abp,) = [row for row in page.rows if row.name == "abp"]
    assert abp.values["fd_digits"][0] < 10  # the same record: its evaluation is the first one's
    assert abp.values["fd_digits"][7] == 500.0
    assert abp.values["mse_train"] == {0: 0.3, 7: 0.3}
    assert abp.entries[0].unsealed == ["record.json", "e1.json", "e2.json"]
    change_record(other, "abp", [0], stored="ltvm 0.1.0")  # the same training, from the package
    own, others = (made.root / "runs/mnist5k/abp/abp-cell/seed=0" for made in (results, other))
    told = f"{others}/evaluations/e1.json: other values than those of {own}"
    assert read_entries([results.root, other.root]).left_out == [told]
    (page,) = found(other, results)
    assert "stored" in next(row for row in page.rows if row.name == "abp").marks
    change_record(other, "abp", [0], device="another")
    told = read_entries([results.root, other.root])
    assert [line for line in told.left_out if "another training of" in line]
    assert len(told.entries) == 19
    with pytest.raises(InputError, match="--results"):
        read_entries([tmp_path / "none"])


@pytest.mark.parametrize("status", ["failed", "interrupted", "running"])
@pytest.mark.parametrize("place", [0, 1])
def test_of_several_directories_an_evaluation_counts_where_it_is_done(
    results, tmp_path, status, place
):
    directories = [results, Results(shutil.copytree(results.root, tmp_path / "other"))]
    lacking = directories[place]
    change_evaluation(lacking, "abp", [0, 1], status=status, values={}, columns={})
    for file in lacking.root.glob("runs/*/abp/*/seed=0/evaluations/e1.json"):
        write_sealed_json(file, read_json(file))
    for order in (directories, directories[::-1]):
        told = read_entries([made.root for made in order])
        assert told.left_out == []
        (page,) = pages(told)
        (abp,) = [row for row in page.rows if row.name == "abp"]
        assert abp.aside == {}
        assert len(abp.values["fd_digits"]) == 6
        unsealed = [sorted(entry.unsealed) for entry in abp.entries.values()]
        assert unsealed == [["e1.json", "record.json"]] * 6, "of those that count"


def test_of_two_evaluations_that_differ_the_first_counts_and_the_other_is_named(results, tmp_path):
    other = Results(shutil.copytree(results.root, tmp_path / "other"))
    for seed, fields in ((0, {"values": {}, "status": "diverged"}), (1, {"seconds": 9.0})):
        change_evaluation(other, "abp", [seed], **fields)
    of_run = "runs/mnist5k/abp/abp-cell/seed=0"
    for first, second in ((results, other), (other, results)):
        told = read_entries([first.root, second.root])
        file = second.root / of_run / "evaluations" / "e1.json"
        assert told.left_out == [f"{file}: other values than those of {first.root / of_run}"]
        (page,) = pages(told)
        (abp,) = [row for row in page.rows if row.name == "abp"]
        assert len(abp.values["fd_digits"]) == (6 if first is results else 5)
        assert ("" in abp.aside) == (first is other), "one that diverged is final"


def test_a_row_is_a_method_with_what_is_set_otherwise(results):
    run = next(run for run in results.root.glob("runs/*/vae/*/seed=0"))
    (entry,) = [e for e in read_entries([results.root]).entries if e.run.directory == run]
    entry.config.clear()
    overrides = ["method=vae", "protocol=smoke", "protocol.learning_rate=0.01", "protocol.steps=9"]
    entry.config.update(resolve([*overrides, "decoder.norm=group"]))
    assert settings_of(entry) == {"protocol.learning_rate": "0.01", "decoder.norm": "group"}
    assert overrides_of(terms_of(entry), entry) == [
        "data=mnist5k", "protocol=smoke", "protocol.steps=9",
    ]  # fmt: skip
    entry.config["method"]["name"] = "a_method_that_is_not_here"
    assert settings_of(entry) == {}


def test_names_of_pages_and_files():
    terms = {"data": "a b", "protocol": "small", "equal": "flops", "protocol.steps": 3}
    titles = page_titles([terms, terms | {"protocol.steps": 9}, terms | {"equal": "passes"}])
    assert titles == ["a b, small", "a b, small, protocol.steps = 9", "a b, small, equal passes"]
    assert file_names(titles)[1] == "a-b-small-protocol.steps=9"
    assert file_names(["../x, y", "x y", "..."]) == ["x-y", "x-y~2", "page"]


def test_the_files_hold_what_the_page_says(results, tmp_path, capsys):
    arguments = ["leaderboard", "--results", str(results.root), "--reports", str(tmp_path / "r")]
    assert main(arguments) == 0
    assert "“abp” is significantly first, of 3 rows" in capsys.readouterr().out
    folder = tmp_path / "r" / "leaderboard"
    text = (folder / "mnist5k-smoke.html").read_text()
    shown = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [row["name"] for row in shown["rows"]] == ["abp", "short-run OT", "vae"]
    rank = shown["rankings"]["fd_digits"]["of"][shown["rows"][0]["id"]]
    assert (rank["text"], rank["at_one_seed"], rank["first"]) == ("1", "1.0 [1, 1]", "6 of 6")
    assert "ltvm train data=mnist5k protocol=smoke method=my_method seed=5" in text
    table = pd.read_csv(folder / "mnist5k-smoke.csv.gz")
    assert len(table[table["metric"] == "fd_digits"]) == 18
    assert {"row", "origin", "path", "seed", "value", "provenance", "set_aside"} <= set(table)
    assert f"ltvm leaderboard --results results --results {results.root}" in text
    parquet = pd.read_parquet(folder / "mnist5k-smoke.parquet")
    assert len(parquet) == len(table)
    best = pd.read_csv(folder / "mnist5k-smoke-ranks.csv").iloc[0]
    assert (best["row"], best["rank_low"], best["rank_high"], best["first"]) == ("abp", 1, 1, 6)
    assert 'href="mnist5k-smoke.html"' in (folder / "index.html").read_text()
    change_record(results, "vae", protocol="small")
    for method in ("abp", "short_run_ot"):
        change_record(results, method, protocol="small")
    assert main(arguments) == 0
    assert not list(folder.glob("mnist5k-smoke*"))  # those of the page that is no more
    assert (folder / "mnist5k-small.html").is_file()


def test_every_ranking_says_how_many_pairs_its_seeds_tell_apart(results, tmp_path):
    made = write_leaderboard([results.root], tmp_path)
    (page,) = made["pages"]
    assert page["answer"].endswith("of 3 rows. 6 seeds tell 2 of 3 pairs of rows apart.")
    text = (tmp_path / "leaderboard" / "mnist5k-smoke.html").read_text()
    shown = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    by_error = shown["rankings"]["mse_test"]["answer"]
    assert by_error.endswith("6 seeds tell 0 of 3 pairs of rows apart.")
    for folder in results.root.glob("runs/*/*/*/seed=[3-9]"):
        shutil.rmtree(folder)
    (page,) = found(results)
    by_distance = contents(page, "t")["rankings"]["fd_digits"]
    assert "3 seeds tell 2 of 3 pairs" in by_distance["answer"]
    at_one = [rank["at_one_seed"] for rank in by_distance["of"].values()]
    assert at_one[0] == "1.0"  # of three seeds no interval


def test_strangers_texts_stay_texts_and_damage_is_named(results, tmp_path):
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    change_record(results, "vae", label=bad, command=bad, style={"colour": bad})
    (results.root / "runs/mnist5k/abp/abp-cell/seed=0/record.json").write_text("{")
    config = results.root / "runs/mnist5k/abp/abp-cell/seed=1/config.yaml"
    write_text(config, yaml.safe_dump(yaml.safe_load(config.read_text()) | {"seed": "one"}))
    made = write_leaderboard([results.root], tmp_path)
    assert any("record.json" in line for line in made["left_out"])
    assert any("seed is not an integer" in line for line in made["left_out"])
    for file in (tmp_path / "leaderboard").glob("*.html"):
        assert "<script>alert" not in file.read_text()
        assert "<img src=x" not in file.read_text()


def test_it_refuses_where_there_is_nothing(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["leaderboard", "--results", str(tmp_path / "empty")]) == 2
    assert "no records in" in capsys.readouterr().err
    (tmp_path / "reports" / "leaderboard").mkdir(parents=True)
    (tmp_path / "reports" / "leaderboard" / "README.md").touch()
    with pytest.raises(InputError, match="has a report of that name"):
        write_leaderboard([tmp_path / "empty"], tmp_path / "reports")


def test_a_run_that_is_not_evaluated_has_its_costs_alone(results):
    results.run("beta_vae", 0)
    (page,) = found(results)
    (row,) = [row for row in page.rows if row.name == "beta_vae"]
    assert set(row.values) == {*page.costs} - {"evaluation_seconds"}
    assert isinstance(row.first.run, Run)
