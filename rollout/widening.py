"""Whether one entry of a rollout document reaches further than another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.compose import Shape, shape_at
from rollout.model import Audience, Entry, Hold, OpenRing, Policy
from rollout.rings import is_internal, rings_of


def shape_of(entry: Entry) -> Shape:
    """Return how far *entry* is exposed."""
    return Shape(
        rings=rings_of(entry), exposure_bp=entry.exposure_bp, holdback_bp=entry.holdback_bp
    )


def next_ramp_position(was: Entry, entry: Entry, policy: Policy) -> int | None:
    """Return the ramp's position that *entry* is at, if *was* is at the one before it."""
    old, new = shape_of(was), shape_of(entry)
    for position in range(1, len(policy.ramp)):
        pair = (
            shape_at(policy.ramp, position - 1, policy.internal_groups),
            shape_at(policy.ramp, position, policy.internal_groups),
        )
        if pair == (old, new):
            return position
    return None


def is_no_wider(was: Shape, now: Shape, policy: Policy) -> bool:
    """Whether an entry of the shape *now* takes no install that one of *was* does not take."""
    return now.holdback_bp >= was.holdback_bp and all(
        any(_contains(old, ring, policy) for old in was.rings) for ring in now.rings
    )


def adds_internal(was: Shape, now: Shape, policy: Policy) -> bool:
    """Whether *now* is *was* and, in rings of their own, the policy's internal groups.

    A rollout whose internal ring had nobody in it becomes that by itself, once the policy
    names its first groups.
    """
    others = tuple(ring for ring in now.rings if not is_internal(ring, policy))
    return now != was and replace(now, rings=others) == was


def lost_holds(was: Entry, entry: Entry) -> tuple[Hold, ...]:
    """Return the holds of *was* whose installs *entry* does not hold any more, or not all."""
    return tuple(
        hold
        for hold in was.holds
        if not any(holds_no_less(kept.audience, hold.audience) for kept in entry.holds)
    )


def holds_no_less(audience: Audience, than: Audience) -> bool:
    """Whether a hold for *audience* keeps every install that one for *than* keeps."""
    if audience.unknown and not than.unknown:
        return False  # an agent that knows the selector may hold fewer
    # Of most selectors more values match more; of os_version all must hold, so fewer do.
    return (
        _no_fewer(audience.groups, than.groups)
        and _no_fewer(audience.platform, than.platform)
        and _no_fewer(audience.locale, than.locale)
        and _no_fewer(audience.country, than.country)
        and set(audience.os_version or ()) <= set(than.os_version or ())
        and _no_fewer_custom(audience.custom or {}, than.custom or {})
    )


def _contains(old: OpenRing, ring: OpenRing, policy: Policy) -> bool:
    if ring.exposure_bp > old.exposure_bp:
        return False
    if old.audience == ring.audience:
        return True
    # The policy names the internal groups: who is in them is not the rollout's to say.
    both_groups = old.audience.groups is not None and is_internal(ring, policy)
    return both_groups and old.name == ring.name


def _no_fewer(values: tuple[str, ...] | None, than: tuple[str, ...] | None) -> bool:
    return values is None or (than is not None and set(values) >= set(than))


def _no_fewer_custom(
    custom: Mapping[str, tuple[str, ...]], than: Mapping[str, tuple[str, ...]]
) -> bool:
    return all(_no_fewer(values, than.get(key)) for key, values in custom.items())
