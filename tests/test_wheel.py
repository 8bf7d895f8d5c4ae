"""The wheel works outside the checkout: configurations and extractor weights are inside.

It is installed into an empty virtual environment that borrows the dependencies (gigabytes of
torch) from the one running the tests, and used from another folder.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from small_networks import SMALL

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel that is built from it."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(built):
    (found,) = built.glob("*.whl")
    return found


def test_the_sdist_is_what_the_wheel_is_built_from_and_its_licence(built):
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {name.split("/")[0] for name in inside} == {
        "ltvm", "ablations", "hydra_plugins", "README.md", "LICENSE", "constraints.txt",
        "pyproject.toml", "PKG-INFO", ".gitignore",
    }  # fmt: skip
    assert "ablations/config.yaml" in inside


def test_the_wheel_holds_everything_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "ltvm/py.typed", "ltvm/metrics/features/digits.npz", "ltvm/report/values/published.csv",
        "ltvm/runs/housekeeping/stored_runs.json.xz",
        "ltvm/ablations/config.yaml", "ltvm/ablations/method/short_run_ot.yaml",
        "ltvm/ablations/ablation/ot.yaml",
        "hydra_plugins/ltvm_launchers.py",
    ):  # fmt: skip
        assert needed in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "ltvm",
        "hydra_plugins",
    }
    assert wheel.stat().st_size < 2_000_000


def test_a_smoke_ablation_from_the_wheel_in_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    purelib = sysconfig.get_path("purelib")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Borrow the dependencies, but not an editable install of this checkout.
    (site / "dependencies.pth").write_text(f"import sys; sys.path.append({purelib!r})\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    python = str(tmp_path / "env" / "bin" / "python")

    def run(*arguments):
        return subprocess.run(
            [python, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    told = "import ltvm; from ltvm.runtime.config_dirs import own_configuration as own"
    where = run("-c", f"{told}; print(ltvm.__file__, own())")
    assert all(path.startswith(str(site)) for path in where.stdout.split()), where
    done = run(
        "-m", "ltvm.cli.main", "ablate", "ablation=ot", "ablation.axes.method=[short_run_ot,vae]",
        "ablation.seeds=[0]", "protocol=smoke", "protocol.train_images=40", "protocol.batch=20",
        "protocol.test_images=12", "protocol.evaluation.unseen_images=4",
        "protocol.evaluation.codes=40", "paths.results=out", "paths.reports=out/reports", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out" / "reports").glob("ot-mnist5k-smoke-*/README.md"))
