"""Legal changes of a rollout. Each returns the changed rollout, or raises.

Asking for what is so already returns the rollout unchanged, so that a verb can be repeated.
Every real change makes ``revision`` one higher.

Not here: whether a change needs people (``rollout.changes``), and storing it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from packaging.version import Version

from rollout.errors import IllegalTransitionError
from rollout.model import Actor, Rollout, RolloutId, RolloutState, Step

_LEGAL: dict[RolloutState, tuple[str, ...]] = {
    RolloutState.ACTIVE: ("promote", "pause", "pull", "supersede", "complete"),
    RolloutState.PAUSED: ("resume", "pull", "supersede"),
    RolloutState.COMPLETED: ("pause", "pull", "supersede"),
    RolloutState.SUPERSEDED: ("pull",),  # installs may still be on it
    RolloutState.PULLED: (),
}


def start(
    *,
    id: RolloutId,  # noqa: A002 - the field's name
    app: str,
    channel: str,
    version: Version,
    ladder: tuple[Step, ...],
    now: datetime,
    ring: str | None = None,
    reason: str = "",
) -> Rollout:
    """Return a new rollout at the first step of *ladder*, or at the first one of *ring*.

    Raises:
        IllegalTransitionError: The ladder is empty, or has no such ring.
    """
    position = 0 if ring is None else _first_step(ladder, ring)
    if position is None or not ladder:
        raise IllegalTransitionError("start", None, (), "the ladder has no such ring")
    return Rollout(
        id=id,
        app=app,
        channel=channel,
        version=version,
        state=RolloutState.ACTIVE,
        ladder=ladder,
        position=position,
        started_at=now,
        position_reached_at=now,
        changed_at=now,
        reason=reason,
    )


def legal_verbs(rollout: Rollout) -> tuple[str, ...]:
    """Return the verbs that *rollout* can follow now."""
    at_end = rollout.position == len(rollout.ladder) - 1
    impossible = "promote" if at_end else "complete"
    return tuple(verb for verb in _LEGAL[rollout.state] if verb != impossible)


def promote(rollout: Rollout, now: datetime, ring: str | None = None) -> Rollout:
    """Return *rollout* at its next step, or at the first step of a later *ring*.

    Naming the ring that is open changes nothing.

    Raises:
        IllegalTransitionError: It is not active, at its last step, or past that ring.
    """
    if ring is not None and rollout.state is RolloutState.ACTIVE and ring == rollout.step.ring:
        return rollout
    _check(rollout, "promote")
    position: int | None = rollout.position + 1
    if ring is not None:
        position = _first_step(rollout.ladder, ring, after=rollout.position)
    if position is None:
        raise _illegal(rollout, "promote", f"no ring {ring!r} lies ahead")
    return _changed(rollout, now, position=position, position_reached_at=now)


def pause(rollout: Rollout, now: datetime, by: Actor, reason: str) -> Rollout:
    """Return *rollout* offered to no further install; those on it keep it.

    What is doubted is no cure: resumed, it takes nobody in first any more.
    """
    if rollout.state is RolloutState.PAUSED:
        return rollout
    _check(rollout, "pause")
    return _changed(
        rollout, now, state=RolloutState.PAUSED, paused_by=by, reason=reason, first_for=None
    )


def resume(rollout: Rollout, now: datetime, reason: str = "") -> Rollout:
    """Return *rollout* offered again where it was paused. Its step soaks anew."""
    if rollout.state is RolloutState.ACTIVE:
        return rollout
    _check(rollout, "resume")
    # Nobody was offered it while it was paused, so nothing was seen that could count as soak.
    return _changed(
        rollout,
        now,
        state=RolloutState.ACTIVE,
        paused_by=None,
        position_reached_at=now,
        reason=reason,
    )


def pull(
    rollout: Rollout, now: datetime, reason: str, replacement: Version | None = None
) -> Rollout:
    """Return *rollout* withdrawn for good. Installs on it are sent to *replacement*, if given.

    Any rollout can be pulled; a pulled one can still be given a replacement, or another one.

    Raises:
        IllegalTransitionError: The replacement is not older than the release.
    """
    if rollout.state is RolloutState.PULLED and replacement in {None, rollout.replacement}:
        return rollout
    if replacement is not None and replacement >= rollout.version:
        # Going up needs a rollout of its own: a rollback would pass by every ring.
        raise _illegal(rollout, "pull", f"{replacement} is not older than {rollout.version}")
    return _changed(
        rollout,
        now,
        state=RolloutState.PULLED,
        paused_by=None,
        reason=reason,
        replacement=replacement,
    )


def supersede(rollout: Rollout, now: datetime, reason: str = "") -> Rollout:
    """Return *rollout* given up in favour of a newer one; it leaves the document.

    Who paused it stays known: starting its version again would end that pause.
    """
    if rollout.state is RolloutState.SUPERSEDED:
        return rollout
    _check(rollout, "supersede")
    return _changed(rollout, now, state=RolloutState.SUPERSEDED, reason=reason)


def complete(rollout: Rollout, now: datetime, reason: str = "") -> Rollout:
    """Return *rollout* finished, at its last step: its release is the last-good one."""
    if rollout.state is RolloutState.COMPLETED:
        return rollout
    _check(rollout, "complete")
    return _changed(rollout, now, state=RolloutState.COMPLETED, reason=reason)


def _first_step(ladder: tuple[Step, ...], ring: str, after: int = -1) -> int | None:
    ahead = range(after + 1, len(ladder))
    return next((position for position in ahead if ladder[position].ring == ring), None)


def _check(rollout: Rollout, verb: str) -> None:
    if verb not in legal_verbs(rollout):
        raise _illegal(rollout, verb, f"it is {rollout.state} at ring {rollout.step.ring}")


def _illegal(rollout: Rollout, verb: str, detail: str) -> IllegalTransitionError:
    return IllegalTransitionError(verb, rollout.state, legal_verbs(rollout), detail)


def _changed(rollout: Rollout, now: datetime, **fields: object) -> Rollout:
    changes = {"revision": rollout.revision + 1, "changed_at": now} | fields
    return replace(rollout, **changes)  # type: ignore[arg-type]
