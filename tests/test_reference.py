"""What is committed agrees with itself: records, report, README."""

import gzip
import re
from pathlib import Path

import pandas as pd
import pytest

import ltvm
from ltvm.runtime.files import read_json

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "results" / "reference"
NAMES = sorted(path.stem for path in (REFERENCE / "ablations").glob("*.json"))


def test_there_is_a_reference():
    assert "ot-mnist5k" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_report_is_that_of_the_committed_records(name, tmp_path, unrendered):
    (tmp_path / "results").symlink_to(REFERENCE.parent)  # where a page has its links lead
    rebuilt = ltvm.make_report(name, tmp_path / "results/reference", tmp_path / "reports/reference")
    committed = ROOT / "reports" / "reference" / name
    texts = [file.name for file in rebuilt.iterdir() if file.suffix in (".md", ".csv", ".tex")]
    assert {"README.md", "cost.csv", "long.csv"} <= set(texts)
    for file in texts:
        assert (rebuilt / file).read_text() == (committed / file).read_text(), file
    (words, numbers), (own_words, own_numbers) = map(words_and_numbers, (committed, rebuilt))
    assert own_words == words
    assert own_numbers == pytest.approx(numbers, rel=2e-6)
    assert {f.name for f in committed.iterdir()} == {f.name for f in rebuilt.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_page_leads_to_the_files_of_its_numbers(name):
    folder = ROOT / "reports" / "reference" / name
    links = re.findall(r"\]\(([^)#:]+)\)", (folder / "README.md").read_text())
    assert sum(link.endswith("/record.json") for link in links) > 1
    assert [link for link in links if not (folder / link).is_file()] == []


def test_the_reports_are_listed_with_what_they_are_of():
    listed = (ROOT / "reports" / "reference" / "README.md").read_text()
    assert len(re.findall(r"^\| \[", listed, re.M)) == len(NAMES)
    for name in NAMES:
        manifest = read_json(REFERENCE / "ablations" / f"{name}.json")
        runs = manifest["runs"]
        of = [", ".join(dict.fromkeys(run[key] for run in runs)) for key in ("data", "protocol")]
        counts = [str(len({run[key] for run in runs})) for key in ("seed", "cell")]
        row = " | ".join([f"[{name}]({name}/README.md)", *of, *counts, manifest["question"]])
        assert f"| {row} |" in listed


LONG = re.compile(r"(-?\d+\.\d+(?:e-?\d+)?)")


def words_and_numbers(report):
    """Its page in pieces, without the images' bytes, which are their encoder's.

    A page's script has numbers to seven digits, the last of which is another with other libraries.
    """
    text = re.sub('(?<=base64,)[^"]+', "", (report / "index.html").read_text())
    pieces = LONG.split(text)
    return pieces[::2], list(map(float, pieces[1::2]))


def test_the_committed_leaderboard_is_that_of_the_committed_records(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # the pages name the records as `make reference` does
    ltvm.make_leaderboard(["results/reference"], tmp_path)
    rebuilt, committed = tmp_path / "leaderboard", ROOT / "reports" / "reference" / "leaderboard"
    assert {f.name for f in committed.iterdir()} == {f.name for f in rebuilt.iterdir()}
    for file in committed.iterdir():
        assert file.stat().st_size <= 2**20, file.name
        mine = rebuilt / file.name
        if file.suffix == ".parquet":
            assert pd.read_parquet(mine).equals(pd.read_parquet(file)), file.name
            continue
        read = gzip.decompress if file.suffix == ".gz" else bytes
        if file.suffix == ".gz":
            assert mine.read_bytes()[3] == 0, "no name of a file in it, which would be another"
        assert read(mine.read_bytes()) == read(file.read_bytes()), file.name


def test_the_committed_effects_are_those_of_the_committed_records(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    pair = ("short_run_ot", "short_run_uncorrected")
    made = ltvm.make_effects(
        *pair, "results/reference", tmp_path, by=["variance_inflation", "latent_sliced_w2"]
    )
    rebuilt = Path(made["page"]).parent
    committed = ROOT / "reports" / "reference" / "effects" / rebuilt.name
    assert {f.name for f in committed.iterdir()} == {f.name for f in rebuilt.iterdir()}
    for file in ("README.md", "effects.csv"):
        assert (rebuilt / file).read_text() == (committed / file).read_text(), file


QUOTED = {  # report -> the document that tells its numbers, and which of its tables
    "ot-mnist5k": ("docs/findings/correction.md", ["headline", "differences-headline"]),
    "correction-mnist5k-medium": (
        "docs/findings/correction.md",
        ["headline", "differences-headline"],
    ),
    "mnist-small": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "large-core": ("docs/findings/large.md", ["headline", "claims", "along-training"]),
    "large-equal": (
        "docs/findings/large.md",
        ["headline", "differences-headline", "along-training"],
    ),
    "samplers-mnist5k": ("docs/findings/densities.md", ["headline"]),
    "temperature-mnist5k": ("docs/findings/paper.md", ["headline", "differences-headline"]),
    "hot_chain-mnist5k": ("docs/findings/paper.md", ["headline", "differences-headline", "claims"]),
    "reasons-mnist5k": ("docs/findings/paper.md", ["headline", "differences-headline"]),
    "what_matters-mnist5k": ("docs/findings/mechanism.md", ["differences-headline"]),
    "baselines-mnist5k": ("docs/findings/baselines.md", ["headline"]),
    "baselines-mnist5k-medium": ("docs/findings/baselines.md", ["headline"]),
    "samplers-mnist5k-medium": ("docs/findings/densities.md", ["headline"]),
    "tuned-mnist5k": ("docs/findings/baselines.md", ["headline"]),
    "terms-mnist5k": ("docs/findings/baselines.md", ["crossed-fd-digit-features"]),
    "mechanism-mnist5k": (
        "docs/findings/mechanism.md",
        ["headline", "differences-headline", "claims"],
    ),
    "mnist-medium": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "wide_noise-mnist5k": ("docs/findings/paper.md", ["headline", "differences-headline"]),
    "mechanism-mixture": ("docs/findings/mechanism.md", ["headline"]),
    "moments-mnist5k": (
        "docs/findings/mechanism.md",
        ["headline", "differences-headline", "claims"],
    ),
    "dose-mnist5k": ("docs/findings/mechanism.md", ["headline", "claims"]),
    "houses": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "alpha-mnist5k-medium": ("docs/findings/settings.md", ["headline"]),
    "sigma-mnist5k-medium": ("docs/findings/settings.md", ["headline", "differences-headline"]),
    "anomaly-medium": (
        "docs/findings/anomaly.md",
        ["crossed-auprc-digit-left-out", "differences-headline", "claims"],
    ),
    "steps-mnist5k-medium": ("docs/findings/settings.md", ["headline", "differences-headline"]),
    "frontier-mnist5k": ("docs/findings/settings.md", ["trade-off"]),
    "twin_settings-mnist5k": (
        "docs/findings/large.md",
        ["headline", "differences-headline", "claims"],
    ),
    "step_size-mnist5k-medium": ("docs/findings/settings.md", ["headline"]),
    "large-ae_ot": ("docs/findings/copying.md", ["headline"]),
    "large-rival": ("docs/findings/copying.md", ["headline", "differences-headline"]),
    "copying-large": ("docs/findings/copying.md", ["headline"]),
    "copying-digits": ("docs/findings/copying.md", ["headline"]),
    "all_digits-mnist": (
        "docs/findings/data-sets.md",
        ["headline", "differences-headline", "claims"],
    ),
    "images-medium": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "all_digits_twin_settings-mnist": (
        "docs/findings/data-sets.md",
        ["headline", "differences-headline"],
    ),
    "moments_alpha-mnist5k": (
        "docs/findings/mechanism.md",
        ["headline", "differences-headline", "claims"],
    ),
    "large-all": (
        "docs/findings/large.md",
        ["headline", "differences-headline", "time-to-quality"],
    ),
    "copying-medium": ("docs/findings/copying.md", ["headline"]),
    "faces": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "large_searched-mnist5k": (
        "docs/findings/large.md",
        ["headline", "differences-headline", "claims"],
    ),
    "vae_budget-mnist5k": ("docs/findings/large.md", ["headline", "differences-headline"]),
    "large-mixtures": ("docs/findings/large.md", ["headline", "differences-headline"]),
    "large_searched_equal-mnist5k": (
        "docs/findings/large.md",
        ["headline", "differences-headline", "claims"],
    ),
    "large_step-mnist5k": ("docs/findings/step.md", ["headline", "differences-headline", "claims"]),
    "correction_step-mnist5k": (
        "docs/findings/step.md",
        ["headline", "differences-headline", "claims"],
    ),
    "step_length-mnist5k": ("docs/findings/step.md", ["headline"]),
    "step_length-protocol": ("docs/findings/step.md", ["headline"]),
    "step_length_elsewhere": ("docs/findings/step.md", ["headline"]),
    "metropolis": ("docs/findings/step.md", ["headline", "differences-headline"]),
    "mnist-large": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "inference-large": ("docs/findings/step.md", ["points"]),
    "inference-searched": ("docs/findings/step.md", ["points"]),
    "inference-medium": ("docs/findings/step.md", ["points"]),
    "mnist-step": ("docs/findings/data-sets.md", ["headline", "differences-headline"]),
    "learning-mnist5k": ("docs/protocol.md", ["headline", "differences-headline"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_documents_tell_the_numbers_of_the_reports(name):
    document, quoted = QUOTED[name]
    for table in quoted:
        text = (ROOT / "reports" / "reference" / name / f"{table}.md").read_text().strip()
        assert text in (ROOT / document).read_text(), table


def test_the_times_to_repeat_are_those_of_the_reports():
    text = (ROOT / "docs" / "findings.md").read_text()
    rows = [line for line in text[text.index("## Repeating it") :].splitlines() if "](.." in line]
    assert len(rows) == len(NAMES)
    for name in NAMES:
        (row,) = (line for line in rows if line.startswith(f"| [{name}]"))
        page = (ROOT / "reports" / "reference" / name / "README.md").read_text()
        told = re.search(r"As recorded, the (\d+) runs took (.*?) one after the other", page)
        trials = re.search(r"that found settings took (.*?) of training before", page)
        assert told is not None, name
        took = told[2] + (f" and {trials[1]} of trials" if trials else "")
        assert row.endswith(f" | {told[1]} | {took} |"), name
        assert re.search("^Command: (`.*`)$", page, re.M)[1] in row


def test_the_readme_and_the_findings_begin_with_one_table_and_a_short_answer():
    """Each row is held to its report: values, differences, and p after correction."""
    readme, findings = ((ROOT / name).read_text() for name in ("README.md", "docs/findings.md"))
    assert len(readme.splitlines()) <= 150
    table = next(v for k, v in tables_of(ROOT / "README.md").items() if "FD, twin" in k)
    assert table.replace("(reports/", "(../reports/") in findings
    answer = re.search(r"^\*\*Short answer\*\*, .*?\n\n(?=\| )", readme, re.M | re.S)[0]
    assert answer in findings
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) == 13
    for what, seeds, twin, method, distance, error, report in rows[:12]:
        name = re.match(r"\[([\w-]+)\]", report)[1]
        step = ", kernel.size = 0.05" if "half of the step" in what else ""
        alpha = ", alpha = 0.6252" if name.startswith("large_searched_equal") else ""
        own, other = f"short-run OT{step}{alpha}", f"same, no correction{step}"
        values = headline(name, "headline")
        assert [twin, method] == [values.loc[row, FD].strip("*") for row in (other, own)]
        assert values.loc[own, "runs"] == seeds
        for told, metric in ((distance, FD), (error, "MSE, unseen images ↓")):
            difference = headline(name, "differences-headline").loc[own, metric]
            if seeds == "1":  # nothing is tested
                assert told == difference
                continue
            p = headline(name, "tests-primary").loc[own, metric]
            corrected = re.search(r"\((.*)\)", p)[1]
            assert told == f"{difference.strip('*')} ({corrected})"
    assert rows[12][4] == "-22 ± 16 (0.017)"  # claim Q3a, the other way round
    claim = pd.read_csv(reference("large-core") / "claims.csv", dtype=str).set_index("claim")
    assert list(claim.loc["Q3a", ["difference", "p, adjusted"]]) == ["+22 ± 16 (+21 %)", "0.017"]


FD = "FD, digit features ↓"


def reference(name):
    return ROOT / "reports" / "reference" / name


def headline(name, table):
    return pd.read_csv(reference(name) / f"{table}.csv", dtype=str).set_index("cell")


def tables_of(file):
    """The Markdown tables of a file, by their header line."""
    blocks = [block for block in file.read_text().split("\n\n") if block.startswith("|")]
    return {block.splitlines()[0]: block.strip() for block in blocks}


@pytest.mark.parametrize(
    "document", ["docs/performance.md", "docs/metrics.md", "docs/reliability.md"]
)
def test_documents_quote_the_benchmarks_as_they_were_measured(document):
    measured = {}
    for file in sorted((REFERENCE / "bench").glob("*.md")):
        measured |= {(line, file.stem): file.read_text() for line in tables_of(file)}
    headers = {line for line, _ in measured}
    quoted = {k: v for k, v in tables_of(ROOT / document).items() if k in headers}
    assert quoted
    for header, table in quoted.items():
        rows = list(table.splitlines()[2:])
        texts = [text for (line, _), text in measured.items() if line == header]
        assert all(any(row in text for text in texts) for row in rows), header


def test_no_checkpoint_is_committed():
    assert not list(REFERENCE.rglob("*.pt"))


ESTIMATE = re.compile(r"\d[\d.]* ± \d+(?:\.\d+)?")


FINDINGS = sorted(f"docs/findings/{file.name}" for file in ROOT.glob("docs/findings/*.md"))


@pytest.mark.parametrize("document", ["README.md", "docs/findings.md", *FINDINGS])
def test_every_estimate_in_a_sentence_is_one_of_a_report(document):
    """Without its sign, which words often say; of p-values there are too few digits to tell."""
    reports = (ROOT / "reports" / "reference").glob("*/README.md")
    known = {found for file in reports for found in ESTIMATE.findall(file.read_text())}
    said = set(ESTIMATE.findall(" ".join((ROOT / document).read_text().split())))
    assert len(said) > 4
    assert said <= known


def test_the_findings_list_their_pages():
    text = (ROOT / "docs" / "findings.md").read_text()
    listed = re.findall(r"^\| \[[\w-]+\]\((findings/[\w-]+\.md)\) \|", text, re.M)
    assert sorted(f"docs/{page}" for page in listed) == FINDINGS
