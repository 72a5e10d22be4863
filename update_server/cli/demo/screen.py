"""What a person sees of the demo: a line for each act, and a table that lives.

On a terminal the table stays below the lines and changes in place. Elsewhere, and with
``--headless``, a line tells the counts when they have changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from packaging.version import Version
from rich.table import Table

from update_server.cli.console import Console, make_table

_LINE_SECONDS = 2.0  # between two lines of counts in a log
_NOTHING = "none"


@dataclass(slots=True)
class RingCounts:
    """The installs of one ring: by version (None: on none yet), on trial, and barring one."""

    on: Counter[Version | None] = field(default_factory=Counter)
    trying: Counter[Version] = field(default_factory=Counter)
    barred: Counter[Version] = field(default_factory=Counter)

    def add(
        self, version: Version | None, trying: Version | None, barred: Iterable[Version]
    ) -> None:
        """Count one install more."""
        self.on[version] += 1
        self.trying.update([trying] if trying else [])
        self.barred.update(barred)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where the installs of each ring are. *versions* are those to be shown, in order."""

    versions: Sequence[Version]
    rings: Mapping[str, RingCounts]

    def table(self) -> Table:
        """Return the table for a terminal."""
        shown: list[Version | None] = [None, *self.versions]
        names = [str(version or _NOTHING) for version in shown]
        rows = [
            (
                ring,
                counts.on.total(),
                *(counts.on[version] for version in shown),
                _listed(counts.trying),
                _listed(counts.barred),
            )
            for ring, counts in self.rings.items()
        ]
        return make_table(("ring", "installs", *names, "on trial", "barred"), rows)

    def line(self) -> str:
        """Return the same as one line for a log."""
        parts = []
        for ring, counts in self.rings.items():
            words = [
                f"{counts.on[version]} on {version or _NOTHING}"
                for version in (None, *self.versions)
                if counts.on[version]
            ]
            words += [f"{number} try {version}" for version, number in counts.trying.items()]
            words += [f"{number} bar {version}" for version, number in counts.barred.items()]
            parts.append(f"{ring}: {', '.join(words) or 'nobody'}")
        return " | ".join(parts)


def _listed(counts: Counter[Version]) -> str:
    return ", ".join(f"{version} ({number})" for version, number in counts.items())


class Screen:
    """Where the story is shown. *monotonic* gives seconds that never go back."""

    def __init__(self, console: Console, monotonic: Callable[[], float]) -> None:
        self._console = console
        self._monotonic = monotonic
        self._update: Callable[[Table], None] | None = None
        self._last_line = ""
        self._last_at = float("-inf")

    @contextmanager
    def open(self, *, live: bool) -> Iterator[None]:
        """Show the table while this lasts, if *live* (which needs a terminal)."""
        if not live:
            yield
            return
        with self._console.live(Table(box=None)) as update:
            self._update = update
            try:
                yield
            finally:
                self._update = None

    def say(self, text: str) -> None:
        """Tell one thing that happens."""
        self._console.say(text)

    def show(self, counts: Counts, *, last: bool = False) -> None:
        """Show where the installs are. *last*: now, and not after a pause."""
        if self._update is not None:
            self._update(counts.table())
            return
        line, now = counts.line(), self._monotonic()
        if line == self._last_line or (now - self._last_at < _LINE_SECONDS and not last):
            return
        self._console.say(f"  {line}")
        self._last_line, self._last_at = line, now
