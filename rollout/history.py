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

from rollout.compose import Shape, shape_at
from rollout.documents.fields import Fields, render_time
from rollout.documents.rollouts import MAX_RINGS, read_ring, render_ring
from rollout.model import (
    OFFERED,
    Actor,
    Entry,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from rollout.names import check_rollout_id
from rollout.strict_json import parse_strict, render_canonical
from rollout.versions import parse_version, render_version
from rollout.widening import shape_of

_MAX_REMEMBERED = 100_000
_MAX_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What documents do not show.

    ``since`` says since when a rollout has been offered at its present exposure.
    ``paused_automatically`` holds versions, since a rollout that leaves the document must not
    take its pause along. ``pulled`` holds those that ever were: they never come back.
    ``completed`` holds how far a version reached that is completed, or was when it left: it
    may come back as far as that, when what stands above it is pulled.
    """

    since: Mapping[RolloutId, datetime] = field(default_factory=lambda: MappingProxyType({}))
    paused_automatically: frozenset[Version] = frozenset()
    pulled: frozenset[Version] = frozenset()
    completed: Mapping[Version, Shape] = field(default_factory=lambda: MappingProxyType({}))


def history_of(rollouts: Iterable[Rollout], internal_groups: tuple[str, ...]) -> History:
    """Return the history that the server's own records of one channel tell."""
    known = sorted(rollouts, key=lambda rollout: rollout.started_at)
    newest = {rollout.version: rollout for rollout in known}
    return History(
        since=MappingProxyType({r.id: r.position_reached_at for r in known}),
        paused_automatically=frozenset(
            version for version, r in newest.items() if r.paused_by is Actor.AUTOMATIC
        ),
        pulled=frozenset(r.version for r in known if r.state is RolloutState.PULLED),
        completed=MappingProxyType(
            {
                r.version: shape_at(r.ladder, r.position, internal_groups)
                for r in known
                if r.state is RolloutState.COMPLETED
            }
        ),
    )


def history_after(
    history: History,
    old: RolloutDocument | None,
    new: RolloutDocument,
    now: datetime,
    *,
    automatic: bool,
    paused_by: Mapping[RolloutId, Actor] = MappingProxyType({}),
) -> History:
    """Return *history* once *new* was signed after *old*, at *now*.

    ``paused_by`` says whose pauses are in it. ``automatic``: nobody was seen to ask for it,
    so a pause of which that is not known is an automatic one.
    """
    unknown = Actor.AUTOMATIC if automatic else Actor.PERSON
    before = {_identity(entry): entry for entry in old.entries} if old else {}
    since: dict[RolloutId, datetime] = {}
    resumed: set[Version] = set()
    paused: set[Version] = set()
    for entry in new.entries:
        was = before.get(_identity(entry))
        offered_anew = entry.state in OFFERED and (was is None or was.state not in OFFERED)
        opened = was is None or shape_of(was) != shape_of(entry)
        if entry.rollout is not None:
            kept = now if opened or offered_anew else history.since.get(entry.rollout, now)
            since[entry.rollout] = kept
        if entry.rollback:
            continue
        if offered_anew:  # whoever had to approve that did
            resumed.add(entry.version)
        elif entry.state is RolloutState.PAUSED and not _is_paused(was):
            actor = unknown if entry.rollout is None else paused_by.get(entry.rollout, unknown)
            if actor is Actor.AUTOMATIC:
                paused.add(entry.version)
    return History(
        since=MappingProxyType(since),
        paused_automatically=(history.paused_automatically - resumed) | paused,
        pulled=history.pulled | {e.version for e in new.entries if _is(e, RolloutState.PULLED)},
        completed=MappingProxyType(_completed(history, new)),
    )


def parse_history(data: bytes) -> History:
    """Return the history in *data*; raise DocumentError if it is none."""
    fields = Fields(parse_strict(data, max_bytes=_MAX_BYTES))
    since, completed = fields.object("since"), fields.object("completed")

    def versions(name: str) -> frozenset[Version]:
        return frozenset(fields.texts(name, parse_version, at_most=_MAX_REMEMBERED))

    return History(
        since=MappingProxyType({name: since.time(name) for name in since.keys(check_rollout_id)}),
        paused_automatically=versions("paused_automatically"),
        pulled=versions("pulled"),
        completed=MappingProxyType(
            dict(
                zip(
                    completed.keys(parse_version),
                    (_read_shape(completed.object(name)) for name in completed.names()),
                    strict=True,
                )
            )
        ),
    )


def render_history(history: History) -> bytes:
    """Return *history* as canonical JSON; instants lose their parts of a second."""
    value: dict[str, Any] = {
        "since": {rollout: render_time(at) for rollout, at in history.since.items()},
        "paused_automatically": [
            render_version(version) for version in sorted(history.paused_automatically)
        ],
        "pulled": [render_version(version) for version in sorted(history.pulled)],
        "completed": {
            render_version(version): _render_shape(shape)
            for version, shape in history.completed.items()
        },
    }
    return render_canonical(value)


def _completed(history: History, new: RolloutDocument) -> dict[Version, Shape]:
    """Return what is completed, or was when it left the document.

    What was paused or lowered before it left does not come back by itself as it was before.
    """
    present = {entry.version for entry in new.entries if not entry.rollback}
    left = {v: shape for v, shape in history.completed.items() if v not in present}
    return left | {e.version: shape_of(e) for e in new.entries if _is(e, RolloutState.COMPLETED)}


def _identity(entry: Entry) -> tuple[object, ...]:
    # With the version: another one under the same rollout has not soaked.
    return entry.rollout, entry.version, entry.rollback


def _is(entry: Entry, state: RolloutState) -> bool:
    return entry.state is state and not entry.rollback


def _is_paused(entry: Entry | None) -> bool:
    return entry is not None and entry.state is RolloutState.PAUSED


def _read_shape(fields: Fields) -> Shape:
    return Shape(
        rings=fields.objects("rings", read_ring, at_most=MAX_RINGS),
        exposure_bp=fields.basis_points("exposure_bp"),
        holdback_bp=fields.basis_points("holdback_bp"),
    )


def _render_shape(shape: Shape) -> dict[str, Any]:
    return {
        "rings": [render_ring(ring) for ring in shape.rings],
        "exposure_bp": shape.exposure_bp,
        "holdback_bp": shape.holdback_bp,
    }
