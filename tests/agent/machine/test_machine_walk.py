"""Every path of the state machine to depth 8, and long random ones beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.states import (
    Armed,
    Building,
    Checking,
    Downloading,
    Idle,
    Passive,
    Staged,
    State,
    Trial,
)
from client_agent.machine.step import step
from client_agent.machine.values import (
    NO_TROUBLE,
    ConfirmRule,
    Fault,
    PassiveReason,
    Phase,
    Plan,
    Trigger,
    Trouble,
)
from rollout.model import Reason
from tests.agent.machine_builders import BROKEN, NOW, a_delta, a_goal, decided, stay

DELTA = a_delta()
FIRST = a_goal("2.1.0", deltas=[DELTA])
SECOND = a_goal("2.2.0")
UNREACHABLE = Fault(category="network", code="unreachable")

EVENTS: tuple[on.Event, ...] = (
    on.TimerFired(),
    on.CheckRequested(),
    on.Woke(),
    decided(FIRST),
    decided(FIRST, not_after=NOW + timedelta(hours=30)),
    decided(SECOND),
    stay(Reason.PAUSED),
    on.CheckFailed(fault=UNREACHABLE, at=NOW),
    on.AlreadyBuilt(),
    on.Planned(plan=Plan()),
    on.Planned(plan=Plan(delta=DELTA)),
    on.Downloaded(),
    on.DownloadFailed(fault=BROKEN),
    on.DownloadFailed(fault=UNREACHABLE),
    on.Built(),
    on.BuildFailed(fault=BROKEN),
    on.Allowed(),
    on.Deferred(),
    on.Postponed(),
    on.ArmFailed(fault=BROKEN),
    on.ArmingExpired(),
    on.Launched(edition=FIRST.edition, launch_id="l1", confirm=ConfirmRule.APP),
    on.Launched(edition=FIRST.edition, launch_id="l2", confirm=ConfirmRule.UPTIME),
    on.Launched(edition=FIRST.edition, launch_id="l3", confirm=ConfirmRule.COMMAND),
    on.AppHealthy(),
    on.UptimeReached(),
    on.CommandPassed(),
    on.Confirmed(),
    on.ConfirmFailed(fault=BROKEN),
    on.HealthDeadline(),
    on.FellBack(),
    on.Quit(),
    on.LockLost(),
    on.NotWritable(reason=PassiveReason.NOT_WRITABLE, fault=BROKEN),
    on.Started(),
)


@dataclass(frozen=True)
class Path:
    """A state, and what of the way to it the rules are about."""

    state: State
    asked: bool = False  # the last thing that happened to an armable state was a check
    fetched: tuple[Plan, ...] = ()  # in this run


def follow(path: Path, event: on.Event) -> Path:
    """Take one step, and check every rule that holds for single steps."""
    state, effects = step(path.state, event)
    asked, fetched = path.asked, path.fetched
    for effect in effects:
        match effect:
            case do.Check(trigger=trigger):
                renews = isinstance(path.state, Armed)
                asked = trigger is Trigger.PRE_APPLY or renews
            case do.Arm(goal=goal):
                assert asked, "armed without asking first"
                assert isinstance(event, on.Decided)
                assert event.goal == goal
            case do.Choose():
                assert not fetched, "a run inside a run"
            case do.Fetch(plan=plan):
                assert isinstance(event, on.Allowed), "brought without asking the policy"
                assert isinstance(path.state, Downloading | Building), "brought out of any run"
                tried = [one.delta is None for one in fetched]
                assert (plan.delta is None) not in tried, "brought twice in a run"
                assert True not in tried, "a delta after the payload"
                fetched = (*fetched, plan)
            case do.Build(plan=plan):
                assert plan == fetched[-1], "built from something else than was brought"
    if isinstance(state, Trial):
        assert isinstance(path.state, Trial) or isinstance(event, on.Launched), "who started it?"
    if isinstance(event, on.Decided | on.CheckFailed | on.LockLost):
        asked = False
    bringing = do.Choose | do.Fetch | do.Build
    assert sum(isinstance(effect, bringing) for effect in effects) <= 1
    assert sum(isinstance(effect, do.Check | do.Look) for effect in effects) <= 1
    assert len({e.edition for e in effects if isinstance(e, do.Report) and e.edition}) <= 1
    if not isinstance(state, Downloading | Building):  # the run is over
        fetched = ()
    return Path(forget(state), asked, fetched)


def forget(state: State) -> State:
    """Cut the counters, which would make every path its own state."""
    if isinstance(state, Staged):
        state = replace(state, deferrals=min(state.deferrals, 1))
    if isinstance(state, Idle | Checking | Staged | Armed | Trial | Passive):
        once = Trouble(failures=1, code="unreachable", since=NOW, reported_at=NOW)
        return replace(state, trouble=NO_TROUBLE if state.trouble == NO_TROUBLE else once)
    return state


def walk(depth: int) -> Iterator[Path]:
    seen = {Path(Idle())}
    frontier = set(seen)
    for _ in range(depth):
        frontier = {follow(path, event) for path in frontier for event in EVENTS} - seen
        seen |= frontier
    yield from seen


def test_no_path_breaks_a_rule_and_all_kinds_of_state_are_reached() -> None:
    paths = list(walk(8))

    kinds = {type(path.state).__name__ for path in paths}
    assert kinds == {
        "Idle",
        "Checking",
        "Downloading",
        "Building",
        "Staged",
        "Armed",
        "Trial",
        "Passive",
    }


def test_every_state_can_reach_idle_or_passive() -> None:
    paths = {path.state for path in walk(8)}

    rest: set[State] = {state for state in paths if isinstance(state, Idle | Passive)}
    while True:
        more = {
            state
            for state in paths - rest
            if any(forget(step(state, event)[0]) in rest for event in EVENTS)
        }
        if not more:
            break
        rest |= more
    assert rest == paths


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_long_paths_keep_the_rules_too(events: list[on.Event]) -> None:
    path = Path(Idle())
    for event in events:
        path = follow(path, event)


def test_what_fails_again_and_again_ends_every_run() -> None:
    failures = (on.DownloadFailed(fault=BROKEN), on.BuildFailed(fault=BROKEN))

    for path in walk(8):
        if isinstance(path.state, Downloading | Building):
            state: State = path.state
            for event in failures * 2:
                state, _ = step(state, event)
            assert state == Idle()


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_failures_in_a_row_never_arm_confirm_or_launch(events: list[on.Event]) -> None:
    state: State = Idle()
    for event in events:
        state, effects = step(state, event)
        if isinstance(event, on.FAILURES):
            assert not any(isinstance(effect, do.Arm | do.Confirm) for effect in effects)
            assert all(e.phase is Phase.FAILED for e in effects if isinstance(e, do.Report))
