"""What must be remembered beside the documents, to judge the next one.

The signer keeps a history of what it signed; the service makes one from its own records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from rollout.documents.fields import Fields, render_time
from rollout.model import (
    Actor,
    Entry,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from rollout.names import check_rollout_id
from rollout.rings import rings_of
from rollout.strict_json import parse_strict, render_canonical
from rollout.versions import parse_version, render_version

_MAX_REMEMBERED = 100_000
_MAX_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What documents do not show.

    ``since`` says when a rollout's present exposure was opened. ``pulled`` and ``completed``
    hold versions that ever were so: a pulled one never comes back, a completed one may, when
    what stands above it is pulled.
    """

    since: Mapping[RolloutId, datetime] = field(default_factory=lambda: MappingProxyType({}))
    paused_automatically: frozenset[RolloutId] = frozenset()
    pulled: frozenset[Version] = frozenset()
    completed: frozenset[Version] = frozenset()


def history_of(rollouts: Iterable[Rollout]) -> History:
    """Return the history that the server's own records of one channel tell."""
    known = tuple(rollouts)

    def versions(state: RolloutState) -> frozenset[Version]:
        return frozenset(rollout.version for rollout in known if rollout.state is state)

    return History(
        since=MappingProxyType({r.id: r.position_reached_at for r in known}),
        paused_automatically=frozenset(r.id for r in known if r.paused_by is Actor.AUTOMATIC),
        pulled=versions(RolloutState.PULLED),
        completed=versions(RolloutState.COMPLETED),
    )


def history_after(
    history: History,
    old: RolloutDocument | None,
    new: RolloutDocument,
    now: datetime,
    *,
    automatic: bool,
) -> History:
    """Return *history* once *new* was signed after *old*, at *now*.

    ``automatic``: the server asked for it by itself, so a pause in it is an automatic one.
    """
    before = _by_rollout(old)
    since: dict[RolloutId, datetime] = {}
    paused: set[RolloutId] = set()
    for rollout, entry in _by_rollout(new).items():
        was = before.get(rollout)
        opened = was is None or _exposure(was) != _exposure(entry)
        since[rollout] = now if opened else history.since.get(rollout, now)
        if entry.state is RolloutState.PAUSED:
            newly = was is None or was.state is not RolloutState.PAUSED
            if automatic if newly else rollout in history.paused_automatically:
                paused.add(rollout)
    states = {state: _versions(new, state) for state in RolloutState}
    return History(
        since=MappingProxyType(since),
        paused_automatically=frozenset(paused),
        pulled=history.pulled | states[RolloutState.PULLED],
        completed=history.completed | states[RolloutState.COMPLETED],
    )


def parse_history(data: bytes) -> History:
    """Return the history in *data*; raise DocumentError if it is none."""
    fields = Fields(parse_strict(data, max_bytes=_MAX_BYTES))
    since = fields.object("since")

    def versions(name: str) -> frozenset[Version]:
        return frozenset(fields.texts(name, parse_version, at_most=_MAX_REMEMBERED))

    return History(
        since=MappingProxyType({name: since.time(name) for name in since.keys(check_rollout_id)}),
        paused_automatically=frozenset(
            fields.texts("paused_automatically", check_rollout_id, at_most=_MAX_REMEMBERED)
        ),
        pulled=versions("pulled"),
        completed=versions("completed"),
    )


def render_history(history: History) -> bytes:
    """Return *history* as canonical JSON; instants lose their parts of a second."""
    value: dict[str, Any] = {
        "since": {rollout: render_time(at) for rollout, at in history.since.items()},
        "paused_automatically": sorted(history.paused_automatically),
        "pulled": [render_version(version) for version in sorted(history.pulled)],
        "completed": [render_version(version) for version in sorted(history.completed)],
    }
    return render_canonical(value)


def _by_rollout(document: RolloutDocument | None) -> dict[RolloutId, Entry]:
    entries = document.entries if document else ()
    return {entry.rollout: entry for entry in entries if entry.rollout is not None}


def _exposure(entry: Entry) -> tuple[Any, ...]:
    return rings_of(entry), entry.exposure_bp, entry.holdback_bp


def _versions(document: RolloutDocument, state: RolloutState) -> frozenset[Version]:
    return frozenset(e.version for e in document.entries if e.state is state and not e.rollback)
