"""What the agent's loop asks of the disk: the installation and its state.

``client_agent.install.Installation`` and ``client_agent.state.StateFile`` satisfy these. Every
method may raise the errors of ``client_agent.errors`` and no other; ``OSError`` is translated
where it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from packaging.version import Version

from client_agent.values import (
    Ban,
    Goal,
    InstalledVersion,
    Marker,
    MarkerStatus,
    State,
    VersionFailure,
)


class StateStore(Protocol):
    """``state.json``. Every change is made under ``state.lock`` and is durable on return."""

    def read(self) -> State:
        """Return what is stored; recovers as the launcher does when it is torn."""
        ...

    def update(self, change: Callable[[State], State]) -> State:
        """Replace the state by ``change(state)`` and return it."""
        ...

    def arm(
        self, goal: Goal, installed: InstalledVersion, *, now: datetime, not_after: datetime
    ) -> None:
        """Make *installed* pending. A version disarmed before keeps the tries it had left."""
        ...

    def disarm(self) -> None:
        """Make nothing pending; the tries it had left go to ``failures``."""
        ...

    def confirm(self, now: datetime) -> State:
        """Make the pending version current; ``state.last`` follows."""
        ...

    def note_failure(self, failure: VersionFailure) -> None:
        """Remember *failure* instead of the one of the same version and manifest."""
        ...

    def forget_failure(self, version: Version, manifest_sha256: str) -> None:
        """Forget that this version failed, but not the tries it has left."""
        ...

    def ban_pending(self, reason: str, now: datetime) -> None:
        """Give up the pending version: ban it, and let ``last_result`` say that it fell back."""
        ...

    def bans(self) -> tuple[Ban, ...]:
        """Return the versions that failed their trial here."""
        ...

    def clear_last_result(self) -> None:
        """Forget ``last_result``, once it is in the spool."""
        ...

    def set_token(self, version: Version, token: str) -> None:
        """Remember the install token that goes with what happens on *version*."""
        ...

    def set_data_schema(self, number: int) -> None:
        """Remember which schema the app's data has now."""
        ...


class Installer(Protocol):
    """ROOT: the versions on disk, the launcher's markers, and the folders for the rest."""

    @property
    def root(self) -> Path: ...

    @property
    def parts(self) -> Path:
        """``ROOT/parts``, made by ``prepare``; so are the next three. All 0700."""
        ...

    @property
    def spool(self) -> Path: ...

    @property
    def trust(self) -> Path: ...

    @property
    def launches(self) -> Path: ...

    @property
    def state(self) -> StateStore: ...

    def prepare(self) -> None:
        """Make the folders; find out whether ROOT can be written and locked."""
        ...

    def lock(self) -> AbstractContextManager[object]:
        """Take ``ROOT/lock`` without waiting; ``StateError`` ``busy`` if another has it."""
        ...

    def current(self) -> InstalledVersion | None: ...

    def previous(self) -> InstalledVersion | None: ...

    def pending(self) -> InstalledVersion | None: ...

    def preflight(self, needed_bytes: int) -> None:
        """Return if that much fits; else ``DiskError`` ``no_space``."""
        ...

    def collect_garbage(self, keep: Iterable[str], *, keep_parts: Iterable[str] = ()) -> int:
        """Remove what nothing needs and return its bytes.

        *keep*: directories beside current, previous, pending and those of live markers.
        *keep_parts*: SHA-256 of targets whose part files stay.
        """
        ...

    def find_built(self, goal: Goal) -> InstalledVersion | None:
        """Return the goal's directory if it is there and verifies in full."""
        ...

    def build(
        self, part: BinaryIO, goal: Goal, progress: Callable[[int, int], None]
    ) -> InstalledVersion:
        """Make the goal's directory from its payload (AGENT section 10, steps 4 to 10).

        *part* is the open file whose bytes were verified as the goal's target, at offset 0.
        *progress* gets bytes written and bytes in all.
        """
        ...

    def verify(self, installed: InstalledVersion) -> None:
        """Hash the whole directory again; ``PayloadError`` ``damaged`` if anything differs."""
        ...

    def markers(self) -> list[Marker]:
        """Return the starts of the app that are on record, oldest first."""
        ...

    def marker(self, launch_id: str) -> Marker | None: ...

    def seal_marker(
        self,
        launch_id: str,
        status: MarkerStatus,
        now: datetime,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        """Say how that start ended. A marker that is sealed already stays as it is."""
        ...

    def mark_healthy(self, launch_id: str) -> None:
        """Say that this start was healthy: a later non-zero exit is then no trial crash."""
        ...

    def mark_reported(self, launch_id: str) -> None:
        """Remove the marker, or flag it while the launcher still has to look at it."""
        ...
