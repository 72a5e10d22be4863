"""``state.json``: what is installed here and what starts next. The launcher's only input.

Each change is made under ``state.lock`` and durable on return. A torn or foreign file is no
end: ``state.last`` (the copy made at the last confirmation) follows, and then whatever the
caller can recover from the folders.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

from packaging.version import Version

from client_agent.clock import Clock
from client_agent.disk.os_errors import disk_errors
from client_agent.errors import Code, StateError
from client_agent.launcher import still_runs
from client_agent.platforms import Platform
from client_agent.state.state_body import (
    CONFIRMED,
    BadBodyError,
    Body,
    parse_state,
    render_confirmed,
    render_state,
)
from client_agent.values import (
    Ban,
    DeltaFailure,
    Goal,
    InstalledVersion,
    LastResult,
    Outcome,
    Pending,
    State,
    VersionFailure,
)
from rollout.names import RESERVED_ROOT
from rollout.versions import render_version

TRIES = 3
_LOCK_SECONDS = 5.0  # others hold it for less than 50 ms; the launcher may hash a tree
_LOCK_STEP_SECONDS = 0.02
_DISARMED = "disarmed"  # no failure: only tries that are left
_MAX_FAILURES = 64  # of versions; the state is read at every start, and lives for years
_MAX_DELTA_FAILURES = 16  # of pairs of trees; older ones matter to nobody any more
_MAX_TOKENS = 8  # current, previous, pending, and a few whose crashes may still come


class Source(StrEnum):
    """Where a state was read from. The last three but ``NEW`` are worth a report."""

    STATE = "state"
    LAST = "last"  # state.last
    FOLDERS = "folders"
    NEW = "new"  # nothing was ever installed here


class StateFile:
    """``state.json`` in *root*. *recover* is asked when neither file can be read."""

    def __init__(
        self,
        root: Path,
        platform: Platform,
        clock: Clock,
        *,
        recover: Callable[[], State] = State,
    ) -> None:
        self._root = root
        self._platform = platform
        self._clock = clock
        self._recover = recover

    def read(self) -> State:
        """Return what is stored, from wherever it can still be read."""
        return self._load()[0]

    def source(self) -> Source:
        """Return from where ``read`` gets its answer now."""
        return self._load()[2]

    def update(self, change: Callable[[State], State]) -> State:
        """Replace the state by ``change(state)`` and return it.

        Raises:
            StateError: ``busy``: another process held ``state.lock`` for too long.
            DiskError: it could not be written; what was stored before is still there.
        """
        with self._locked():
            return self._change(change)

    def arm(
        self, goal: Goal, installed: InstalledVersion, *, now: datetime, not_after: datetime
    ) -> None:
        """Make *installed* pending: the commit point. What it had tried before still counts."""
        boot_id = self._platform.boot_id()

        def armed(state: State) -> State:
            old = state.pending
            ended = self._settled(old)
            if _is_used_up(ended) and ended.installed.rollout != goal.rollout:
                state, old = _given_up(state, Code.TRIES_USED_UP, now), None
            if old is None or old.installed.directory != installed.directory:
                noted = [failure for failure in state.failures if _is_of(failure, installed)]
                tries = [one.tries_left for one in noted if one.tries_left is not None]
                old = Pending(
                    installed=installed,
                    tries_left=min([TRIES, *tries]),
                    refunds=max([0, *(one.refunds for one in noted)]),
                    armed_at=now,
                    not_after=not_after,
                    boot_id=boot_id,
                )
            told = replace(installed, rollout=goal.rollout)
            pending = replace(
                old, installed=told, armed_at=now, not_after=not_after, boot_id=boot_id
            )
            return replace(state, pending=pending)

        self.update(armed)

    def disarm(self) -> None:
        """Make nothing pending; the tries and refunds it had left go to ``failures``."""
        now = self._clock.now()

        def disarmed(state: State) -> State:
            pending = self._settled(state.pending)
            if pending is None or (pending.tries_left >= TRIES and not pending.refunds):
                return replace(state, pending=None)
            if _is_used_up(pending):  # the launcher had not come to it
                return _given_up(state, Code.TRIES_USED_UP, now)
            installed = pending.installed
            noted = next(
                (old for old in state.failures if _is_of(old, installed)),
                VersionFailure(
                    version=installed.version,
                    manifest_sha256=installed.manifest_sha256,
                    code=_DISARMED,
                    count=0,
                    retry_at=now,
                ),
            )
            noted = replace(noted, tries_left=pending.tries_left, refunds=pending.refunds)
            return _with_failure(replace(state, pending=None), noted)

        self.update(disarmed)

    def confirm(self, now: datetime) -> State:
        """Make the pending version current. Nothing pending: it has been confirmed already."""
        with self._locked():
            state, _, _ = self._load()
            if state.pending is None:
                return state
            installed = state.pending.installed
            marker = self._root / "versions" / installed.directory / RESERVED_ROOT / CONFIRMED
            self._write(marker, render_confirmed(installed, state.seq + 1, now))

            def confirmed(state: State) -> State:
                left = state.current
                # What was made anew because a copy was damaged does not fall back to that copy.
                same = left is not None and _is_of(left, installed)
                return replace(
                    state,
                    current=installed,
                    previous=state.previous if same else left,
                    pending=None,
                    failures=tuple(old for old in state.failures if not _is_of(old, installed)),
                    last_result=_result(Outcome.CONFIRMED, installed, left, now),
                )

            return self._change(confirmed)

    def note_failure(self, failure: VersionFailure) -> None:
        """Remember *failure* instead of the one of the same version and manifest."""
        self.update(lambda state: _with_failure(state, failure))

    def forget_failure(self, version: Version, manifest_sha256: str) -> None:
        """Forget that this version failed, but not the tries it has left."""

        def forgotten(state: State) -> State:
            gone = (version, manifest_sha256)
            kept = (old for old in state.failures if (old.version, old.manifest_sha256) != gone)
            tried = (
                replace(old, code=_DISARMED, count=0)
                for old in state.failures
                if (old.version, old.manifest_sha256) == gone and old.tries_left is not None
            )
            return replace(state, failures=(*kept, *tried))

        self.update(forgotten)

    def note_delta_failure(self, failure: DeltaFailure) -> None:
        """Remember *failure*: no delta between these two trees is taken again."""
        pair = (failure.from_manifest, failure.to_manifest)

        def noted(state: State) -> State:
            others = [
                old for old in state.delta_failures if (old.from_manifest, old.to_manifest) != pair
            ]
            kept = (*others[1 - _MAX_DELTA_FAILURES :], failure)
            return replace(state, delta_failures=kept)

        self.update(noted)

    def ban_pending(self, reason: str, now: datetime) -> None:
        """Give up the pending version: ban it, and let ``last_result`` say that it fell back."""
        self.update(lambda state: _given_up(state, reason, now))

    def bans(self) -> tuple[Ban, ...]:
        """Return the versions that failed their trial here."""
        return self.read().bans

    def clear_last_result(self) -> None:
        """Forget ``last_result``, once it is in the spool."""
        self.update(lambda state: replace(state, last_result=None))

    def set_token(self, version: Version, token: str) -> None:
        """Remember the install token that goes with what happens on *version*."""
        name = render_version(version)

        def told(state: State) -> State:
            others = [(old, value) for old, value in state.tokens.items() if old != name]
            kept = dict([*others[1 - _MAX_TOKENS :], (name, token)])
            return replace(state, tokens=MappingProxyType(kept))

        self.update(told)

    def set_project(self, number: int) -> None:
        """Remember the server's number of the app."""
        self.update(lambda state: replace(state, project=number))

    def set_data_schema(self, number: int) -> None:
        """Remember which schema the app's data has now.

        Raises:
            TypeError: *number* is no whole number; the launcher compares it with others.
        """
        schema = operator.index(number)
        self.update(lambda state: replace(state, data_schema=schema))

    def _settled(self, pending: Pending | None) -> Pending | None:
        """Return *pending* with its last try refunded, if that ended and was not its fault."""
        if pending is None:
            return None
        record: dict[str, Any] = {
            "tries_left": pending.tries_left,
            "refunds": pending.refunds,
            "launch_id": pending.launch_id,
            "launch_boot_id": pending.launch_boot_id,
        }
        still_runs(record, str(self._root / "launches"), self._platform.boot_id())
        return replace(pending, **record)

    def _load(self) -> tuple[State, Body, Source]:
        for name, source in (("state.json", Source.STATE), ("state.last", Source.LAST)):
            try:
                state, body = parse_state((self._root / name).read_bytes())
            except (OSError, BadBodyError):
                continue
            return state, body, source
        state = self._recover()
        return state, {}, Source.FOLDERS if state.current else Source.NEW

    def _change(self, change: Callable[[State], State]) -> State:
        """Do ``update``, under the lock."""
        state, body, source = self._load()
        new = change(state)
        if new != state or source is not Source.STATE:
            new = replace(new, seq=state.seq + 1)
            self._write(self._root / "state.json", render_state(new, body))
        self._copy(new, body)
        return new

    def _copy(self, state: State, body: Body) -> None:
        """Bring ``state.last`` up to date where falling back to an older copy would do harm."""
        try:
            last, _ = parse_state((self._root / "state.last").read_bytes())
        except (OSError, BadBodyError):
            last = State()
        if _lasting(last) != _lasting(state):
            self._write(self._root / "state.last", render_state(replace(state, pending=None), body))

    def _write(self, final: Path, data: bytes) -> None:
        """Put *data* in the place of *final*; nothing half-written is ever seen there."""
        new = self._root / "state.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with disk_errors():
            with os.fdopen(os.open(new, flags | safe, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                self._platform.sync_file(file.fileno())
            self._platform.replace(new, final)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        give_up = self._clock.monotonic() + _LOCK_SECONDS
        with disk_errors():
            lock = self._platform.lock(self._root / "state.lock")
            while lock is None:
                if self._clock.monotonic() >= give_up:
                    raise StateError(Code.BUSY, "state.lock is held by another process: try again")
                self._clock.wait(threading.Event(), _LOCK_STEP_SECONDS)
                lock = self._platform.lock(self._root / "state.lock")
        with lock:
            yield


def _is_used_up(pending: Pending | None) -> TypeGuard[Pending]:
    return pending is not None and pending.tries_left <= 0


def _given_up(state: State, reason: str, now: datetime) -> State:
    """Return *state* with the pending version banned instead."""
    if state.pending is None:
        return state
    given_up = state.pending.installed
    same = [ban for ban in state.bans if ban.manifest_sha256 == given_up.manifest_sha256]
    ban = Ban(
        version=given_up.version,
        manifest_sha256=given_up.manifest_sha256,
        rollout=given_up.rollout,
        reason=reason,
        at=now,
        count=1 + sum(old.count for old in same),
    )
    return replace(
        state,
        pending=None,
        bans=(*(old for old in state.bans if old not in same), ban),
        failures=tuple(old for old in state.failures if not _is_of(old, given_up)),
        last_result=_result(Outcome.FELL_BACK, given_up, state.current, now),
    )


def _is_of(
    one: VersionFailure | InstalledVersion, other: VersionFailure | InstalledVersion
) -> bool:
    return (one.version, one.manifest_sha256) == (other.version, other.manifest_sha256)


def _with_failure(state: State, failure: VersionFailure) -> State:
    """Return *state* with *failure* instead of the one of the same version and manifest."""
    others = [old for old in state.failures if not _is_of(old, failure)]
    return replace(state, failures=(*others[1 - _MAX_FAILURES :], failure))


def _lasting(state: State) -> tuple[object, ...]:
    return state.current, state.previous, state.bans, state.data_schema


def _result(
    outcome: Outcome, installed: InstalledVersion, left: InstalledVersion | None, now: datetime
) -> LastResult:
    return LastResult(
        outcome=outcome,
        version=installed.version,
        rollout=installed.rollout,
        at=now,
        left=None if left is None else left.version,
    )
