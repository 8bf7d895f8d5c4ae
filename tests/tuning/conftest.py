"""A search that is done once for all tests of a file."""

import re
import shlex

import pytest
from tiny_trials import TUNE

from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Two trials of a VAE, as the command line does them, and what it printed."""
    root = tmp_path_factory.mktemp("tuned")
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTVM_RESULTS", str(root / "results"))
        patch.setattr("builtins.print", lambda *a, **k: printed.append(" ".join(map(str, a))))
        patch.setattr("rich.console.Console.print", lambda self, what: None)
        assert main(TUNE) == 0
    return root / "results", "\n".join(printed)


@pytest.fixture
def here(tuned, monkeypatch):
    """Its results directory, as that of this test, with what was found on the search path."""
    results, _ = tuned
    monkeypatch.setenv("LTVM_RESULTS", str(results))
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(results / "tuning"))
    return results


@pytest.fixture
def comparison(tuned, here):
    """The overrides of the ablation that compares what was found, as the command prints them."""
    (line,) = re.findall(r"on the test images: ltvm ablate (.*)", tuned[1])
    return shlex.split(line)
