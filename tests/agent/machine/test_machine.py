from __future__ import annotations

from datetime import timedelta

import pytest

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
from client_agent.machine.trial import NOT_HEALTHY
from client_agent.machine.values import (
    ConfirmRule,
    Fault,
    PassiveReason,
    Phase,
    Plan,
    Trigger,
    Trouble,
    When,
)
from rollout.model import Reason
from tests.agent.machine_builders import BROKEN, NOW, a_delta, a_goal, decided, kinds, stay

DELTA = a_delta()
GOAL = a_goal("2.1.0", deltas=[DELTA])
FULL, SMALL = Plan(), Plan(delta=DELTA)
OTHER = a_goal("2.2.0")
STAGED = Staged(edition=GOAL.edition)
ARMED = Armed(edition=GOAL.edition, not_after=NOW + timedelta(hours=20), decided_at=NOW)
TRIAL = Trial(edition=GOAL.edition, launch_id="l1")


def run(state: State, *events: on.Event) -> tuple[State, list[do.Effect]]:
    performed: list[do.Effect] = []
    for event in events:
        state, effects = step(state, event)
        performed.extend(effects)
    return state, performed


# --- the whole road ----------------------------------------------------------------------


def test_an_update_goes_from_idle_to_confirmed_step_by_step() -> None:
    state, effects = run(
        Idle(),
        on.TimerFired(),
        decided(GOAL),
        on.Planned(plan=SMALL),
        on.Allowed(),
        on.Downloaded(),
        on.Built(),
        on.Allowed(),
        decided(GOAL),
        on.Launched(edition=GOAL.edition, launch_id="l1", confirm=ConfirmRule.APP),
        on.AppHealthy(),
        on.UptimeReached(),
        on.Confirmed(),
    )

    reported = [effect.phase for effect in effects if isinstance(effect, do.Report)]
    assert state == Idle()
    assert reported == [
        Phase.OFFERED,
        Phase.DOWNLOADED,
        Phase.VERIFIED,
        Phase.STAGED,
        Phase.APPLIED,
        Phase.LAUNCHED,
        Phase.HEALTHY,
    ]


# --- idle and checking -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "trigger"),
    [
        (on.TimerFired(), Trigger.TIMER),
        (on.CheckRequested(), Trigger.MANUAL),
        (on.Woke(), Trigger.WAKE),
    ],
)
def test_an_idle_agent_checks_in_and_remembers_what_for(event: on.Event, trigger: Trigger) -> None:
    state, effects = step(Idle(), event)

    assert state == Checking(trigger=trigger)
    assert effects == (do.Check(trigger=trigger),)


def test_a_decision_to_stay_disarms_whatever_another_process_armed() -> None:
    state, effects = step(Checking(trigger=Trigger.TIMER), stay())

    assert state == Idle()
    assert kinds(effects) == [do.RecordReason, do.Disarm, do.Schedule]


def test_a_finished_directory_is_staged_without_a_download() -> None:
    state, effects = step(Downloading(goal=GOAL), on.AlreadyBuilt())

    assert state == STAGED
    assert kinds(effects) == [do.Report, do.AskPolicy]


def test_room_that_cannot_be_made_ends_the_run_before_anything_is_brought() -> None:
    state, effects = step(Downloading(goal=GOAL), on.DownloadFailed(fault=BROKEN))

    assert state == Idle()
    assert do.RememberFailure(edition=GOAL.edition, fault=BROKEN) in effects


def test_what_was_planned_and_allowed_is_brought_and_then_built() -> None:
    planned = on.Planned(plan=SMALL)

    state, effects = run(Downloading(goal=GOAL), planned, on.Allowed(), on.Downloaded())

    assert state == Building(goal=GOAL, plan=SMALL)
    assert effects == [
        do.AskDownload(goal=GOAL, plan=SMALL),
        do.Fetch(goal=GOAL, plan=SMALL),
        do.Report(phase=Phase.DOWNLOADED, edition=GOAL.edition),
        do.Build(goal=GOAL, plan=SMALL),
    ]


def test_a_failed_download_of_the_payload_ends_the_run_and_is_remembered() -> None:
    state, effects = step(
        Downloading(goal=GOAL, plan=FULL, allowed=True), on.DownloadFailed(fault=BROKEN)
    )

    assert state == Idle()
    assert do.RememberFailure(edition=GOAL.edition, fault=BROKEN) in effects
    assert do.Report(phase=Phase.FAILED, edition=GOAL.edition, fault=BROKEN) in effects


def test_a_failed_build_of_the_payload_ends_the_run_and_is_remembered() -> None:
    state, effects = step(Building(goal=GOAL, plan=FULL), on.BuildFailed(fault=BROKEN))

    assert state == Idle()
    assert do.RememberFailure(edition=GOAL.edition, fault=BROKEN) in effects


# --- deltas ------------------------------------------------------------------------------

BAD_DELTA = Fault(category="delta", code="bad_delta")
WRONG_BYTES = Fault(category="trust", code="hash_mismatch")
NO_NETWORK = Fault(category="network", code="unreachable")
NO_SPACE = Fault(category="disk", code="no_space")


@pytest.mark.parametrize("fault", [BAD_DELTA, WRONG_BYTES])
@pytest.mark.parametrize(
    ("state", "failed"),
    [
        (Downloading(goal=GOAL, plan=SMALL, allowed=True), on.DownloadFailed),
        (Building(goal=GOAL, plan=SMALL), on.BuildFailed),
    ],
)
def test_a_delta_that_is_no_good_is_barred_and_the_payload_taken_in_the_same_run(
    state: State, failed: type[on.DownloadFailed | on.BuildFailed], fault: Fault
) -> None:
    after, effects = step(state, failed(fault=fault))

    full = Plan(instead_of=fault)
    assert after == Downloading(goal=GOAL, plan=full)
    assert effects == (
        do.BarDelta(goal=GOAL, delta=DELTA, fault=fault),
        do.AskDownload(goal=GOAL, plan=full),
    )


@pytest.mark.parametrize("fault", [NO_NETWORK, NO_SPACE])
def test_a_delta_is_not_barred_for_what_a_network_or_a_disk_did(fault: Fault) -> None:
    bringing = Downloading(goal=GOAL, plan=SMALL, allowed=True)

    state, effects = step(bringing, on.DownloadFailed(fault=fault))

    assert state == Downloading(goal=GOAL, plan=Plan(instead_of=fault))
    assert kinds(effects) == [do.AskDownload]


def test_the_payload_that_makes_up_for_a_delta_tells_how_that_failed() -> None:
    failed = on.BuildFailed(fault=BAD_DELTA)

    _, effects = run(Building(goal=GOAL, plan=SMALL), failed, on.Allowed(), on.Downloaded())

    reports = [effect for effect in effects if isinstance(effect, do.Report)]
    assert reports == [do.Report(phase=Phase.DOWNLOADED, edition=GOAL.edition, fault=BAD_DELTA)]


def test_delta_and_payload_are_each_tried_once_and_then_the_version_rests() -> None:
    state, effects = run(
        Downloading(goal=GOAL),
        on.Planned(plan=SMALL),
        on.Allowed(),
        on.DownloadFailed(fault=WRONG_BYTES),
        on.Allowed(),
        on.DownloadFailed(fault=NO_NETWORK),
    )

    fetched = [effect.plan.delta for effect in effects if isinstance(effect, do.Fetch)]
    assert state == Idle()
    assert fetched == [DELTA, None]
    assert do.RememberFailure(edition=GOAL.edition, fault=NO_NETWORK) in effects


# --- the policy --------------------------------------------------------------------------

LATER = NOW + timedelta(days=2)


def test_a_download_that_has_to_wait_is_asked_about_at_the_next_check_in() -> None:
    state, effects = run(
        Downloading(goal=GOAL), on.Planned(plan=FULL), on.Deferred(until=LATER), on.TimerFired()
    )

    assert state == Checking(trigger=Trigger.TIMER, offered=GOAL.edition)
    assert do.Schedule(when=When.SUCCESS, by=LATER) in effects
    assert do.Fetch not in kinds(effects)


def test_what_waits_for_its_download_is_told_as_offered_once() -> None:
    state, _ = run(Downloading(goal=GOAL), on.Planned(plan=FULL), on.Deferred(until=LATER))
    state, _ = run(state, on.TimerFired(), failed())

    _, same = run(state, on.TimerFired(), decided(GOAL))
    _, other = run(state, on.TimerFired(), decided(OTHER))

    assert do.Report(phase=Phase.OFFERED, edition=GOAL.edition) not in same
    assert do.Choose(goal=GOAL) in same
    assert do.Report(phase=Phase.OFFERED, edition=OTHER.edition) in other


def test_the_payload_in_the_place_of_a_delta_is_asked_about_on_its_own() -> None:
    state, effects = run(
        Downloading(goal=GOAL),
        on.Planned(plan=SMALL),
        on.Allowed(),
        on.DownloadFailed(fault=BAD_DELTA),
        on.Deferred(until=LATER),
    )

    assert state == Idle(offered=GOAL.edition)
    assert [effect.plan for effect in effects if isinstance(effect, do.Fetch)] == [SMALL]


def test_a_download_that_may_never_be_ends_the_run_and_is_remembered() -> None:
    never = Fault(category="policy", code="data_schema")

    state, effects = run(
        Downloading(goal=GOAL), on.Planned(plan=SMALL), on.DownloadFailed(fault=never)
    )

    assert state == Idle()
    assert do.RememberFailure(edition=GOAL.edition, fault=never) in effects


def test_an_update_that_has_to_wait_is_looked_after_when_its_time_is_over() -> None:
    state, effects = step(STAGED, on.Deferred(until=LATER))

    assert state == Staged(edition=GOAL.edition, deferrals=1)
    assert do.Schedule(when=When.CLOSE, by=LATER) in effects


def test_who_says_later_disarms_what_is_armed_and_leaves_it_staged() -> None:
    state, effects = step(ARMED, on.Postponed())

    assert state == STAGED
    assert effects == (do.Disarm(), do.AskPolicy(edition=GOAL.edition))


def test_who_says_later_of_what_is_staged_is_asked_no_more_for_now() -> None:
    assert step(STAGED, on.Postponed()) == (STAGED, (do.AskPolicy(edition=GOAL.edition),))


# --- failed check-ins --------------------------------------------------------------------


def failed(code: str = "unreachable", hours: float = 0, retry: float | None = None) -> on.Event:
    at = NOW + timedelta(hours=hours)
    fault = Fault(category="network", code=code)
    return on.CheckFailed(fault=fault, at=at, retry_after_seconds=retry)


def reports_of(*failures: on.Event) -> list[int]:
    """Return which of the failures in a row were reported."""
    state: State = Idle()
    told = []
    for index, failure in enumerate(failures):
        state, effects = run(state, on.TimerFired(), failure)
        if any(isinstance(effect, do.Report) for effect in effects):
            told.append(index)
    return told


def test_failures_in_a_row_are_counted_for_the_back_off() -> None:
    state, effects = run(Idle(), on.TimerFired(), failed(), on.TimerFired(), failed(retry=120.0))

    assert isinstance(state, Idle)
    assert state.trouble.failures == 2
    assert effects[-1] == do.Schedule(when=When.FAILURE, failures=2, retry_after_seconds=120.0)


def test_the_same_failure_is_reported_once_a_day_and_a_new_one_at_once() -> None:
    assert reports_of(failed(), failed(hours=1), failed(hours=24), failed(hours=30)) == [0, 2]
    assert reports_of(failed(), failed("timed_out", 1), failed(hours=2)) == [0, 1, 2]


def test_an_older_timestamp_is_no_news_until_it_lasts_a_day() -> None:
    stale = [failed("timestamp_rollback", hours) for hours in (0, 1, 23, 24, 25, 48)]

    assert reports_of(*stale) == [3, 5]


def test_a_success_ends_the_row_of_failures() -> None:
    state, _ = run(Idle(), on.TimerFired(), failed(), on.TimerFired(), stay())

    assert state == Idle()


# --- staged ------------------------------------------------------------------------------


def test_permission_to_apply_asks_the_server_once_more_first() -> None:
    state, effects = step(STAGED, on.Allowed())

    assert state == Staged(edition=GOAL.edition, checking=Trigger.PRE_APPLY)
    assert effects == (do.Check(trigger=Trigger.PRE_APPLY),)


def test_the_same_goal_again_after_the_pre_apply_check_is_armed() -> None:
    state, effects = run(STAGED, on.Allowed(), decided(GOAL))

    assert isinstance(state, Armed)
    assert kinds(effects)[1:] == [
        do.RecordReason,
        do.Arm,
        do.Report,
        do.Schedule,
        do.NotifyApp,
    ]


def test_must_reach_makes_the_notice_urgent() -> None:
    _, effects = run(STAGED, on.Allowed(), decided(GOAL, reason=Reason.MUST_REACH))

    assert do.NotifyApp(edition=GOAL.edition, armed=True, urgent=True) in effects


def test_the_same_goal_after_a_routine_check_asks_the_policy_and_arms_nothing() -> None:
    state, effects = run(STAGED, on.TimerFired(), decided(GOAL))

    assert state == STAGED
    assert kinds(effects) == [do.Check, do.RecordReason, do.AskPolicy]


def test_a_pause_between_download_and_apply_stops_the_install() -> None:
    state, effects = run(STAGED, on.Allowed(), stay(Reason.PAUSED))

    assert state == Idle()
    assert do.Arm not in kinds(effects)


def test_another_goal_replaces_what_is_staged() -> None:
    state, effects = run(STAGED, on.TimerFired(), decided(OTHER))

    assert state == Downloading(goal=OTHER)
    assert do.Disarm() in effects


def test_the_app_hears_of_a_staged_version_once_when_the_policy_defers_it() -> None:
    state, effects = run(STAGED, on.Deferred(), on.TimerFired(), decided(GOAL), on.Deferred())

    assert isinstance(state, Staged)
    assert state.deferrals == 2
    assert kinds(effects).count(do.NotifyApp) == 1


def test_a_pre_apply_check_that_fails_arms_nothing() -> None:
    state, effects = run(STAGED, on.Allowed(), failed())

    assert isinstance(state, Staged)
    assert state.checking is None
    assert do.Arm not in kinds(effects)


# --- armed -------------------------------------------------------------------------------


def test_a_pull_disarms() -> None:
    state, effects = run(ARMED, on.TimerFired(), stay(Reason.PULLED))

    assert state == Idle()
    assert do.Disarm() in effects


def test_another_goal_disarms_and_is_fetched() -> None:
    state, effects = run(ARMED, on.TimerFired(), decided(OTHER))

    assert state == Downloading(goal=OTHER)
    assert do.Disarm() in effects


def test_an_arming_is_renewed_only_when_that_gains_an_hour() -> None:
    soon = decided(GOAL, not_after=ARMED.not_after + timedelta(minutes=59))
    later = decided(GOAL, not_after=ARMED.not_after + timedelta(hours=1))

    same, nothing = run(ARMED, on.TimerFired(), soon)
    renewed, effects = run(ARMED, on.TimerFired(), later)

    assert do.Arm not in kinds(nothing)
    assert isinstance(same, Armed)
    assert same.not_after == ARMED.not_after
    assert isinstance(renewed, Armed)
    assert renewed.not_after == later.not_after
    assert do.Arm(goal=GOAL, not_after=later.not_after) in effects


def test_a_check_in_that_fails_leaves_the_arming_until_it_expires() -> None:
    state, effects = run(ARMED, on.TimerFired(), failed())

    assert isinstance(state, Armed)
    assert do.Disarm() not in effects


def test_an_expired_arming_is_staged_again_and_asked_about_again() -> None:
    state, effects = step(ARMED, on.ArmingExpired())

    assert state == STAGED
    assert effects == (do.Disarm(), do.AskPolicy(edition=GOAL.edition))


def test_a_version_that_cannot_be_armed_is_disarmed_reported_and_remembered() -> None:
    state, effects = step(ARMED, on.ArmFailed(fault=BROKEN))

    assert state == Idle()
    assert kinds(effects) == [do.Disarm, do.Report, do.RememberFailure, do.Schedule]


# --- trial -------------------------------------------------------------------------------


def test_healthy_alone_confirms_nothing() -> None:
    state, effects = step(TRIAL, on.AppHealthy())

    assert isinstance(state, Trial)
    assert effects == (do.MarkHealthy(launch_id="l1"),)


def test_uptime_alone_confirms_nothing_when_the_app_has_to_speak() -> None:
    state, effects = step(TRIAL, on.UptimeReached())

    assert isinstance(state, Trial)
    assert effects == ()


@pytest.mark.parametrize(
    "events", [(on.AppHealthy(), on.UptimeReached()), (on.UptimeReached(), on.AppHealthy())]
)
def test_healthy_and_uptime_confirm_in_either_order(events: tuple[on.Event, ...]) -> None:
    _, effects = run(TRIAL, *events)

    assert do.Confirm(edition=GOAL.edition, launch_id="l1") in effects


def test_uptime_confirms_where_the_app_says_nothing() -> None:
    silent = Trial(edition=GOAL.edition, launch_id="l1", confirm=ConfirmRule.UPTIME)

    _, effects = step(silent, on.UptimeReached())

    assert kinds(effects) == [do.Confirm]


def test_a_health_command_confirms_only_where_it_is_the_rule() -> None:
    by_command = Trial(edition=GOAL.edition, launch_id="l1", confirm=ConfirmRule.COMMAND)

    _, effects = run(by_command, on.UptimeReached(), on.CommandPassed())
    _, ignored = step(TRIAL, on.CommandPassed())

    assert kinds(effects) == [do.Confirm]
    assert kinds(ignored) == [do.Ignored]


def test_a_trial_that_could_not_be_written_down_is_confirmed_at_the_next_check_in() -> None:
    state, effects = run(
        TRIAL,
        on.AppHealthy(),
        on.UptimeReached(),
        on.ConfirmFailed(fault=BROKEN),
        on.TimerFired(),
    )

    assert isinstance(state, Trial)
    assert state.confirming
    assert kinds(effects).count(do.Confirm) == 2


def test_a_second_healthy_run_with_a_clean_quit_confirms_a_short_lived_program() -> None:
    first = Trial(edition=GOAL.edition, launch_id="l1")
    second = Trial(edition=GOAL.edition, launch_id="l2", healthy_quits=1)

    _, after_first = run(first, on.AppHealthy(), on.Quit())
    _, after_second = run(second, on.AppHealthy(), on.Quit())

    assert do.Confirm not in kinds(after_first)
    assert kinds(after_second) == [do.MarkHealthy, do.Confirm, do.SealMarker, do.FlushSpool]


def test_a_late_trial_is_reported_once_and_goes_on() -> None:
    state, effects = run(TRIAL, on.HealthDeadline(), on.HealthDeadline())

    assert isinstance(state, Trial)
    assert effects[0] == do.Report(phase=Phase.FAILED, edition=GOAL.edition, fault=NOT_HEALTHY)
    assert kinds(effects) == [do.Report, do.Ignored]


def test_a_decision_for_another_version_waits_until_the_trial_is_over() -> None:
    state, effects = run(TRIAL, on.TimerFired(), decided(OTHER))

    assert isinstance(state, Trial)
    assert state.passed_over
    assert do.Choose not in kinds(effects)
    _, after = run(state, on.AppHealthy(), on.UptimeReached(), on.Confirmed())
    assert do.Schedule(when=When.SOON) in after


def test_a_trial_looks_on_through_failures_and_busy_locks() -> None:
    state, _ = run(TRIAL, on.TimerFired(), failed(), on.TimerFired(), on.LockLost())

    assert isinstance(state, Trial)
    assert state.checking is None
    assert state.trouble.failures == 1


def test_an_app_started_again_on_trial_has_to_prove_itself_anew() -> None:
    state, effects = run(
        TRIAL,
        on.AppHealthy(),
        on.Launched(edition=GOAL.edition, launch_id="l2", confirm=ConfirmRule.APP),
    )

    assert state == Trial(edition=GOAL.edition, launch_id="l2")
    assert do.ReportMarkers() in effects


@pytest.mark.parametrize("state", [Idle(), STAGED, ARMED, Passive(reason=PassiveReason.BUSY)])
def test_a_trial_that_a_parent_started_is_followed_from_wherever_we_rest(state: State) -> None:
    launched = on.Launched(edition=GOAL.edition, launch_id="l1", confirm=ConfirmRule.APP)

    after, effects = step(state, launched)

    assert after == TRIAL
    assert effects == (do.Report(phase=Phase.LAUNCHED, edition=GOAL.edition),)


@pytest.mark.parametrize(
    "state", [Downloading(goal=GOAL), Passive(reason=PassiveReason.NOT_WRITABLE)]
)
def test_a_launch_in_the_middle_of_something_else_means_nothing(state: State) -> None:
    launched = on.Launched(edition=GOAL.edition, launch_id="l1", confirm=ConfirmRule.APP)

    assert step(state, launched)[0] == state


def test_what_the_launcher_would_not_try_is_reported_and_looked_after_soon() -> None:
    state, effects = step(ARMED, on.FellBack())

    assert state == Idle()
    assert kinds(effects) == [do.ReportMarkers, do.ReportLastResult, do.Schedule]


@pytest.mark.parametrize("state", [Idle(), STAGED])
def test_a_fall_back_that_is_heard_of_late_is_told_all_the_same(state: State) -> None:
    after, effects = step(state, on.FellBack())

    assert after == state
    assert kinds(effects) == [do.ReportMarkers, do.ReportLastResult, do.Schedule]


def test_a_trial_that_fell_back_is_reported_and_looked_after_soon() -> None:
    state, effects = step(TRIAL, on.FellBack())

    assert state == Idle()
    assert effects == (
        do.ReportMarkers(),
        do.ReportLastResult(),
        do.Schedule(when=When.SOON),
    )


# --- start, passive, quit ----------------------------------------------------------------


def test_a_start_on_trial_is_reported_as_launched() -> None:
    state, effects = step(Idle(), on.Started(trial=TRIAL))

    assert state == TRIAL
    assert do.Report(phase=Phase.LAUNCHED, edition=GOAL.edition) in effects
    assert effects[-1] == do.Schedule(when=When.SOON)


def test_a_start_with_something_armed_tells_the_parent() -> None:
    state, effects = step(Idle(), on.Started(armed=ARMED))

    assert state == ARMED
    assert effects[-1] == do.NotifyApp(edition=GOAL.edition, armed=True)


@pytest.mark.parametrize(("fell_back", "when"), [(True, When.SOON), (False, When.START)])
def test_an_ordinary_start_waits_unless_it_follows_a_fall_back(fell_back: bool, when: When) -> None:
    state, effects = step(Idle(), on.Started(fell_back=fell_back))

    assert state == Idle()
    assert effects == (do.ReportMarkers(), do.ReportLastResult(), do.Schedule(when=when))


@pytest.mark.parametrize(
    "state",
    [
        Checking(trigger=Trigger.TIMER),
        Staged(edition=GOAL.edition, checking=Trigger.TIMER),
        Armed(edition=GOAL.edition, not_after=NOW, decided_at=NOW, checking=Trigger.TIMER),
    ],
)
def test_losing_the_lock_makes_the_visit_passive_and_the_next_one_tries_again(
    state: State,
) -> None:
    passive, _ = step(state, on.LockLost())
    again, effects = step(passive, on.TimerFired())

    assert passive == Passive(reason=PassiveReason.BUSY)
    assert again == Checking(trigger=Trigger.TIMER)
    assert effects == (do.Check(trigger=Trigger.TIMER),)


def test_a_read_only_root_is_reported_once_and_only_looked_at() -> None:
    sealed = on.NotWritable(
        reason=PassiveReason.NOT_WRITABLE, fault=Fault(category="disk", code="not_writable")
    )

    state, effects = run(Idle(), sealed, sealed, on.TimerFired(), stay(), on.TimerFired(), failed())

    assert isinstance(state, Passive)
    assert kinds(effects) == [
        do.Report,
        do.Schedule,
        do.Ignored,
        do.Look,
        do.RecordReason,
        do.Schedule,
        do.Look,
        do.Report,
        do.Schedule,
    ]


@pytest.mark.parametrize(
    "state", [Idle(), Downloading(goal=GOAL), STAGED, ARMED, TRIAL, Idle(trouble=Trouble())]
)
def test_a_clean_quit_seals_the_marker_and_flushes_the_spool(state: State) -> None:
    after, effects = step(state, on.Quit())

    assert after == state
    assert effects == (do.SealMarker(), do.FlushSpool())


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (Idle(), on.Built()),
        (Checking(trigger=Trigger.TIMER), on.TimerFired()),
        (Downloading(goal=GOAL), on.CheckRequested()),
        (Downloading(goal=GOAL, plan=FULL), on.Downloaded()),
        (Downloading(goal=GOAL, plan=FULL, allowed=True), on.Allowed()),
        (Idle(), on.Postponed()),
        (TRIAL, on.Postponed()),
        (Downloading(goal=GOAL), on.Downloaded()),
        (Downloading(goal=GOAL, plan=FULL), on.Planned(plan=FULL)),
        (Building(goal=GOAL, plan=FULL), on.CheckRequested()),
        (STAGED, on.Built()),
        (STAGED, decided(GOAL)),
        (Staged(edition=GOAL.edition, checking=Trigger.TIMER), on.Allowed()),
        (ARMED, decided(OTHER)),
        (ARMED, on.Built()),
        (
            Armed(edition=GOAL.edition, not_after=NOW, decided_at=NOW, checking=Trigger.TIMER),
            on.TimerFired(),
        ),
        (TRIAL, on.Built()),
        (TRIAL, on.Confirmed()),
        (Trial(edition=GOAL.edition, launch_id="l", checking=Trigger.TIMER), on.TimerFired()),
        (Passive(reason=PassiveReason.BUSY), on.Built()),
    ],
)
def test_what_means_nothing_in_a_state_is_counted_and_changes_nothing(
    state: State, event: on.Event
) -> None:
    after, effects = step(state, event)

    assert after == state
    assert effects == (do.Ignored(state=type(state).__name__, event=type(event).__name__),)


def test_a_goal_is_the_same_when_its_bytes_are() -> None:
    again = a_goal("2.1.0", rollout="ro_other")
    changed = a_goal("2.1.0", manifest="cd" * 32)

    assert GOAL.edition.is_same(again.edition)
    assert not GOAL.edition.is_same(changed.edition)


def test_an_empty_folder_is_looked_after_at_once() -> None:
    _, effects = step(Idle(), on.Started(empty=True))
    _, after_a_fall = step(Idle(), on.Started(empty=True, fell_back=True))

    assert effects[-1] == do.Schedule(when=When.NOW)
    assert after_a_fall[-1] == do.Schedule(when=When.SOON)
