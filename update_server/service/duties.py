"""What a loop has to do over and over, where one duty that fails keeps no other from being done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from update_server.service.ports import Clock, LeaseLostError

T = TypeVar("T")


class Duties:
    """Does one duty after the other. That one fails is said once, and once that it is over."""

    def __init__(self, clock: Clock, log: Callable[[str], None]) -> None:
        self._clock = clock
        self._log = log
        self._failing: dict[str, str] = {}
        self._last: dict[str, float] = {}

    def attempt(self, duty: str, act: Callable[[], T]) -> T | None:
        """Return what *act* does; None where it fails, or somebody else is at it."""
        try:
            result = act()
        except LeaseLostError:
            return None
        except Exception as error:  # noqa: BLE001 - the loop must outlive every outage
            told = f"{type(error).__name__}: {error}"
            if self._failing.get(duty) != told:
                self._log(f"{duty} failed: {told}")
            self._failing[duty] = told
            return None
        if self._failing.pop(duty, None) is not None:
            self._log(f"{duty} works again")
        return result

    def is_failing(self, duty: str) -> bool:
        """Return whether *duty* failed when it was last tried."""
        return duty in self._failing

    def is_time(self, what: str, seconds: float) -> bool:
        """Return whether *what* was not due for so many seconds; if so, it is now."""
        now = self._clock.monotonic()
        if what in self._last and now - self._last[what] < seconds:
            return False
        self._last[what] = now
        return True
