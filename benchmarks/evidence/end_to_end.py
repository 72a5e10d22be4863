"""Two bad releases in the demo fleet, from facts to sentences, by the real engine: row 16.

A run goes on after a pause, which may become a pull. What is asked of margins holds for evidence
against the control; a stop line has none and pauses sooner, as it should, so that its margins
are told only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.evidence.line import Job, Line, at_least, report
from benchmarks.evidence.world import NAMES, Release, World, facts_of, opened, pause
from update_server.evidence.settings import HOUR, Metric
from update_server.evidence.verdicts import Verdict

SEED = 16
HOURS = 72
RELEASES = {
    "5 times the crashes": Release(crash_ratio=5.0),
    "everybody bricked": Release(bricked=1.0),
}
_PAUSE_MARGIN = 3
_PULL_MARGIN = 4
# What a sentence has to say, by its cause; ceilings (stop lines) by their names.
_SAYS = {
    Metric.CRASH: "crashed",
    Metric.CRASH_LOOP: "crashed three times within 24 h",
    Metric.HEALTHY: "had no healthy launch within 24 h",
    Metric.SILENCE: "have not come back within their usual time",
    "crashed": "crashed within 24 h",
    "unhealthy": "did not become healthy within 24 h",
    "crash_loop": "crashed three times within 24 h",
    "silent": "have not come back within their usual time",
}
_COMPARED = (Metric.CRASH, Metric.CRASH_LOOP, Metric.HEALTHY, Metric.SILENCE)


def decisions(release: Release, seed: int, hours: float = HOURS) -> list[dict[str, Any]]:
    """Return the records of one run, in order."""
    world = World()
    facts = facts_of(np.random.default_rng(seed), release, hours=hours)
    world.run([opened(), *facts], hours * HOUR, then=pause)
    return world.records


def matches(record: Mapping[str, Any]) -> bool:
    """Return whether a record's sentence says what was decided, why, and of how many."""
    sentence, cause = record["sentence"], record["cause_metric"]
    verb = {Verdict.PAUSE: "Paused", Verdict.PULL: "Pulled"}.get(record["verdict"])
    if verb is None or cause not in _SAYS:
        return False
    told = sentence.startswith(f"{verb} {NAMES.version}") and _SAYS[cause] in sentence
    if cause not in _COMPARED:
        return told and "stop line" in sentence
    candidate, control = record["candidate"], record["control"]
    counts = (
        f"{candidate['events']:,} of {candidate['installs']:,} install",
        f"against {control['events']:,} of {control['installs']:,} held back",
    )
    told = told and all(each in sentence for each in counts)
    if verb == "Pulled":
        return (
            told and NAMES.replacement in sentence and f"{record['tamper_margin']:,} " in sentence
        )
    return told


def margins(records: Sequence[Mapping[str, Any]], verdict: Verdict) -> list[int]:
    """Return the margins of decisions against the control."""
    return [
        record["tamper_margin"]
        for record in records
        if record["verdict"] == verdict and record["cause_metric"] in _COMPARED
    ]


def lines(name: str, runs: int) -> list[Line]:
    """Return row 16 for one bad release."""
    seed = SEED * 1_000 + 100 * list(RELEASES).index(name)
    each_run = [decisions(RELEASES[name], seed + run) for run in range(runs)]
    compared = [
        [record for record in records if record["cause_metric"] in _COMPARED]
        for records in each_run
    ]
    found = [bool(records) for records in compared]
    said = [bool(records) and all(map(matches, records)) for records in each_run]
    records = [record for records in each_run for record in records]
    pulled = [any(r["verdict"] == Verdict.PULL for r in records) for records in each_run]
    first = [records[0]["decided_at"] / HOUR for records in each_run if records]
    lined = [
        record["tamper_margin"] for record in records if record["cause_metric"] not in _COMPARED
    ]
    prefix = f"end to end, {name}"
    lines = [
        at_least(
            f"{prefix}: paused or pulled against the control",
            float(np.mean(found)),
            1.0,
            n=runs,
            seed=seed,
        ),
        at_least(f"{prefix}: every sentence matches", float(np.mean(said)), 1.0, n=runs, seed=seed),
        report(f"{prefix}: pulled", float(np.mean(pulled)), n=runs, seed=seed),
        report(
            f"{prefix}: median hours until the first decision",
            float(np.median(first)) if first else np.inf,
            n=runs,
            seed=seed,
        ),
    ]
    for verdict, limit in ((Verdict.PAUSE, _PAUSE_MARGIN), (Verdict.PULL, _PULL_MARGIN)):
        if least := margins(records, verdict):
            what = f"{prefix}: least tamper margin of a {verdict}"
            lines.append(at_least(what, min(least), limit, n=len(least), seed=seed))
    if lined:
        name = f"{prefix}: least tamper margin of a stop line"
        lines.append(report(name, float(min(lined)), n=runs, seed=seed))
    return lines


def jobs() -> list[Job]:
    """Return the jobs of row 16."""
    return [Job(name=f"end to end, {name}", run=partial(lines, name, 10)) for name in RELEASES]
