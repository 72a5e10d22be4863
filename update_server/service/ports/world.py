"""Time, and random names."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from rollout.model import RolloutId


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime: ...  # UTC-aware
    def monotonic(self) -> float: ...  # seconds


class Ids(Protocol):
    """Random names."""

    def rollout_id(self) -> RolloutId: ...
    def short_id(self, prefix: str) -> str: ...
    def secret(self, prefix: str) -> str: ...  # 160 bits or more
