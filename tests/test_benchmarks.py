"""What benchmarks and examples import of the package exists: they are mostly run by hand."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    file for folder in ("benchmarks", "examples") for file in (ROOT / folder).rglob("*.py")
)


def imported(file):
    """(module, name or None) of every import of this package, those within functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_imported_of_the_package_exists(file):
    for module, name in imported(file):
        if module.split(".")[0] == "ltvm":
            found = importlib.import_module(module)
            if name is not None and not hasattr(found, name):
                importlib.import_module(f"{module}.{name}")
