"""Whether the study counts as the replica does, and orders events without regard to arms: row 6.

The value of a line is how many labels differ, or orders.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_most
from benchmarks.evidence.replica import labels_of
from benchmarks.evidence.world import PLATFORM, Release, World, facts_of, opened
from update_server.evidence.facts import Crash, Fact, Seen
from update_server.evidence.register import MemoryRegister
from update_server.evidence.settings import DAY, STANDARD, Metric
from update_server.evidence.state import Label, State
from update_server.evidence.study import absorb

SEED = 6
_INSTALLS = 20


def differing_labels(seed: int) -> int:
    """Return how many first crashes of a day the study labels or counts unlike the replica.

    The replica is told the risk set of each install; the study made them.
    """
    facts = facts_of(np.random.default_rng(seed), Release(crash_ratio=1.5), hours=24, installs=600)
    world = World()
    world.run([opened(), *facts], DAY)
    keys = sorted({fact.install for fact in facts})
    members = world.register.get(keys)
    installs = [(key, members[key]) for key in keys if key in members]
    sets = {name: index for index, name in enumerate(sorted(world.state.stage.risk_sets))}
    first = dict.fromkeys((key for key, _ in installs), np.inf)
    for fact in facts:
        if isinstance(fact, Crash) and fact.at > members[fact.install].since:
            first[fact.install] = min(first[fact.install], fact.at)
    expected = labels_of(
        np.array([sets[member.risk_set] for _, member in installs]),
        np.array([member.candidate for _, member in installs]),
        np.array([first[key] for key, _ in installs]),
    )
    found = [
        _compared(label.candidate, label.n_candidate, label.n_control)
        for label in world.log.labels(1, Metric.CRASH)
    ]
    counts = zip(
        expected.candidate.tolist(),
        expected.n_candidate.tolist(),
        expected.n_control.tolist(),
        strict=True,
    )
    told = [_compared(*each) for each in counts]
    return abs(len(told) - len(found)) + sum(
        mine != theirs for mine, theirs in zip(told, found, strict=False)
    )


def _compared(candidate: bool, n_candidate: int, n_control: int) -> tuple[bool, int, int]:
    """Return a label without its numbers where an arm lacks: the study keeps those together."""
    return (candidate, n_candidate, n_control) if n_candidate and n_control else (candidate, 0, 0)


def orders_by_arm(rng: np.random.Generator) -> bool:
    """Return whether the order of events received at one instant depends on the arms."""
    events = [rng.bytes(32) for _ in range(_INSTALLS)]
    orders = []
    for _ in range(2):
        buckets = np.where(rng.random(_INSTALLS) < 0.5, 0, 9_999)
        seen: list[Fact] = [
            Seen(at=1.0, install=bytes([index]), bucket=int(bucket), platform=PLATFORM)
            for index, bucket in enumerate(buckets)
        ]
        crashes: list[Fact] = [
            Crash(at=2.0, happened_at=2.0, install=bytes([index]), event=event)
            for index, event in enumerate(events)
        ]
        told = [crashes[index] for index in rng.permutation(_INSTALLS)]
        entries = absorb(
            State(), [opened(0.0, 5_000), *seen, *told], MemoryRegister(), STANDARD, 3.0
        )
        orders.append([entry.event for entry in entries if isinstance(entry, Label)])
    return orders[0] != orders[1] or len(orders[0]) < _INSTALLS


def lines(worlds: int, sequences: int) -> list[Line]:
    """Return what row 6 asks of the study."""
    seed = SEED * 1_000 + 600
    differing = sum(differing_labels(seed + world) for world in range(worlds))
    rng = np.random.default_rng(seed)
    ordered = sum(orders_by_arm(rng) for _ in range(sequences))
    return [
        at_most(
            "agreement of study and replica: labels that differ", differing, 0, n=worlds, seed=seed
        ),
        at_most(
            "events of one instant: orders that depend on arms", ordered, 0, n=sequences, seed=seed
        ),
    ]


def jobs() -> list[Job]:
    """Return the job of the study's agreement."""
    return [Job(name="agreement of the study", run=partial(lines, 10, 200))]
