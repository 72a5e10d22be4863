"""Registered apps, and the lease on the repository of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A registered app. ``number`` is small, unique and never reused.

    ``generation`` grows by one with every change that check-ins must see.
    ``registered`` is true once its root, targets and policies were admitted.
    """

    name: str
    number: int
    created_at: datetime
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    registered: bool = False
    generation: int = 0


class Apps(Protocol):
    """Registered apps, their generation, and the lease on their repository."""

    def add(self, app: App) -> App: ...  # number is assigned by the store; ExistsError
    def get(self, name: str) -> App: ...
    def all(self) -> Sequence[App]: ...
    def update(self, app: App) -> None: ...  # channels, platforms, registered
    def generations(self) -> Mapping[str, int]: ...
    def bump(self, name: str) -> int: ...  # returns the new generation
    def take_lease(self, name: str, holder: str, now: datetime, seconds: int) -> int: ...
    def check_lease(self, name: str, fence: int) -> None: ...  # LeaseLostError
    def drop_lease(self, name: str, fence: int) -> None: ...
