"""How far installs' clocks are off, as one web process sees it: a histogram a minute.

Nothing is noted of a single request but a count, so it costs next to nothing and names nobody.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

_EDGES: Final = (2, 10, 60, 300, 3_600, 86_400)  # seconds


class Drifts:
    """Counts drifts by app until the minute is over."""

    def __init__(self) -> None:
        self._minutes: dict[str, tuple[datetime, Counter[str]]] = {}
        self._lock = threading.Lock()

    def add(self, app: str, seconds: float, now: datetime) -> Mapping[str, int]:
        """Count a request that came *seconds* after its sender's clock said that it was sent.

        Return the counts of an earlier minute once it is over, else nothing.
        """
        minute = now.replace(second=0, microsecond=0)
        with self._lock:
            began, counts = self._minutes.get(app, (minute, Counter()))
            over: Mapping[str, int] = {}
            if began != minute:
                over, counts = dict(counts), Counter()
            counts[drift_class(seconds)] += 1
            self._minutes[app] = minute, counts
        return over


def drift_class(seconds: float) -> str:
    """Return the class of a drift: its edge next to 0, in seconds; "0" is less than 2."""
    index = bisect_right(_EDGES, abs(seconds))
    edge = _EDGES[index - 1] if index else 0
    return str(-edge if seconds < 0 else edge)
