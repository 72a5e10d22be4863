"""Which open ring takes an install: rule 5e of docs/trust.md, 5."""

from __future__ import annotations

from datetime import datetime

from rollout.audience import has_attributes, in_groups, is_general, selects
from rollout.bucket import BUCKETS
from rollout.model import FULL_EXPOSURE_BP, Entry, Install, OpenRing, Policy, Release


def ceiling_at(policy: Policy, release: Release, now: datetime) -> int:
    """Return the highest exposure, in basis points, that *release* may have by its age."""
    if not policy.ceiling:
        return FULL_EXPOSURE_BP
    age_seconds = (now - release.ages_from).total_seconds()
    reached = [exposure_bp for age, exposure_bp in policy.ceiling if age <= age_seconds]
    return reached[-1] if reached else 0


def rings_of(entry: Entry) -> tuple[OpenRing, ...]:
    """Return the rings that are open, in ladder order.

    A rollback may omit its rings: then it is for everybody in ``from``, at its exposure, in a
    ring without a name.
    """
    if entry.rollback and not entry.rings:
        return (OpenRing(name="", exposure_bp=entry.exposure_bp),)
    return entry.rings


def in_holdback(entry: Entry, bucket: int) -> bool:
    """Whether *bucket* is kept as control, even at ring ``all``."""
    return bucket >= BUCKETS - entry.holdback_bp


def ring_for(
    entry: Entry, install: Install, bucket: int, *, policy: Policy, ceiling_bp: int
) -> OpenRing | None:
    """Return the first open ring that takes *install*, or None.

    The ceiling binds thieves of online keys; the signer never signs above it. It spares
    rollbacks, which must not wait, and rings that only the policy's internal groups are in.
    """
    for ring in rings_of(entry):
        free = entry.rollback or is_internal(ring, policy)
        exposure_bp = ring.exposure_bp if free else min(ring.exposure_bp, ceiling_bp)
        if is_general(ring) and in_holdback(entry, bucket):
            continue
        if bucket < exposure_bp and selects(ring.audience, install):
            return ring
    return None


def only_attributes_fail(entry: Entry, install: Install) -> bool:
    """Whether attributes alone keep *install* out, now and at any exposure of these rings.

    Rings of groups that the install is not in are for others and say nothing about it.
    """
    rings = [ring for ring in rings_of(entry) if in_groups(ring.audience, install)]
    return bool(rings) and not any(has_attributes(ring.audience, install) for ring in rings)


def is_internal(ring: OpenRing, policy: Policy) -> bool:
    """Whether *ring* names groups, and only the policy's internal ones."""
    groups = ring.audience.groups
    return groups is not None and set(groups) <= set(policy.internal_groups)
