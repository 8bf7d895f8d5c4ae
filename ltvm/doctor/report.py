"""All that ``ltvm doctor`` finds, as one dict, and as text."""

from __future__ import annotations

import os
from typing import Any

import torch

from ltvm.config import resolve
from ltvm.doctor.agreement import agreement, between_devices
from ltvm.doctor.forecast import METHODS, of_ablations, of_protocols
from ltvm.doctor.speed import SHAPES, rates
from ltvm.runs.environment import commit, now, versions
from ltvm.runtime import devices


def examine(device: str = "auto", quick: bool = False) -> dict[str, Any]:
    """Examine a device; ``quick`` leaves out rates and hours.

    ``reasons`` in the result says what disagrees; it is empty on a sound machine. Raises
    :class:`ltvm.errors.InputError` for a device that is not there.
    """
    where = devices.resolve_device(device)
    devices.use_full_float32()
    devices.keep_freed_memory()
    name = str(where)
    checks = agreement(name)
    if where.type == "cuda":
        every = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        checks += between_devices([name, *(other for other in every if other != name)])
    found = {
        "device": devices.describe(where),
        "device_type": where.type,
        "devices": torch.cuda.device_count() if where.type == "cuda" else 0,
        "software": devices.software(where),
        "precision": resolve([f"device={name}"])["precision"],
        "memory_mb": memory_mb(where),
        "versions": versions(),
        "commit": commit(),
        "date": now(),
        "checks": [check.as_dict() for check in checks],
        "reasons": [
            f"{c.name} on {devices.describe(where)} differs by {c.difference:.2g} from the CPU's "
            f"plain float32; allowed: {c.tolerance:g}"
            for c in checks
            if not c.passed
        ],
    }
    if not quick:
        measured = {data: rates(data, name) for data in SHAPES}
        found |= {
            "rates": measured,
            "protocol_hours": of_protocols(measured),
            "ablation_hours": of_ablations(measured),
        }
    return found


def memory_mb(device: torch.device) -> dict[str, float]:
    """How much there is: of the machine, and of the GPU."""
    total = {"machine": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20}
    if device.type == "cuda":
        total["gpu"] = torch.cuda.get_device_properties(device).total_memory / 2**20
    return total


def as_text(found: dict[str, Any]) -> str:
    """What is printed."""
    memory = ", ".join(f"{what} {mb:,.0f} MB" for what, mb in found["memory_mb"].items())
    lines = [f"{found['device']}; {found['software']}", f"precision {found['precision']}", memory]
    lines.append("\nagreement with the CPU's plain float32 (relative difference)")
    for check in found["checks"]:
        word = "ok" if check["passed"] else "DISAGREES"
        difference = "none" if check["difference"] is None else f"{check['difference']:.2g}"
        lines.append(
            f"  {check['name']:<28} {difference:<9} (at most {check['tolerance']:g})  {word}"
        )
    if "rates" in found:
        lines.append("\npasses per second (a pass: forward and backward for one image)")
        for data, row in found["rates"].items():
            peak = max(row["peak_memory_mb"].values())
            lines.append(
                f"  {data:<8} chain {row['chain']:>11,.0f}  learning {row['learning']:>11,.0f}  "
                f"VAE {row['vae']:>11,.0f}  (batch {row['batch']}, {row['execution']}; "
                f"{peak:,.0f} MB)"
            )
        lines.append("\nhours of training here, by those rates (without transport and evaluation)")
        lines.append(f"  {'':<16}" + "".join(f"{method:>15}" for method in METHODS))
        for row in found["protocol_hours"]:
            cells = "".join(f"{shown(row[method]):>15}" for method in METHODS)
            lines.append(f"  {row['data']:<8}{row['protocol']:<8}{cells}")
        lines.append("\nhours of ablations as they are defined")
        for row in found["ablation_hours"]:
            lines.append(f"  {row['ablation']:<16}{row['runs']:>5} runs{shown(row['hours']):>12}")
    lines += ["", *(found["reasons"] or ["sound"])]
    return "\n".join(lines)


def shown(hours: float | None) -> str:
    return "unknown" if hours is None else f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}"
