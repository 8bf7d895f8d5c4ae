"""Reconstruction of unseen images against the number of chain steps and of restarts."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.columns import Column
from ltvm.metrics.images.reconstruction import MSE_UNIT
from ltvm.metrics.images.restarts import infer_restarts

KEY = "evaluation.metrics.unseen_curve"


class UnseenCurve(Metric):
    """``mse_test_steps<K>_restarts<r>``: MSE per pixel of unseen images, pixels in [-1, 1].

    The code is that of least energy U(z; x) among r chains of K steps from the prior. The chains
    are nested: more restarts add chains and more steps lengthen the same ones, so differences
    along the curve are those of K and r. They are also the chains of ``Reconstruction``: at K =
    ``infer_steps`` and the same images, r = 1 gives ``mse_test``.

    Only for methods whose ``infer`` takes ``steps``: a VAE, which has no chain, gets no values.
    ``images`` bounds how many test images are used.
    """

    of_samples = False

    def __init__(
        self,
        images: int = 100,
        steps: Sequence[int] = (5, 10, 20, 40, 80),
        restarts: Sequence[int] = (1, 3, 5),
    ) -> None:
        require(images >= 2, f"{KEY}.images", images, "2 or more")
        for name, values in (("steps", steps), ("restarts", restarts)):
            whole = len(values) > 0 and all(type(v) is int and v >= 1 for v in values)
            require(whole, f"{KEY}.{name}", list(values), "integers from 1")
        self.images, self.steps, self.restarts = images, list(steps), list(restarts)

    def columns(self) -> dict[str, Column]:
        """By restarts, then steps: the order of a table's columns."""
        return {
            point_name(steps, restarts): Column(
                title=f"K = {steps}, best of {restarts}",
                definition=(
                    f"Mean squared error per pixel of unseen images decoded from the code of least "
                    f"energy among {restarts} chains of {steps} steps from the prior."
                ),
                family="reconstruction",
                unit=MSE_UNIT,
                direction="lower",
                role="point",
            )
            for restarts in self.restarts
            for steps in self.steps
        }

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        if "steps" not in inspect.signature(method.infer).parameters:
            return {}
        test = data.test.subset(min(self.images, len(data.test)))
        images, most = test.scaled(), max(self.restarts)
        provenance = {
            "n": len(test),
            "split": data.test.split,
            "data": data.test.fingerprint,
            "units": MSE_UNIT,
            "inference_precision": method.inference_precision,
        }
        values = {}
        for steps in self.steps:
            draws = context.stream("inference")
            found = infer_restarts(method, images, most, draws, steps=steps)
            made = method.decode(found.codes.flatten(0, 1)).unflatten(0, (most, len(test)))
            errors = (made - images).square().flatten(2).mean(2)  # [most, n]
            for restarts in self.restarts:
                best = found.best(restarts)[None]  # [1, n]
                error = errors.gather(0, best).mean().item()
                values[point_name(steps, restarts)] = Measurement(
                    error, {**provenance, "steps": steps, "restarts": restarts}
                )
        return values


def point_name(steps: int, restarts: int) -> str:
    """What the value of so many steps and restarts is called."""
    return f"mse_test_steps{steps}_restarts{restarts}"
