"""PURE: which versions this install holds against itself, and until when.

A version that failed its trial is banned. The ban lifts when the publisher issues the version
anew, which another rollout shows, three times for the same bytes and then no more. A version
that must be reached is tried again once a day in spite of its ban. What could not be fetched or
built is no ban: it is tried again after the pause that was noted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from client_agent.values import Ban, State, VersionFailure
from rollout.first import rollout_behind
from rollout.model import Failure, Policy, RolloutDocument

MAX_LIFTS = 3
MUST_REACH_EVERY = timedelta(hours=24)
LONGEST_PAUSE = timedelta(hours=24)
"""No download or build that failed waits longer for its next try."""

FOR_EVER = datetime.max.replace(tzinfo=UTC)


def failures_for(
    bans: Iterable[Ban],
    failures: Iterable[VersionFailure],
    policy: Policy,
    rollout: RolloutDocument | None,
) -> tuple[Failure, ...]:
    """Return the failure memory that a decision on these documents is made with."""
    counts: dict[str, int] = {}
    newest: dict[str, Ban] = {}
    for ban in bans:
        counts[ban.manifest_sha256] = counts.get(ban.manifest_sha256, 0) + ban.count
        held = newest.get(ban.manifest_sha256)
        if held is None or ban.at >= held.at:
            newest[ban.manifest_sha256] = ban
    found = [
        Failure(version=ban.version, retry_at=_retry_at(ban, counts[digest], policy, rollout))
        for digest, ban in newest.items()
    ]
    found += [Failure(version=one.version, retry_at=one.retry_at) for one in failures]
    return tuple(found)


def with_room(failures: Iterable[VersionFailure], free_bytes: int) -> tuple[VersionFailure, ...]:
    """Return *failures* without those for want of room that is there by now."""
    return tuple(
        one for one in failures if one.needed_bytes is None or free_bytes < one.needed_bytes
    )


def as_of(state: State, now: datetime) -> State:
    """Return *state* without dates that *now* makes impossible: a clock was ahead back then.

    They count from now on. Who gets another state than the given one must store it, or they
    would count from each later moment anew, and never end.
    """
    bans = tuple(replace(ban, at=min(ban.at, now)) for ban in state.bans)
    latest = now + LONGEST_PAUSE
    failures = tuple(replace(one, retry_at=min(one.retry_at, latest)) for one in state.failures)
    return replace(state, bans=bans, failures=failures)


def _retry_at(ban: Ban, count: int, policy: Policy, rollout: RolloutDocument | None) -> datetime:
    if count <= MAX_LIFTS and _is_issued_anew(ban, rollout):
        return ban.at
    if any(rule.version == ban.version for rule in policy.must_reach):
        return ban.at + MUST_REACH_EVERY
    return FOR_EVER


def _is_issued_anew(ban: Ban, rollout: RolloutDocument | None) -> bool:
    if rollout is None:
        return False
    banned_in = rollout_behind(ban.rollout)
    return any(
        entry.version == ban.version and rollout_behind(entry.rollout) not in {None, banned_in}
        for entry in rollout.entries
    )
