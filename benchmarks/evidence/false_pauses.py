"""How often a harmless release is paused: rows 1, 2, 3 and 11."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.fleet import a_fleet, hourly_cohorts, until
from benchmarks.evidence.line import Job, Line, at_most, report, upper_limit
from benchmarks.evidence.replica import (
    Bools,
    Floats,
    Ints,
    Labels,
    labels_of,
    log_e_harm_over_time,
)

SEED = 1
LIMIT = 0.01
LOG_100 = np.log(100)
RUNS = 2_000


def pauses(labels: Labels, checks: Floats) -> bool:
    """Return whether the crash test alone, with all the weight, pauses at some check."""
    return bool((log_e_harm_over_time(labels, checks) >= LOG_100).any())


def line_of(name: str, hits: int, runs: int, seed: int) -> Line:
    """Return the promise of all these rows: at most 1 %, also at the end of the interval."""
    return at_most(
        f"false pauses, {name}: upper 95 % limit", upper_limit(hits, runs), LIMIT, n=runs, seed=seed
    )


# --- row 1: clustered fleets -----------------------------------------------------------------


def clustered(rng: np.random.Generator, *, p: float, runs: int, installs: int = 20_000) -> int:
    """Return how many of *runs* pause within 72 hours, looked at hourly."""
    checks = np.arange(1.0, 73.0)
    hits = 0
    for _ in range(runs):
        fleet = a_fleet(rng, installs=installs, crash_share=p)
        labels = labels_of(hourly_cohorts(fleet.entry, 72), fleet.candidate, until(fleet.crash, 72))
        hits += pauses(labels, checks)
    return hits


def clustered_lines(p: float, runs: int) -> list[Line]:
    """Return row 1 for one share of crashing sessions."""
    seed = SEED * 1_000 + int(p * 10_000)
    hits = clustered(np.random.default_rng(seed), p=p, runs=runs)
    return [line_of(f"clustered fleet p={p:g}", hits, runs, seed)]


# --- row 2: a ramp; loops and an outage -------------------------------------------------------

_STAGE_HOURS = 48.0
_RAMP = (0.01, 0.1, 0.5)


def ramp(rng: np.random.Generator, *, p: float, runs: int, installs: int = 5_000) -> int:
    """Return how many of *runs* pause on the way from 1 over 10 to 50 %, by one process.

    Everybody enters anew in each stage; who has crashed is out for good.
    """
    checks = np.arange(1.0, _STAGE_HOURS * len(_RAMP) + 1)
    hits = 0
    for _ in range(runs):
        fleet = a_fleet(rng, installs=installs, crash_share=p)
        bucket = rng.random(installs)
        crashed = np.zeros(installs, dtype=np.bool_)
        parts = []
        for stage, exposure in enumerate(_RAMP):
            entry = rng.exponential(1 / fleet.sessions)
            crash = until(entry + rng.exponential(1 / fleet.crashes), _STAGE_HOURS)
            cohort = np.where(crashed, -1, hourly_cohorts(entry, _STAGE_HOURS))
            parts.append(labels_of(cohort, bucket < exposure, crash + stage * _STAGE_HOURS))
            crashed |= np.isfinite(crash)
        hits += pauses(joined(parts), checks)
    return hits


def joined(parts: list[Labels]) -> Labels:
    """Return the labels of stages that follow each other as one sequence."""
    return Labels(
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.candidate for part in parts]),
        np.concatenate([part.n_candidate for part in parts]),
        np.concatenate([part.n_control for part in parts]),
    )


_LOOP_LENGTH = 8  # crashes, on average


def loops(
    rng: np.random.Generator, *, p: float, runs: int, installs: int = 5_000
) -> tuple[int, int, int]:
    """Return how many of *runs* pause by first crashes, by crash loops, and by raw crashes.

    Crashes come in loops, more by day than by night, and in one hour 1 % of both arms crash.
    Raw crashes are what nobody should count: each crash of a loop is taken for an event.
    """
    hours = np.arange(0.0, 97.0)
    # Sessions so far by the hour of the day: the busiest hour has 5.7 times those of the calmest.
    clock = hours - 0.7 * 24 / (2 * np.pi) * np.sin(2 * np.pi * hours / 24)
    checks = np.arange(1.0, 73.0)
    hits = np.zeros(3, dtype=np.int64)
    for _ in range(runs):
        fleet = a_fleet(rng, installs=installs, crash_share=p)
        entry = np.interp(fleet.entry, clock, hours, right=np.inf)
        crash = np.interp(fleet.crash, clock, hours, right=np.inf)
        outage = rng.uniform(6, 66)
        struck = (rng.random(installs) < LIMIT) & (entry < outage)
        crash = until(np.where(struck, np.minimum(crash, outage), crash), 72)
        length = rng.geometric(1 / _LOOP_LENGTH, installs)
        third = np.where((length >= 3) & (crash + 0.2 <= entry + 24), crash + 0.2, np.inf)
        cohort = hourly_cohorts(entry, 72)
        first = labels_of(cohort, fleet.candidate, crash)
        raw = repeated(first, rng.geometric(1 / _LOOP_LENGTH, len(first.at)))
        hits += [
            pauses(first, checks),
            pauses(labels_of(cohort, fleet.candidate, until(third, 72)), checks),
            pauses(raw, checks),
        ]
    return int(hits[0]), int(hits[1]), int(hits[2])


def repeated(labels: Labels, times: Ints) -> Labels:
    """Return *labels* with each event counted as often as *times* says."""
    return Labels(
        np.repeat(labels.at, times),
        np.repeat(labels.candidate, times),
        np.repeat(labels.n_candidate, times),
        np.repeat(labels.n_control, times),
    )


def ramp_lines(runs: int) -> list[Line]:
    """Return row 2's ramp."""
    seed = SEED * 1_000 + 201
    hits = ramp(np.random.default_rng(seed), p=0.005, runs=runs)
    return [line_of("ramp 1 -> 10 -> 50 %, one process", hits, runs, seed)]


def loops_lines(runs: int) -> list[Line]:
    """Return row 2's crash loops and outage."""
    seed = SEED * 1_000 + 202
    first, loop, raw = loops(np.random.default_rng(seed), p=0.005, runs=runs)
    return [
        line_of("crash loops and outage, first crash", first, runs, seed),
        line_of("crash loops and outage, crash loop", loop, runs, seed),
        report("false pauses, the same by raw crashes: share", raw / runs, n=runs, seed=seed),
    ]


# --- row 3: crashes just after entry ----------------------------------------------------------

_SETTINGS = ((50, 40, 0.1), (100, 20, 0.05))
_PRONE = 0.5  # of the installs crash right after they entered ...
_AT_ENTRY = 0.9  # ... with this probability
_LATER = 0.002  # an hour, everybody


def just_after_entry(
    rng: np.random.Generator, *, ticks: int, entrants: int, exposure: float, runs: int
) -> tuple[int, int]:
    """Return how many of *runs* pause by cohort, and with all cohorts in one pool.

    In the pool an event counts those that have entered by the end of its tick.
    """
    cohort = np.repeat(np.arange(ticks), entrants)
    checks = np.arange(1.0, ticks + 1)
    by_cohort = pooled = 0
    for _ in range(runs):
        candidate = rng.random(len(cohort)) < exposure
        prone = rng.random(len(cohort)) < _PRONE
        at_once = prone & (rng.random(len(cohort)) < _AT_ENTRY)
        after = np.where(
            at_once, rng.random(len(cohort)), 1 + rng.exponential(1 / _LATER, len(cohort))
        )
        crash = until(cohort.astype(np.float64) + after, ticks)
        by_cohort += pauses(labels_of(cohort, candidate, crash), checks)
        pooled += pauses(pooled_labels(cohort, candidate, crash), checks)
    return by_cohort, pooled


def pooled_labels(tick: Ints, candidate: Bools, at: Floats) -> Labels:
    """Return first events against all that have entered by their tick and not crashed yet."""
    hit = np.flatnonzero(np.isfinite(at))
    order = hit[np.argsort(at[hit], kind="stable")]
    label = candidate[order]
    entered = np.cumsum(np.bincount(tick, minlength=int(tick.max()) + 1))
    candidates = np.cumsum(np.bincount(tick[candidate], minlength=len(entered)))
    now = np.minimum(at[order].astype(np.int64), len(entered) - 1)
    gone: Ints = np.cumsum(label) - label
    controls_gone = np.arange(len(order)) - gone
    return Labels(
        at[order],
        label,
        candidates[now] - gone,
        (entered - candidates)[now] - controls_gone,
    )


def just_after_entry_lines(setting: int, runs: int) -> list[Line]:
    """Return row 3 for one of its two settings."""
    ticks, entrants, exposure = _SETTINGS[setting]
    seed = SEED * 1_000 + 301 + setting
    by_cohort, pooled = just_after_entry(
        np.random.default_rng(seed), ticks=ticks, entrants=entrants, exposure=exposure, runs=runs
    )
    name = f"crashes just after entry, {ticks} ticks of {entrants}, f={exposure:g}"
    return [
        line_of(f"{name}, by cohort", by_cohort, runs, seed),
        report(f"false pauses, {name}, pooled: share", pooled / runs, n=runs, seed=seed),
    ]


# --- row 11: early adopters -------------------------------------------------------------------


def early_adopters(
    rng: np.random.Generator, *, runs: int, installs: int = 20_000
) -> tuple[int, int]:
    """Return how many of *runs* pause when arms are drawn, and when the first to come get it.

    Eager installs are heard from sooner, and crash more often because they are used more.
    """
    checks = np.arange(1.0, 73.0)
    drawn = first_come = 0
    for _ in range(runs):
        fleet = a_fleet(rng, installs=installs, crash_share=0.005)
        cohort = hourly_cohorts(fleet.entry, 72)
        crash = until(fleet.crash, 72)
        drawn += pauses(labels_of(cohort, fleet.candidate, crash), checks)
        first = np.zeros(installs, dtype=np.bool_)
        first[np.argsort(fleet.entry)[: installs // 10]] = True
        # The world without a draw knows no cohorts: who came later is compared all the same.
        first_come += pauses(pooled_labels(np.maximum(cohort, 0), first, crash), checks)
    return drawn, first_come


def early_adopters_lines(runs: int) -> list[Line]:
    """Return row 11."""
    seed = SEED * 1_000 + 1_101
    drawn, first_come = early_adopters(np.random.default_rng(seed), runs=runs)
    return [
        line_of("early adopters, arms drawn", drawn, runs, seed),
        report(
            "false pauses, early adopters, first come first served: share",
            first_come / runs,
            n=runs,
            seed=seed,
        ),
    ]


def jobs() -> list[Job]:
    """Return the jobs of rows 1, 2 (but for the seven metrics), 3 and 11."""
    return [
        *(
            Job(name=f"false pauses, p={p:g}", run=partial(clustered_lines, p, RUNS))
            for p in (0.0005, 0.005, 0.02)
        ),
        Job(name="false pauses, ramp", run=partial(ramp_lines, 2 * RUNS)),
        Job(name="false pauses, loops and outage", run=partial(loops_lines, RUNS)),
        *(
            Job(
                name=f"false pauses, just after entry {setting}",
                run=partial(just_after_entry_lines, setting, RUNS),
            )
            for setting in range(len(_SETTINGS))
        ),
        Job(name="false pauses, early adopters", run=partial(early_adopters_lines, 1_000)),
    ]
