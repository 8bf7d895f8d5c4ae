"""Evaluations of a trained run: any number of them, each in a file of its own, without training.

method, data, metrics -> values with provenance, columns that say what they are
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from ltvm.config import Config
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import DivergedError, InputError
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Metric, record_values
from ltvm.runs.environment import commit, now, versions
from ltvm.runs.execution.failing import failure
from ltvm.runs.execution.pictures import save_sampled
from ltvm.runs.execution.running import Running
from ltvm.runs.execution.sampler import stated, with_sampler
from ltvm.runs.files.store import WEIGHTS
from ltvm.runs.identity import NUMERICS, evaluation_identity
from ltvm.runtime import devices


@dataclass(frozen=True)
class Trained:
    """A trained method with the images, on its device, and what metrics draw on."""

    method: Method
    data: DataSet
    context: Context


def evaluate_run(
    config: Config, running: Running, trained: Trained, metrics: dict[str, Metric]
) -> dict[str, Any]:
    """Measure ``config["evaluation"]`` and write it beside the record; returns what is written.

    One that fails is written as ``failed`` with its traceback and does not raise; one whose numbers
    are not finite, or whose samples are all alike, as ``diverged``. Bad input raises.
    """
    run, content = running.run, new_evaluation(config, trained.method)
    content[WEIGHTS] = (run.record() or {}).get(WEIGHTS)
    started = time.perf_counter()
    run.write_evaluation(content)
    try:
        fit = trained.context.stream("sampler")
        method, sampler = with_sampler(config, trained.method, fit)
        content["sampler"] = sampler
        context = replace(trained.context, sampler=sampler and sampler["stated"])
        if sampler is not None:
            save_sampled(run, content["identity"], method, trained.data, context)
        values, columns = measure(metrics, replace(trained, method=method, context=context))
        content |= {"status": "done", "values": values, "columns": columns}
    except DivergedError as error:
        content |= {"status": "diverged", "reason": str(error)}
    except KeyboardInterrupt:
        content |= {"status": "interrupted", "reason": "interrupted by the user"}
        raise
    except InputError as error:
        content |= {"status": "failed", "reason": str(error)}
        raise
    except Exception as error:
        content |= failure(error)
    finally:
        content["seconds"] = time.perf_counter() - started
        running.hold.check()
        run.write_evaluation(content)
    return content


def new_evaluation(config: Config, method: Method) -> dict[str, Any]:
    execution, sampler = method.problem.execution, stated(config)
    return {
        "name": config["evaluation"]["name"],
        "identity": evaluation_identity(config),
        "status": "running",
        "reason": None,
        "started": now(),
        "seconds": None,
        "device": devices.describe(method.problem.device),
        "execution": str(execution),
        "versions": versions(),
        "commit": commit(),
        "config": config["evaluation"],
        "sampler": sampler and {"stated": sampler, "fit_seconds": None},
        "values": {},
        "columns": {},
    }


def measure(metrics: dict[str, Metric], trained: Trained) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every metric's values with their provenance, and their columns, as they stand in a file.

    With another sampler than the method's own prior only those that samples have a part in: the
    other values are those without it.
    """
    values: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    context = replace(trained.context, scratch={})
    method, data, sampler = trained.method, trained.data, context.sampler
    for metric in metrics.values():
        if sampler is not None and not metric.of_samples:
            continue
        measured = metric(method, data, context)
        for name, measurement in measured.items():
            if name in values:
                raise InputError(f"evaluation.metrics: two metrics give a value named {name}")
            tested = measurement.provenance.get("split") == data.test.split
            shared = provenance_of_all(method, data.test if tested else data.train, sampler)
            own_values, own_columns = record_values(metric.columns(), {name: measurement}, shared)
            values |= own_values
            columns |= own_columns
    return values, columns


def provenance_of_all(
    method: Method, images: ImageSet, sampler: dict[str, Any] | None
) -> dict[str, Any]:
    """What every number says about itself, unless its metric says otherwise.

    ``data`` is the fingerprint of the split's images; ``dtype`` that of the decoder where it makes
    images and energies from codes (where codes were inferred they state ``inference_precision``
    themselves: chains may run in another); ``batch`` the evaluation batch; ``numerics``,
    ``version`` and ``commit`` the code. ``sampler`` is there where samples are not from the
    method's own prior.
    """
    warning = (sampler or {}).get("found", {}).get("warning")
    return {
        "data": images.fingerprint,
        "dtype": str(next(method.decoder.parameters()).dtype).removeprefix("torch."),
        "batch": EVALUATION_BATCH,
        "numerics": NUMERICS,
        "version": versions()["ltvm"],
        "commit": commit(),
        **({} if sampler is None else {"sampler": sampler}),
        **({} if warning is None else {"warning": f"sampler: {warning}"}),
    }
