"""Anomaly detection: areas against scikit-learn, the data, the ablation from end to end."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from small_networks import SMALL
from torchmetrics.functional.classification import binary_average_precision

import ltvm
from ltvm.config import resolve
from ltvm.data import DataSet, ImageSet, mnist5k
from ltvm.data.without import load_mnist5k, without
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.detection.anomaly import AnomalyDetection, detection_areas
from ltvm.report.values.published import published

CPU = torch.device("cpu")


def energies(n=500, ties=True):
    random = np.random.default_rng(0)
    positive = (random.random(n) < 0.1).astype(int)
    scores = 300 + 40 * random.normal(size=n) + 30 * positive
    return torch.from_numpy(np.round(scores) if ties else scores), torch.from_numpy(positive)


@pytest.mark.parametrize("ties", [True, False])
def test_areas_equal_scikit_learns(ties):
    scores, positive = energies(ties=ties)
    precision_recall, roc = detection_areas(scores.float(), positive)
    found = average_precision_score(positive, scores.float())
    assert precision_recall == pytest.approx(found, rel=1e-6)
    assert roc == pytest.approx(roc_auc_score(positive, scores.float()), rel=1e-6)


def test_energies_as_they_are_would_saturate():
    """torchmetrics takes the sigmoid of values outside [0, 1], a known trap."""
    scores, positive = energies(ties=False)
    wrong = binary_average_precision(scores.float(), positive).item()
    assert wrong == pytest.approx(positive.double().mean().item(), abs=1e-6)  # all tie
    assert detection_areas(scores, positive)[0] > 1.5 * wrong


def test_a_perfect_and_a_reversed_score():
    positive = torch.tensor([0, 0, 0, 1, 1])
    assert detection_areas(torch.arange(5.0), positive) == (1, 1)
    reversed_ = detection_areas(-torch.arange(5.0), positive)
    assert reversed_ == pytest.approx((np.mean([1 / 4, 2 / 5]), 0), abs=1e-6)


def test_the_digit_is_left_out_of_training_alone():
    whole, data = mnist5k.load(), load_mnist5k(digit=4)
    assert data.train.labels.bincount().tolist() == [400] * 4 + [0] + [400] * 5
    assert torch.equal(data.test.images, whole.test.images)
    kept = whole.train.images[whole.train.labels != 4]
    assert torch.equal(data.train.images, kept)
    assert data.train.fingerprint != load_mnist5k(digit=5).train.fingerprint
    with pytest.raises(InputError, match="data.load.digit=12: allowed: 0, 1, 2"):
        load_mnist5k(digit=12)


class Stand:
    """Codes of nothing; the energy of an image is its mean pixel."""

    inference_precision = "float32"
    codes = torch.zeros(1, 2)

    def infer(self, images, _):
        return torch.zeros(len(images), 2)

    def energy(self, images, _):
        return images.flatten(1).mean(1)


def labelled(labels, seed):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.tensor(labels)
    images = torch.randint(0, 100, (len(labels), 1, 28, 28), generator=draw)
    images[labels == 1] += 100
    return ImageSet("bright ones", "test", images.to(torch.uint8), labels)


def test_a_high_energy_is_anomalous_and_the_left_out_digit_positive():
    data = DataSet(labelled([0, 2, 2, 3], 0), labelled([0, 1, 2, 1, 3, 0], 1))
    values = AnomalyDetection(digit=1)(Stand(), data, Context(0, CPU))
    assert values["auprc_heldout"].value == values["auroc_heldout"].value == 1
    assert values["auprc_heldout_floor"].value == pytest.approx(2 / 6)
    assert "digit 1" in values["auprc_heldout"].provenance["positive_class"]
    cold = Stand()
    cold.energy = lambda images, codes: -images.flatten(1).mean(1)
    assert AnomalyDetection(digit=1)(cold, data, Context(0, CPU))["auroc_heldout"].value == 0


def test_restarts_take_the_least_energy():
    data = DataSet(labelled([0, 2], 0), labelled([0, 1, 2, 1, 3, 0], 1))
    method = Stand()
    runs = iter([torch.tensor([9.0, 1, 9, 1, 9, 9]), torch.tensor([0.0, 7, 0, 7, 0, 0])])
    method.energy = lambda images, codes: next(runs)
    values = AnomalyDetection(digit=1, restarts=2)(method, data, Context(0, CPU))
    assert values["auroc_heldout"].value == 1  # least energies 0 and 1


def test_data_without_a_left_out_digit_is_refused_by_name():
    with pytest.raises(InputError, match="data=mnist_without or data=mnist5k_without"):
        ltvm.train(["evaluation=anomaly", "protocol=smoke"])


def test_what_cannot_be_scored_is_refused():
    seen = DataSet(labelled([0, 1], 0), labelled([0, 1], 1))
    with pytest.raises(InputError, match="anomaly.digit=1: allowed: a digit that no training"):
        AnomalyDetection(digit=1).check(seen, Context(0, CPU))
    absent = DataSet(labelled([0, 2], 0), labelled([0, 2], 1))
    with pytest.raises(InputError, match="some, not all"):
        AnomalyDetection(digit=1).check(absent, Context(0, CPU))
    plain = ImageSet("x", "train", seen.train.images)
    with pytest.raises(InputError, match="data with labels"):
        AnomalyDetection(digit=1).check(DataSet(plain, plain), Context(0, CPU))
    with pytest.raises(InputError, match="allowed: "):
        without(DataSet(plain, plain), 1)


def test_the_data_chooses_the_metric_and_its_digit():
    config = resolve(["data=mnist_without", "data.load.digit=7"])
    assert config["evaluation"]["metrics"]["anomaly"]["digit"] == 7
    assert config["data"]["load"]["digit"] == 7


def test_published_rows_are_those_of_the_left_out_digits():
    rows = published("mnist_without")
    assert set(rows["metric"]) == {f"auprc_heldout_{digit}" for digit in (1, 4, 5, 7, 9)}
    assert rows["source"].notna().all()
    assert len(published("mnist5k_without")) == len(rows)


def test_the_ablation_runs_from_end_to_end(unrendered):
    folder = ltvm.ablate(
        ["ablation=anomaly", "ablation.axes.method=[short_run_ot,vae]", "ablation.seeds=[0]",
         "ablation.axes.data.load.digit=[1,4]", "protocol=smoke", "protocol.train_images=60",
         "protocol.batch=20", "protocol.evaluation.unseen_images=4", *SMALL]
    ).folder  # fmt: skip
    page = (folder / "README.md").read_text()
    assert pd.read_parquet(folder / "long.parquet")["status"].eq("done").all()
    for needed in ("AUPRC, digit left out", "AUROC", "load.digit = 4", "auprc_heldout_9",
                   "a random score", "data mnist, ours mnist5k_without"):  # fmt: skip
        assert needed in page, needed
    assert (folder / "sweep-load-digit.png").is_file()


def test_every_new_metric_runs_from_end_to_end():
    record = ltvm.train(
        ["evaluation=digits_thorough", "protocol=smoke", "protocol.train_images=60",
         "protocol.batch=20", "evaluation.metrics.unseen_curve.steps=[1,2]",
         "evaluation.metrics.likelihood.images=2", "evaluation.metrics.likelihood.steps=4",
         *SMALL]
    )  # fmt: skip
    assert {
        "fd_digits", "mse_test", "psnr_test", "ssim_train", "mse_test_steps2_restarts5",
        "latent_mmd_p", "latent_ks", "latent_eigenvalue_max_floor", "ais_log_likelihood",
    } <= set(record["metrics"])  # fmt: skip
