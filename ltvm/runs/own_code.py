"""Code from outside this package: the distribution and version it is from, or what it says itself.

A module in a directory of one's own, or of a distribution that is installed to be edited, counts
with its code and with that of all of one's own that it imports, directly or not, at its top or
within functions; comments do not count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "ltvm"  # whose code counts by NUMERICS (see ltvm.runs.identity)


def from_outside(module: str) -> list[str]:
    """What a module is from, in words that change when its code may have changed."""
    return distributions(module.split(".")[0]) or source(module)


@cache
def distributions(package: str) -> list[str]:
    """``name version`` of the installed distributions that a top-level package comes from.

    Empty for a module in a directory of one's own, and where any of them is installed to be
    edited: its version stays while its code changes.
    """
    names = sorted(set(importlib.metadata.packages_distributions().get(package, [])))
    if any(is_edited(name) for name in names):
        return []
    return [f"{name} {importlib.metadata.version(name)}" for name in names]


def is_edited(distribution: str) -> bool:
    """Whether it was installed with ``pip install --editable``."""
    text = importlib.metadata.distribution(distribution).read_text("direct_url.json")
    try:
        about = json.loads(text or "{}")
        return bool(about.get("dir_info", {}).get("editable", False))
    except (json.JSONDecodeError, AttributeError):
        return False


@cache
def source(module: str) -> list[str]:
    """``code HASH`` of a module and of what it imports of one's own; empty where there is none."""
    codes: dict[str, bytes] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in codes or (name != module and not is_own(name)):
            continue
        text = file_of(name)
        if text is not None:
            codes[name] = uncommented(text)
            left += imports(text, name)
    if module not in codes:
        return []
    own = codes.pop(module)
    others = "".join(sorted(hashlib.sha256(code).hexdigest() for code in codes.values() if code))
    return [f"code {hashlib.sha256(own + others.encode()).hexdigest()[:12]}"]


def is_own(module: str) -> bool:
    """Whether a module counts with its code."""
    package = module.split(".")[0]
    builtin = package in sys.stdlib_module_names or package == PACKAGE
    return not builtin and not distributions(package)


def file_of(module: str) -> bytes | None:
    """What stands in a module's Python file; None if it has none."""
    try:
        spec = importlib.util.find_spec(module)
        return Path(str(spec and spec.origin)).read_bytes()
    except (ImportError, ValueError, OSError):  # which building it says
        return None


def imports(code: bytes, module: str) -> Iterator[str]:
    """Names of modules that a module may import: what follows ``from`` may be one, or hold one."""
    parts = module.split(".")
    yield from (".".join(parts[:i]) for i in range(1, len(parts)))  # its packages run first
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parts[: len(parts) - node.level] if node.level else []
            if node.level and is_package(module):
                above = parts[: len(parts) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_package(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.submodule_search_locations is not None


def uncommented(code: bytes) -> bytes:
    """Python without comments, blank lines and spaces at the ends of lines, where it can be read.

    >>> uncommented(b"x = '#'  # a sign\\n\\n# that is all\\n")
    b"x = '#'"
    """
    lines = code.decode(errors="replace").splitlines()
    try:
        for token in tokenize.tokenize(io.BytesIO(code).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    except (tokenize.TokenError, SyntaxError):
        return code
    return "\n".join(line.rstrip() for line in lines if line.strip()).encode()
