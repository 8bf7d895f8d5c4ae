"""Composition, types, identity."""

import copy

import pytest

from ltvm.config import as_hydra, as_written, choices, resolve
from ltvm.errors import InputError
from ltvm.runs.identity import identity


def test_the_papers_settings():
    """Source A, "L and K are both 50", sigma = 0.3; the table of settings per data set."""
    expected = {"mnist": (30, 0.5, 0.3), "svhn": (64, 0.3, 3.0), "celeba": (64, 0.3, 3.0)}
    for data, (d, alpha, step) in expected.items():
        config = resolve([f"data={data}", "protocol=full"])
        method = config["method"]
        assert config["model"] == {"latent_dim": d, "sigma": 0.3}
        assert (method["alpha"], method["step"]["size"], method["step"]["kind"]) == (
            alpha, step, "paper",
        )  # fmt: skip
        assert (method["sweeps"], method["steps"], config["protocol"]["batch"]) == (50, 50, 2000)
        assert config["optimizer"]["betas"] == [0.5, 0.99]
        assert 10 <= config["protocol"]["iterations"] <= 15
    cost = resolve(["data=svhn", "protocol=cost"])["method"]
    assert (cost["steps"], cost["sweeps"], cost["learn_epochs"]) == (30, 50, 2)


def test_colour_images_get_inception_and_digits_the_digit_classifier():
    for data, extractor in (("mnist5k", "digits"), ("mnist", "digits"), ("svhn", "inception")):
        metrics = resolve([f"data={data}"])["evaluation"]["metrics"]
        assert metrics["frechet"]["extractor"] == extractor
    chosen = resolve(["data=svhn", "evaluation=digits"])["evaluation"]["metrics"]["frechet"]
    assert chosen["extractor"] == "digits"


def test_identity_leaves_out_what_cannot_change_the_numbers():
    base = resolve([])
    for overrides in (["seed=5"], ["paths.results=elsewhere"], ["paths.data=/mnt"], ["device=cpu"]):
        assert identity(resolve(overrides)) == identity(base)
    renamed = copy.deepcopy(base)
    renamed["method"]["label"] = "another label"
    assert identity(renamed) == identity(base)


@pytest.mark.parametrize(
    "override",
    ["method.alpha=0.4", "method.steps=7", "model.sigma=0.2", "decoder.norm=group", "data=mnist",
     "protocol.batch=50", "method=vae", "protocol.learning_rate=1e-3", "precision=float32",
     "evaluation.metrics.reconstruction.restarts=2", "method.solver=exact"],
)  # fmt: skip
def test_identity_sees_what_can(override):
    assert identity(resolve([override])) != identity(resolve([]))


def test_null_means_all_where_images_are_counted():
    protocol = resolve(["protocol=smoke", "protocol.train_images=null"])["protocol"]
    assert protocol["train_images"] is None


def test_an_integer_for_a_number_is_the_same_cell():
    assert identity(resolve(["model.sigma=1"])) == identity(resolve(["model.sigma=1.0"]))
    assert identity(resolve(["method.alpha=0.5"])) == identity(resolve([]))


def test_choices_are_the_yaml_files():
    assert {"short_run_ot", "short_run_uncorrected", "short_run", "abp", "vae"} <= set(
        choices("method")
    )
    assert {"mnist5k", "mnist", "svhn", "celeba", "folder"} | {
        "mnist_without", "mnist5k_without"
    } == set(choices("data"))  # fmt: skip
    assert {"ot", "alpha", "steps", "sigma", "step_size", "solver", "paper"} <= set(
        choices("ablation")
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method=gan", "method=gan: allowed: abp, short_run, "),
        ("data=lsun", "data=lsun: allowed: celeba, folder, mnist, mnist5k, "),
        ("protocol=huge", "protocol=huge: allowed: "),
        ("method.aplha=0.3", "method.aplha=0.3: no such key; allowed: alpha, "),
        ("sgima=1", "sgima=1: no such key; allowed: "),
        ("method.steps=2.5", "method.steps=2.5: allowed: an integer"),
        ("method.steps=many", "method.steps=many: allowed: an integer"),
        ("method.alpha=half", "method.alpha=half: allowed: a finite number"),
        ("model.sigma=nan", "model.sigma=nan: allowed: a finite number"),
        ("model.sigma=null", "model.sigma=None: allowed: a finite number"),
        ("method.step.noise=2", "method.step.noise=2: allowed: true or false"),
        ("seed=-1", "seed=-1: allowed: 0 or more"),
        ("seed=0,1", "several values"),
        ("protocol.iterations=0", "protocol.iterations=0: allowed: 1 or more"),
        ("evaluation.every=0", "evaluation.every=0"),
        ("method.alpha", "method.alpha"),
    ],
)
def test_bad_overrides_name_key_value_and_what_is_allowed(override, message):
    with pytest.raises(InputError) as caught:
        resolve([override])
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    "override",
    ["method.kernel=adam", "method.kernel.size=0.1", "evaluation.extractor=digits",
     "method.solver_options.gap=0.01", "method=vae", "seed=1", "model.latent_dim=8"],
)  # fmt: skip
def test_launchers_give_back_what_was_written(override):
    assert as_written(as_hydra(override)) == override
