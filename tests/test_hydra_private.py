"""What is not of Hydra's documented interface is used in one file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRIVATE = re.compile(
    r"hydra\._internal|GlobalHydra|config_loader|hydra\.core\.(plugins|override_parser|singleton)"
    r"|\b_return_value\b|HydraContext\(|run_job|Singleton\b"
)


@pytest.mark.parametrize("folder", ["ltvm", "hydra_plugins", "benchmarks"])
def test_no_other_file_uses_what_is_private_to_hydra(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    used = {
        str(file.relative_to(ROOT)): found[0]
        for file in files
        if (found := PRIVATE.search(file.read_text()))
    }
    used.pop("ltvm/hydra_private.py", None)
    assert used == {}


def test_that_file_does():
    assert len(PRIVATE.findall((ROOT / "ltvm" / "hydra_private.py").read_text())) > 5


def test_other_programs_with_hydra_keep_their_launchers():
    code = (
        "from hydra.core.config_store import ConfigStore; from hydra.core.plugins import Plugins\n"
        "names = [found.__name__ for found in Plugins.instance().discover()]\n"
        "print('SlurmLauncher' in names, set(ConfigStore.instance().repo['hydra']['launcher']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True {")
    assert not re.search("ray|submitit", done.stdout)
    assert done.stderr == ""
