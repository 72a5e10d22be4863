"""What was put off, by a person or by the policy, and since when: it outlives the process.

``ROOT/postponed.json`` is about one version. A newer one has a clean slate: who skipped 2.1 has
said nothing of 2.2.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.version import Version

from client_agent.consent.policy import Allow, Defer, Verdict
from client_agent.disk.durable import put
from client_agent.machine.values import Edition
from client_agent.platforms import Platform
from client_agent.state.state_body import parse_time, render_time
from rollout.errors import DocumentError, InvalidVersionError
from rollout.strict_json import parse_strict
from rollout.versions import parse_version, render_version

FILE_NAME = "postponed.json"
LATER = timedelta(hours=24)
LATER_TIMES = 7
SKIP_LOOK = timedelta(days=1)
"""A skip has no end of its own; a verdict must name one."""

_MAX_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """What was put off. ``times`` counts how often a person said "later", ``since`` the policy."""

    version: Version
    manifest_sha256: str
    since: datetime | None = None
    times: int = 0
    until: datetime | None = None
    skipped: bool = False

    def verdict(self, now: datetime) -> Verdict:
        """Return what the person's wishes mean at *now*."""
        if self.skipped:
            return Defer(now + SKIP_LOOK, "skipped")
        if self.until is None or now >= self.until:
            return Allow()
        # A clock that was ahead when "later" was said makes no longer wait of it.
        return Defer(min(self.until, now + LATER), "later")


class PostponedFile:
    """The file in *root*. Safe across threads: people speak from the app's own."""

    def __init__(self, root: Path, platform: Platform) -> None:
        self._path = root / FILE_NAME
        self._platform = platform
        self._mutex = threading.Lock()

    def of(self, edition: Edition) -> Postponed:
        """Return what is known of *edition*."""
        found = self._read()
        if found is not None and (found.version, found.manifest_sha256) == (
            edition.version,
            edition.manifest_sha256,
        ):
            return found
        return Postponed(version=edition.version, manifest_sha256=edition.manifest_sha256)

    def later(self, edition: Edition, now: datetime) -> bool:
        """Put *edition* off for a day; False when it was put off too often.

        Raises:
            DiskError: It could not be written down.
        """
        with self._mutex:
            known = self.of(edition)
            if known.times >= LATER_TIMES:
                return False
            self._write(replace(known, times=known.times + 1, until=now + LATER))
            return True

    def skip(self, edition: Edition) -> None:
        """Put *edition* off until there is another.

        Raises:
            DiskError: It could not be written down.
        """
        with self._mutex:
            self._write(replace(self.of(edition), skipped=True))

    def waits_since(self, edition: Edition, now: datetime) -> datetime:
        """Return since when the policy puts *edition* off; from *now* on if it did not before.

        Raises:
            DiskError: It could not be written down.
        """
        with self._mutex:
            known = self.of(edition)
            since = min(known.since or now, now)
            if since != known.since:
                self._write(replace(known, since=since))
            return since

    def allow(self) -> None:
        """Forget what a person put off: now they want it.

        Raises:
            DiskError: It could not be written down.
        """
        with self._mutex:
            known = self._read()
            if known is not None and (known.skipped or known.until is not None):
                self._write(replace(known, skipped=False, until=None))

    def _read(self) -> Postponed | None:
        try:
            with self._path.open("rb") as file:
                said = parse_strict(file.read(_MAX_BYTES + 1), max_bytes=_MAX_BYTES)
            return _parse(said)
        except (OSError, DocumentError, InvalidVersionError, LookupError, TypeError, ValueError):
            return None  # it only makes an update wait

    def _write(self, postponed: Postponed) -> None:
        put(self._path, json.dumps(_render(postponed)).encode() + b"\n", self._platform)


def _render(postponed: Postponed) -> dict[str, Any]:
    since, until = postponed.since, postponed.until
    return {
        "version": render_version(postponed.version),
        "digest": postponed.manifest_sha256,
        "since": None if since is None else render_time(since),
        "times": postponed.times,
        "until": None if until is None else render_time(until),
        "skipped": postponed.skipped,
    }


def _parse(said: dict[str, Any]) -> Postponed:
    since, until = said["since"], said["until"]
    return Postponed(
        version=parse_version(said["version"]),
        manifest_sha256=str(said["digest"]),
        since=None if since is None else parse_time(since),
        times=int(said["times"]),
        until=None if until is None else parse_time(until),
        skipped=said["skipped"] is True,
    )
