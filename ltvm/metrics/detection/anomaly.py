"""Anomaly detection: is an image of a class that training never saw told from the others?"""

from __future__ import annotations

from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.errors import InputError, require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.codes.compared import uninferred
from ltvm.metrics.columns import Column
from ltvm.metrics.images.restarts import Restarts, infer_restarts

KEY = "evaluation.metrics.anomaly"


class AnomalyDetection(Metric):
    """Areas under curves, with the digit left out of training as the positive class.

    A test image is scored by the unnormalised log-posterior of its inferred code, log p(x, z) =
    -U(z; x) + constant (Zenati et al., 2018, and Pang et al., NeurIPS 2020, have the protocol and
    this decision function): the lower, the more anomalous.

    - ``auprc_heldout``: area under precision and recall, as average precision;
      ``auprc_heldout_floor`` is the share of positives, which a random score gets. It depends on
      that share: values compare at equal test sets only;
    - ``auroc_heldout``: area under the ROC curve, 0.5 for a random score.

    ``digit`` must be absent from the training labels. The code is inferred as ``Method.infer``
    does, that of least energy among ``restarts``. ``images`` bounds the test images (null: all).
    """

    of_samples = False

    def __init__(self, digit: int | None, images: int | None = None, restarts: int = 1) -> None:
        require(restarts >= 1, f"{KEY}.restarts", restarts, "1 or more")
        require(images is None or images >= 2, f"{KEY}.images", images, "2 or more, null: all")
        self.digit, self.images, self.restarts = digit, images, restarts

    def columns(self) -> dict[str, Column]:
        scored = "of test images scored by U(z; x), the digit left out of training as positive"
        return {
            "auprc_heldout": Column(
                title="AUPRC, digit left out",
                definition=f"Area under precision and recall (average precision) {scored}.",
                family="detection",
                direction="higher",
                headline=True,
            ),
            "auprc_heldout_floor": Column(
                title="AUPRC of a random score",
                definition="The share of positives among the test images: what chance gets.",
                family="detection",
                role="floor",
                of="auprc_heldout",
            ),
            "auroc_heldout": Column(
                title="AUROC, digit left out",
                definition=f"Area under the ROC curve {scored}; 0.5 for a random score.",
                family="detection",
                direction="higher",
                headline=True,
            ),
        }

    def check(self, data: DataSet, context: Context) -> None:  # noqa: ARG002
        """Raise :class:`ltvm.errors.InputError` unless the digit is in the test split alone."""
        self.positives(data)

    def positives(self, data: DataSet) -> Tensor:
        """Which of the scored test images are of the digit: int64 [n], 0 or 1."""
        test = data.test.subset(None if self.images is None else min(self.images, len(data.test)))
        seen, shown = data.train.labels, test.labels
        if self.digit is None:
            raise InputError(
                f"{KEY}.digit=null: allowed: the digit that data=mnist_without or "
                "data=mnist5k_without leaves out of training"
            )
        if seen is None or shown is None:
            raise InputError(f"{KEY}: data={data.train.name}: allowed: data with labels")
        require(
            bool((seen != self.digit).all()), f"{KEY}.digit", self.digit,
            "a digit that no training image shows (data=mnist_without, mnist5k_without)",
        )  # fmt: skip
        positive = (shown == self.digit).long()
        require(
            0 < int(positive.sum()) < len(positive), f"{KEY}.digit", self.digit,
            f"a digit that some, not all, of the {len(positive)} test images show",
        )  # fmt: skip
        return positive

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        positive = self.positives(data)
        test = data.test.subset(len(positive))
        scores = self.energies(method, test.scaled(), context)
        precision_recall, roc = detection_areas(scores, positive)
        provenance = {
            "n": len(positive),
            "split": data.test.split,
            "data": data.test.fingerprint,
            "trained_on": data.train.fingerprint,
            "restarts": self.restarts,
            "inference_precision": method.inference_precision,
            "positive_class": f"digit {self.digit}, absent from training",
            "score": "U(z; x) at the inferred code: high is anomalous",
        }
        share = positive.double().mean().item()
        chance = uninferred(provenance, "chance")
        return {
            "auprc_heldout": Measurement(precision_recall, provenance),
            "auprc_heldout_floor": Measurement(share, chance),
            "auroc_heldout": Measurement(roc, provenance),
        }

    def energies(self, method: Method, images: Tensor, context: Context) -> Tensor:
        """U(z; x) [n] at the inferred codes, the least of all restarts."""
        draws = context.stream("anomaly")
        # One restart after the other: all at once would not fit for a whole test split.
        parts = [infer_restarts(method, images, 1, draws) for _ in range(self.restarts)]
        found = Restarts.joined(parts)
        return found.energies.gather(0, found.best()[None])[0]


def detection_areas(scores: Tensor, positive: Tensor) -> tuple[float, float]:
    """Average precision and area under the ROC curve of scores [n], high for positives.

    ``positive`` [n] is 1 for positives, else 0. Ties are worth what scikit-learn makes of them.
    """
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    # torchmetrics takes values outside [0, 1] for logits, and their sigmoid saturates: energies
    # in the hundreds would all tie. Ranks keep the order, and both areas depend on that alone.
    _, ranks = scores.unique(return_inverse=True)
    ranks = ranks.double() / max(1, int(ranks.max()))
    return (
        binary_average_precision(ranks, positive).item(),
        binary_auroc(ranks, positive).item(),
    )
