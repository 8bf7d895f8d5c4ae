"""``ltvm new-method``: what it writes works, and is what CONTRIBUTING.md explains."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml
from small_networks import SMALL

from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE
from ltvm.errors import InputError
from ltvm.skeletons import FILES, inside_places, new_method, skeleton
from ltvm.testing import build, check

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, "")
    yield tmp_path
    sys.modules.pop("my_method", None)


def without_docstrings(text):
    """Code alone: no comments either."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            del node.body[0]
    return ast.unparse(tree)


def test_it_writes_what_contributing_explains(tmp_path):
    code, configuration, _ = new_method("auto_decoder", tmp_path)
    recipes = (ROOT / "CONTRIBUTING.md").read_text()
    explained = dict(re.findall(r"```\w+\n# file: (\S+)\n(.*?)```", recipes, re.DOTALL))
    method = explained["mine/auto_decoder.py"]
    assert without_docstrings(code.read_text()) == without_docstrings(method)
    keys = yaml.safe_load(explained["mine/method/auto_decoder.yaml"])
    written = yaml.safe_load(configuration.read_text())
    of_its_author = {key: written[key] for key in ("label", "about")}
    assert of_its_author["label"] == "auto decoder"
    assert written.items() >= {**keys, **of_its_author}.items()


def test_what_it_writes_keeps_the_contract_and_learns(outside, capsys):
    assert main(["new-method", "my_method"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "try it: ltvm check method=my_method --config-dir mine"
    spec = importlib.util.spec_from_file_location("written", outside / "mine/test_my_method.py")
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)  # adds the directory
    fewer = ["protocol.train_images=60", "protocol.batch=30", *SMALL]
    written.check = lambda overrides: check([*overrides, *fewer])
    written.build = lambda overrides: build([*overrides, *fewer])
    written.test_it_keeps_the_contract_of_a_method()
    written.test_it_learns()
    greedy = outside / "mine" / "my_method.py"
    once = "losses.append(self.update_decoder(images, codes))"
    text = greedy.read_text()
    assert once in text
    greedy.write_text(text.replace(once, f"[{once} for _ in range(10)]"))
    del sys.modules["my_method"]
    with pytest.raises(AssertionError, match="declares the FLOPs that it does"):
        written.test_it_keeps_the_contract_of_a_method()


def test_inside_the_package_it_names_the_package():
    values = {"name": "m", "label": "m", "class": "M", "target": "ltvm.methods.m"}
    code, configuration, test = (skeleton(file, values, inside=True) for file in FILES)
    assert "class M(Method)" in code
    assert yaml.safe_load(configuration)["_target_"] == "ltvm.methods.m.M"
    assert "config_dir" not in test
    assert "outside" not in test
    assert [str(p.relative_to(ROOT)) for p in inside_places("m")] == [
        "ltvm/methods/m.py", "ablations/method/m.yaml", "tests/methods/test_m.py",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["Mine", "a-b", "../x", "class", "", "1a", "vae", "a" * 60])
def test_other_names_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="NAME="):
        new_method(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("mine: true")
    with pytest.raises(InputError, match=r"method/mine\.yaml is there"):
        new_method("mine", tmp_path)
    assert not (tmp_path / "mine.py").exists()
