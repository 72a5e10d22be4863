"""Crashes that are known and accepted for some time, and how that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One crash signature of one version on one channel, accepted until ``expires_at``."""

    id: str
    app: str
    channel: str
    version: Version
    signature: str
    expires_at: datetime
    reason: str
    created_at: datetime
    created_by: str


class WaiverStore(Protocol):
    """Waivers that were neither removed nor cleared away."""

    def add(self, waiver: Waiver) -> None: ...  # ExistsError
    def of_app(self, app: str) -> Sequence[Waiver]: ...  # oldest first, expired ones too
    def remove(self, app: str, waiver_id: str) -> None: ...  # NotFoundError
    def expire(self, app: str, now: datetime) -> None: ...  # those that end at *now* or before
