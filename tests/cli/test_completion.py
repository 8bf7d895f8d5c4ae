"""TAB: what a real bash offers after the script of ``ltvm completion``."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ltvm.cli.completion import keys, names_of_group, overrides_of
from ltvm.cli.main import main
from ltvm.config import choices
from ltvm.overrides import GROUPS

pytest.importorskip("argcomplete", reason="argcomplete is not installed")
BASH = shutil.which("bash")
ASK = """
eval "$SCRIPT"
COMP_LINE="$LINE"; COMP_POINT=${#LINE}; COMP_TYPE=9; COMP_KEY=9
_python_argcomplete ltvm "" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def offered(tmp_path, capsys):
    """What bash offers after a line."""
    if BASH is None:
        pytest.skip("no bash on this machine")
    program = tmp_path / "bin" / "ltvm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ltvm "$@"\n')
    program.chmod(0o755)
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out

    def ask(line):
        asked = subprocess.run(
            [BASH, "--norc", "-c", ASK],
            env={"PATH": f"{program.parent}:/usr/bin:/bin", "SCRIPT": script, "LINE": line,
                 "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return [word.strip() for word in asked.stdout.splitlines() if word.strip()]

    return ask


def test_bash_completes_commands_options_and_choices(offered):
    assert offered("ltvm lead") == ["leaderboard"]
    assert set(offered("ltvm status --re")) == {"--results"}
    assert [word.removeprefix("method=") for word in offered("ltvm train method=vae")] == ["vae"]


def complete(prefix, *overrides, groups=("method", "data", "kernel"), directories=()):
    line = argparse.Namespace(config_dir=list(directories), overrides=list(overrides))
    return [o for o in overrides_of(groups)(prefix, line) if o.startswith(prefix)]


def test_keys_and_values_of_overrides(tmp_path):
    assert complete("me") == ["method=", "method.kernel="]
    assert complete("data=mnist5") == ["data=mnist5k", "data=mnist5k_without"]
    assert complete("method.kernel=ham") == ["method.kernel=hamiltonian"]
    assert complete("methods=[vae,short_run_o") == ["methods=[vae,short_run_ot"]
    assert "method.alpha=" in complete("method.al", "method=short_run_ot")
    assert complete("method.al", "method=vae") == []
    assert list(keys(["method=nosuch"])) == []
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").touch()
    assert complete("method=mi", directories=[tmp_path]) == ["method=mine"]
    (tmp_path / "method" / "_mine.yaml").touch()  # others build upon it
    assert complete("method=_", directories=[tmp_path]) == []


@pytest.mark.parametrize("group", [*GROUPS, "kernel", "extractor"])
def test_choices_are_those_of_the_configuration(group):
    assert names_of_group(group) == choices(group)


def test_torch_is_not_imported_to_complete():
    code = (
        "import sys, ltvm.cli.main, ltvm.cli.completion as c; c.names_of_group('method'); "
        "assert not {'torch', 'pandas', 'hydra'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
