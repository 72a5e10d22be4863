"""What real SDKs sent, sent again: in any order, and however often, it is counted once."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.intake.capture import Capture, Request, all_captures
from tests.intake.intake_world import IntakeWorld
from tests.intake.numbers import Ended, Numbers
from tests.public_world import ELSEWHERE

CAPTURES = all_captures()
V, ARM = "2.1.0", "candidate"
PYTHON, NODE = "ValueError", "RangeError"
SESSION = "none"  # what a crashed session tells of its crash


def sessions(**counts: int) -> Ended:
    return {(V, ARM, "sdk", status): count for status, count in counts.items()}


def report(*kinds: str) -> dict[tuple[str, str, str], int]:
    """Return one report of each of *kinds*."""
    return {(V, ARM, kind): 1 for kind in kinds}


CRASHED = {(V, ARM): 1}


def crashed(kind: str) -> Numbers:
    """Return what a session and a report tell of one crash."""
    return Numbers(sessions=sessions(crashed=1), crashes=report(kind, SESSION), crashed=CRASHED)


COUNTED = {
    "python-exit": Numbers(),
    "python-session": Numbers(sessions=sessions(exited=1)),
    "python-exit-3": Numbers(sessions=sessions(exited=1)),
    "python-handled": Numbers(sessions=sessions(errored=1), errors=report(PYTHON)),
    "python-handled-gzip": Numbers(sessions=sessions(errored=1), errors=report(PYTHON)),
    "python-unhandled": crashed(PYTHON),
    "python-unhandled-init-only": Numbers(crashes=report(PYTHON), crashed=CRASHED),
    "python-thread": crashed(PYTHON),
    "python-requests": Numbers(
        sessions={(V, "aggregate", "sdk", "exited"): 2, (V, "aggregate", "sdk", "errored"): 1},
        errors=report(PYTHON),
    ),
    "python-discards": Numbers(
        sessions=sessions(errored=1),
        errors=report(PYTHON),
        counters={("sdk_discarded", "before_send"): 1},
    ),
    "python-abort": Numbers(),
    "node-exit": Numbers(sessions=sessions(exited=1)),
    "node-handled": Numbers(sessions=sessions(errored=1), errors=report(NODE)),
    "node-unhandled": Numbers(
        sessions=sessions(crashed=1), crashes=report(NODE, SESSION), crashed=CRASHED
    ),
    "node-rejection": Numbers(
        sessions=sessions(crashed=1), crashes=report(NODE, SESSION), crashed=CRASHED
    ),
    "node-requests": Numbers(
        sessions={(V, "aggregate", "sdk", "exited"): 2, (V, "aggregate", "sdk", "crashed"): 1},
        crashes=report(NODE),
        crashed=CRASHED,
    ),
    "node-discards": Numbers(
        sessions=sessions(errored=1),
        errors=report(NODE),
        counters={("sdk_discarded", "before_send"): 1},
    ),
    "node-abort": Numbers(),
}


def sent_now(capture: Capture, world: IntakeWorld) -> list[Request]:
    """Return the capture's requests as the candidate's program sends them now."""
    as_sent = capture.with_key(world.candidate).at(world.world.clock.now())
    return list(as_sent.with_release(f"notes@{V}").requests)


def numbers_of(capture: Capture, order: tuple[int, ...], *, times: int = 1) -> Numbers:
    world = IntakeWorld()
    requests = sent_now(capture, world)
    for _ in range(times):
        world.send_all(requests[index] for index in order)
    return world.numbers()


def test_every_capture_has_its_numbers() -> None:
    assert set(COUNTED) == set(CAPTURES)


@pytest.mark.parametrize("name", CAPTURES)
def test_what_an_sdk_sends_is_counted_right_in_every_order(name: str) -> None:
    capture = CAPTURES[name]

    for order in itertools.permutations(range(len(capture.requests))):
        assert numbers_of(capture, order) == COUNTED[name], order


@pytest.mark.parametrize("name", CAPTURES)
def test_what_is_sent_twice_is_counted_once(name: str) -> None:
    capture = CAPTURES[name]
    order = tuple(range(len(capture.requests)))

    assert numbers_of(capture, order, times=2) == COUNTED[name]


@pytest.mark.parametrize("name", CAPTURES)
def test_what_comes_again_after_it_was_counted_changes_nothing(name: str) -> None:
    world = IntakeWorld()
    requests = sent_now(CAPTURES[name], world)
    world.send_all(requests)
    world.numbers()

    world.send_all(reversed(requests))

    assert world.numbers() == COUNTED[name]


@pytest.mark.parametrize("seed", range(5))
def test_all_of_them_together_in_a_mixed_order_are_counted_right(seed: int) -> None:
    dice, world = random.Random(seed), IntakeWorld()
    requests = [
        request for capture in CAPTURES.values() for request in sent_now(capture, world)
    ] * 2
    dice.shuffle(requests)

    for request in requests:
        world.world.advance(10)  # as many errors a minute as are taken in detail
        world.send_all([request])

    numbers = world.numbers()
    assert numbers.sessions == {
        (V, ARM, "sdk", "exited"): 3,
        (V, ARM, "sdk", "errored"): 5,
        (V, ARM, "sdk", "crashed"): 4,
        (V, "aggregate", "sdk", "exited"): 4,
        (V, "aggregate", "sdk", "errored"): 1,
        (V, "aggregate", "sdk", "crashed"): 1,
    }
    assert numbers.crashed == CRASHED  # one install, however often it crashed
    assert numbers.crashes == {(V, ARM, PYTHON): 3, (V, ARM, NODE): 3, (V, ARM, SESSION): 4}
    assert numbers.errors == {(V, ARM, PYTHON): 4, (V, ARM, NODE): 2}
    assert numbers.counters == {("sdk_discarded", "before_send"): 2}


@pytest.mark.parametrize("token", ["first_start", "candidate"])
def test_a_report_of_the_old_version_counts_for_it_after_the_update(token: str) -> None:
    """Some SDKs tell of a crash at the next start, with that start's address."""
    world = IntakeWorld()
    capture = CAPTURES["python-unhandled"].with_key(getattr(world, token))
    late = capture.at(world.world.clock.now()).with_release("notes@2.0.0")

    world.send_all(late.requests)

    assert world.numbers() == Numbers(
        sessions={("2.0.0", ARM, "sdk", "crashed"): 1},
        crashes={("2.0.0", ARM, PYTHON): 1, ("2.0.0", ARM, SESSION): 1},
        crashed={("2.0.0", ARM): 1},
    )


def test_a_report_on_a_version_that_an_install_cannot_have_is_set_aside() -> None:
    world = IntakeWorld()
    world.world.put_release_elsewhere()
    capture = CAPTURES["python-unhandled"].with_key(world.control).with_release(f"a@{ELSEWHERE}")

    world.send_all(capture.at(world.world.clock.now()).requests)

    assert world.numbers() == Numbers(
        counters={("telemetry_quarantined", "version_not_in_token"): 2}
    )


@pytest.mark.parametrize("version", ["2.0.0", V])
def test_a_control_is_counted_as_one_even_if_it_was_updated_by_hand(version: str) -> None:
    world = IntakeWorld()
    capture = CAPTURES["node-unhandled"].with_key(world.control)

    world.send_all(capture.at(world.world.clock.now()).with_release(f"notes@{version}").requests)

    numbers = world.numbers()
    assert numbers.sessions == {(version, "control", "sdk", "crashed"): 1}
    assert numbers.crashed == {(version, "control"): 1}


@pytest.mark.parametrize(
    "same",
    [
        ("python-handled", "python-unhandled", "python-thread", "python-requests"),
        ("node-handled", "node-rejection", "node-requests"),
    ],
)
def test_one_bug_has_one_signature_wherever_it_was_caught(same: tuple[str, ...]) -> None:
    world = IntakeWorld()

    for name in same:
        world.send_all(sent_now(CAPTURES[name], world))

    world.numbers()
    assert len(world.signatures()) == 1


def test_two_bugs_have_two_signatures() -> None:
    world = IntakeWorld()

    world.send_all(sent_now(CAPTURES["python-handled"], world))
    world.send_all(sent_now(CAPTURES["node-handled"], world))

    world.numbers()
    assert len(world.signatures()) == 2
