"""What an install should run. The same code answers in the server and in the agent.

Numbers and letters are those of docs/trust.md, 5. Entries are tried in the order of the
signed rollout document, and the first that admits the install wins. When none does, the
first refusal is the reason.

Not here: whether a version may run at all (``rollout.eligibility``), which ring takes an
install (``rollout.rings``), signatures and expiry (``signing.verify``), any clock.
"""

from __future__ import annotations

from datetime import datetime

from packaging.version import Version

from rollout.audience import is_general, selects, slice_holds
from rollout.bucket import bucket_of
from rollout.eligibility import runs_on, why_not_allowed
from rollout.model import (
    Action,
    Arm,
    Assignment,
    Detail,
    Documents,
    Entry,
    Install,
    Reason,
    Release,
    RolloutState,
)
from rollout.rings import ceiling_at, in_holdback, only_attributes_fail, ring_for

_WITHHELD = {RolloutState.PAUSED: Reason.PAUSED, RolloutState.PULLED: Reason.PULLED}


def decide(documents: Documents, install: Install, now: datetime) -> Assignment:
    """Choose what *install* should run at *now* (UTC), and say why. Never raises."""
    refusals: list[Assignment] = []
    for version in _due(documents, install, now):  # 3
        if why_not_allowed(version, documents, install) is None:  # 1, 2
            if not _throttled(version, install, now):
                return Assignment(action=Action.UPDATE, reason=Reason.MUST_REACH, version=version)
            refusals.append(_stay(Reason.THROTTLED))
    if documents.rollout is None:  # 4
        return _stay(documents.rollout_missing)
    if install.version is None and not documents.releases:
        # An empty machine on a platform that nobody released for: a pull is no news to it.
        return _stay(Reason.NO_RELEASE)
    for entry in documents.rollout.entries:  # 5
        if _concerns(entry, install):
            assignment = _consider(entry, documents, install, now)
            if assignment.action is not Action.STAY:
                return assignment
            refusals.append(assignment)
    return refusals[0] if refusals else _nothing_newer(documents.rollout.entries, install)  # 6


def _due(documents: Documents, install: Install, now: datetime) -> list[Version]:
    """Return the versions above the installed one that must be reached by now, highest first."""
    due = [rule.version for rule in documents.policy.must_reach if now >= rule.after]
    installed = install.version
    return sorted((v for v in due if installed is None or installed < v), reverse=True)


def _concerns(entry: Entry, install: Install) -> bool:
    """Whether *entry* says anything to *install* (5a)."""
    installed = install.version
    if entry.from_versions and installed not in entry.from_versions:
        return False
    if installed is None:  # not told: older than all, and nothing to roll back
        return not entry.rollback
    # A rollback leads down. If it could lead up it would be a way around the ceiling.
    return entry.version < installed if entry.rollback else entry.version > installed


def _consider(entry: Entry, documents: Documents, install: Install, now: datetime) -> Assignment:
    """Offer the entry's version, or say why not (5b to 5g). The order is policy."""
    if entry.state in _WITHHELD:  # b
        return _stay(_WITHHELD[entry.state], entry)
    detail = why_not_allowed(entry.version, documents, install)
    if detail is not None:  # c
        return Assignment(
            action=Action.STAY, reason=Reason.NOT_ELIGIBLE, rollout=entry.rollout, detail=detail
        )
    for hold in entry.holds:  # d: before any bucket, so held installs belong to neither arm
        if slice_holds(hold.audience, install):
            return Assignment(
                action=Action.STAY, reason=Reason.HELD, rollout=entry.rollout, hold=hold
            )
    release = documents.releases[entry.version]
    bucket = bucket_of(release.salt, install.id)
    ceiling_bp = ceiling_at(documents.policy, release, now)
    ring = ring_for(entry, install, bucket, policy=documents.policy, ceiling_bp=ceiling_bp)
    if ring is None:  # e
        return _outside(entry, install, bucket)
    if _throttled(entry.version, install, now):  # f: after e, so it stays a candidate
        return _stay(Reason.THROTTLED, entry, bucket)
    return Assignment(  # g
        action=Action.ROLLBACK if entry.rollback else Action.UPDATE,
        reason=Reason.ROLLED_BACK if entry.rollback else Reason.IN_RING,
        version=entry.version,
        ring=ring.name or None,
        rollout=entry.rollout,
        bucket=bucket,
    )


def _outside(entry: Entry, install: Install, bucket: int) -> Assignment:
    if only_attributes_fail(entry, install):
        return Assignment(
            action=Action.STAY,
            reason=Reason.NOT_ELIGIBLE,
            rollout=entry.rollout,
            detail=Detail.AUDIENCE,
        )
    held_back = in_holdback(entry, bucket)
    return _stay(Reason.HOLDBACK if held_back else Reason.OUTSIDE_RING, entry, bucket)


def _nothing_newer(entries: tuple[Entry, ...], install: Install) -> Assignment:
    for entry in entries:
        if entry.version == install.version and entry.state is RolloutState.PULLED:
            return _stay(Reason.PULLED, entry)
    return _stay(Reason.UP_TO_DATE if entries else Reason.NO_RELEASE)


def _throttled(version: Version, install: Install, now: datetime) -> bool:
    return any(f.version == version and now < f.retry_at for f in install.failures)


def _stay(reason: Reason, entry: Entry | None = None, bucket: int | None = None) -> Assignment:
    rollout = None if entry is None else entry.rollout
    return Assignment(action=Action.STAY, reason=reason, rollout=rollout, bucket=bucket)


def narrow(
    local: Assignment,
    hint_action: Action,
    hint_version: Version | None,
    hint_reason: Reason,
    *,
    answered_recently: bool,
) -> Assignment:
    """Return what is left of the *local* assignment after the server's hint.

    The server can only hold an install back, and never from what the policy says it must
    reach. ``answered_recently``: there was an answer, and it is younger than its own
    ``next_check_in_seconds``.
    """
    if not answered_recently or local.reason is Reason.MUST_REACH:
        return local
    if hint_action is Action.STAY:
        agreed = local.action is Action.STAY and local.reason is hint_reason
        return local if agreed else _stay(hint_reason)
    agreed = (hint_action, hint_version) == (local.action, local.version)
    return local if agreed else _stay(Reason.STALE_SERVER)


def arm_of(entry: Entry, release: Release, install: Install) -> tuple[str | None, Arm | None]:
    """Return the ring and the arm in which *install* counts for *entry*; (None, None) if in none.

    Everything but the bucket is asked of both arms alike: an install that the version could
    not run on, that a hold keeps, or that no general ring is for, is neither candidate nor
    control. A control counts in the widest ring open to it; rings of groups are not
    randomized. Whether the policy allows the version, and whether the rollout is active, is
    the caller's to ask.
    """
    if not runs_on(release, install):
        return None, None
    if any(slice_holds(hold.audience, install) for hold in entry.holds):
        return None, None
    bucket = bucket_of(release.salt, install.id)
    for ring in entry.rings:
        if not is_general(ring) and bucket < ring.exposure_bp and selects(ring.audience, install):
            return ring.name, Arm.INTERNAL
    general = [r for r in entry.rings if is_general(r) and selects(r.audience, install)]
    if not general:
        return None, None
    if not in_holdback(entry, bucket):
        for ring in general:
            if bucket < ring.exposure_bp:
                return ring.name, Arm.CANDIDATE
    return max(general, key=lambda ring: ring.exposure_bp).name, Arm.CONTROL
