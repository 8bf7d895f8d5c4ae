"""A results directory in the format that runs write, without any training."""

import json
import shutil
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, PngImagePlugin

from ltvm.metrics.columns import Column
from ltvm.runtime.files import read_json, write_json, write_text
from ltvm.runtime.images import FACTS

COLUMNS = {
    "fd_digits": Column("FD, digit features", "distance of samples to training images",
                        "generation", direction="lower", headline=True),
    "fd_digits_floor": Column("FD, digit features", "test images against training images",
                              "generation", role="floor", of="fd_digits"),
    "fd_digits_error": Column("error of FD", "jackknife over samples", "generation",
                              role="error", of="fd_digits"),
    "mse_train": Column("MSE, training images", "of their own codes", "reconstruction",
                        "squared error per pixel", headline=True),
    "mse_test": Column("MSE, unseen images", "of codes inferred anew", "reconstruction",
                       "squared error per pixel", "lower", True),
    "latent_sliced_w2": Column("sliced W2 to prior", "of inferred codes", "codes",
                               direction="lower"),
    "latent_mmd_p": Column("p of MMD", "by permutation", "codes", role="diagnostic"),
    "mse_test_steps8_restarts1": Column("K = 8, best of 1", "MSE of unseen images by steps",
                                        "reconstruction", direction="lower", role="point"),
    "mse_test_steps4_restarts3": Column("K = 4, best of 3", "MSE of unseen images by steps",
                                        "reconstruction", direction="lower", role="point"),
}  # fmt: skip
CURVES = {
    "fd_digits_curve": Column("FD, digit features, small sample", "of few samples", "generation",
                              direction="lower", headline=True),
    "loss": Column("loss", "mean squared error"),
    "codes_sliced_w2_before": Column("sliced W2 to the prior, before the correction", "of codes",
                                     "codes", direction="lower", headline=True),
    "codes_sliced_w2_after": Column("sliced W2 to the prior, after the correction", "of codes",
                                    "codes", direction="lower", headline=True),
}  # fmt: skip
STYLES = {
    "short_run_ot": {"colour": "#08306b", "marker": "o"},
    "short_run_uncorrected": {"colour": "#6baed6", "marker": "s"},
}
LABELS = {"short_run_ot": "short-run OT", "short_run_uncorrected": "same, no correction"}
STATED = {"n": 1000, "split": "test", "data": "fp", "dtype": "float32", "batch": 500,
          "numerics": 2, "version": "0.1.0", "commit": "abc"}  # fmt: skip
FEATURES = {"extractor": "digits", "checksum": "2dcf40c6bc21" + "0" * 52, "dimension": 128,
            "resize": "none"}  # fmt: skip


def nearest_picture(file, samples, unseen, train=9):
    """A picture with the distances that a run writes into it."""
    about = PngImagePlugin.PngInfo()
    about.add_text(FACTS, json.dumps({"samples": samples, "unseen": unseen, "train": train}))
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(file, pnginfo=about)


class Results:
    """Writes runs, evaluations and a manifest below ``root``."""

    def __init__(self, root: Path):
        self.root = root
        self.entries = []

    def run(self, method, seed, status="done", data="mnist5k", values=None, cell=None, reason=None):
        """One run with its record, history and pictures; returns its directory."""
        cell = cell or f"{method}-cell"
        path = f"runs/{data}/{method}/{cell}/seed={seed}"
        folder = self.root / path
        config = {"seed": seed, "data": {"name": data}, "method": {"name": method}}
        config["evaluation"] = {"name": "digits", "every": 1}
        write_text(folder / "config.yaml", yaml.safe_dump(config))
        write_json(folder / "record.json", {
            "status": status, "reason": reason, "data": data, "method": method,
            "label": LABELS.get(method, method), "style": STYLES.get(method, {}),
            "protocol": "smoke", "identity": cell, "seed": seed, "command": "ltvm train",
            "started": "t", "finished": "t", "device": "cpu", "device_type": "cpu",
            "precision": "float32", "execution": "eager", "versions": {"torch": "2"},
            "commit": "abc", "fingerprints": {"train": "fp", "test": "ft"},
            "images": {"train": 9, "test": 9}, "iterations_done": 2, "passes": 6,
            "decoder_updates": 4, "flops": 31_000_000_000_000, "equal": "flops",
            "temperature": [1.0, 1.0],
            "seconds": {"inference": 2.0, "transport": 0.5, "learning": 1.0, "evaluation": 0.25},
            "peak_memory_mb": {"process": 100.0}, "final_mb": 1.0,
            "curves": {name: column.as_dict() for name, column in CURVES.items()},
        })  # fmt: skip
        history = [
            {"iteration": i, "passes": 3 * i, "flops": 1e9 * i}
            | dict.fromkeys(CURVES, seed + 1 / i)
            for i in (1, 2)
        ]
        write_text(folder / "history.csv", pd.DataFrame(history).to_csv(index=False))
        for kind in ("samples", "reconstructions"):
            plt.imsave(folder / f"{kind}.png", np.zeros((8, 8)))
        self.entries.append({
            "path": path, "cell": cell, "seed": seed, "data": data, "method": method,
            "label": LABELS.get(method, method), "style": STYLES.get(method, {}),
            "protocol": "smoke", "values": {"method": method, **(values or {})}, "note": "",
            "command": f"ltvm train method={method} seed={seed}", "evaluations": [],
        })  # fmt: skip
        return folder

    def evaluation(self, folder, identity, values, columns=None, **fields):
        """An evaluation of a run that its manifest asks for, first of all."""
        contents = {}
        for name, value in values.items():
            features = FEATURES if name.startswith("fd_") else {}
            contents[name] = {"value": value, **STATED, **features}
        of = {name: (columns or {}).get(name) or COLUMNS[name] for name in values}
        content = {
            "name": "digits", "identity": identity, "status": "done", "reason": None,
            "started": "t", "seconds": 3.0, "device": "cpu", "execution": "eager",
            "versions": {"torch": "2"}, "commit": "abc", "config": {"name": "digits"},
            "values": contents, "columns": {name: c.as_dict() for name, c in of.items()},
        }  # fmt: skip
        write_json(folder / "evaluations" / f"{identity}.json", content | fields)
        self.wants(folder, identity)

    def wants(self, folder, identity):
        """The manifest asks for this evaluation, written or not."""
        for entry in self.entries:
            if self.root / entry["path"] == folder:
                entry["evaluations"].insert(0, identity)

    def manifest(self, name="ot-mnist5k", **fields):
        """Write the manifest; returns its file."""
        content = {
            "name": name, "ablation": "ot", "question": "What does the correction do?",
            "reference": "short_run_uncorrected", "combine": "product", "axes": ["method"],
            "command": "ltvm ablate ablation=ot", "seeds": [0, 1, 2], "runs": self.entries,
        }  # fmt: skip
        write_json(self.root / "ablations" / f"{name}.json", content | fields)
        return self.root / "ablations" / f"{name}.json"

    def change(self, method, seeds=(0, 1, 2), metric="fd_digits", **fields):
        """Change what evaluations say about one metric."""
        for entry in self.entries:
            if entry["method"] == method and entry["seed"] in seeds:
                file = self.root / entry["path"] / "evaluations" / "e1.json"
                content = read_json(file)
                content["values"][metric] |= fields
                write_json(file, content)


VALUES = {  # of seeds 0, 1, 2
    "short_run_ot": {"fd_digits": (10.0, 11.0, 12.0), "fd_digits_floor": (4.0, 4.0, 4.0),
                     "mse_train": (0.3, 0.32, 0.31), "mse_test": (0.5, 0.52, 0.51),
                     "latent_sliced_w2": (0.1, 0.11, 0.12)},
    "short_run_uncorrected": {"fd_digits": (10.5, 10.6, 12.2), "fd_digits_floor": (4.0, 4.0, 4.0),
                              "mse_train": (0.1, 0.12, 0.11), "mse_test": (0.3, 0.32, 0.33),
                              "latent_sliced_w2": (0.3, 0.2, 0.25)},
}  # fmt: skip


def two_methods(root):
    """Two methods, three seeds, one evaluation each, and their manifest, below ``root``."""
    results = Results(root)
    for method, values in VALUES.items():
        for seed in range(3):
            folder = results.run(method, seed)
            results.evaluation(folder, "e1", {name: v[seed] for name, v in values.items()})
    results.manifest()
    return results


@pytest.fixture(scope="session")
def _written_once(tmp_path_factory):
    return two_methods(tmp_path_factory.mktemp("written") / "records")


@pytest.fixture
def written(tmp_path, _written_once):
    """A copy of ``two_methods``, whose pictures take longer to draw than to copy."""
    results = Results(shutil.copytree(_written_once.root, tmp_path / "records"))
    results.entries = deepcopy(_written_once.entries)
    return results


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, driven by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield started
        started.close()


@contextmanager
def quiet_page(browser, file):
    """A page of a file, which must ask for nothing and complain of nothing."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    opened, complaints = context.new_page(), []
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            None
            if request.url == file.as_uri() or request.url.startswith("data:")
            else complaints.append(request.url)
        ),
    )
    opened.goto(file.as_uri())
    yield opened
    assert complaints == []
    context.close()
