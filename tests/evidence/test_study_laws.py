"""Laws of the study, for any facts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from math import exp, fsum
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study_world import (
    T0,
    World,
    crash,
    left,
    outage,
    paused,
    resumed,
    score,
    seen,
    session,
    stage_opened,
    stepped,
)
from update_server.evidence.betting import log_e_bets
from update_server.evidence.design import total_at_risk
from update_server.evidence.facts import Crash, Fact, Outage, Seen, StageOpened, Step
from update_server.evidence.fisher import log_e_exceedance, log_e_harm_outcomes, log_e_silence
from update_server.evidence.ratio import log_e_harm
from update_server.evidence.register import MemoryRegister
from update_server.evidence.settings import DAY, STANDARD, Measured
from update_server.evidence.state import Label, Process

pytestmark = pytest.mark.no_cover  # the same lines a million times

SMALL = replace(
    STANDARD,
    cohort_installs=1.5,
    network_cap=1,
    measured=(Measured(name="ms", weight=0.05), Measured(name="n", weight=0.05, test="betting")),
)
INSTALLS = 5
NETWORKS = (b"", b"n", b"n", b"", b"o")

installs = st.integers(0, INSTALLS - 1)
instants = st.one_of(st.integers(2, 60), st.integers(2, int(4 * DAY))).map(float)
signatures = st.sampled_from(["", "a", "b"])

happenings = st.one_of(
    st.builds(crash, installs, instants, signature=signatures, new=st.booleans()),
    st.builds(crash, installs, instants, happened=instants),
    st.builds(session, installs, instants, on_release=st.booleans()),
    st.builds(
        score, installs, st.sampled_from([0.5, 2.0]), instants, metric=st.sampled_from(["ms", "n"])
    ),
    st.builds(stepped, installs, st.sampled_from(list(Step)), instants, ok=st.booleans()),
    st.builds(left, installs, instants),
    st.builds(lambda began, length: outage(began, began + length), instants, st.floats(0, 30_000)),
)
"""What happens to installs, without their arm."""

stage_changes = st.one_of(
    st.builds(paused, instants, automatic=st.booleans()),
    st.builds(resumed, instants),
    st.builds(lambda at, end: resumed(at, a=end), instants, instants),
)
openings = st.builds(stage_opened, instants, exposure_bp=st.sampled_from([100, 5_000, None]))
check_ins = st.builds(
    seen,
    installs,
    instants,
    bucket=st.sampled_from([50, 4_000, 9_000]),
    internal=st.sampled_from([False, False, True]),
    aged=st.sampled_from([True, True, False]),
    platform=st.sampled_from(["p", "q"]),
    network=st.sampled_from([b"", b"n"]),
)


def ticks_of(facts: Sequence[Fact], length: float = DAY / 4) -> list[list[Fact]]:
    """Return *facts* tick by tick, each change of the stage in one of its own."""
    ordered = sorted(facts, key=lambda fact: fact.at)
    ticks: list[list[Fact]] = []
    for _, group in itertools.groupby(ordered, key=lambda fact: (fact.at - T0) // length):
        for _, tick in itertools.groupby(group, key=lambda fact: isinstance(fact, StageOpened)):
            ticks.append(list(tick))
    return ticks


def entrants(arms: Sequence[bool]) -> list[Seen]:
    """Let each install enter in its arm; the first three in the same instant."""
    return [
        seen(i, 1 if i < 3 else 2, candidate=arm, network=NETWORKS[i]) for i, arm in enumerate(arms)
    ]


def studied(arms: Sequence[bool], facts: Sequence[Fact]) -> World:
    """Return the study of *facts* where *arms* are the installs' arms: two cohorts."""
    world = World(SMALL, register=MemoryRegister())
    world.state.thresholds = dict.fromkeys(("ms", "n"), (1.0, 1.0, 1.0, 2.0, 0.5))
    who = entrants(arms)
    world.tick(*who[:3])
    world.tick(*who[3:])
    for tick in ticks_of(facts):
        world.tick(*tick)
    world.wait(9 * DAY)
    world.wait(11 * DAY)
    return world


def e_values(world: World) -> dict[str, float]:
    """Return the e-value of each metric over all epochs' platforms, of the last epoch."""

    def vector(metric: str) -> list[float] | None:
        process: Process | None = world.state.epoch.processes.get(metric, {}).get("linux-x86_64")
        return None if process is None else process.vector

    tests: dict[str, Callable[[list[float]], float]] = {
        "crash": log_e_harm,
        "crash_loop": log_e_harm,
        "signature:a": log_e_harm,
        "signature:b": log_e_harm,
        "healthy_launch": log_e_harm_outcomes,
        "silence": log_e_silence,
        "score:n": log_e_bets,
        "score:ms:q50": lambda found: log_e_exceedance([found]),
    }
    found = {metric: vector(metric) for metric in tests}
    return {m: 1.0 if v is None else exp(tests[m](v)) for m, v in found.items()}


@settings(max_examples=25)
@given(facts=st.lists(st.one_of(happenings, stage_changes), max_size=25))
def test_the_mean_e_value_over_all_assignments_is_one(facts: list[Fact]) -> None:
    # Half of the installs are candidates by design, so that every assignment is equally likely:
    # if it changes nothing that happens, a bet on the labels is fair.
    all_arms = list(itertools.product([False, True], repeat=INSTALLS))

    found = [e_values(studied(arms, facts)) for arms in all_arms]

    for metric in found[0]:
        mean = fsum(e[metric] for e in found) / len(found)
        assert mean == pytest.approx(1.0, rel=1e-9), metric


@given(
    facts=st.lists(happenings, max_size=25), arms=st.lists(st.booleans(), min_size=5, max_size=5)
)
def test_with_the_arms_swapped_the_same_is_counted_of_the_other_arm(
    facts: list[Fact], arms: list[bool]
) -> None:
    world = studied(arms, facts)

    mirrored = studied([not arm for arm in arms], facts)

    def labels(world: World) -> list[tuple[str, bool, int, int]]:
        found = [e for e in world.log if isinstance(e, Label)]
        return [(e.metric, e.candidate, e.n_candidate, e.n_control) for e in found]

    assert labels(world) == [(m, not c, n_c, n_t) for m, c, n_t, n_c in labels(mirrored)]
    for metric, processes in world.state.epoch.processes.items():
        for platform, process in processes.items():
            other = mirrored.process(metric, platform)
            swapped = (other.bad.control, other.bad.candidate)
            assert (process.bad.candidate, process.bad.control) == swapped


@given(
    facts=st.lists(st.one_of(happenings, check_ins), max_size=25),
    shuffle=st.randoms(use_true_random=False),
)
def test_within_a_tick_the_order_of_the_facts_does_not_matter(
    facts: list[Fact], shuffle: Random
) -> None:
    worlds = []
    # Outages are told in their order by whoever notices them.
    facts = [fact for fact in facts if not isinstance(fact, Outage)]
    for order in (facts, list(facts)):
        if order is not facts:
            shuffle.shuffle(order)
        world = World(SMALL)
        world.tick(*order, at=4 * DAY)
        world.wait(9 * DAY)
        worlds.append(world)

    first, second = worlds
    assert first.state == second.state
    assert first.log == second.log


@given(
    facts=st.lists(happenings, max_size=25),
    arms=st.lists(st.booleans(), min_size=5, max_size=5),
    lengths=st.tuples(st.floats(1, 1_000), st.floats(1_000, DAY / 5)),
)
def test_events_count_the_same_in_few_ticks_as_in_many(
    facts: list[Fact], arms: list[bool], lengths: tuple[float, float]
) -> None:
    # Before any outcome is known, ticks differ in nothing but who enters together.
    facts = [fact for fact in facts if fact.at < T0 + DAY / 4]
    worlds = []
    for length in lengths:
        world = World(SMALL)
        world.tick(*entrants(arms))
        for tick in ticks_of(facts, length):
            world.tick(*tick)
        world.state.ticks = 0
        world.tick(at=DAY / 2)
        worlds.append(world)

    assert worlds[0].state == worlds[1].state
    assert worlds[0].log == worlds[1].log


@given(st.lists(st.one_of(happenings, stage_changes, openings, check_ins), max_size=40))
def test_nobody_is_counted_twice_and_nothing_is_below_zero(facts: list[Fact]) -> None:
    world = World(SMALL)
    who = {}

    for tick in ticks_of(facts):
        world.tick(*tick)
        for metric in ("crash", "crash_loop", "signature:a", "signature:b"):
            assert min(total_at_risk(world.state.stage, metric)) >= 0
        for metric, gone in world.state.stage.gone.items():
            for key, arms in gone.items():
                risk_set = world.state.stage.risk_sets[key]
                assert 0 <= arms.candidate <= risk_set.candidate, metric
                assert 0 <= arms.control <= risk_set.control, metric
        who.update({fact.event: fact.install for fact in tick if isinstance(fact, Crash)})

    labels = [e for e in world.log if isinstance(e, Label)]
    assert all(label.n_candidate >= 0 and label.n_control >= 0 for label in labels)
    assert all(label.n_candidate if label.candidate else label.n_control for label in labels)
    assert max(Counter((e.metric, who[e.event]) for e in labels).values(), default=1) == 1


@given(st.lists(st.one_of(happenings, stage_changes, openings, check_ins), max_size=30))
def test_a_register_that_returns_copies_gives_the_same_study(facts: list[Fact]) -> None:
    copying, sharing = World(SMALL), World(SMALL, register=MemoryRegister())

    for tick in ticks_of(facts):
        copying.tick(*tick)
        sharing.tick(*deepcopy(tick))

    assert copying.state == sharing.state
    assert copying.log == sharing.log
