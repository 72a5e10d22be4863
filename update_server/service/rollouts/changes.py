"""Writing a rollout, with its line of the audit log, what its study learns and people read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rollout.model import FULL_EXPOSURE_BP, Rollout, RolloutState
from update_server.evidence.settings import Settings
from update_server.service.errors import ConflictError
from update_server.service.notices.news import tell_change, tell_start, tell_unsuspended
from update_server.service.ports import ChangedError, Stores
from update_server.service.studies.memory import NO_WAIVERS, Waivers, begin, note_change
from update_server.service.telemetry.counting import counts_of_pause


def record_start(
    stores: Stores, rollout: Rollout, actor: str, terms: Settings | None = None
) -> None:
    """Store a new rollout, to be judged by *terms*; None: as published."""
    stores.rollouts.add(rollout)
    begin(stores, rollout, terms)
    stores.audit.append(
        at=rollout.started_at,
        actor=actor,
        action="rollout.start",
        app=rollout.app,
        subject=rollout.id,
        reason=rollout.reason,
        after={"version": str(rollout.version), "channel": rollout.channel, **_shape(rollout)},
    )
    tell_start(stores, rollout, actor)


def record_change(
    stores: Stores,
    old: Rollout,
    new: Rollout,
    *,
    actor: str,
    verb: str,
    reason: str = "",
    waived: Waivers = NO_WAIVERS,
) -> None:
    """Store *new* in place of *old*. *waived* is what is accepted when it is resumed.

    Raises:
        ConflictError: *old* is not what is stored any more; it bears what is.
    """
    try:
        stores.rollouts.replace(old, new)
    except ChangedError as error:
        raise ConflictError(stores.rollouts.get(old.app, old.id)) from error
    note_change(stores, old, new, waived=waived)
    stores.counters.add(counts_of_pause(old, new))
    stores.audit.append(
        at=new.changed_at,
        actor=actor,
        action=f"rollout.{verb}",
        app=new.app,
        subject=new.id,
        reason=reason,
        before=_shape(old),
        after=_shape(new),
    )
    tell_change(stores, old, new, actor=actor, verb=verb, reason=reason)


def record_unsuspended(
    stores: Stores, rollout: Rollout, now: datetime, actor: str, reason: str
) -> None:
    """Note who ended the judge's suspension of a rollout, which stays as it is."""
    stores.audit.append(
        at=now,
        actor=actor,
        action="rollout.unsuspend",
        app=rollout.app,
        subject=rollout.id,
        reason=reason,
    )
    tell_unsuspended(stores, rollout, now, actor)


def record_reason(
    stores: Stores, rollout: Rollout, now: datetime, actor: str, verb: str, reason: str
) -> None:
    """Note why somebody asked for what is so already: a rollout stays as it is."""
    stores.audit.append(
        at=now,
        actor=actor,
        action=f"rollout.{verb}",
        app=rollout.app,
        subject=rollout.id,
        reason=reason,
        before=_shape(rollout),
        after=_shape(rollout),
    )


def is_soaked(rollout: Rollout, now: datetime) -> bool:
    """Whether *rollout* offers its release to everybody, and has for long enough."""
    at_end = rollout.position == len(rollout.ladder) - 1
    if rollout.state is not RolloutState.ACTIVE or not at_end:
        return False
    if rollout.step.exposure_bp != FULL_EXPOSURE_BP:
        return False
    return (now - rollout.position_reached_at).total_seconds() >= rollout.step.soak_seconds


def _shape(rollout: Rollout) -> Mapping[str, Any]:
    replacement = rollout.replacement
    return {
        "state": rollout.state.value,
        "ring": rollout.step.ring,
        "position": rollout.position,
        "revision": rollout.revision,
    } | ({"replacement": str(replacement)} if replacement is not None else {})
