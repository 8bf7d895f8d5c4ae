"""What time is counted under; apart from the clock, since who reads records needs no torch."""

from __future__ import annotations

from typing import Literal, get_args

Phase = Literal["inference", "transport", "learning", "evaluation"]
PHASES: tuple[str, ...] = get_args(Phase)
