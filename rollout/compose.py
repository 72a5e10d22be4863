"""The rollout document that says what the server wants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from packaging.version import Version

from rollout.first import FIRST_RING, first_name
from rollout.model import (
    FULL_EXPOSURE_BP,
    Audience,
    Entry,
    Hold,
    OpenRing,
    Policy,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)

MAX_ENTRIES = 16  # docs/trust.md, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedHold:
    """A hold on one rollout, or (None) on every rollout of the channel."""

    hold: Hold
    rollout: RolloutId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How far a release is exposed: what the signer compares with the signed ramp."""

    rings: tuple[OpenRing, ...]
    exposure_bp: int
    holdback_bp: int


def document_for(
    policy: Policy,
    rollouts: Iterable[Rollout],
    holds: Iterable[PlacedHold],
    *,
    now: datetime,
    next_check_in_seconds: int,
) -> RolloutDocument:
    """Return the document of the policy's channel. Rollouts of other channels are left out."""
    placed, known = tuple(holds), tuple(rollouts)
    kept, _ = kept_and_dropped(policy, known)
    pulled = frozenset(r.version for r in known if r.state is RolloutState.PULLED)
    return RolloutDocument(
        app=policy.app,
        channel=policy.channel,
        issued=now.replace(microsecond=0),
        next_check_in_seconds=next_check_in_seconds,
        entries=tuple(
            entry for rollout in kept for entry in _entries(policy, rollout, placed, pulled)
        ),
    )


def kept_and_dropped(
    policy: Policy, rollouts: Iterable[Rollout]
) -> tuple[tuple[Rollout, ...], tuple[Rollout, ...]]:
    """Return the rollouts that the document speaks of, newest first, and those without room.

    Superseded rollouts have left, and of the completed ones only the newest stays: neither
    counts as dropped. Pulled ones stay for their reason and their replacement, since installs
    may be on them; when room is short the oldest of these go first, and then the oldest.
    """
    ours = [r for r in rollouts if (r.app, r.channel) == (policy.app, policy.channel)]
    ours.sort(key=lambda rollout: (rollout.version, rollout.started_at), reverse=True)
    completed = [rollout for rollout in ours if rollout.state is RolloutState.COMPLETED]
    gone = {rollout.id for rollout in completed[1:]}
    gone |= {rollout.id for rollout in ours if rollout.state is RolloutState.SUPERSEDED}
    kept = [rollout for rollout in ours if rollout.id not in gone]
    dropped = []
    while sum(_room(rollout) for rollout in kept) > MAX_ENTRIES:
        pulled = [rollout for rollout in kept if rollout.state is RolloutState.PULLED]
        dropped.append((pulled or kept)[-1])
        kept.remove(dropped[-1])
    return tuple(kept), tuple(dropped)


def shape_at(ladder: tuple[Step, ...], position: int, internal_groups: tuple[str, ...]) -> Shape:
    """Return what is open once *ladder* is at *position*.

    Steps of one name are one ring, as wide as the last of them. A ring of the internal groups
    is not open where there are none.
    """
    rings: dict[str, OpenRing] = {}
    for step in ladder[: position + 1]:
        if step.exposure_bp is not None:
            rings[step.ring] = OpenRing(name=step.ring, exposure_bp=step.exposure_bp)
        elif internal_groups:
            audience = Audience(groups=internal_groups)
            rings[step.ring] = OpenRing(
                name=step.ring, exposure_bp=FULL_EXPOSURE_BP, audience=audience
            )
    general = [ring.exposure_bp for ring in rings.values() if ring.audience.groups is None]
    return Shape(
        rings=tuple(rings.values()),
        exposure_bp=max(general, default=0),
        holdback_bp=ladder[position].holdback_bp,
    )


def say_the_same(one: RolloutDocument | None, other: RolloutDocument) -> bool:
    """Whether two documents differ in nothing but when they were issued."""
    return one is not None and replace(one, issued=other.issued) == other


def _room(rollout: Rollout) -> int:
    is_sent_back = rollout.state is RolloutState.PULLED and rollout.replacement
    return 2 if is_sent_back or _takes_first(rollout) else 1


def _takes_first(rollout: Rollout) -> bool:
    return rollout.state is RolloutState.ACTIVE and rollout.first_for is not None


def _entries(
    policy: Policy,
    rollout: Rollout,
    holds: tuple[PlacedHold, ...],
    pulled: frozenset[Version],
) -> tuple[Entry, ...]:
    shape = shape_at(rollout.ladder, rollout.position, policy.internal_groups)
    is_pulled = rollout.state is RolloutState.PULLED
    entry = Entry(
        version=rollout.version,
        rollout=rollout.id,
        state=rollout.state,
        exposure_bp=shape.exposure_bp,
        holdback_bp=shape.holdback_bp,
        rings=shape.rings,
        holds=() if is_pulled else tuple(p.hold for p in holds if p.rollout in {None, rollout.id}),
    )
    if rollout.first_for is not None and _takes_first(rollout):
        first = replace(
            entry,
            rollout=first_name(rollout.id),
            exposure_bp=FULL_EXPOSURE_BP,
            holdback_bp=0,
            rings=(OpenRing(name=FIRST_RING, exposure_bp=FULL_EXPOSURE_BP),),
            from_versions=frozenset({rollout.first_for}),
        )
        return (first, entry)
    if not is_pulled or rollout.replacement is None or rollout.replacement in pulled:
        return (entry,)
    # Before the pulled entry and in the same document: nobody is left without a way.
    replacement = Entry(
        version=rollout.replacement,
        state=RolloutState.ACTIVE,
        exposure_bp=FULL_EXPOSURE_BP,
        rollback=True,
        from_versions=frozenset({rollout.version}),
    )
    return (replacement, entry)
