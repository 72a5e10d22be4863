from __future__ import annotations

from collections.abc import Mapping

from client_agent.machine.plans import cheapest
from client_agent.machine.values import DeltaInfo, Plan, TargetInfo
from rollout.delta_format import MAX_DELTA_BYTES
from tests.agent.machine_builders import a_delta, a_goal

OLD, OLDER = "0d" * 32, "0e" * 32
SMALL = a_delta(OLD, length_bytes=50)
MIDDLE = a_delta(OLDER, length_bytes=80)
GOAL = a_goal(length_bytes=500, deltas=[MIDDLE, SMALL])


def chosen(
    *installed: str,
    barred: tuple[tuple[str, str], ...] = (),
    here: Mapping[str, int] | None = None,
    deltas: tuple[DeltaInfo, ...] = (MIDDLE, SMALL),
) -> Plan:
    """Return the plan on a machine with these trees, and these bytes in part files."""

    def missing(target: TargetInfo) -> int:
        return target.length_bytes - (here or {}).get(target.sha256, 0)

    goal = a_goal(length_bytes=500, deltas=deltas)
    return cheapest(goal, installed=installed, barred=set(barred), missing_bytes=missing)


def test_the_smallest_delta_from_a_tree_that_is_here_is_taken() -> None:
    assert chosen(OLD, OLDER) == Plan(delta=SMALL)
    assert chosen(OLDER) == Plan(delta=MIDDLE)


def test_without_the_tree_that_a_delta_starts_from_the_payload_is_taken() -> None:
    assert chosen() == Plan()
    assert chosen("ff" * 32) == Plan()


def test_a_delta_as_large_as_the_payload_is_not_worth_it() -> None:
    assert chosen(OLD, deltas=(a_delta(OLD, length_bytes=500),)) == Plan()
    assert chosen(OLD, deltas=(a_delta(OLD, length_bytes=499),)) != Plan()


def test_bytes_that_are_here_already_cost_nothing() -> None:
    assert chosen(OLD, here={GOAL.target.sha256: 480}) == Plan()
    assert chosen(OLD, OLDER, here={MIDDLE.target.sha256: 40}) == Plan(delta=MIDDLE)


def test_a_pair_of_trees_whose_delta_failed_is_passed_over_and_no_other() -> None:
    barred = (OLD, GOAL.manifest_sha256)

    assert chosen(OLD, OLDER, barred=(barred,)) == Plan(delta=MIDDLE)
    assert chosen(OLD, barred=(barred,)) == Plan()
    assert chosen(OLD, barred=((OLD, "ff" * 32),)) == Plan(delta=SMALL)


def test_a_delta_longer_than_any_agent_reads_is_not_fetched() -> None:
    def plan(length_bytes: int) -> Plan:
        goal = a_goal(length_bytes=1 << 40, deltas=[a_delta(OLD, length_bytes=length_bytes)])
        return cheapest(goal, installed={OLD}, barred=(), missing_bytes=lambda f: f.length_bytes)

    assert plan(MAX_DELTA_BYTES) != Plan()
    assert plan(MAX_DELTA_BYTES + 1) == Plan()
