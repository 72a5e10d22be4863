"""The design of the comparison: arms, strata, and how many are at risk.

Everything here was fixed before an install's arm was looked at, but the arm itself.
"""

from __future__ import annotations

from math import inf

from update_server.evidence.facts import Seen
from update_server.evidence.settings import DAY, HOUR, Metric, Settings
from update_server.evidence.state import Arms, Stage

BASIS_POINTS = 10_000

# Own crashes in the 14 days before: 0, 1, 2-4, 5-9, 10 and more.
_CRASH_STRATA = (1, 2, 5, 10)
_GAP_STRATA = (6 * HOUR, DAY, 3 * DAY, 7 * DAY)
SILENCE_STRATA = len(_GAP_STRATA)
# An install whose habits are not known yet is taken for one that comes back daily; else a new
# fleet would be blind to silence.
_UNKNOWN_GAP_STRATUM = 1

_COHORT_SHIFT = 16
_PLATFORM_SHIFT = 3


def share_of(stage: Stage) -> float:
    """Return the share of candidates by design, 0 to 1; 0 in a ring of groups."""
    if stage.exposure_bp is None:
        return 0.0
    return min(stage.exposure_bp, BASIS_POINTS - stage.holdback_bp) / BASIS_POINTS


def cohort_size(stage: Stage, settings: Settings) -> float:
    """Return how many installs of both arms make a cohort; infinity where an arm is empty."""
    share = share_of(stage)
    smaller = min(share, 1 - share)
    return settings.cohort_installs / smaller if smaller > 0 else inf


def is_candidate(stage: Stage, bucket: int) -> bool:
    """Return the arm of a bucket in a stage with an exposure."""
    exposure_bp = stage.exposure_bp or 0
    return bucket < min(exposure_bp, BASIS_POINTS - stage.holdback_bp)


def may_enter(fact: Seen) -> bool:
    """Whether a check-in is of an install that is in an arm, as far as the fact itself tells."""
    return fact.aged and not fact.internal


def crash_stratum(crashes: int) -> int:
    """Return the stratum, 0 to 4, of an install's own crashes in the 14 days before."""
    return sum(crashes >= limit for limit in _CRASH_STRATA)


def coarse_stratum(crashes: int) -> int:
    """Return the stratum, 0 or 2, where a cohort is too small for five: below two crashes, or more.

    In a risk set with an empty arm no event says anything; without strata, crash-prone candidates
    are soon used up. Of the divisions that were tried on small fleets this one finds harm soonest.
    """
    return 2 if crashes >= _CRASH_STRATA[1] else 0


def silence_window(gap_seconds: float | None, settings: Settings) -> tuple[int, float]:
    """Return an install's stratum for silence and its window in seconds.

    Strata 0 to 3 are usual gaps below 6 h, 1 d, 3 d and 7 d; one that is not known counts as
    the second. Installs with longer ones are not in this metric: stratum -1.
    """
    if gap_seconds is None:
        return _UNKNOWN_GAP_STRATUM, max(DAY, settings.silence_minimum_seconds)
    window = max(settings.silence_minimum_seconds, settings.silence_gaps * gap_seconds)
    stratum = sum(gap_seconds >= limit for limit in _GAP_STRATA)
    return (stratum, window) if stratum < len(_GAP_STRATA) else (-1, 0.0)


def has_risk_sets(metric: str) -> bool:
    """Whether *metric* is one of first events."""
    return metric in (Metric.CRASH, Metric.CRASH_LOOP) or metric.startswith("signature:")


def risk_set_key(cohort: int, stratum: int, platform: int) -> int:
    """Return the key of the risk set of a cohort, a crash stratum and a platform's index."""
    return cohort << _COHORT_SHIFT | platform << _PLATFORM_SHIFT | stratum


def lonely_key(platform: int, *, candidate: bool) -> int:
    """Return the key of a platform's installs of one arm that have nobody to be compared with.

    Cohorts are numbered from 1.
    """
    return risk_set_key(0, 0 if candidate else 1, platform)


def cohort_of(key: int) -> int:
    """Return the number of the cohort in a risk set's key."""
    return key >> _COHORT_SHIFT


def platform_of(key: int) -> int:
    """Return the platform's index in a risk set's key."""
    return key >> _PLATFORM_SHIFT & (1 << _COHORT_SHIFT - _PLATFORM_SHIFT) - 1


def at_risk(stage: Stage, metric: str, key: int) -> tuple[int, int]:
    """Return candidates and controls of one risk set that had no first event yet."""
    arms = stage.risk_sets.get(key, Arms())
    gone = stage.gone.get(metric, {}).get(key, Arms())
    return arms.candidate - gone.candidate, arms.control - gone.control


def total_at_risk(stage: Stage, metric: str) -> tuple[int, int]:
    """Return candidates and controls at risk in all risk sets together, for people to read."""
    gone = stage.gone.get(metric, {}).values()
    return (
        sum(a.candidate for a in stage.risk_sets.values()) - sum(g.candidate for g in gone),
        sum(a.control for a in stage.risk_sets.values()) - sum(g.control for g in gone),
    )
