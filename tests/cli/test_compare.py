"""``ltvm compare``: methods side by side, and what their seeds can tell."""

import inspect
import os
from pathlib import Path

import pytest
from small_networks import SMALL

import ltvm
from ltvm.api.comparing import comparison
from ltvm.api.doing import ablate
from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE
from ltvm.errors import InputError
from ltvm.report.comparisons.differences import pairs
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.manifest import manifest_of

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", *SMALL,
]  # fmt: skip


def test_it_is_an_ablation_with_the_first_method_as_reference():
    given = ["methods=[abp,vae]", "data=mnist5k", "seeds=[3,4]", "margin=0.1", "hydra/launcher=ray"]
    (name,) = [o for o in comparison(given) if o.startswith("ablation.name=")]
    assert comparison(given) == [
        "ablation=compare", name, "ablation.axes.method=[abp,vae]",
        "ablation.reference=abp", "ablation.seeds=[3,4]", "ablation.margin=0.1", "data=mnist5k",
        "hydra/launcher=ray",
    ]  # fmt: skip
    assert "ablation.reference=vae" in comparison(["methods=[abp,vae]", "reference=vae"])


def test_another_comparison_of_the_same_methods_has_another_name():
    def name(*words):
        (found,) = [o for o in comparison(["methods=[abp,vae]", *words]) if ".name=" in o]
        return found

    plain = "ablation.name=compare-abp-vae"
    assert name() == name("seeds=[3,4]", "data=mnist5k", "stored=false", "reference=abp") == plain
    assert name("ablation.seeds=[3]", "ablation.stored=false") == plain
    others = [
        name("margin=0.1"), name("margin=0.2"), name("reference=vae"),
        name("ablation.tuned={trials: 2, metric: fd_digits}"),
        name("ablation.axes.method.alpha=[0.1]"),
    ]  # fmt: skip
    assert len({plain, *others}) == 6
    assert all(other.startswith(plain) for other in others)


def test_a_method_beside_itself_with_settings_found_by_a_search(tmp_path, monkeypatch):
    """The natural question of tuning; whichever is the reference, the other is a difference."""
    (tmp_path / "method" / "tuned").mkdir(parents=True)
    text = "# @package _global_\ndefaults: [/method/vae@method, _self_]\nmethod: {beta: 0.5}\n"
    (tmp_path / "method" / "tuned" / "vae-x.yaml").write_text(text)
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(tmp_path))
    for words, order in (
        (["methods=[vae,tuned/vae-x]"], "[vae,tuned/vae-x]"),
        (["methods=[tuned/vae-x,vae]"], "[tuned/vae-x,vae]"),
        (["methods=[abp,tuned/vae-x,vae]", "reference=vae"], "[vae,abp,tuned/vae-x]"),
    ):
        overrides = comparison(words)
        assert f"ablation.axes.method={order}" in overrides
        planned = plan(overrides)
        manifest = manifest_of(planned, tmp_path)
        cells = list(dict.fromkeys(entry["cell"] for entry in manifest["runs"]))
        table = long_table_of_manifest(manifest, tmp_path)
        reference = next(
            e["cell"] for e in manifest["runs"] if e["method"] == manifest["reference"]
        )
        assert sorted(pairs(table, manifest)) == sorted(
            (cell, reference) for cell in cells if cell != reference
        )
    (tmp_path / "method" / "tuned" / "vae-x.yaml").write_text(text.replace("{beta: 0.5}", "{}"))
    with pytest.raises(InputError, match="vae and tuned/vae-x train the same"):
        comparison(["methods=[vae,tuned/vae-x]"])


def test_a_methods_choice_need_not_be_its_name(tmp_path, monkeypatch):
    (tmp_path / "method").mkdir()
    text = "defaults: [vae, _self_]\nbeta: 0.5\n"
    (tmp_path / "method" / "mine.yaml").write_text(text)
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(tmp_path))
    overrides = comparison(["methods=[vae,mine]", "reference=mine"])
    assert "ablation.axes.method=[mine,vae]" in overrides
    assert "ablation.reference=vae" in overrides


def test_from_python_it_is_the_same_ablation(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "ltvm.api.doing.ablate", lambda *given, **options: asked.append((given, options))
    )
    ltvm.compare(["abp", "vae"], ["seeds=[3,4]"], "mine", reference="vae", retry=["failed"])
    ((overrides, name), options) = asked[0]
    words = ["methods=[abp,vae]", "reference=vae", "seeds=[3,4]"]
    assert (overrides, name) == (comparison(words), "mine")
    assert (options["retry"], options["interval"]) == (["failed"], "t")
    assert set(options) == {
        name
        for name, parameter in inspect.signature(ablate).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "shown"
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "methods=None: allowed: two methods"),
        (["methods=vae"], "methods=vae: allowed: two methods"),
        (["methods=[vae]"], "two methods or more"),
        (["methods=[vae,vae]"], "two methods or more"),
        (["method=vae", "methods=[vae,abp]"], "method=vae: allowed: 'methods=[A,B]'"),
        (
            ["methods=vae,abp"],
            "methods=vae,abp: several values; allowed: a list, 'methods=[vae,abp]'",
        ),
        (["seeds=0,1", "methods=[vae,abp]"], "allowed: a list, 'seeds=[0,1]'"),
        (["method=vae,abp"], "of several: ltvm compare 'methods=[vae,abp]'"),
        (["vae", "abp"], "vae abp: allowed: KEY=VALUE, such as 'methods=[vae,abp]'"),
        (["vae,abp"], "vae,abp: allowed: KEY=VALUE, such as 'methods=[vae,abp]'"),
        (["vae", "data=mnist5k"], "vae: allowed: KEY=VALUE, such as 'methods=[vae]'"),
        (["methods=[vae,abp]", "reference=short_run"], "reference=short_run: allowed: vae, abp"),
    ],
)
def test_bad_input(given, words):
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        comparison(given)


def test_a_table_a_difference_and_what_two_seeds_can_tell(capsys, undrawn):
    command = ["compare", "methods=[abp,short_run]", "seeds=[0,1]", *TINY]
    assert main(command) == 0
    printed = capsys.readouterr().out
    (folder,) = Path(os.environ["LTVM_REPORTS"]).iterdir()
    assert folder.name.startswith("compare-abp-short_run-mnist5k-smoke")
    assert "equivalent" in printed
    assert "sliced W2" not in printed  # no headline metric: in the report alone
    assert "sliced W2" in (folder / "README.md").read_text()
    assert max(map(len, printed.splitlines())) <= 100 + len(f"All metrics: {folder}/README.md")
    assert (folder / "power.csv").is_file()
    assert main(command) == 0  # nothing to train
    assert "iteration" not in capsys.readouterr().err


def test_a_text_in_place_of_a_list_is_refused_in_python():
    with pytest.raises(InputError, match=r"methods=vae: allowed: a list, such as \['vae'\]"):
        ltvm.compare("vae")
    with pytest.raises(InputError, match=r"overrides=seeds=\[3\]: allowed: a list"):
        ltvm.compare(["vae", "abp"], "seeds=[3]")
