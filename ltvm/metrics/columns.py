"""What a number is, declared by whoever makes it: reports have no table of names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Role = Literal[
    "value",  # of the main table
    "diagnostic",  # of the main table too, but a difference of two says nothing: p-values, spreads
    "error",  # the error of the value named by ``of``: in a table of its own
    "floor",  # what a perfect model would get for the value named by ``of``: in the notes
    "point",  # of a grid (chain steps by restarts, say): in a table of its own
    "cost",  # seconds, passes, memory: in the table of costs
]
FAMILIES = ("generation", "reconstruction", "codes", "likelihood", "detection", "cost", "others")


@dataclass(frozen=True)
class Column:
    """A column of tables: the title (without an arrow), and what a reader must know of the value.

    ``direction`` is ``lower`` or ``higher`` where one of them is better, else None; ``headline``
    ones are drawn in figures and come first.
    """

    title: str
    definition: str  # a sentence: what it is, and of which images or codes
    family: str = "others"  # one of FAMILIES
    unit: str = ""  # nats, dB, squared error per pixel, ...; empty: a plain number
    direction: Literal["lower", "higher"] | None = None
    headline: bool = False
    role: Role = "value"
    of: str | None = None  # the value that an error or a floor belongs to

    def __post_init__(self) -> None:
        for field, value, allowed in (
            ("family", self.family, FAMILIES),
            ("role", self.role, get_args(Role)),
            ("direction", self.direction, ("lower", "higher", None)),
        ):
            if value not in allowed:
                raise ValueError(f"column {self.title!r}: {field}={value!r}; allowed: {allowed}")
        if (self.of is not None) != (self.role in ("error", "floor")):
            raise ValueError(f"column {self.title!r}: `of` goes with the roles error and floor")

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a record, beside the values."""
        return asdict(self)
