"""What an app can ask of its agent beside updates: to wait, to be quiet, to watch."""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from client_agent import Agent
from client_agent.config import Apply, CrashSettings, IdentityKind, Telemetry
from client_agent.consent.policy import Allow, DefaultPolicy, UpdateInfo
from client_agent.errors import DiskError, NetworkError
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Staged
from client_agent.reports.forgetting import Forgetting
from client_agent.running import loop as loop_module
from client_agent.running.parts import Hooks
from client_agent.values import MarkerStatus
from tests.agent.agent_world import TOKEN, AgentWorld, a_world
from tests.agent.running.test_agent import NOW, a_start, an_agent, events_of, prepared, until
from tests.agent.running.test_agent_loop import begun, stands, wait
from tests.agent.signed_world import BASE, PLATFORM
from tests.agent.web_server import Asked, Reply


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with a_world(tmp_path, NOW - timedelta(minutes=1)) as world:
        yield world


@pytest.fixture
def started() -> Iterator[list[Agent]]:
    """Agents that a test starts; they are closed at its end."""
    agents: list[Agent] = []
    yield agents
    for agent in agents:
        agent.close()


def stands_at(agent: Agent, world: AgentWorld, kind: type) -> None:
    """Let *agent* come as far as *kind* with 2.1.0, without a thread."""
    world.publish("2.1.0")
    agent._loop.begin()
    agent._loop.handle(on.TimerFired())
    assert stands(agent._loop, kind)


# --- waiting -----------------------------------------------------------------------------


def test_later_and_skip_put_off_what_is_at_hand(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    assert (agent.later(), agent.skip()) == (False, False)
    stands_at(agent, world, Armed)

    assert [agent.later() for _ in range(8)] == [True] * 7 + [False]
    agent._loop.tick()
    assert stands(agent._loop, Staged)
    assert agent.skip()
    assert agent.apply()
    agent._loop.tick()

    assert stands(agent._loop, Armed)


def test_a_disk_that_takes_no_wish_says_so_by_false(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    stands_at(agent, world, Armed)
    (world.root / "postponed.json").mkdir()

    assert (agent.later(), agent.skip()) == (False, False)


def test_a_busy_app_gets_nothing_made_ready(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    agent.busy = True

    stands_at(agent, world, Staged)

    assert agent.busy
    agent.busy = False
    agent._loop.handle(on.TimerFired())
    assert stands(agent._loop, Armed)


class Mine:
    """An app's own policy."""

    def may_download(self, _info: UpdateInfo) -> Allow:
        return Allow()

    may_apply = may_download


def test_a_policy_of_the_apps_own_replaces_the_settings_one(world: AgentWorld) -> None:
    mine = Mine()
    agent = an_agent(world, policy=mine)
    agent.busy = True

    assert agent.policy is mine
    assert not agent.busy
    assert isinstance(an_agent(world).policy, DefaultPolicy)


def test_what_for_app_is_given_arrives(world: AgentWorld, tmp_path: Path) -> None:
    mine = Mine()

    agent = Agent.for_app(
        app="demo",
        version="2.0.0",
        root_metadata=world.signed.root_metadata,
        server=world.server.url,
        platform=PLATFORM,
        root=tmp_path / "root",
        proxy="http://proxy:3128",
        proxy_headers=lambda _: {},
        minidump_dirs=[tmp_path / "dumps", "more"],
        messages=True,
        policy=mine,
    )

    settings = agent._parts.settings
    assert agent.policy is mine
    assert settings.network.proxy == "http://proxy:3128"
    assert settings.crash.minidump_dirs == (tmp_path / "dumps", Path("more"))
    assert settings.crash.messages
    assert agent._parts.hooks.proxy_headers is not None


# --- watching ----------------------------------------------------------------------------


def test_what_nobody_catches_in_an_event_loop_is_reported(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))

    async def app() -> None:
        agent.watch_asyncio()
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "m", "exception": LookupError("x")})

    asyncio.run(app())

    assert [event["exception"]["type"] for event in events_of(agent)] == ["LookupError"]


def test_outside_of_any_event_loop_there_is_nothing_to_watch(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))

    agent.watch_asyncio()

    assert events_of(agent)[0]["exception"]["type"] == "RuntimeError"


@pytest.fixture
def no_faulthandler() -> Iterator[None]:
    was_on = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    if was_on:
        faulthandler.enable(sys.__stderr__.fileno() if sys.__stderr__ else 2)


@pytest.mark.usefixtures("no_faulthandler")
def test_a_start_by_the_launcher_has_a_file_for_what_kills_the_interpreter(
    world: AgentWorld,
) -> None:
    first = prepared(world, an_agent(world))
    launch_id = a_start(world, first, trial=False)
    fault = world.root / "launches" / f"{launch_id}.fault"
    agent = an_agent(world, launch_id=launch_id)

    agent.start()
    assert fault.exists()
    agent.close()

    assert not fault.exists()


@pytest.mark.usefixtures("no_faulthandler")
@pytest.mark.parametrize("launch_id", [None, "../../evil", "0b0e4d3c-7b0e-4d3c-9a61-0c5f6f2b8e11"])
def test_no_start_on_record_has_no_such_file(world: AgentWorld, launch_id: str | None) -> None:
    agent = prepared(world, an_agent(world, launch_id=launch_id))

    agent.start()
    agent.close()

    assert not list(world.root.rglob("*.fault"))


def test_a_process_that_gets_no_descriptor_more_still_tells_of_its_crash(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = prepared(world, an_agent(world))
    agent._parts.spool.keep_ready()
    (ready,) = (world.root / "spool").iterdir()
    with monkeypatch.context() as full:
        full.setattr(os, "open", no_descriptor)
        full.setattr(io, "open", no_descriptor)
        full.setattr(os, "scandir", no_descriptor)
        full.setattr(os, "listdir", no_descriptor)
        agent.capture(LookupError("x"))

    assert ready.stat().st_size > 0
    assert [event["exception"]["type"] for event in events_of(agent)] == ["LookupError"]


def no_descriptor(*_: object, **__: object) -> int:
    raise OSError(errno.EMFILE, "no descriptor left")


def test_a_file_that_is_kept_ready_costs_nobody_anything(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    spool = agent._parts.spool
    spool.keep_ready()
    for _ in range(5):
        assert spool.load() == []

    assert len(list((world.root / "spool").iterdir())) == 1
    spool.folder = world.root / "missing"
    spool.keep_ready()
    assert spool.load() == []


# --- quiet -------------------------------------------------------------------------------


def test_a_file_that_turns_telemetry_off_has_the_install_forgotten_once(
    tmp_path: Path,
) -> None:
    with a_world(tmp_path) as world:
        world.say("stay", None, "up_to_date")
        wait(world, begun(world), 61)
        asked: list[bytes] = []

        def forget(request: Asked) -> Reply:
            asked.append(request.body)
            return Reply(status=204)

        world.server.on(f"{BASE}/forget", forget)

        for _ in range(2):
            loop = world.loop(telemetry=Telemetry.OFF)
            loop.begin()
            wait(world, loop, 61)

        assert len(asked) == 1
        assert TOKEN.encode() in asked[0]
        assert dict(world.state(loop).tokens) == {}
        assert loop.parts.spool.load() == []
        assert world.check_ins[-1]["telemetry"] == "off"


def test_a_wish_to_be_forgotten_survives_that_telemetry_is_on_again(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        world.say("stay", None, "up_to_date")
        loop = begun(world)
        wait(world, loop, 61)
        world.server.on(f"{BASE}/forget", Reply(status=503))
        loop.wishes.allow_telemetry(Telemetry.OFF)
        loop.wishes.allow_telemetry(Telemetry.CRASH)

        wait(world, loop, 300)
        assert len(loop.visits.forgetting.wishes()) == 1
        world.server.on(f"{BASE}/forget", Reply(status=204))
        wait(world, loop, 300)

        assert loop.visits.forgetting.wishes() == []


def known_to_the_server(world: AgentWorld) -> str:
    """Let an agent check in here once; return its install ID."""
    world.say("stay", None, "up_to_date")
    loop = begun(world)
    wait(world, loop, 61)
    assert world.state(loop).tokens
    return loop.identity.install_id


def test_a_wish_before_the_agent_has_begun_is_about_the_install_that_is_there(
    world: AgentWorld,
) -> None:
    old = known_to_the_server(world)
    agent = an_agent(world)

    agent.telemetry = "off"

    wishes = agent._loop.visits.forgetting.wishes()
    assert [(wish.install_id, wish.token) for wish in wishes] == [(old, TOKEN)]


def test_a_wish_comes_with_a_token_that_has_not_expired(world: AgentWorld) -> None:
    known_to_the_server(world)
    state = world.loop().parts.installation.state
    state.set_token(Version("1.9.0"), "EXPIRED")
    state.set_token(Version("10.0.0"), "PULLED")

    agent = an_agent(world)
    agent.telemetry = "off"

    assert [wish.token for wish in agent._loop.visits.forgetting.wishes()] == [TOKEN]


def test_an_install_is_reset_before_the_agent_has_begun_too(world: AgentWorld) -> None:
    old = known_to_the_server(world)
    agent = an_agent(world)
    agent._parts.chance.new_id()  # its die is the loop's

    agent.reset_identity()

    assert [wish.install_id for wish in agent._loop.visits.forgetting.wishes()] == [old]
    fresh = agent._loop.identity
    assert not fresh.volatile
    assert fresh.install_id != old
    assert world.loop().parts.identities.stored() == fresh


def test_a_person_does_not_wait_for_a_visit_that_goes_on(
    world: AgentWorld, started: list[Agent]
) -> None:
    known_to_the_server(world)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Asked) -> Reply:
        hangs.set()
        goes_on.wait(30)
        return Reply(status=503)

    world.server.on(f"{BASE}/check-in", hang)
    agent = an_agent(world)
    started.append(agent)
    agent.start()
    assert hangs.wait(30)

    before = time.monotonic()
    agent.telemetry = "off"
    taken = time.monotonic() - before

    assert taken < 5
    assert agent.telemetry == "off"
    goes_on.set()
    until(agent._loop.visits.forgetting.wishes)


def test_what_was_queued_in_full_is_told_as_little_as_is_wanted_now(world: AgentWorld) -> None:
    world.say("stay", None, "up_to_date")
    loop = begun(world, crash=CrashSettings(messages=True))
    try:
        int("x")
    except ValueError as error:
        loop.parts.reporter.crash(error, Version("2.0.0"), None)
    (queued,) = [one.event for one in loop.parts.spool.load() if one.kind == "crash"]
    assert queued["frames"]
    assert queued["exception"]["message"]

    loop.wishes.allow_telemetry(Telemetry.HEALTH)
    wait(world, loop, 61)

    (told,) = [event for event in world.events if event["kind"] == "crash"]
    assert told["exception"] == {"type": "ValueError"}
    assert "frames" not in told


def test_what_another_process_queued_does_not_leave_where_nothing_may(world: AgentWorld) -> None:
    known_to_the_server(world)
    loop = world.loop(telemetry=Telemetry.OFF)
    loop.begin()
    other = world.loop()
    other.parts.reporter.metric("seen", 1, Version("2.0.0"))
    other.parts.spool.append(
        {"id": "1", "at": "2026-11-22T03:07:00Z", "kind": "metric"}, version="2.0.0", token=TOKEN
    )
    other.parts.spool.seal()
    before = len(world.events)

    loop.handle(on.TimerFired())

    assert len(world.events) == before
    assert loop.parts.spool.load() == []


def test_who_lives_in_memory_does_not_speak_with_the_token_of_who_was_there_before(
    world: AgentWorld,
) -> None:
    world.say("stay", None, "up_to_date")
    before = begun(world, identity=IdentityKind.VOLATILE)
    wait(world, before, 61)
    before.parts.reporter.metric("seen", 1, Version("2.0.0"))  # and the container ends
    before.parts.spool.seal()
    world.say("stay", None, "up_to_date", token="U" * 58)

    loop = world.loop(identity=IdentityKind.VOLATILE)
    loop.begin()
    assert not world.state(loop).tokens
    wait(world, loop, 61)

    assert loop.identity.install_id != before.identity.install_id
    assert [event["token"] for event in world.events if event["kind"] == "metric"] == ["U" * 58]


def test_a_wish_from_beside_us_outlives_the_one_that_is_being_granted(world: AgentWorld) -> None:
    known_to_the_server(world)
    loop = world.loop()
    loop.begin()
    forgetting = loop.visits.forgetting

    def grant(_: Asked) -> Reply:
        world.server.on(f"{BASE}/forget", Reply(status=503))
        beside = Forgetting(world.root, world.machine)
        beside.wish("other", "T")
        return Reply(status=204)

    world.server.on(f"{BASE}/forget", grant)
    forgetting.wish("mine", "T")
    forgetting.deliver(loop.parts.sender, loop.visits.transport)

    assert [wish.install_id for wish in forgetting.wishes()] == ["other"]


def test_a_wish_is_kept_until_the_server_itself_has_answered(world: AgentWorld) -> None:
    known_to_the_server(world)
    loop = world.loop()
    loop.begin()
    forgetting = loop.visits.forgetting
    forgetting.wish("mine", "T")
    world.server.on(f"{BASE}/forget", Reply(status=403, body=b"<html>blocked"))
    with pytest.raises(NetworkError):
        forgetting.deliver(loop.parts.sender, loop.visits.transport)
    assert len(forgetting.wishes()) == 1

    problem = {"Content-Type": "application/problem+json"}
    world.server.on(f"{BASE}/forget", Reply(status=403, headers=problem))
    forgetting.deliver(loop.parts.sender, loop.visits.transport)

    assert forgetting.wishes() == []


def test_wishes_that_cannot_be_read_now_are_not_written_over(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_to_the_server(world)
    forgetting = Forgetting(world.root, world.machine)
    forgetting.wish("first", "T")
    with monkeypatch.context() as full:
        full.setattr(Path, "open", no_descriptor)
        with pytest.raises(DiskError):
            forgetting.wish("second", "T")

    assert [wish.install_id for wish in forgetting.wishes()] == ["first"]


def test_an_install_that_was_reset_by_a_command_beside_it_speaks_as_the_new_one(
    world: AgentWorld,
) -> None:
    world.say("stay", None, "up_to_date")
    loop = begun(world)
    wait(world, loop, 61)
    beside = world.loop()
    beside.begin()

    fresh = beside.wishes.reset_identity()
    loop.handle(on.TimerFired())

    assert world.check_ins[-1]["install_id"] == fresh.install_id
    assert loop.identity == fresh


# --- the end -----------------------------------------------------------------------------


def test_a_server_that_hangs_delays_the_last_look_by_its_bound(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "LAST_LOOK_SECONDS", 0.05)
    loop = world.loop()
    hangs = loop._mutex
    waited: list[bool] = []

    def look() -> None:
        with hangs:
            waited.append(True)

    monkeypatch.setattr(loop, "check_before_quit", look)
    with hangs:
        loop.look_before_quit()
        assert waited == []
    until(lambda: waited)


def test_a_fault_of_ours_in_the_last_look_reaches_nobody(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put_in("2.0.0")
    loop = world.loop()
    monkeypatch.setattr(loop, "check_before_quit", lambda: 1 / 0)

    loop.look_before_quit()

    told = [one.event for one in loop.parts.spool.load() if one.kind == "crash"]
    assert [event["exception"]["type"] for event in told] == ["ZeroDivisionError"]


def test_a_quit_inside_of_a_hook_waits_for_nothing(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    launch_id = a_start(world, agent, trial=False)
    taken: list[float] = []

    def quits(_: UpdateInfo) -> None:
        before = time.monotonic()
        agent._loop.quit()
        taken.append(time.monotonic() - before)

    agent = an_agent(world, launch_id=launch_id, hooks=Hooks(on_staged=quits))
    stands_at(agent, world, Armed)

    assert taken
    assert taken[0] < 1
    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.EXITED


def test_a_process_that_gets_no_thread_more_seals_its_start_all_the_same(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(world, an_agent(world))
    launch_id = a_start(world, first, trial=False)
    agent = an_agent(world, launch_id=launch_id)

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        agent.close()

    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.EXITED


def test_a_process_that_was_forked_off_ends_without_ending_the_apps_start(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(world, an_agent(world))
    launch_id = a_start(world, first, trial=False)
    agent = an_agent(world, launch_id=launch_id)
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: 1)
        agent.close()
        agent._crashed(LookupError("x"), True)

    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.OPEN
    agent.close()
    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.EXITED


def test_a_mode_may_be_chosen_for_one_call(world: AgentWorld) -> None:
    settings = {"apply": Apply.PRE_DOWNLOAD}
    agent = prepared(world, an_agent(world, settings=settings))
    stands_at(agent, world, Staged)

    assert agent.apply()
    agent._loop.tick()

    assert stands(agent._loop, Armed)
