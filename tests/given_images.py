"""A method whose codes are images, and the metrics on features of one evaluation."""

from dataclasses import replace

import torch

from ltvm.config import resolve
from ltvm.data import to_float
from ltvm.metrics.base import record_values
from ltvm.metrics.generation.feature_metric import FeatureMetric
from ltvm.runs.execution.build import build_metrics


class GivenImages:
    """A code is an image, so that the decoder changes nothing; counts the samples it is asked for.

    Prior samples are ``images``, in order; codes of training images are ``trained``, or the same.
    Both are uint8 [n, c, h, w].
    """

    inference_precision = "float32"

    def __init__(self, images, trained=None):
        self.images, self.asked = images, 0
        self.codes = to_float(images if trained is None else trained).flatten(1)
        self.decoder = torch.nn.Linear(1, 1)  # for its dtype

    def sample(self, n, draws):  # noqa: ARG002
        self.asked += n
        return to_float(self.images[:n])

    def decode(self, codes):
        return codes.unflatten(1, self.images.shape[1:])

    def infer(self, images, draws):  # noqa: ARG002
        return images.flatten(1)

    def posterior_draws(self):
        return self.codes


def thorough(*overrides):
    """The metrics on features of the group ``digits_thorough``, by name."""
    config = resolve(["evaluation=digits_thorough", "protocol=smoke", *overrides])
    metrics = build_metrics(config, torch.device("cpu"))
    return {k: m for k, m in metrics.items() if isinstance(m, FeatureMetric)}


def measure(metrics, method, data, context):
    """Values as they stand in a record, of one evaluation."""
    context, found = replace(context, scratch={}), {}
    for metric in metrics.values():
        found |= record_values(metric.columns(), metric(method, data, context), {})[0]
    return found
