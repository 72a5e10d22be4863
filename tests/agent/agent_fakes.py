"""A clock and a die that tests move themselves."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from client_agent.platforms.linux import Linux

START = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)


class FakeClock:
    """Time stands still until somebody waits or moves it. Safe across threads."""

    def __init__(self, at: datetime = START) -> None:
        self._lock = threading.Lock()
        self._now = at
        self._monotonic = 1_000.0
        self.waits: list[float] = []
        self.on_wait: Callable[[float], None] | None = None

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        self.waits.append(seconds)
        self.advance(seconds)
        if self.on_wait is not None:
            self.on_wait(seconds)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def set_wall(self, at: datetime) -> None:
        """Change the wall clock alone, as a person, a server or a long sleep does."""
        with self._lock:
            self._now = at


class Dice:
    """Numbers and IDs from a seed; ``fixed`` makes every share the same."""

    def __init__(self, seed: int = 1, fixed: float | None = None) -> None:
        self._random = random.Random(seed)
        self._fixed = fixed

    def share(self) -> float:
        return self._random.random() if self._fixed is None else self._fixed

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


class Machine(Linux):
    """Linux, with a machine ID, a network and a battery of the test's choice."""

    def __init__(self, machine_id: str | None = "aaaa") -> None:
        super().__init__()
        self.id = machine_id
        self.costs: bool | None = None
        self.battery: int | None = None
        self.network: bool | None = None

    def machine_id(self) -> str | None:
        return self.id

    def metered(self) -> bool | None:
        return self.costs

    def online(self) -> bool | None:
        return self.network

    def battery_percent(self) -> int | None:
        return self.battery
