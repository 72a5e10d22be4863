from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study_world import T0, World, crash, paused, resumed, seen, session, stage_opened
from update_server.evidence import cuts
from update_server.evidence.cuts import GRID_SECONDS, MOST_FACTS, Cut, next_boundary, next_cut
from update_server.evidence.facts import Fact, PlatformHeld, Unsuspended
from update_server.evidence.settings import STANDARD

# Three installs make a cohort.
SMALL = replace(STANDARD, cohort_installs=1.5)


def cut(world: World, *pending: Fact, caught_up_to: float = 0) -> Cut | None:
    """Return the next tick; its instant is in seconds after T0."""
    found = next_cut(world.state, world.settings, pending, T0 + caught_up_to)
    return None if found is None else Cut(found.facts, found.now - T0)


def test_there_is_no_tick_until_all_before_the_boundary_is_known() -> None:
    world = World()

    assert cut(world, seen(1), caught_up_to=604.9) is None
    assert cut(world, seen(1), caught_up_to=605) == Cut(1, 600)


def test_a_tick_ends_at_a_boundary_without_any_fact() -> None:
    world = World()

    assert cut(world, caught_up_to=605) == Cut(0, 600)


def test_a_tick_never_reaches_over_a_boundary() -> None:
    world = World(SMALL)
    pending = seen(1, 599), seen(2, 600), seen(3, 601), seen(4, 602)

    assert cut(world, *pending, caught_up_to=602) is None
    assert cut(world, *pending, caught_up_to=605) == Cut(2, 600)


def test_a_tick_ends_with_the_check_in_that_makes_a_cohort() -> None:
    world = World(SMALL)

    pending = seen(1, 1), seen(1, 2), session(9, 2), seen(2, 3), seen(3, 4), seen(4, 5)

    assert cut(world, *pending) == Cut(5, 4)


def test_installs_that_cannot_enter_make_no_cohort() -> None:
    world = World(SMALL)

    pending = seen(1), seen(2, internal=True), seen(3, aged=False), seen(4)

    assert cut(world, *pending) is None


def test_of_a_fleet_that_has_entered_more_check_in_before_a_tick_ends() -> None:
    world = World(SMALL)
    world.tick(seen(1), seen(2), seen(3), seen(4))
    world.tick(seen(1, 2), seen(2, 2), seen(3, 2), seen(5, 2))

    assert world.state.stage.fresh == 0.25
    assert cut(world, *(seen(i, 10 + i) for i in range(20))) == Cut(12, 21)


def test_a_tick_in_which_nothing_may_enter_says_nothing_of_how_many_enter() -> None:
    world = World(SMALL)

    world.tick(seen(1, aged=False), seen(2, internal=True), session(3))
    world.tick(paused(at=2))
    world.tick(seen(4, 3))

    assert world.state.stage.fresh == 1


def test_nobody_makes_a_cohort_while_the_release_is_paused() -> None:
    world = World(SMALL)
    world.tick(paused(at=1))

    assert cut(world, *(seen(i, 2) for i in range(9))) is None


def test_a_tick_has_a_bounded_number_of_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_FACTS == 5_000
    monkeypatch.setattr(cuts, "MOST_FACTS", 4)
    world = World()

    assert cut(world, *(crash(1, 10 + i) for i in range(9))) == Cut(4, 13)


@pytest.mark.parametrize(
    "change",
    [
        stage_opened(at=9),
        paused(at=9),
        resumed(at=9),
        PlatformHeld(at=T0 + 9, platform="p"),
        Unsuspended(at=T0 + 9),
    ],
)
def test_what_changes_the_stage_is_a_tick_of_its_own(change: Fact) -> None:
    world = World()

    assert cut(world, seen(1, 7), change, seen(1, 10)) == Cut(1, 7)
    assert cut(world, change, seen(1, 10)) == Cut(1, 9)


def test_before_the_first_stage_only_its_opening_ends_a_tick() -> None:
    world = World(opened=False)

    assert cut(world, seen(1), caught_up_to=inf) is None
    assert cut(world, seen(1), stage_opened(at=5)) == Cut(1, 1)
    assert cut(world, stage_opened(at=5)) == Cut(1, 5)


def test_the_judges_time_never_goes_back() -> None:
    world = World()
    world.tick(at=900)

    assert cut(world, seen(1, 500), paused(at=501)) == Cut(1, 900)
    assert cut(world, paused(at=501)) == Cut(1, 900)


@given(started_at=st.floats(1.7e9, 1.8e9), after=st.floats(0, 1e8), steps=st.integers(0, 200_000))
def test_a_boundary_is_ahead_and_near(started_at: float, after: float, steps: int) -> None:
    world = World()
    for now in (started_at + after, started_at + steps * GRID_SECONDS):
        world.state.started_at, world.state.now = started_at, now

        assert now < next_boundary(world.state) <= now + GRID_SECONDS + 1e-6


def test_rounding_does_not_leave_a_boundary_where_it_is() -> None:
    world = World()
    world.state.started_at = 0.1

    world.state.now = next_boundary(world.state)
    world.state.now = next_boundary(world.state)

    for _ in range(10_000):
        before = world.state.now
        world.state.now = next_boundary(world.state)
        assert before < world.state.now


FACTS = st.one_of(
    st.builds(seen, st.integers(1, 9), st.floats(1, 3_000)),
    st.builds(crash, st.integers(1, 9), st.floats(1, 3_000)),
    st.builds(paused, st.floats(1, 3_000)),
    st.builds(resumed, st.floats(1, 3_000)),
    st.builds(stage_opened, st.floats(1, 3_000)),
)


def all_cuts(facts: Sequence[Fact], looks: Sequence[float]) -> list[Cut]:
    """Return the ticks of one study whose pending facts are looked at at these instants."""
    world = World(SMALL)
    found = []
    pending = list(facts)
    for look in looks:
        while True:
            known = [fact for fact in pending if fact.at <= look]
            tick = next_cut(world.state, world.settings, known, look)
            if tick is None:
                break
            found.append(tick)
            world.tick(*pending[: tick.facts], at=tick.now - T0)
            del pending[: tick.facts]
    return found


@given(
    facts=st.lists(FACTS, max_size=25),
    looks=st.lists(st.floats(1, 5_000), max_size=12),
)
def test_the_ticks_are_the_same_however_often_one_looks(
    facts: list[Fact], looks: list[float]
) -> None:
    facts.sort(key=lambda fact: fact.at)
    end = T0 + 5_000

    piecemeal = all_cuts(facts, [*sorted(T0 + look for look in looks), end])

    assert piecemeal == all_cuts(facts, [end])
    assert sum(tick.facts for tick in piecemeal) == len(facts)
    instants = [tick.now for tick in piecemeal]
    assert instants == sorted(instants)
