"""Counts that only grow, and how they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How often something happened: an increment when it is added, a sum when it is read.

    ``labels`` are pairs of name and value. Values come from small closed sets of ours and never
    from what an install says, or the table would grow without bound. Their order means nothing.

    Raises ValueError where ``by`` is negative.
    """

    app: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()
    by: int = 1

    def __post_init__(self) -> None:
        """Refuse what would let a counter shrink."""
        if self.by < 0:
            raise ValueError(f"counter {self.name} cannot grow by {self.by}")


class Counters(Protocol):
    """Sums by app, name and labels, kept for good."""

    def add(self, counted: Sequence[Counted]) -> None: ...  # any number of one key at a time
    def all(self, app: str | None) -> Sequence[Counted]: ...  # labels by name; None: of all apps
