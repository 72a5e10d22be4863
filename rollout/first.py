"""Installs that a release is offered to first: those on a bad version that it mends.

They have an entry of their own, before the rollout's ordinary one: ``from`` the bad version, at
full exposure. Its rollout bears a name of its own, for a document names each only once.
"""

from __future__ import annotations

from typing import Final

from rollout.model import Entry, RolloutId

FIRST_RING: Final = "first"
"""The one ring of such an entry."""

_SUFFIX: Final = "first"  # no hexadecimal digits, which the names of rollouts end in
_SHORTEST: Final = len("ro_") + 4  # a rollout may be called ro_first


def first_name(rollout: RolloutId) -> RolloutId:
    """Return what the entry for *rollout*'s first installs is called."""
    return RolloutId(rollout + _SUFFIX)


def rollout_behind(name: str | None) -> RolloutId | None:
    """Return the rollout that an entry's *name* is about."""
    if name is None:
        return None
    rest = name.removesuffix(_SUFFIX)
    return RolloutId(name if len(rest) < _SHORTEST else rest)


def is_first(entry: Entry) -> bool:
    """Whether *entry* is for a rollout's first installs."""
    named = entry.rollout != rollout_behind(entry.rollout)
    return named and bool(entry.from_versions) and not entry.rollback
