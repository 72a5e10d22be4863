from __future__ import annotations

import pytest

from tests.study_world import World, seen, session, stepped
from update_server.evidence.facts import Step
from update_server.evidence.state import OneArm


def test_candidates_steps_are_the_funnel() -> None:
    world = World()
    world.enter(3, 3)

    world.tick(
        stepped(0, Step.DOWNLOAD),
        stepped(1, Step.DOWNLOAD, ok=False),
        stepped(0, Step.VERIFY),
        stepped(1_000, Step.DOWNLOAD, ok=False),
    )

    assert world.state.funnel == {
        "download": OneArm(failed=1, known=2),
        "verify": OneArm(failed=0, known=1),
    }


def test_a_step_counts_once_for_an_install() -> None:
    world = World()
    world.enter(3, 3)

    world.tick(stepped(0, Step.APPLY, 10), stepped(0, Step.APPLY, 11, ok=False))
    world.tick(stepped(0, Step.APPLY, 12, ok=False))

    assert world.state.funnel == {"apply": OneArm(failed=0, known=1)}


def test_steps_of_installs_that_are_not_in_the_stage_do_not_count() -> None:
    world = World()
    world.enter(3, 3, at=10)

    world.tick(stepped(77, Step.APPLY, 20), stepped(0, Step.APPLY, 10))

    assert world.state.funnel == {}


def test_internal_installs_steps_are_counted_beside_the_guards() -> None:
    world = World(exposure_bp=None)
    world.tick(seen(1, internal=True), seen(2, internal=True))

    world.tick(stepped(1, Step.APPLY, ok=False), stepped(2, Step.APPLY))

    assert world.state.funnel == {}
    assert world.state.stage.guards == {"apply": OneArm(failed=1, known=2)}


def test_internal_installs_that_fail_to_start_are_counted_once_each() -> None:
    world = World()
    world.tick(seen(1, internal=True), seen(2, internal=True), seen(3))

    world.tick(*(stepped(i, Step.LAUNCH, at, ok=False) for i in (1, 2, 3) for at in (10, 11)))

    assert world.state.stage.failed_starts == 2


@pytest.mark.parametrize(
    ("fact", "launched"),
    [
        (stepped(1, Step.LAUNCH), True),
        (stepped(1, Step.LAUNCH, ok=False), False),
        (session(1, on_release=True), True),
        (session(1), False),
        (session(1, at=1, on_release=True), False),
        (session(77, on_release=True), False),
    ],
)
def test_an_install_has_launched_when_it_ran_on_the_release(fact: object, launched: bool) -> None:
    world = World()
    world.tick(seen(1))

    world.tick(fact)  # type: ignore[arg-type]

    assert world.member(1).launched is launched


def test_of_one_network_no_more_failed_steps_are_believed_than_of_its_crashes() -> None:
    world = World()
    world.tick(
        *(seen(i, network=b"n") for i in range(9)),
        *(seen(10 + i, internal=True, network=b"n") for i in range(5)),
        seen(20, network=b"other"),
        seen(21),
    )

    world.tick(*(stepped(i, Step.APPLY, ok=False) for i in (*range(5), *range(10, 15), 20, 21)))
    world.tick(stepped(4, Step.APPLY, 20), *(stepped(i, Step.APPLY, 20) for i in range(5, 9)))

    assert world.state.funnel == {"apply": OneArm(failed=5, known=9)}
    assert world.state.stage.guards == {"apply": OneArm(failed=5, known=5)}
