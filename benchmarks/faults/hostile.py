"""Hostile inputs: results, archives, images and directories that a stranger made.

Nothing in them is executed, nothing is written outside the folder that commands work in, nothing
hangs, and what is refused is named in a line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.faults.cases import Case
from benchmarks.faults.hostile_files import ARCHIVES, IMAGES, WEIGHTS
from benchmarks.faults.hostile_runs import EXECUTION, FILES, WRITES


def shadowing(folder: Path) -> str | None:
    """A ``--config-dir`` with modules named as installed ones: here, and in a child process."""
    mine = folder / "mine"
    mine.mkdir()
    for name in ("pandas", "json", "torch", "yaml", "decimal", "mine"):
        (mine / f"{name}.py").write_text("open('executed', 'w')\n")
    code = (
        "import subprocess, sys\n"
        "from ltvm.cli.main import main\n"
        "assert main(['train', '--config-dir', 'mine', 'method=vea']) == 2\n"
        "import decimal, json, yaml\n"
        "from importlib.util import find_spec\n"
        "assert not [name for name in ('pandas', 'torch') if 'mine' in find_spec(name).origin]\n"
        "subprocess.run([sys.executable, '-c', 'import json, decimal, yaml'], check=True)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        return done.stderr[-300:]
    return "executed" if (folder / "executed").exists() else None


HOSTILE = [*EXECUTION, *WRITES, *FILES, *ARCHIVES, *IMAGES, *WEIGHTS]
SHADOWING = Case("modules: a --config-dir with pandas.py", shadowing)


def cases() -> list[Case]:
    return [*(one.case() for one in HOSTILE), SHADOWING]


def short() -> list[Case]:
    """A few of each kind."""
    return [*(one.case() for one in HOSTILE if one.short), SHADOWING]
