"""Reconstruction of unseen images against the number of chain steps and of restarts."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement, least_energy

KEY = "evaluation.metrics.unseen_curve"


class UnseenCurve:
    """``mse_test_steps<K>_restarts<r>``: MSE per pixel of unseen images, pixels in [-1, 1].

    The code is that of least energy U(z; x) among r chains of K steps from the prior. The chains
    are nested: more restarts add chains and more steps lengthen the same ones, so differences
    along the curve are those of K and r. They are also the chains of ``Reconstruction``: at K =
    ``infer_steps`` and the same images, r = 1 gives ``mse_test``.

    Only for methods whose ``infer`` takes ``steps``: a VAE, which has no chain, gets no values.
    ``images`` bounds how many test images are used.
    """

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
        self.lower_is_better = {point_name(k, r): True for k in steps for r in restarts}

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        infer: Any = method.infer
        if "steps" not in inspect.signature(infer).parameters:
            return {}
        test = data.test.subset(min(self.images, len(data.test)))
        images, n, most = test.scaled(), len(test), max(self.restarts)
        repeated = images.repeat(most, 1, 1, 1)
        provenance = {
            "n": n,
            "split": "test",
            "data": data.test.fingerprint,
            "units": "squared error per pixel, images in [-1, 1]",
        }
        values = {}
        for steps in self.steps:
            codes = infer(repeated, context.stream("inference"), steps=steps).detach()
            energies = method.energy(repeated, codes).view(most, n)
            errors = (method.decode(codes) - repeated).square().flatten(1).mean(1).view(most, n)
            for restarts in self.restarts:
                best = least_energy(energies[:restarts], method)[None]  # [1, n]
                error = errors.gather(0, best).mean().item()
                values[point_name(steps, restarts)] = Measurement(
                    error, {**provenance, "steps": steps, "restarts": restarts}
                )
        return values


def point_name(steps: int, restarts: int) -> str:
    return f"mse_test_steps{steps}_restarts{restarts}"
