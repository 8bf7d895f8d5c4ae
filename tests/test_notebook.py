"""``examples/first_look.ipynb`` runs from its first cell to its last, on the committed records.

Its cells are plain Python, so they are run as such. A kernel (nbclient, ipykernel and some thirty
packages below them) would try Jupyter in addition, and take seconds to start.
"""

import ast
import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "first_look.ipynb"
REPORT = NOTEBOOK.parents[1] / "reports" / "reference" / "correction-mnist5k-medium"
pytestmark = pytest.mark.skipif(not NOTEBOOK.is_file(), reason="no examples beside the tests")


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text("utf-8"))


def of_kind(notebook, kind):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_its_cells_run_in_their_order_and_draw_every_run(notebook, monkeypatch):
    monkeypatch.chdir(NOTEBOOK.parent)  # where Jupyter runs it
    monkeypatch.setattr(plt, "show", lambda: None)
    names, printed = {}, io.StringIO()
    with redirect_stdout(printed):
        for number, source in enumerate(of_kind(notebook, "code")):
            exec(compile(source, f"cell {number}", "exec"), names)
    (axis,) = names["figure"].axes
    drawn = sum(len(points.get_offsets()) for points in axis.collections)
    assert drawn == len(names["runs"]) == names["runs"]["path"].nunique() > 50
    assert "FD, digit features = " in printed.getvalue()
    reported = pd.read_csv(REPORT / "differences.csv").set_index("cell")
    (told,) = reported.loc["short-run OT", ["FD, digit features ↓"]]
    assert f"correction - none: {told.split(' ')[0]}," in printed.getvalue()
    plt.close(names["figure"])


def test_it_is_kept_without_outputs(notebook):
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (
        4, len(notebook["cells"])
    )  # fmt: skip
    assert NOTEBOOK.stat().st_size < 20_000


def test_its_cells_are_plain_python_of_the_public_interface(notebook):
    import ltvm

    for source in of_kind(notebook, "code"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ltvm":
                assert node.attr in ltvm.__all__, node.attr


def test_its_links_lead_to_files_and_its_names_are_there(notebook):
    import ltvm

    text = "\n".join(of_kind(notebook, "markdown"))
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (NOTEBOOK.parent / target).is_file(), target
    for name in set(re.findall(r"`ltvm\.(\w+)", text)):
        assert hasattr(ltvm, name), name
