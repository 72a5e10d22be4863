"""What an app can ask of its agent beside updates: to wait, to be quiet, to watch."""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import io
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from client_agent import Agent
from client_agent import loop as loop_module
from client_agent.config import Apply, Telemetry
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Staged
from client_agent.policy import Allow, DefaultPolicy, UpdateInfo
from tests.agent.agent_world import TOKEN, AgentWorld, a_world
from tests.agent.signed_world import BASE, PLATFORM
from tests.agent.test_agent import NOW, a_start, an_agent, events_of, prepared, until
from tests.agent.test_agent_loop import begun, stands, wait
from tests.agent.web_server import Asked, Reply


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with a_world(tmp_path, NOW - timedelta(minutes=1)) as world:
        yield world


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


def test_a_mode_may_be_chosen_for_one_call(world: AgentWorld) -> None:
    settings = {"apply": Apply.PRE_DOWNLOAD}
    agent = prepared(world, an_agent(world, settings=settings))
    stands_at(agent, world, Staged)

    assert agent.apply()
    agent._loop.tick()

    assert stands(agent._loop, Armed)
