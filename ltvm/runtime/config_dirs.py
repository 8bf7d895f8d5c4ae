"""Where configuration is: the suite's own, and the user's directories.

Python modules of these can be imported. They come last: what is installed keeps its name, whatever
a module there is called.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CONFIG_DIRS_VARIABLE = "LTVM_CONFIG_DIRS"  # as PATH; ``--config-dir`` adds to it

PACKAGE = Path(__file__).resolve().parents[1]


def own_configuration() -> Path:
    """The suite's own YAML groups: within an installed package, in a checkout beside it."""
    within = PACKAGE / "ablations"
    return within if within.is_dir() else PACKAGE.parent / "ablations"


def config_dirs() -> list[str]:
    return [d for d in os.environ.get(CONFIG_DIRS_VARIABLE, "").split(os.pathsep) if d]


def is_choice_name(name: str) -> bool:
    """Whether a file of a group is a choice: of ``_base``, ``mine/_base`` it is not, others build
    upon it.
    """
    return not name.rpartition("/")[2].startswith("_")


def make_importable() -> None:
    """Put them at the end of ``sys.path``: in this process, or one that a launcher started."""
    sys.path.extend(d for d in config_dirs() if d not in sys.path)


def hidden_modules(name: str) -> str:
    """In words, where a module of the user's own has the name of one that is found before it."""
    files = [Path(folder) / f"{name}.py" for folder in config_dirs()]
    found = getattr(sys.modules.get(name), "__file__", None)
    hidden = [str(file) for file in files if file.is_file() and str(file) != found and found]
    return f"; {hidden[0]} is hidden by {found}, which has its name" if hidden else ""
