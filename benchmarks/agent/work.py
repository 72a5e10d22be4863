"""A piece of work for another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """Something to measure in another process: lines, or what many make one line of."""

    name: str
    run: Callable[[], Any]


def measure(some: Work) -> tuple[Work, Any, float]:
    """Return what was found, and how long it took."""
    began = time.perf_counter()
    return some, some.run(), time.perf_counter() - began
