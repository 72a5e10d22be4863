"""Undoing wishes that the signer refused, or that nobody can approve any more.

Approvals are not stored: when a process is killed between a wish and its signature, or the
signer says no, the wish would stand in the way of every later change of the channel. So the
database is made to want again what is signed. Whatever narrows is kept: a pause, a pull or a
hold that an operator asked for is never lost.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from packaging.version import Version

from rollout.compose import shape_at
from rollout.model import Actor, Entry, Policy, Rollout, RolloutDocument, RolloutState
from rollout.transitions import supersede
from update_server.service.access.caller import AUTOMATIC
from update_server.service.ports import Stores
from update_server.service.repository.desired import Desired
from update_server.service.rollouts.changes import record_change
from update_server.service.studies.memory import note_hold

_NARROW: Final = {RolloutState.PAUSED: 1, RolloutState.PULLED: 2}
_UNSIGNED: Final = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED})


def take_back(stores: Stores, wanted: Desired, now: datetime, reason: str) -> bool:
    """Make the database want what is signed, as far as that widens nothing.

    Return whether that changed anything.
    """
    changed = False
    for rollout in wanted.rollouts:
        restored = restored_from(rollout, wanted.signed, wanted.policy)
        if restored != rollout:
            new = replace(restored, revision=rollout.revision + 1, changed_at=now)
            record_change(
                stores, rollout, new, actor=AUTOMATIC.name, verb="take_back", reason=reason
            )
            changed = True
    return _restore_holds(stores, wanted, now, reason) or changed


def give_up_returns(stores: Stores, wanted: Desired, now: datetime, reason: str) -> bool:
    """Give up the last-good release that would come back, though that was refused.

    It may have been revoked since, for example; and the pull that brings it must not wait.
    Return whether that changed anything.
    """
    signed = {entry.rollout for entry in wanted.signed.entries} if wanted.signed else set()
    returning = {entry.rollout for entry in wanted.wanted.entries} - signed
    changed = False
    for rollout in wanted.rollouts:
        if rollout.state is RolloutState.COMPLETED and rollout.id in returning:
            gone = supersede(rollout, now, reason)
            record_change(
                stores, rollout, gone, actor=AUTOMATIC.name, verb="take_back", reason=reason
            )
            changed = True
    return changed


def restored_from(rollout: Rollout, signed: RolloutDocument | None, policy: Policy) -> Rollout:
    """Return *rollout* as the signed document has it, but no wider than it is wanted."""
    entry = entry_of(rollout, signed)
    if entry is None:
        # It never was in force. Completed ones leave the document by themselves.
        state = RolloutState.SUPERSEDED if rollout.state in _UNSIGNED else rollout.state
        return replace(rollout, state=state, paused_by=None, replacement=None)
    state = rollout.state if _narrows(rollout.state, entry.state) else entry.state
    paused_by = (rollout.paused_by or Actor.PERSON) if state is RolloutState.PAUSED else None
    position = min(rollout.position, position_of(entry, rollout, policy))
    return replace(
        rollout,
        state=state,
        paused_by=paused_by,
        position=position,
        replacement=_replacement(rollout, signed),
    )


def entry_of(rollout: Rollout, document: RolloutDocument | None) -> Entry | None:
    """Return what *document* says of *rollout*, if anything."""
    for entry in document.entries if document else ():
        if entry.rollout == rollout.id:
            return entry
    return None


def position_of(entry: Entry, rollout: Rollout, policy: Policy) -> int:
    """Return the step of the rollout's ladder that *entry* shows.

    When the policy's internal groups have changed since, no step looks like the entry; then
    it is the last one that is no wider.
    """
    shapes = [
        shape_at(rollout.ladder, position, policy.internal_groups)
        for position in range(len(rollout.ladder))
    ]
    for position, shape in enumerate(shapes):
        if (shape.rings, shape.holdback_bp) == (entry.rings, entry.holdback_bp):
            return position
    no_wider = [p for p, shape in enumerate(shapes) if shape.exposure_bp <= entry.exposure_bp]
    return max(no_wider, default=0)


def _narrows(wanted: RolloutState, signed: RolloutState) -> bool:
    return _NARROW.get(wanted, 0) > _NARROW.get(signed, 0)


def _replacement(rollout: Rollout, signed: RolloutDocument | None) -> Version | None:
    for entry in signed.entries if signed else ():
        if entry.rollback and rollout.version in entry.from_versions:
            return entry.version
    return None


def _restore_holds(stores: Stores, wanted: Desired, now: datetime, reason: str) -> bool:
    entries = wanted.signed.entries if wanted.signed else ()
    signed = {hold.id for entry in entries for hold in entry.holds}
    lifted = signed - {held.hold.id for held in wanted.holds}
    for hold_id in sorted(lifted):
        stores.rollouts.restore_hold(wanted.app, hold_id)
        for held in stores.rollouts.holds(wanted.app):
            if held.hold.id == hold_id:
                note_hold(stores, held)  # the study was told that it is over
        stores.audit.append(
            at=now,
            actor=AUTOMATIC.name,
            action="hold.take_back",
            app=wanted.app,
            subject=hold_id,
            reason=reason,
        )
    return bool(lifted)
