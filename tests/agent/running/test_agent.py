"""The agent as an app sees it: nothing raises, nothing blocks, and it works."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from client_agent import Agent
from client_agent import agent as agent_module
from client_agent.config import Apply, Telemetry
from client_agent.errors import ConfigError
from client_agent.machine import events as on
from client_agent.machine.states import Armed
from client_agent.reports.crash_hooks import CrashHooks
from client_agent.running import loop as loop_module
from client_agent.running.keep_running import GOOD_RUN_SECONDS, keep_running
from client_agent.values import MarkerStatus
from tests.agent.agent_fakes import Dice, Machine
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.signed_world import PLATFORM, an_entry, zulu
from tests.agent.web_server import Asked, Reply

NOW = datetime.now(UTC).replace(microsecond=0)


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


class NoStart(Machine):
    """A machine on which nothing becomes another program; it notes what should have."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[list[str]] = []

    def start(  # type: ignore[override]  # on Linux it never returns
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> int:
        self.commands.append([*command])
        assert not {name for name in environment if name.startswith("SERINUS_")}
        return 0


def an_agent(world: AgentWorld, *, launch_id: str | None = None, **options: Any) -> Agent:
    settings = world.settings(unsafe_speed=1_200.0, **options.pop("settings", {}))
    environment = {"SERINUS_LAUNCH": launch_id} if launch_id else {}
    return Agent(
        settings,
        version=Version(options.pop("version", "2.0.0")),
        attributes={},
        platform=options.pop("platform", Machine()),
        chance=Dice(),
        environment=environment,
        **options,
    )


def prepared(world: AgentWorld, agent: Agent, version: str = "2.0.0") -> Agent:
    world.put_in(version)
    return agent


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def a_start(world: AgentWorld, agent: Agent, *, trial: bool, version: str = "2.0.0") -> str:
    """Write the marker of a start, as the launcher does, and return its ID."""
    launch_id = str(uuid.uuid4())
    installed = agent._parts.installation.pending() or agent._parts.installation.current()
    assert installed is not None
    said = {
        "launch_id": launch_id,
        "version": version,
        "digest": installed.manifest_sha256,
        "dir": installed.directory,
        "rollout": None,
        "token": None,
        "started": zulu(NOW),
        "boot_id": Machine().boot_id(),
        "trial": trial,
    }
    (world.root / "launches" / f"{launch_id}.json").write_text(json.dumps(said) + "\n")
    return launch_id


def events_of(agent: Agent) -> list[dict[str, Any]]:
    return [spooled.event for spooled in agent._parts.spool.load()]


# --- the thread --------------------------------------------------------------------------


def test_a_started_agent_arms_an_update_in_the_background(
    world: AgentWorld, started: list[Agent]
) -> None:
    agent = prepared(world, an_agent(world))
    started.append(agent)
    world.publish("2.1.0")

    agent.start()
    agent.start()

    until(agent._parts.installation.pending)
    assert agent.status()["pending"]["version"] == "2.1.0"


def test_an_app_on_trial_is_confirmed_when_it_says_that_it_is_healthy(
    world: AgentWorld, started: list[Agent]
) -> None:
    first = prepared(world, an_agent(world))
    world.publish("2.1.0")
    first._loop.begin()
    first._loop.handle(on.TimerFired())
    launch_id = a_start(world, first, trial=True, version="2.1.0")
    agent = an_agent(world, version="2.1.0", launch_id=launch_id)
    started.append(agent)

    agent.start()
    until(lambda: agent.on_trial)
    agent.healthy()

    until(lambda: not agent.on_trial)
    assert agent.status()["current"]["version"] == "2.1.0"


def test_closing_takes_seconds_though_the_server_hangs(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loop_module.QUIT_SECONDS + agent_module.CLOSE_SECONDS <= 2
    monkeypatch.setattr(loop_module, "QUIT_SECONDS", 0.2)
    monkeypatch.setattr(agent_module, "CLOSE_SECONDS", 0.1)
    agent = prepared(world, an_agent(world))
    world.publish("2.1.0")
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: Asked) -> Reply:
        hangs.set()
        goes_on.wait(30)
        return Reply(status=503)

    world.server.on("/v1/apps/demo/check-in", hang)
    agent.start()
    assert hangs.wait(30)

    before = time.monotonic()
    agent.close()
    taken = time.monotonic() - before
    goes_on.set()

    assert taken < 2


def test_a_clean_quit_seals_the_marker(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    launch_id = a_start(world, agent, trial=False)
    agent = an_agent(world, launch_id=launch_id)
    agent.start()
    agent.close()
    agent.close()

    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.EXITED


def test_a_quit_asks_once_more_about_what_is_armed_for_long(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    world.publish("2.1.0")
    agent._loop.begin()
    agent._loop.handle(on.TimerFired())
    state = agent._loop.state
    assert isinstance(state, Armed)
    agent._loop.performer.state = replace(state, decided_at=NOW - timedelta(minutes=16))
    world.roll_out(an_entry("2.1.0", state="pulled"))

    agent._thread = threading.Thread(target=int)
    agent._thread.start()
    agent.close()

    assert agent._parts.installation.pending() is None


def test_apply_arms_what_waits_for_it(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world, settings={"apply": Apply.PRE_DOWNLOAD}))
    world.publish("2.1.0")
    agent._loop.begin()
    assert not agent.apply()
    agent._loop.tick()
    agent._loop.handle(on.TimerFired())

    assert agent.apply()
    agent._loop.tick()

    assert isinstance(agent._loop.state, Armed)


def test_check_now_looks_at_once(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    world.publish("2.1.0")
    agent._loop.begin()

    agent.check_now()
    agent._loop.tick()

    assert world.check_ins[0]["self_selected"] is True


def test_restart_starts_the_launcher_with_the_apps_arguments(world: AgentWorld) -> None:
    machine = NoStart()
    agent = prepared(world, an_agent(world, platform=machine))

    agent.restart(["--open", "file"])

    (command,) = machine.commands
    assert command[-2:] == ["--open", "file"]
    assert command[-3] == str(world.root / "launcher.py")


# --- what the app says -------------------------------------------------------------------


def test_metrics_and_swallowed_errors_are_queued(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    try:
        int("x")
    except ValueError as error:
        agent.capture(error)
    agent.metric("startup_ms", 812)
    agent.metric("Not A Name", 1)

    assert [event["kind"] for event in events_of(agent)] == ["crash", "metric"]


def test_telemetry_can_be_turned_off_and_read(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    assert agent.telemetry == "crash"

    agent.telemetry = "off"
    agent.metric("startup_ms", 1)
    agent.telemetry = "nonsense"

    assert agent.telemetry == Telemetry.OFF
    assert events_of(agent) == []


def test_data_moves_to_a_schema_only_when_there_is_a_way_back(world: AgentWorld) -> None:
    agent = an_agent(world)
    world.add("2.0.0", schema={"data_schema": 6, "reads_schema_max": 7})
    world.put_in("2.0.0")
    world.publish("2.1.0")
    agent._loop.begin()
    agent._loop.handle(on.TimerFired())
    launch_id = a_start(world, agent, trial=True, version="2.1.0")
    inside = an_agent(world, version="2.1.0", launch_id=launch_id)

    assert agent.may_migrate(99)
    assert inside.may_migrate(7)
    assert not inside.may_migrate(8)
    assert inside.data_schema(7)
    assert inside._parts.installation.state.read().data_schema == 7
    inside._parts.installation.state.confirm(NOW)
    assert inside.may_migrate(8)


def test_a_reset_makes_another_install(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    agent._loop.begin()
    before = agent._loop.identity.install_id

    agent.reset_identity()

    assert agent._loop.identity.install_id != before


# --- nothing raises ----------------------------------------------------------------------


def test_an_agent_without_a_disk_does_nothing_and_raises_nothing(
    world: AgentWorld, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    agent = an_agent(world, platform=NoStart(), settings={"root": blocked / "root"})

    agent.start()
    agent.healthy()
    agent.metric("startup_ms", 1)
    agent.capture(ValueError())
    agent.data_schema(3)
    agent.reset_identity()
    agent.restart([])
    agent.telemetry = "off"

    assert agent.status() is not None
    assert agent.may_migrate(1)
    assert not agent.apply()
    agent.close()


def test_a_fault_of_ours_is_reported_and_does_not_reach_the_app(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = prepared(world, an_agent(world))
    monkeypatch.setattr(agent._loop, "post", lambda _event: 1 / 0)

    agent.check_now()

    kinds = [(event["kind"], event.get("error")) for event in events_of(agent)]
    assert kinds == [
        ("crash", None),
        ("update", {"category": "agent", "code": "internal"}),
    ]


def a_row_of_faults(world: AgentWorld, *, u: float, runs: int, seconds: float = 0) -> list[float]:
    """Return how long a loop waits that fails each time, after *seconds*."""
    loop = world.loop(u=u)
    left = itertools.count(runs - 1, -1)

    def broken() -> None:
        world.clock.advance(seconds)
        if next(left) == 0:
            loop.end()
        raise RuntimeError

    world.clock.waits.clear()
    keep_running(loop, broken)
    return world.clock.waits


def test_a_broken_loop_is_started_again_and_again_ever_less_often(world: AgentWorld) -> None:
    world.put_in("2.0.0")

    assert a_row_of_faults(world, u=1, runs=5) == [90, 150, 270, 510]
    assert a_row_of_faults(world, u=0, runs=5) == [30] * 4
    assert a_row_of_faults(world, u=1, runs=50)[-1] == 3_630


def test_a_fault_after_a_long_good_run_is_the_first_of_its_row(world: AgentWorld) -> None:
    world.put_in("2.0.0")

    assert a_row_of_faults(world, u=1, runs=4, seconds=GOOD_RUN_SECONDS + 1) == [90, 90, 90]


@pytest.mark.parametrize(
    "wrong",
    [
        {"app": "No App"},
        {"channel": "omaha"},
        {"version": "one"},
        {"apply": "never"},
        {"telemetry": "all"},
        {"platform": "toaster"},
    ],
)
def test_arguments_that_cannot_be_are_refused_at_once(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    arguments: dict[str, Any] = {
        "app": "demo",
        "version": "2.0.0",
        "root_metadata": b"{}",
        "server": "https://updates.example.org",
        "root": tmp_path,
    }

    with pytest.raises(ConfigError):
        Agent.for_app(**{**arguments, **wrong})


def for_app(world: AgentWorld, **options: Any) -> Agent:
    return Agent.for_app(
        app="demo",
        version="2.0.0",
        root_metadata=world.signed.root_metadata,
        server=world.server.url,
        platform=PLATFORM,
        **options,
    )


def test_an_app_finds_its_root_where_the_launcher_says(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SERINUS_ROOT", str(tmp_path / "there"))

    assert for_app(world)._parts.settings.root == tmp_path / "there"
    monkeypatch.delenv("SERINUS_ROOT")
    assert for_app(world)._parts.settings.root.name == "serinus"
    assert for_app(world, root=tmp_path)._parts.settings.root == tmp_path


def test_what_a_launcher_told_another_app_is_not_for_this_one(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SERINUS_ROOT", str(tmp_path / "there"))
    monkeypatch.setenv("SERINUS_LAUNCH", "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11")

    monkeypatch.setenv("SERINUS_LAUNCH_APP", "editor")
    agent = for_app(world)
    assert agent._parts.settings.root.name == "serinus"
    assert agent._launch_id is None
    monkeypatch.setenv("SERINUS_LAUNCH_APP", "demo")
    agent = for_app(world)
    assert agent._parts.settings.root == tmp_path / "there"
    assert agent._launch_id is not None


def test_a_folder_that_cannot_be_looked_into_stops_no_app(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", denied)

    assert for_app(world, root=world.root)._parts.settings.root == world.root


def test_a_file_beside_the_versions_changes_settings_and_a_broken_one_changes_nothing(
    world: AgentWorld,
) -> None:
    world.root.mkdir()
    (world.root / "agent.toml").write_text("[agent]\napply = 'now'\n")
    assert for_app(world, root=world.root)._parts.settings.apply is Apply.NOW

    (world.root / "agent.toml").write_text("[agent]\naply = 'now'\n")
    agent = for_app(world, root=world.root)

    assert agent._parts.settings.apply is Apply.ON_QUIT


# --- errors that nobody caught -----------------------------------------------------------

_APP = """
import sys
from client_agent import Agent
agent = Agent.for_app(app="demo", version="2.0.0", root_metadata=b"{}",
                      server="http://127.0.0.1:9", root=sys.argv[1])
agent.start()
agent._loop.begun.wait(20)
"""


def test_an_uncaught_error_is_a_crash_of_this_start(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    launch_id = a_start(world, agent, trial=False)
    environment = {"SERINUS_LAUNCH": launch_id, "PATH": "/usr/bin"}
    script = f"{_APP}raise RuntimeError('a secret')\n"

    died = subprocess.run(
        [sys.executable, "-c", script, str(world.root)],
        env=environment,
        capture_output=True,
        check=False,
    )

    assert died.returncode == 1
    assert b"a secret" in died.stderr  # Python's own hook still speaks
    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.CRASHED
    (crash,) = [event for event in events_of(agent) if event["kind"] == "crash"]
    assert crash["exception"] == {"type": "RuntimeError"}
    assert "secret" not in json.dumps(crash)


def test_a_program_that_just_ends_has_quit_cleanly(world: AgentWorld) -> None:
    agent = prepared(world, an_agent(world))
    launch_id = a_start(world, agent, trial=False)
    environment = {"SERINUS_LAUNCH": launch_id, "PATH": "/usr/bin"}

    subprocess.run(
        [sys.executable, "-c", f"{_APP}sys.exit(3)\n", str(world.root)],
        env=environment,
        check=False,
    )

    marker = agent._parts.installation.marker(launch_id)
    assert marker is not None
    assert marker.status is MarkerStatus.EXITED


def test_the_hooks_that_were_there_are_called_after_ours() -> None:
    called: list[str] = []
    before, before_in_thread = sys.excepthook, threading.excepthook
    sys.excepthook = lambda *_: called.append("process")
    threading.excepthook = lambda _: called.append("thread")
    try:
        hooks = CrashHooks(lambda error, ends: called.append(f"{type(error).__name__} {ends}"))
        hooks.install()
        hooks.install()
        sys.excepthook(ValueError, ValueError(), None)
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        thread = threading.Thread(target=[].pop)
        thread.start()
        thread.join()
        hooks.remove()
        hooks.remove()
        sys.excepthook(ValueError, ValueError(), None)
    finally:
        sys.excepthook, threading.excepthook = before, before_in_thread

    assert called == [
        "ValueError True",
        "process",
        "process",
        "IndexError False",
        "thread",
        "process",
    ]


def test_a_hook_that_came_later_stays_when_ours_goes() -> None:
    before = sys.excepthook
    hooks = CrashHooks(lambda *_: None)
    try:
        hooks.install()
        later: Any = lambda *_: None  # noqa: E731
        sys.excepthook = later
        hooks.remove()

        assert sys.excepthook is later
    finally:
        sys.excepthook = before
