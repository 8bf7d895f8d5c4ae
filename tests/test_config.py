"""Composition and types."""

import pytest
from hydra import compose
from omegaconf import OmegaConf

from ltvm import config as module
from ltvm.config import (
    CONFIG_DIRS_VARIABLE,
    choices,
    compose_raw,
    hydra_session,
    resolve,
    settled,
    to_dict,
)
from ltvm.errors import InputError
from ltvm.methods.chain_method import build_kernel
from ltvm.overrides import as_hydra, as_written
from ltvm.runs.identity import identity


def test_the_papers_settings():
    """Source A, "L and K are both 50", sigma = 0.3; the table of settings per data set."""
    expected = {"mnist": (30, 0.5, 0.3), "svhn": (64, 0.3, 3.0), "celeba": (64, 0.3, 3.0)}
    for data, (d, alpha, step) in expected.items():
        config = resolve([f"data={data}", "protocol=full"])
        method = config["method"]
        assert config["model"] == {"latent_dim": d, "sigma": 0.3}
        kernel = method["kernel"]
        assert kernel["name"] == "langevin"
        assert (method["alpha"], kernel["size"], kernel["kind"]) == (alpha, step, "paper")
        assert (method["sweeps"], method["steps"], config["protocol"]["batch"]) == (50, 50, 2000)
        assert config["optimizer"]["betas"] == [0.5, 0.99]
        assert 10 <= config["protocol"]["iterations"] <= 15
    cost = resolve(["data=svhn", "protocol=cost"])["method"]
    assert (cost["steps"], cost["sweeps"], cost["learn_epochs"]) == (30, 50, 2)


def test_colour_images_get_inception_and_digits_the_digit_classifier():
    for data, extractor in (("mnist5k", "digits"), ("mnist", "digits"), ("svhn", "inception")):
        assert resolve([f"data={data}"])["evaluation"]["extractor"]["name"] == extractor
    chosen = resolve(["data=svhn", "evaluation=digits"])["evaluation"]
    assert chosen["extractor"]["name"] == "digits"


def test_data_sets_choose_their_decoder_and_a_user_another():
    for data, decoder in (("mnist5k", "mnist"), ("svhn", "svhn"), ("celeba", "celeba")):
        assert resolve([f"data={data}"])["decoder"]["name"] == decoder
    assert resolve(["data=svhn", "decoder=celeba"])["decoder"]["name"] == "celeba"


def test_choices_within_a_group_are_written_as_keys():
    config = resolve(["method.kernel=hamiltonian", "method.kernel.leapfrog=3"])
    assert config["method"]["kernel"]["name"] == "hamiltonian"
    assert config["method"]["kernel"]["leapfrog"] == 3
    folded = resolve(["data=svhn", "evaluation.extractor=inception_folded"])["evaluation"]
    assert folded["extractor"]["name"] == "inception_folded"


WITH_CHAINS = [m for m in choices("method") if "kernel" in resolve([f"method={m}"])["method"]]


@pytest.mark.parametrize("method", WITH_CHAINS)
@pytest.mark.parametrize("kernel", ["adam", "hamiltonian", "underdamped"])
def test_another_kernel_has_its_own_parameters(method, kernel):
    """Also where a method has a step of its own, which is Langevin's."""
    own = resolve([f"method={method}", f"method.kernel={kernel}"])["method"]["kernel"]
    assert own == resolve(["method=abp", f"method.kernel={kernel}"])["method"]["kernel"]
    build_kernel(own)


@pytest.mark.parametrize("kernel", ["langevin", "underdamped"])
def test_a_temperature_is_a_number(kernel):
    """Null by default, or not: 1 and 1.0 are one cell, and a word or a truth value is none."""

    def at(value):
        return resolve([f"method.kernel={kernel}", f"method.kernel.temperature={value}"])

    assert identity(at("3")) == identity(at("3.0"))
    assert type(at("3")["method"]["kernel"]["temperature"]) is float
    assert type(at("1e1")["method"]["kernel"]["temperature"]) is float
    for value in ("true", "hot", "[1.0]", "inf"):
        with pytest.raises(InputError, match=r"method\.kernel\.temperature=.*: a finite number"):
            at(value)


def test_no_temperature_is_the_default():
    usual = resolve([])
    assert usual["method"]["kernel"]["temperature"] is None
    assert resolve(["method.kernel.temperature=null"]) == usual
    assert resolve(["method.kernel={temperature:2}"])["method"]["kernel"]["temperature"] == 2.0


def test_a_method_may_have_a_step_of_its_own():
    """Whatever the protocol says; it is the kernel's then, and changed there."""
    for protocol in ("small", "full"):
        for more in ([], ["method.kernel=langevin"]):
            method = resolve(["method=lebm", f"protocol={protocol}", *more])["method"]
            assert (method["kernel"]["kind"], method["kernel"]["size"]) == ("langevin", 0.1)
            assert "own_step" not in method
    assert resolve(["method=lebm", "method.kernel.size=0.2"])["method"]["kernel"]["size"] == 0.2
    for override in ("method.own_step.size=0.2", "+method.own_step=1", "~method.own_step"):
        with pytest.raises(InputError, match="no such key"):
            resolve(["method=lebm", override])


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_may_decide_what_is_automatic(value):
    for more in ([], ["protocol=smoke", "model.sigma=0.2"]):
        config = resolve([f"execution.graph={str(value).lower()}", *more])
        assert config["execution"]["graph"] is value
    assert resolve([])["execution"]["graph"] == "auto"


@pytest.mark.parametrize("native", ["float32", "bfloat16"])
def test_an_automatic_precision_is_resolved_to_the_devices(monkeypatch, native):
    asked = []
    monkeypatch.setattr(module, "native_precision", lambda name: asked.append(name) or native)
    automatic = resolve(["device=cuda:1"])
    assert (automatic["precision"], asked) == (native, ["cuda:1"])
    assert automatic == resolve(["device=cuda:1", f"precision={native}"])
    assert resolve(["precision=float32"])["precision"] == "float32"
    assert len(asked) == 1
    assert settled(["seed=1", "precision=auto"], automatic) == ["seed=1", f"precision={native}"]


def test_null_means_all_where_images_are_counted():
    protocol = resolve(["protocol=smoke", "protocol.train_images=null"])["protocol"]
    assert protocol["train_images"] is None


def test_an_integer_for_a_number_is_the_same_cell():
    assert resolve(["model.sigma=1"]) == resolve(["model.sigma=1.0"])


def test_choices_are_the_yaml_files():
    assert {"short_run_ot", "short_run_uncorrected", "short_run", "abp", "vae"} <= set(
        choices("method")
    )
    assert {"mnist5k", "mnist", "svhn", "celeba", "folder"} <= set(choices("data"))
    assert {"ot", "alpha", "steps", "sigma", "step_size", "solver", "paper"} <= set(
        choices("ablation")
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method=gan", "method=gan: allowed: abp, ae, ae_ot, "),
        ("data=lsun", "data=lsun: allowed: celeba, folder, mnist, mnist5k, "),
        ("protocol=huge", "protocol=huge: allowed: "),
        ("method.aplha=0.3", "method.aplha=0.3: no such key; allowed: about, alpha, "),
        ("sgima=1", "sgima=1: no such key; allowed: "),
        ("method.steps=2.5", "method.steps=2.5: allowed: an integer"),
        ("method.steps=many", "method.steps=many: allowed: an integer"),
        ("method.alpha=half", "method.alpha=half: allowed: a finite number"),
        ("model.sigma=nan", "model.sigma=nan: allowed: a finite number"),
        ("model.sigma=null", "model.sigma=None: allowed: a finite number"),
        ("method.kernel.noise=2", "method.kernel.noise=2: allowed: true or false"),
        ("seed=-1", "seed=-1: allowed: 0 or more"),
        ("seed=0,1", "several values"),
        ("method=vae,abp", "several values; allowed: one; of several: ltvm compare 'methods=[vae,"),
        ("method=my_method", "wae_mmd; one of your own: with --config-dir FOLDER"),
        ("decoder=my_decoder", "one of your own: with --config-dir FOLDER"),
        ("protocol.iterations=0", "protocol.iterations=0: allowed: 1 or more"),
        ("evaluation.every=0", "evaluation.every=0"),
        ("evaluation.extractor=digits_x", "evaluation.extractor=digits_x: allowed: "),
        ("seeds=[0,1]", "did you mean seed?"),
        ("data.load.path=x", "data.load.path=x: no such key; allowed: none there"),
        ("evaluation=_base", "evaluation=_base: allowed: one evaluation of anomaly, chain, "),
        ("evaluation=base", "evaluation=base: allowed: anomaly, chain, digits, digits_copying"),
        ("method.alpha", "method.alpha"),
    ],
)
def test_bad_overrides_name_key_value_and_what_is_allowed(override, message):
    with pytest.raises(InputError) as caught:
        resolve([override])
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_key_that_the_choice_has_not_is_refused_with_the_choice():
    with pytest.raises(InputError, match="no such key with method=vae; allowed: about, encoder"):
        resolve(["method=vae", "method.kernel.kind=paper"])


def test_no_directory_is_asked_for_where_one_is_given_or_a_name_is_near(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="did you mean vae") as near:
        resolve(["method=vea"])
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match="method=my_method: allowed: ") as given:
        resolve(["method=my_method"])
    assert "--config-dir" not in f"{near.value} {given.value}"


@pytest.mark.parametrize(
    "override",
    ["method.kernel=adam", "method.kernel.size=0.1", "evaluation.extractor=digits",
     "method.solver_options.gap=0.01", "method=vae", "seed=1", "model.latent_dim=8",
     "execution.graph=false", "execution.graph=true"],
)  # fmt: skip
def test_launchers_give_back_what_was_written(override):
    assert as_written(as_hydra(override)) == override


@pytest.mark.parametrize(
    "overrides",
    [
        ["method.alpha=0.3", "seed=4", "data=svhn", "protocol=smoke", "model.sigma=0.1"],
        ["protocol.steps=7", "method=vae", "decoder=celeba", "+decoder.more=[1,2]"],
        ["method.solver_options.gap=0.1", "method.kernel=adam", "method.kernel.size=2"],
        ["method.kernel={size:1.0}", "~method.alpha", "paths.results=here", "device=cuda:1"],
        ["ablation=ot", "ablation.seeds=[3]", "optimizer.betas=[0,0]"],
    ],
)
def test_values_applied_to_kept_choices_are_what_hydra_composes_at_once(overrides):
    for _ in range(2):  # the second time from what is kept
        with hydra_session():
            whole = compose("config", list(map(as_hydra, overrides)))
        OmegaConf.resolve(whole)
        assert to_dict(compose_raw(overrides)) == to_dict(whole)


def test_a_file_that_is_added_or_changed_counts_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(tmp_path))
    file = tmp_path / "protocol" / "mine.yaml"
    with pytest.raises(InputError, match="protocol=mine"):
        resolve(["protocol=mine"])
    file.parent.mkdir()
    for steps in (3, 17):
        file.write_text(f"defaults: [smoke]\nname: mine\nsteps: {steps}\n")
        assert resolve(["protocol=mine"])["protocol"]["steps"] == steps


@pytest.mark.parametrize("path", ["/home/zoë/my results", "/data/日本", "/a/b c-d_e.f", "/a=b"])
def test_paths_may_have_spaces_and_umlauts(path):
    override = f"paths.results={path}"
    assert resolve([override])["paths"]["results"] == path
    assert resolve([as_written(as_hydra(override))])["paths"]["results"] == path
    assert resolve(['paths.results="/data/a,b"'])["paths"]["results"] == "/data/a,b"


def test_parameters_of_parts_may_be_added_and_nothing_else():
    assert resolve(["+decoder.widths=[32,16,16]"])["decoder"]["widths"] == [32, 16, 16]
    assert resolve(["+protocol.own_steps.vae={size:0.1}"])["protocol"]["own_steps"]["vae"]
    assert "frechet" not in resolve(["~evaluation.metrics.frechet"])["evaluation"]["metrics"]
    for override in ("+nosuch=1", "+model.nosuch=1", "~model.sigma", "+extractor=digits"):
        with pytest.raises(InputError, match=r"no such key|cannot be left out"):
            resolve([override])


def test_every_method_says_what_it_is_and_is_none_the_less_the_same():
    for method in choices("method"):
        about = resolve([f"method={method}"])["method"]["about"]
        assert about.endswith("."), method
        assert len(about) < 200, method
    said, other = (resolve(["method=vae", f"method.about={text}"]) for text in ("One", "Another"))
    assert identity(said) == identity(other)


def test_a_file_without_a_name_is_no_choice(tmp_path, monkeypatch):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "mine.yaml").write_text("defaults: [_base]\n")
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=r"evaluation\.name=None: allowed: a word; a file with"):
        resolve(["evaluation=mine"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["method=vae", "method.kernel=langevin"], "method.kernel=langevin: no such key with meth"),
        (["evaluation=none", "evaluation.extractor=digits"], "no such key with evaluation=none"),
    ],
)
def test_a_part_that_a_choice_does_not_have_is_refused_in_a_line(given, told):
    with pytest.raises(InputError) as caught:
        resolve(given)
    assert told in str(caught.value)
    assert "did you mean" not in str(caught.value)
