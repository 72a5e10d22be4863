"""Whole updates: a loop, a disk and a server, and nothing replaced but the clock and the die."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from client_agent.commands.report import report_healthy
from client_agent.config import Apply, IdentityKind, Telemetry
from client_agent.errors import StateError
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Idle, Passive, Staged, Trial
from client_agent.network.transport import Transport
from client_agent.running.loop import Loop
from client_agent.values import MarkerStatus
from tests.agent.agent_world import TOKEN, AgentWorld, a_world
from tests.agent.signed_world import BASE, a_rollback, an_entry, zulu
from tests.agent.web_server import Asked, Reply

HOUR = 3_600.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with a_world(tmp_path) as world:
        yield world


def begun(world: AgentWorld, **options: Any) -> Loop:
    """Return a loop that has started, with 2.0.0 installed."""
    loop = world.loop(**options)
    world.put_in("2.0.0")
    loop.begin()
    return loop


def stands(loop: Loop, kind: type) -> bool:
    return isinstance(loop.state, kind)


def wait(world: AgentWorld, loop: Loop, seconds: float) -> None:
    """Let time pass as the loop's thread would see it."""
    end = world.clock.monotonic() + seconds
    while world.clock.monotonic() < end:
        step = max(0.001, min(loop.seconds_to_wait(), end - world.clock.monotonic()))
        world.clock.advance(step)
        loop.tick()


# --- the road ----------------------------------------------------------------------------


def test_a_new_version_is_fetched_built_and_armed_at_the_first_check_in(
    world: AgentWorld,
) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")

    wait(world, loop, 61)

    assert stands(loop, Armed)
    pending = world.state(loop).pending
    assert pending is not None
    assert pending.installed.version == Version("2.1.0")
    assert pending.tries_left == 3
    assert world.steps() == ["offered", "downloaded", "verified", "staged", "applied"]


def test_the_first_check_in_comes_a_minute_after_the_start(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")

    wait(world, loop, 59)
    assert world.server.asked == []
    wait(world, loop, 2)
    assert world.server.asked != []


def test_a_day_of_closer_looks_outlives_the_app(world: AgentWorld) -> None:
    world.put_in("2.0.0")
    world.say("stay", None, "no_rollout")

    def next_look() -> float:
        world.signed.commit(now=world.clock.now())
        loop = world.loop()
        loop.begin()
        loop.post(on.CheckRequested())
        loop.tick()
        due_at = loop.performer._timers.due_at
        assert due_at is not None
        return (due_at - world.clock.now()).total_seconds()

    assert 900 * 0.9 <= next_look() <= 900 * 1.1
    world.clock.advance(23 * HOUR)
    assert 900 * 0.9 <= next_look() <= 900 * 1.1
    world.clock.advance(2 * HOUR)
    assert next_look() >= 3_600 * 0.9


def test_with_the_api_down_files_alone_update(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")

    wait(world, loop, 61)

    assert stands(loop, Armed)
    assert world.events == []
    world.say("update", "2.1.0", "in_ring")
    wait(world, loop, 2 * HOUR)
    assert world.steps() == ["offered", "downloaded", "verified", "staged", "applied"]


def test_with_files_down_the_api_alone_only_reports(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.signed.files.clear()
    world.say("update", "2.1.0", "in_ring")

    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert world.check_ins[0]["version"] == "2.0.0"


def test_an_unreachable_server_is_asked_again_ever_less_often(world: AgentWorld) -> None:
    loop = begun(world, u=0.999)
    world.server.default = lambda _: Reply(status=503)
    tried: list[float] = []

    while len(tried) < 10:
        before = len(world.check_ins)
        wait(world, loop, 10)
        if len(world.check_ins) > before:
            tried.append(world.clock.monotonic())

    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert gaps[0] < 120
    assert all(later >= earlier - 10 for earlier, later in itertools.pairwise(gaps))
    assert max(gaps) <= 3_700


def test_a_network_that_is_back_is_used_within_two_minutes(world: AgentWorld) -> None:
    loop = begun(world, u=0.9)
    world.machine.network = False
    world.server.default = lambda _: Reply(status=503)
    wait(world, loop, 12 * HOUR)
    assert loop.performer.failed
    before = len(world.check_ins)

    wait(world, loop, 119)
    assert len(world.check_ins) == before
    world.machine.network = True
    wait(world, loop, 180)

    assert len(world.check_ins) == before + 1


def test_a_check_in_says_who_and_where_and_what(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("stay", None, "outside_ring")

    wait(world, loop, 61)

    (body,) = world.check_ins
    assert body["install_id"] == loop.identity.install_id
    assert body["channel"] == "stable"
    assert body["platform"] == "linux-x86_64"
    assert body["attributes"] == {"os_version": "12"}
    assert body["self_selected"] is False
    assert body["state"]["phase"] == "idle"


def test_the_token_of_an_answer_goes_with_what_runs_and_what_was_armed(
    world: AgentWorld,
) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")

    wait(world, loop, 61)

    assert dict(world.state(loop).tokens) == {"2.0.0": TOKEN, "2.1.0": TOKEN}


def test_the_servers_hint_holds_an_install_back(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("stay", None, "held")

    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert loop.performer.assignment is not None
    assert loop.performer.assignment.reason == "held"


def test_an_empty_root_installs_the_release_by_the_same_road(world: AgentWorld) -> None:
    loop = world.loop(version=None)
    world.publish("2.1.0")
    loop.begin()
    wait(world, loop, 61)

    assert stands(loop, Armed)
    assert world.state(loop).current is None
    assert (world.root / "launcher.py").exists()


def test_a_directory_that_is_there_costs_no_download(world: AgentWorld) -> None:
    loop = begun(world, apply=Apply.PRE_DOWNLOAD)
    world.publish("2.1.0")
    wait(world, loop, 61)
    assert stands(loop, Staged)
    world.server.asked.clear()

    again = world.loop()
    again.begin()
    wait(world, again, 61)

    assert stands(again, Armed)
    assert not any("/targets/" in path for path in world.server.paths())


# --- pause and pull reach what was downloaded and what is armed --------------------------


def test_a_pause_between_download_and_apply_stops_the_install(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")

    def pause_after_the_download(asked: Any) -> Reply:
        del world.server.routes[asked.path]
        reply = world.server.default(asked)
        world.roll_out(an_entry("2.1.0", state="paused"))
        return reply

    (payload,) = [name for name in world.signed.files if name.endswith("demo-2.1.0.srn")]
    world.server.on(f"{BASE}/{payload}", pause_after_the_download)
    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert world.state(loop).pending is None


def test_a_pull_disarms_what_is_armed(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    wait(world, loop, 61)
    assert stands(loop, Armed)

    world.roll_out(an_entry("2.1.0", state="pulled"))
    wait(world, loop, 1.1 * HOUR)

    assert stands(loop, Idle)
    assert world.state(loop).pending is None


def test_an_arming_that_ran_out_is_armed_again_after_another_check(world: AgentWorld) -> None:
    loop = begun(world, u=0.5)
    world.publish("2.1.0")
    wait(world, loop, 0.1 * HOUR)
    state = loop.state
    assert isinstance(state, Armed)
    world.server.default = lambda _: Reply(status=503)
    wait(world, loop, 25 * HOUR)
    assert stands(loop, Staged)
    assert world.state(loop).pending is None

    world.signed.serve(world.server)
    world.roll_out(an_entry("2.1.0"))
    wait(world, loop, 2 * HOUR)

    assert stands(loop, Armed)


def test_an_armed_version_is_kept_valid_by_hourly_looks(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    wait(world, loop, 61)
    first = world.state(loop).pending
    for _ in range(30):
        world.roll_out(an_entry("2.1.0"))
        wait(world, loop, HOUR)

    pending = world.state(loop).pending
    assert first is not None
    assert pending is not None
    assert pending.not_after > first.not_after + timedelta(hours=24)
    assert world.steps().count("applied") <= 1


# --- the modes ---------------------------------------------------------------------------


def test_pre_download_stops_at_staged_until_somebody_applies_it(world: AgentWorld) -> None:
    loop = begun(world, apply=Apply.PRE_DOWNLOAD)
    world.publish("2.1.0")
    wait(world, loop, 61)
    assert stands(loop, Staged)
    assert [what for what, _ in world.told] == ["staged"]

    loop.post(on.Allowed())
    loop.tick()

    assert stands(loop, Armed)
    assert [what for what, _ in world.told] == ["staged", "restart"]


@pytest.mark.parametrize(("apply", "told"), [(Apply.NOW, "restart"), (Apply.ON_QUIT, "staged")])
def test_now_asks_for_a_restart_and_on_quit_says_that_the_next_start_has_it(
    world: AgentWorld, apply: Apply, told: str
) -> None:
    loop = begun(world, apply=apply)
    world.publish("2.1.0")
    wait(world, loop, 61)

    assert stands(loop, Armed)
    assert [(what, info.version) for what, info in world.told] == [(told, "2.1.0")]


def test_must_reach_asks_for_a_restart_in_any_mode(world: AgentWorld) -> None:
    loop = begun(world)
    world.add("2.1.0")
    world.signed.set_policy(must_reach=[{"version": "2.1.0", "after": zulu(world.clock.now())}])
    world.roll_out(an_entry("2.1.0", state="paused"))
    wait(world, loop, 61)

    assert [(what, info.urgent) for what, info in world.told] == [("restart", True)]


def test_a_hook_that_raises_is_reported_and_stops_nothing(world: AgentWorld) -> None:
    loop = begun(world, apply=Apply.PRE_DOWNLOAD)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    world.told = None  # type: ignore[assignment]  # so that the hook fails

    wait(world, loop, 61)

    assert stands(loop, Staged)
    assert [event["kind"] for event in world.events].count("crash") == 1


def test_a_hook_that_wants_to_exit_does_not_end_the_agent(world: AgentWorld) -> None:
    loop = begun(world, apply=Apply.PRE_DOWNLOAD)
    world.publish("2.1.0")

    assert loop.performer._telling.call(sys.exit, 1) is None
    wait(world, loop, 61)

    assert stands(loop, Staged)


# --- trial -------------------------------------------------------------------------------


def on_trial(world: AgentWorld, **options: Any) -> Loop:
    """Return a loop inside version 2.1.0, started on trial."""
    loop = begun(world)
    world.publish("2.1.0")
    wait(world, loop, 61)
    loop.quit()
    launch_id = launch(world, loop)
    inside = world.loop(version="2.1.0", launch_id=launch_id, **options)
    inside.begin()
    return inside


def launch(world: AgentWorld, loop: Loop) -> str:
    """Do on the disk what the launcher does at a start on trial, and return the launch."""
    launch_id = str(uuid.uuid4())
    pending = world.state(loop).pending
    assert pending is not None
    said = {
        "launch_id": launch_id,
        "version": str(pending.installed.version),
        "digest": pending.installed.manifest_sha256,
        "dir": pending.installed.directory,
        "rollout": pending.installed.rollout,
        "token": "LAUNCH",
        "started": zulu(world.clock.now()),
        "boot_id": world.machine.boot_id(),
        "trial": True,
    }
    path = world.root / "launches" / f"{launch_id}.json"
    path.write_text(json.dumps(said) + "\n")
    return launch_id


def test_healthy_and_a_minute_confirm_the_trial_and_tell_the_server(world: AgentWorld) -> None:
    inside = on_trial(world)
    assert stands(inside, Trial)
    world.say("stay", None, "up_to_date")

    inside.post(on.AppHealthy())
    wait(world, inside, 61)

    state = world.state(inside)
    assert stands(inside, Idle)
    assert state.pending is None
    assert state.current is not None
    assert state.current.version == Version("2.1.0")
    assert state.previous is not None
    assert state.previous.version == Version("2.0.0")
    wait(world, inside, 120)
    assert world.steps()[-2:] == ["launched", "healthy"]


def test_a_trial_needs_no_server_to_be_confirmed(world: AgentWorld) -> None:
    inside = on_trial(world)
    world.server.default = lambda _: Reply(status=503)

    inside.post(on.AppHealthy())
    wait(world, inside, 61)

    assert stands(inside, Idle)


def test_an_app_that_was_healthy_once_is_confirmed_after_a_fault_of_ours(
    world: AgentWorld,
) -> None:
    inside = on_trial(world)
    inside.post(on.AppHealthy())
    inside.tick()

    inside.begin()  # as keep_running does
    wait(world, inside, 61)

    assert stands(inside, Idle)
    assert world.state(inside).pending is None


def test_a_quit_that_confirms_a_trial_does_not_wait_for_a_server_that_hangs(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = on_trial(world)
    inside.post(on.AppHealthy())
    inside.tick()
    inside.quit()  # well, for the first time
    again = world.loop(version="2.1.0", launch_id=launch(world, inside))
    again.begin()
    again.handle(on.AppHealthy())
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Asked) -> Reply:
        hangs.set()
        goes_on.wait(30)
        return Reply(status=503)

    world.server.default = hang
    world.server.on(f"{BASE}/events", hang)
    world.say("stay", None, "up_to_date")
    again.parts.installation.state.set_token(Version("2.1.0"), TOKEN)
    monkeypatch.setattr("client_agent.running.loop.QUIT_SECONDS", 0.5)

    before = time.monotonic()
    again.quit()
    taken = time.monotonic() - before

    assert hangs.wait(10)
    goes_on.set()
    assert taken < 10
    assert world.state(again).pending is None


def test_what_a_crashed_start_left_behind_does_not_confirm_it(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = on_trial(world)
    pending = world.state(inside).pending
    (marker,) = [one for one in inside.parts.installation.markers() if one.trial]
    installation, now = inside.parts.installation, world.clock.now()
    installation.seal_marker(marker.launch_id, MarkerStatus.CRASHED, now, exit_code=1)
    monkeypatch.setenv("SERINUS_LAUNCH", marker.launch_id)
    world.clock.advance(120)

    with pytest.raises(StateError):
        report_healthy(inside.parts)

    assert world.state(inside).pending == pending


def test_an_app_that_says_nothing_stays_on_trial_and_is_reported_late(
    world: AgentWorld,
) -> None:
    inside = on_trial(world)
    world.say("stay", None, "up_to_date")

    wait(world, inside, 700)

    assert stands(inside, Trial)
    late = [event for event in world.events if event.get("phase") == "failed"]
    assert [event["error"]["code"] for event in late] == ["not_healthy"]


def test_a_trial_checks_in_as_what_it_is(world: AgentWorld) -> None:
    inside = on_trial(world)
    world.check_ins.clear()
    world.say("stay", None, "up_to_date")

    wait(world, inside, 31)

    assert world.check_ins[0]["version"] == "2.1.0"
    assert world.check_ins[0]["state"]["phase"] == "trial"


def test_a_clean_quit_seals_the_marker(world: AgentWorld) -> None:
    inside = on_trial(world)

    inside.quit()

    (marker,) = inside.parts.installation.markers()
    assert marker.status is MarkerStatus.EXITED


def test_the_next_start_reports_the_session_with_the_markers_version(world: AgentWorld) -> None:
    inside = on_trial(world)
    inside.quit()
    world.say("stay", None, "up_to_date")

    after = world.loop()
    after.begin()
    wait(world, after, 100)

    (session,) = [event for event in world.events if event["kind"] == "session"]
    assert session["version"] == "2.1.0"
    assert session["status"] == "exited"
    assert session["token"] == "LAUNCH"


def test_a_fall_back_is_reported_and_the_version_is_not_offered_again(
    world: AgentWorld,
) -> None:
    inside = on_trial(world)
    inside.parts.installation.state.ban_pending("tries_used_up", world.clock.now())
    world.say("stay", None, "throttled")

    after = world.loop()
    after.begin()
    assert [what for what, _ in world.told] == ["staged", "fell_back"]
    wait(world, after, 31)

    assert stands(after, Idle)
    assert after.performer.assignment is not None
    assert after.performer.assignment.reason == "throttled"
    assert "rolled_back" in world.steps()


def test_a_version_issued_anew_is_tried_again(world: AgentWorld) -> None:
    inside = on_trial(world)
    inside.parts.installation.state.ban_pending("tries_used_up", world.clock.now())
    world.roll_out(an_entry("2.1.0", rollout="ro_again"))

    after = world.loop()
    after.begin()
    wait(world, after, 31)

    assert stands(after, Armed)


def test_a_ban_of_a_clock_that_was_ahead_ends_as_others_do(world: AgentWorld) -> None:
    inside = on_trial(world)
    ahead = world.clock.now() + timedelta(days=400)
    inside.parts.installation.state.ban_pending("tries_used_up", ahead)
    after = world.loop()
    after.begin()
    wait(world, after, 31)
    assert stands(after, Idle)

    must = {"version": "2.1.0", "after": zulu(world.clock.now())}
    world.signed.set_policy(must_reach=[must])
    world.roll_out(an_entry("2.1.0"))
    world.clock.advance(23 * HOUR)
    after.tick()
    assert stands(after, Idle)
    world.signed.commit(now=world.clock.now())
    world.clock.advance(2 * HOUR)
    after.tick()

    assert stands(after, Armed)


def test_a_version_that_a_clock_ahead_has_banned_is_tried_when_issued_anew(
    world: AgentWorld,
) -> None:
    inside = on_trial(world)
    ahead = world.clock.now() + timedelta(days=400)
    inside.parts.installation.state.ban_pending("tries_used_up", ahead)
    world.roll_out(an_entry("2.1.0", rollout="ro_again"))

    after = world.loop()
    after.begin()
    wait(world, after, 31)

    assert stands(after, Armed)


def test_another_process_on_trial_is_left_in_peace(world: AgentWorld) -> None:
    inside = on_trial(world)
    (marker,) = inside.parts.installation.markers()
    lock = world.machine.lock(world.root / "launches" / f"{marker.launch_id}.json")
    world.roll_out(an_entry("2.1.0", state="pulled"))

    window = world.loop()
    window.begin()
    wait(world, window, 700)

    assert lock is not None
    assert stands(window, Passive)
    assert world.state(window).pending is not None


def test_a_trial_that_begins_during_a_check_in_is_not_disarmed_by_it(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    wait(world, loop, 61)
    world.roll_out(an_entry("2.1.0", state="pulled"))
    locks: list[Any] = []

    def begin_meanwhile(asked: Asked) -> Reply:
        launch_id = launch(world, loop)
        locks.append(world.machine.lock(world.root / "launches" / f"{launch_id}.json"))
        del world.server.routes[asked.path]
        return world.server.default(asked)

    world.server.on(f"{BASE}/tuf/timestamp.json", begin_meanwhile)
    wait(world, loop, 1.1 * HOUR)

    assert locks[0] is not None
    assert world.state(loop).pending is not None


def test_the_high_water_mark_is_durable_before_anything_is_armed(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    marks: list[Version | None] = []
    arm = loop.parts.installation.state.arm

    def watched(*args: Any, **kwargs: Any) -> None:
        marks.append(loop.parts.trust.floor().high_water)
        arm(*args, **kwargs)

    loop.parts.installation.state.arm = watched  # type: ignore[method-assign]
    wait(world, loop, 61)

    assert marks == [Version("2.1.0")]


# --- faults ------------------------------------------------------------------------------


def test_a_corrupt_payload_is_reported_and_barred_for_an_hour(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    (payload,) = [name for name in world.signed.files if name.endswith("demo-2.1.0.srn")]
    good = world.signed.files[payload]
    world.signed.files[payload] = good[:-1] + bytes([good[-1] ^ 1])

    wait(world, loop, 61)

    assert stands(loop, Idle)
    (failed,) = [event for event in world.events if event["phase"] == "failed"]
    assert failed["error"] == {"category": "trust", "code": "hash_mismatch"}
    assert list((world.root / "staging").iterdir()) == []
    (failure,) = world.state(loop).failures
    assert failure.retry_at > world.clock.now() + timedelta(minutes=50)


def test_metadata_that_does_not_verify_is_reported_with_its_code(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    world.signed.put("timestamp", world.signed.timestamp, world.signed.keys["rollout"])

    wait(world, loop, 61)

    (failed,) = [event for event in world.events if event["phase"] == "failed"]
    assert failed["error"] == {"category": "trust", "code": "unsigned"}


def test_two_agents_in_one_root_the_second_looks_on(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    other = loop.parts.installation.lock()

    wait(world, loop, 61)
    assert stands(loop, Passive)
    other.close()
    wait(world, loop, 5 * HOUR)

    assert stands(loop, Armed)


def test_a_copied_folder_draws_a_new_id_and_keeps_its_versions(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    wait(world, loop, 61)
    old = loop.identity.install_id

    world.machine.id = "another"
    copy = world.loop()
    copy.begin()

    assert copy.identity.install_id != old
    assert dict(world.state(copy).tokens) == {}
    assert world.state(copy).current is not None
    assert copy.parts.trust.floor().timestamp.version > 0


def test_a_volatile_identity_says_that_it_chose_itself(world: AgentWorld) -> None:
    loop = begun(world, identity=IdentityKind.VOLATILE)
    world.publish("2.1.0")
    wait(world, loop, 61)

    assert world.check_ins[0]["self_selected"] is True
    assert not (world.root / "identity.json").exists()


def test_asking_by_hand_is_no_random_sample_and_at_most_every_ten_seconds(
    world: AgentWorld,
) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    for _ in range(3):
        loop.post(on.CheckRequested())
        loop.tick()

    assert [body["self_selected"] for body in world.check_ins[:1]] == [True]
    assert len([body for body in world.check_ins if body["state"]["phase"] == "idle"]) == 1


class Killed(BaseException):
    """The process ends, here and now."""


def test_a_kill_before_any_request_ends_in_the_same_place(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(world)
    world.publish("2.1.0")
    kills = 0

    class Dying(Transport):
        """Lives for so many requests."""

        left = 0

        def _send(self, *args: Any, **kwargs: Any) -> Any:
            Dying.left -= 1
            if Dying.left < 0:
                raise Killed
            return super()._send(*args, **kwargs)

    monkeypatch.setattr("client_agent.running.parts.Transport", Dying)
    for lifetime in range(1, 60):
        Dying.left = lifetime
        loop = world.loop()
        try:
            loop.begin()
            wait(world, loop, 61)
        except Killed:
            kills += 1
            continue
        break

    assert stands(loop, Armed)
    assert kills > 5


def test_telemetry_off_sends_nothing_but_check_ins_and_asks_to_be_forgotten(
    world: AgentWorld,
) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    forgotten: list[Any] = []

    def forget(asked: Asked) -> Reply:
        forgotten.append(asked)
        return Reply(status=204)

    world.server.on(f"{BASE}/forget", forget)
    wait(world, loop, 61)
    before = len(world.events)

    loop.wishes.allow_telemetry(Telemetry.OFF)
    wait(world, loop, 2 * HOUR)

    assert len(world.events) == before
    assert len(forgotten) == 1
    assert world.check_ins[-1]["telemetry"] == "off"


def test_a_reset_identity_asks_that_the_old_one_be_forgotten(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    wait(world, loop, 61)
    old = loop.identity.install_id

    fresh = loop.wishes.reset_identity()

    assert fresh.install_id != old
    assert [wish.install_id for wish in loop.visits.forgetting.wishes()] == [old]


def test_a_deliberate_rollback_uses_the_directory_on_disk(world: AgentWorld) -> None:
    loop = world.loop(version="2.1.0")
    world.add("2.0.0")
    world.add("2.1.0", rollback_to=["2.0.0"])
    world.put_in("2.0.0")
    world.put_in("2.1.0")
    world.roll_out(a_rollback("2.0.0", "2.1.0"))
    loop.begin()
    world.server.asked.clear()

    wait(world, loop, 61)

    assert stands(loop, Armed)
    assert not any("/targets/" in path for path in world.server.paths())


def test_a_root_that_cannot_be_written_is_only_looked_at(world: AgentWorld, tmp_path: Path) -> None:
    loop = world.loop()
    world.put_in("2.0.0")
    shutil.rmtree(world.root / "staging")
    (world.root / "staging").write_text("in the way")
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")

    loop.begin()
    wait(world, loop, 5 * HOUR)

    assert stands(loop, Passive)
    assert world.check_ins
    assert tmp_path.exists()


def test_the_hint_of_an_answer_is_asked_no_more_before_retry_after(world: AgentWorld) -> None:
    loop = begun(world)
    world.publish("2.1.0")
    asked: list[Asked] = []

    def busy(request: Asked) -> Reply:
        asked.append(request)
        return Reply(status=503, headers={"Retry-After": "7200"})

    world.server.on(f"{BASE}/check-in", busy)
    wait(world, loop, 1.9 * HOUR)

    assert len(asked) == 1
    assert stands(loop, Armed)


def test_a_retry_after_of_a_clock_that_was_ahead_ends_when_its_time_has_passed(
    world: AgentWorld,
) -> None:
    loop = begun(world)
    world.roll_out()
    asked: list[Asked] = []

    def busy(request: Asked) -> Reply:
        asked.append(request)
        return Reply(status=503, headers={"Retry-After": "7200"})

    world.server.on(f"{BASE}/check-in", busy)
    right = world.clock.now()
    world.clock.set_wall(right + timedelta(days=400))
    wait(world, loop, 200)
    assert len(asked) == 1

    world.clock.set_wall(right)
    wait(world, loop, 1.9 * HOUR)
    assert len(asked) == 1
    wait(world, loop, 1.5 * HOUR)

    assert len(asked) == 2
