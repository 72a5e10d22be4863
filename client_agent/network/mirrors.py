"""Places that gave wrong bytes, and until when they are asked for no more.

Nothing depends on the file: without it a bad mirror is noticed once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from client_agent.clock import Clock
from client_agent.state.state_body import parse_time, render_time

BARRED_FOR = timedelta(hours=24)
FILE_NAME = "mirrors.json"
_MAX_BYTES = 64 * 1024
_MAX_BARRED = 32


class Mirrors:
    """The bars of one install, in a file of *folder*."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock

    def is_barred(self, base: str) -> bool:
        """Return whether the place at *base* gave wrong bytes in the last day."""
        now = self._clock.now()
        until = self._read().get(base)
        # Beyond a day is no date of ours: the clock was ahead when it was written.
        return until is not None and now < until <= now + BARRED_FOR

    def bar(self, base: str) -> None:
        """Remember that the place at *base* gave wrong bytes now. Never raises."""
        others = [pair for pair in self._read().items() if pair[0] != base]
        barred = dict([*others[1 - _MAX_BARRED :], (base, self._clock.now() + BARRED_FOR)])
        said = {base: render_time(until) for base, until in barred.items()}
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(said), encoding="utf-8")
            new.replace(self._path)
        except OSError:
            return

    def _read(self) -> Mapping[str, datetime]:
        try:
            with self._path.open("rb") as file:
                said = json.loads(file.read(_MAX_BYTES))
            return {str(base): parse_time(text) for base, text in said.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}
