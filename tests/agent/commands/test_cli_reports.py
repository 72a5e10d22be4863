"""``serinus-agent report`` and what policies make of ``check`` and ``apply``."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client_agent.platforms.linux import Linux
from client_agent.reports.faults import MAX_FRAMES, parse_crash
from client_agent.reports.minidumps import Minidumps
from rollout.errors import DocumentError
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.commands.test_cli import Command, publish, version_of

NAME = "0b0e4d3c-7b0e-4d3c-9a61-0c5f6f2b8e11"
CRASH = {
    "exception": {"type": "NullPointerException", "message": "no user anna@example.org"},
    "frames": [{"function": "save", "file": "/home/anna/src/notes.c", "line": 3, "in_app": True}],
    "hostname": "annas-laptop",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    with a_world(tmp_path, now) as world:
        yield world


@pytest.fixture
def agent(world: AgentWorld, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(world, capsys)


@pytest.fixture
def installed(world: AgentWorld, agent: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``serinus-agent`` on a ROOT in which 2.0.0 is confirmed."""
    monkeypatch.delenv("SERINUS_LAUNCH", raising=False)
    publish(world, "2.0.0")
    world.say("update", "2.0.0", "in_ring")
    agent("check")
    world.loop().parts.installation.state.confirm(datetime.now(UTC))
    return agent


def crashes(world: AgentWorld) -> list[dict[str, Any]]:
    return [event for event in world.events if event["kind"] == "crash"]


# --- crashes -----------------------------------------------------------------------------


def test_a_program_in_any_language_tells_of_its_crash(
    world: AgentWorld, installed: Command
) -> None:
    file = world.folder / "crash.json"
    file.write_text(json.dumps(CRASH))

    code, said = installed("report", "--crash", str(file))
    installed("report")

    assert (code, said) == (0, {"version": "2.0.0", "type": "NullPointerException"})
    told = crashes(world)[0]
    assert told["exception"] == {"type": "NullPointerException"}
    assert told["frames"] == [{"function": "save", "file": "notes.c", "line": 3, "in_app": True}]
    assert "anna" not in json.dumps(told)


def test_a_message_is_told_where_the_settings_say_so(world: AgentWorld, installed: Command) -> None:
    installed.write(more="[crash]\nmessages = true")
    file = world.folder / "crash.json"
    file.write_text(json.dumps(CRASH))

    installed("report", "--crash", str(file))
    installed("report")

    assert crashes(world)[0]["exception"]["message"] == "no user <email>"


def test_a_crash_may_come_by_a_pipe_and_belongs_to_its_start(
    world: AgentWorld, installed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = world.loop().parts.installation.current()
    assert current is not None
    said = {
        "launch_id": NAME, "version": "1.9.0", "digest": current.manifest_sha256,
        "dir": current.directory, "rollout": None, "token": "LAUNCHED", "trial": False,
        "started": "2026-11-22T03:07:00Z", "boot_id": "boot",
    }  # fmt: skip
    marker = world.root / "launches" / f"{NAME}.json"
    marker.write_text(json.dumps(said) + "\n")
    alive = world.machine.lock(marker)
    assert alive is not None
    monkeypatch.setenv("SERINUS_LAUNCH", NAME)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(CRASH).encode())))

    assert installed("report", "--crash", "-")[0] == 0
    alive.close()
    installed("report")

    told = crashes(world)[0]
    assert (told["version"], told["sid"], told["token"]) == ("1.9.0", NAME, "LAUNCHED")


def test_a_minidump_is_kept_to_be_sent_and_the_file_stays(
    world: AgentWorld, installed: Command
) -> None:
    dump = world.folder / "a.dmp"
    dump.write_bytes(b"MDMP" + bytes(60))

    code, said = installed("report", "--crash", str(dump))

    assert (code, said) == (0, {"version": "2.0.0", "minidump": True})
    assert dump.exists()
    kept = Minidumps(world.root, [], world.machine, world.clock).kept()
    assert [str(one.version) for one in kept] == ["2.0.0"]


def test_of_a_minidump_that_may_not_leave_only_its_being_is_told(
    world: AgentWorld, installed: Command
) -> None:
    installed.write(agent='telemetry = "health"')
    dump = world.folder / "a.dmp"
    dump.write_bytes(b"MDMP" + bytes(60))

    assert installed("report", "--crash", str(dump))[0] == 0
    installed("report")

    assert Minidumps(world.root, [], world.machine, world.clock).kept() == []
    assert crashes(world)[0]["exception"] == {"type": "minidump"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"exception": {}}', "PMDM", "{" * 99])
def test_what_is_no_crash_is_a_usage_error(
    world: AgentWorld, installed: Command, text: str
) -> None:
    file = world.folder / "crash"
    file.write_text(text)

    code, said = installed("report", "--crash", str(file))

    assert code == 2
    assert "--crash" in said["error"]["detail"]


def test_a_file_that_is_not_there_is_a_failure(installed: Command) -> None:
    assert installed("report", "--crash", "/nowhere/crash.json")[0] == 1


def test_with_nothing_installed_there_is_no_crash_to_tell(
    world: AgentWorld, agent: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERINUS_LAUNCH", raising=False)
    world.roll_out()

    assert agent("report", "--crash", "crash.json")[0] == 1


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"exception": {"type": 3}}, "exception"),
        ({"exception": {"type": "x", "message": 3}}, "exception.message"),
        ({"exception": {"type": "x"}, "frames": {}}, "frames"),
        ({"exception": {"type": "x"}, "frames": ["f"]}, "frames"),
        ({"exception": {"type": "x"}, "frames": [{"line": True}]}, "frames[0].line"),
        ({"exception": {"type": "x"}, "frames": [{"file": 3}]}, "frames[0].file"),
    ],
)
def test_a_bad_field_names_itself(document: dict[str, Any], where: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_crash(json.dumps(document).encode())

    assert str(caught.value).startswith(f"{where}: ")


def test_long_stacks_and_texts_are_cut() -> None:
    frames = [{"function": "f" * 500}] * 100

    crash = parse_crash(json.dumps({"exception": {"type": "t" * 500}, "frames": frames}).encode())

    assert len(crash.kind) == 256
    assert len(crash.frames) == MAX_FRAMES
    assert len(crash.frames[0]["function"]) == 256


@pytest.mark.parametrize("metric", ["startup_ms", "startup_ms=", "Startup=1", "x=nan", "x=inf"])
def test_a_metric_needs_a_name_and_a_finite_number(installed: Command, metric: str) -> None:
    assert installed("report", "--metric", metric)[0] == 2


# --- policies ----------------------------------------------------------------------------


def all_day() -> str:
    """Return a policy with quiet hours around now."""
    now = datetime.now(UTC).astimezone()
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    return f'[policy]\nquiet_hours = "{start:%H:%M}-{end:%H:%M}"'


def test_apply_waits_for_the_end_of_the_quiet_hours_unless_it_is_forced(
    world: AgentWorld, agent: Command
) -> None:
    agent.write(more=all_day())
    publish(world, "2.0.0")

    code, said = agent("check", "--scheduled")
    assert (code, said["state"]) == (0, "staged")
    code, said = agent("apply")
    assert (code, said["error"]["category"], said["error"]["code"]) == (1, "policy", "deferred")
    assert said["error"]["detail"].startswith("quiet_hours, until ")
    code, said = agent("apply", "--force")
    assert (code, said["state"]) == (0, "armed")


def test_who_asks_for_it_takes_back_that_they_skipped_it(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    agent("check")
    loop = world.loop()
    pending = loop.parts.installation.state.read().pending
    assert pending is not None
    loop.begin()
    loop.wishes.skip()

    code, said = agent("check", "--scheduled")
    assert (code, said["state"]) == (0, "staged")
    code, said = agent("apply")

    assert (code, said["state"]) == (0, "armed")
    assert version_of(agent.state()["pending"]) == "2.0.0"


def test_a_check_whose_download_has_to_wait_says_why(
    world: AgentWorld, agent: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Linux, "metered", lambda _: True)
    publish(world, "2.0.0")

    code, said = agent("check")

    assert (code, said["error"]["code"]) == (1, "deferred")
    assert said["error"]["detail"].startswith("metered, until ")
    assert agent("apply", "--force")[1]["state"] == "armed"
