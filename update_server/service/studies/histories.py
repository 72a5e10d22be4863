"""What is remembered of an install before a study: how long it is known, and how it is.

Instants are ours, in Unix seconds. From them follow its age, its usual gap between check-ins
and how often it crashed; the rules are those of docs/evidence.md.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Final

from update_server.evidence.naming import SAME_CRASH_SECONDS
from update_server.service.ports.studies import History
from update_server.service.studies.stretch import Stretch

EARLY_CHECK_INS: Final = 10
LAST_CHECK_INS: Final = 11
LAST_CRASHES: Final = 10

_STRATUM_SECONDS: Final = 14 * 86_400.0


def with_check_in(known: History | None, at: float) -> History:
    """Return what is known of an install that has checked in once more, at *at*."""
    if known is None:
        return History(first_at=at, check_ins=1, early=(at,), seen=(at,))
    return replace(
        known,
        first_at=min(known.first_at, at),
        check_ins=known.check_ins + 1,
        early=tuple(sorted((*known.early, at))[:EARLY_CHECK_INS]),
        seen=tuple(sorted((*known.seen, at))[-LAST_CHECK_INS:]),
    )


def with_crash(known: History | None, at: float, received_at: float) -> History | None:
    """Return what is known of an install that crashed at *at*; None if that is known already.

    An app that dies tells so itself, and whoever started it does too.
    """
    if known is None:
        # It is known since we heard of it, whenever it says that it crashed.
        return History(first_at=received_at, crashes=(at,))
    crashes = list(known.crashes)
    near = bisect_left(crashes, at - SAME_CRASH_SECONDS)
    if near < len(crashes) and crashes[near] <= at + SAME_CRASH_SECONDS:
        return None
    insort(crashes, at)
    return replace(known, crashes=tuple(crashes[-LAST_CRASHES:]))


def is_aged(
    known: History | None,
    published_at: float,
    stretch: Stretch,
    *,
    minimum_age_seconds: float,
    minimum_check_ins: int,
) -> bool:
    """Whether the install was known for long enough when the release was published.

    From then on anybody can compute buckets, and make installs to fit.
    """
    if minimum_age_seconds <= 0 and minimum_check_ins <= 0:
        return True
    if known is None:
        return False
    age = stretch.duration(published_at - known.first_at)
    check_ins = sum(at <= published_at for at in known.early)
    return age >= minimum_age_seconds and check_ins >= minimum_check_ins


def usual_gap(known: History | None, before: float, stretch: Stretch) -> float | None:
    """Return the median of the last ten gaps between check-ins before *before*, if there is one."""
    seen = [at for at in known.seen if at < before] if known else []
    if len(seen) < 2:  # noqa: PLR2004 - one gap
        return None
    return stretch.duration(median(later - earlier for earlier, later in pairwise(seen)))


def crashes_before(known: History | None, before: float, stretch: Stretch) -> int:
    """Return how often the install crashed in the 14 days before *before*."""
    if known is None:
        return 0
    since = before - _STRATUM_SECONDS / stretch.speed
    return sum(since <= at < before for at in known.crashes)
