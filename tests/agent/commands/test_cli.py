"""The command, on real folders and a real loopback server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client_agent import cli
from client_agent.cli import COMMANDS, main
from client_agent.commands.supervise import Supervisor
from client_agent.running.status import tell
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.signed_world import APP, BASE, PLATFORM, an_entry
from tests.agent.trees import Tree
from tests.agent.web_server import Asked, Reply

GOOD = b'#!/bin/sh\necho started "$@"\n'
CRASHES = b"#!/bin/sh\nkill -SEGV $$\n"
SERVES = b'#!/bin/sh\necho up >> "$SERINUS_ROOT/log"\nexec sleep 60\n'


class Command:
    """``serinus-agent`` on one ROOT."""

    def __init__(self, world: AgentWorld, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self._capsys = capsys
        self.config = world.root / "agent.toml"
        world.root.mkdir()
        (world.root / "root.json").write_bytes(world.signed.root_metadata)
        self.write()

    def write(self, *, agent: str = "", more: str = "") -> None:
        text = f"""
[app]
app = "{APP}"
platform = "{PLATFORM}"
server = "{self.world.server.url}"
[agent]
{agent}
[schedule]
unsafe_speed = 1200
{more}
"""
        self.config.write_text(text)

    def __call__(self, *words: str, rest: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
        """Run it with ``--json``; return its exit code and document."""
        tail = ["--", *rest] if rest else []
        code = main([*words, "--json", "--config", str(self.config), *tail])
        return code, json.loads(self._capsys.readouterr().out or "null")

    def start(self, *rest: str) -> subprocess.Popen[bytes]:
        """Start ``run`` as a process of its own."""
        tail = ["--", *rest] if rest else []
        command = [sys.executable, "-m", "client_agent.cli", "run", "--config", str(self.config)]
        return subprocess.Popen([*command, *tail], stderr=subprocess.DEVNULL)

    def state(self) -> dict[str, Any]:
        try:
            body: dict[str, Any] = json.loads((self.world.root / "state.json").read_text())["body"]
        except (OSError, ValueError):
            return {}
        return body


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    with a_world(tmp_path, now) as world:
        yield world


@pytest.fixture
def agent(world: AgentWorld, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(world, capsys)


def publish(world: AgentWorld, version: str, app: bytes = GOOD) -> None:
    tree: Tree = {"app": app}
    world.add(version, tree)
    world.roll_out(an_entry(version, rollout=f"ro_{version.replace('.', '')}x"))


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Poll a real process; it has its own clock."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


@contextmanager
def held(world: AgentWorld, word: str) -> Iterator[threading.Event]:
    """Hold back each answer about *word*; the event tells that one was asked for."""
    asked, goes_on = threading.Event(), threading.Event()
    answer = world.server.default

    def hold(request: Asked) -> Reply:
        if word in request.path:
            asked.set()
            goes_on.wait(30)
        return answer(request)

    world.server.default = hold
    try:
        yield asked
    finally:
        goes_on.set()
        world.server.default = answer


def version_of(record: Any) -> str | None:
    return record["version"] if record else None


# --- one visit ---------------------------------------------------------------------------


def test_check_brings_what_is_offered_and_says_what_it_did(
    world: AgentWorld, agent: Command
) -> None:
    publish(world, "2.0.0")

    code, said = agent("check")

    assert code == 0
    assert said["state"] == "armed"
    assert said["version"] == "2.0.0"
    assert said["assignment"]["reason"] == "in_ring"


def test_check_with_nothing_new_exits_3_with_the_reason(world: AgentWorld, agent: Command) -> None:
    world.roll_out()

    code, said = agent("check")

    assert code == 3
    assert said["assignment"]["reason"] == "no_release"


def test_check_against_a_server_that_is_down_exits_1_with_the_code(
    world: AgentWorld, agent: Command
) -> None:
    world.server.default = lambda _: Reply(status=503)

    code, said = agent("check")

    assert code == 1
    assert said["error"]["code"] == "http_status"


def test_a_payload_that_does_not_verify_exits_1(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    (payload,) = [name for name in world.signed.files if name.endswith(".srn")]
    world.signed.files[payload] += b"x"

    code, said = agent("check")

    assert code == 1
    assert said["error"] == {
        "category": "trust",
        "code": "length_mismatch",
        "detail": said["error"]["detail"],
    }


def test_another_agent_at_work_is_named(world: AgentWorld, agent: Command) -> None:
    world.roll_out()
    agent("check")
    lock = world.loop().parts.installation.lock()

    code, said = agent("check")

    lock.close()
    assert code == 1
    assert said["error"]["code"] == "busy"
    assert f"(process {os.getpid()})" in said["error"]["detail"]


def test_a_lock_that_nobody_signed_is_held_all_the_same(world: AgentWorld, agent: Command) -> None:
    world.roll_out()
    agent("check")
    (world.root / "lock").write_bytes(b"")
    lock = world.machine.lock(world.root / "lock")

    code, said = agent("report")

    assert lock is not None
    assert (code, said["error"]["code"]) == (1, "busy")
    assert said["error"]["detail"].startswith("another agent is at work here")


def test_a_server_that_does_not_know_the_app_says_so(world: AgentWorld, agent: Command) -> None:
    world.server.on(f"{BASE}/check-in", Reply(status=404))
    world.server.default = lambda _: Reply(status=404)

    code, said = agent("check")

    assert code == 1
    assert said["error"]["detail"] == f"404: the server knows no app {APP}"


def test_a_platform_that_nobody_released_for_is_told_so(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    world.roll_out(an_entry("2.0.0", rollout="ro_200x", state="pulled"))
    agent.config.write_text(agent.config.read_text().replace(PLATFORM, "windows-arm64"))

    code, said = agent("check")

    assert (code, said["assignment"]["reason"]) == (3, "no_release")


def test_pre_download_waits_for_apply(world: AgentWorld, agent: Command) -> None:
    agent.write(agent='apply = "pre_download"')
    publish(world, "2.0.0")

    assert agent("check", "--scheduled")[1]["state"] == "staged"
    assert agent.state().get("pending") is None
    assert agent("apply")[1]["state"] == "armed"
    assert version_of(agent.state()["pending"]) == "2.0.0"


def test_apply_force_ignores_a_ban(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    agent("check")
    loop = world.loop()
    loop.parts.installation.state.ban_pending("tries_used_up", datetime.now(UTC))

    assert agent("apply")[0] == 3
    code, said = agent("apply", "--force")

    assert (code, said["version"]) == (0, "2.0.0")


def test_only_a_check_by_hand_says_that_it_was_chosen(world: AgentWorld, agent: Command) -> None:
    world.roll_out()
    agent("check")
    agent("check", "--scheduled")

    assert [body["self_selected"] for body in world.check_ins] == [True, False]


# --- status, reports, groups -------------------------------------------------------------


def test_status_shows_what_is_installed_armed_and_why(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    agent("check")

    code, said = agent("status")

    assert code == 0
    assert said["pending"]["version"] == "2.0.0"
    assert said["assignment"]["reason"] == "in_ring"
    assert said["next_check_in_at"] is not None
    assert said["bans"] == []


def test_a_status_without_json_is_made_of_sentences(
    world: AgentWorld, agent: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--config", str(agent.config)]) == 0
    before = capsys.readouterr().out
    publish(world, "2.0.0")
    agent("check")
    store = world.loop().parts.installation.state
    store.confirm(datetime.now(UTC))
    publish(world, "2.1.0")
    agent("check")

    assert main(["status", "--config", str(agent.config)]) == 0

    assert before == "nothing is installed\nno agent has been at work here yet\n"
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "2.0.0 is installed"
    assert told[1].startswith("the next start tries 2.1.0, 3 tries left, until ")
    assert told[2] == "the agent was armed (in_ring)"
    assert told[3].startswith("last check-in 20")
    assert told[4] == "last error network/http_status"


def test_a_status_tells_of_what_failed() -> None:
    said = {
        "current": {"version": "2.0.0"},
        "previous": {"version": "1.0.0"},
        "pending": None,
        "state": "idle",
        "assignment": None,
        "checked_at": None,
        "next_check_in_at": None,
        "error": {"category": "network", "code": "unreachable"},
        "bans": [{"version": "2.1.0", "reason": "tries_used_up", "at": "T"}],
        "failures": [{"version": "2.2.0", "code": "no_space", "retry_at": "T"}],
    }

    assert tell(said).splitlines() == [
        "2.0.0 is installed, 1.0.0 before",
        "the agent was idle",
        "last check-in never, next not planned",
        "last error network/unreachable",
        "2.1.0 is barred: tries_used_up at T",
        "2.2.0 failed: no_space, not before T",
    ]


def test_an_enrolment_code_buys_a_credential_that_check_ins_carry(
    world: AgentWorld, agent: Command
) -> None:
    world.roll_out()
    grant = json.dumps({"group": "staff", "credential": "secret"}).encode()
    world.server.on(f"{BASE}/enrol", Reply(body=grant))

    code, said = agent("enrol", "CODE")
    agent("check")

    assert (code, said["group"]) == (0, "staff")
    assert world.check_ins[-1]["enrolments"] == ["secret"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(status=403), "bad_code"),
        (Reply(status=500), "http_status"),
        (Reply(body=b"<html>"), "unexpected_answer"),
    ],
)
def test_a_code_that_is_not_taken_is_refused(
    world: AgentWorld, agent: Command, reply: Reply, code: str
) -> None:
    world.server.on(f"{BASE}/enrol", reply)

    assert agent("enrol", "CODE") == (1, {"error": agent("enrol", "CODE")[1]["error"]})
    assert agent("enrol", "CODE")[1]["error"]["code"] == code


def test_a_reset_draws_a_new_id(world: AgentWorld, agent: Command) -> None:
    world.roll_out()
    agent("check")
    before = json.loads((world.root / "identity.json").read_text())["install_id"]

    _, said = agent("enrol", "--reset")

    assert said["install_id"] != before


def test_nobody_becomes_another_install_while_an_agent_talks_as_the_old_one(
    world: AgentWorld, agent: Command
) -> None:
    world.roll_out()
    agent("check")
    before = (world.root / "identity.json").read_text()

    with world.loop().parts.installation.lock():
        code, said = agent("enrol", "--reset")

    assert code == 1
    assert said["error"]["code"] == "busy"
    assert (world.root / "identity.json").read_text() == before


def test_a_metric_is_queued_and_sent(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    world.say("update", "2.0.0", "in_ring")
    agent("check")
    world.loop().parts.installation.state.confirm(datetime.now(UTC))

    assert agent("report", "--metric", "startup_ms=12.5")[0] == 0
    assert agent("report")[0] == 0

    metrics = [event for event in world.events if event["kind"] == "metric"]
    assert [(event["name"], event["value"]) for event in metrics] == [("startup_ms", 12.5)]


def test_a_metric_that_is_none_is_a_usage_error(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    agent("check")
    world.loop().parts.installation.state.confirm(datetime.now(UTC))

    assert agent("report", "--metric", "startup_ms=fast")[0] == 2


def test_forget_is_asked_for_until_granted(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0")
    world.say("update", "2.0.0", "in_ring")
    agent("check")
    asked: list[Asked] = []
    world.server.on(f"{BASE}/forget", lambda _: Reply(status=503))
    assert agent("report", "--forget")[0] == 1

    def grant(request: Asked) -> Reply:
        asked.append(request)
        return Reply(status=204)

    world.server.on(f"{BASE}/forget", grant)
    assert agent("report")[0] == 0
    assert len(asked) == 1


@pytest.mark.parametrize("words", [["nonsense"], [], ["enrol"], ["check", "--what"]])
def test_what_is_no_command_is_a_usage_error(words: list[str]) -> None:
    assert main(words) == 2


def test_settings_that_cannot_be_are_a_usage_error(agent: Command) -> None:
    agent.write(agent='aply = "now"')

    code, said = agent("check")

    assert code == 2
    assert said["error"]["code"] == "bad_config"
    assert "agent.aply" in said["error"]["detail"]


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "serinus-agent run --config agent.toml -- --port 8000" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "launch"])
def test_what_follows_two_dashes_is_called_arguments(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"usage: serinus-agent {command} [OPTION ...] [-- ARGS]" in told
    assert "CMD" not in told


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "serinus-agent 0.1.0\n"


def test_a_settings_file_that_is_not_there_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--config", str(tmp_path / "agent.toml")]) == 2
    assert capsys.readouterr().err == (
        "serinus-agent: agent/bad_config: agent.toml: cannot be read: No such file or directory\n"
    )


def test_an_error_of_the_system_has_its_place_and_no_number(
    agent: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "launcher.py")

    monkeypatch.setitem(COMMANDS, "status", broken)

    assert main(["status", "--config", str(agent.config)]) == 1
    assert capsys.readouterr().err == (
        "serinus-agent: agent/io: launcher.py: No such file or directory\n"
    )


def test_an_error_without_json_is_one_line_for_people(
    world: AgentWorld, agent: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    world.server.default = lambda _: Reply(status=503)

    assert main(["check", "--config", str(agent.config)]) == 1
    assert capsys.readouterr().err == "serinus-agent: network/http_status: 503\n"


# --- run ---------------------------------------------------------------------------------


def test_run_alone_installs_tries_confirms_and_goes_on(world: AgentWorld, agent: Command) -> None:
    agent.write(agent='apply = "now"', more='[health]\ncommand = ["--version"]')
    publish(world, "2.0.0")
    world.say("update", "2.0.0", "in_ring")
    process = agent.start()
    try:
        until(lambda: version_of(agent.state().get("current")) == "2.0.0")
        publish(world, "2.1.0")
        world.say("update", "2.1.0", "in_ring")
        until(lambda: version_of(agent.state().get("current")) == "2.1.0")
        until(lambda: world.steps().count("healthy") == 2)
    finally:
        process.terminate()
        status = process.wait(10)

    assert status == 0
    assert version_of(agent.state()["previous"]) == "2.0.0"
    assert agent.state().get("pending") is None


def test_run_alone_bans_what_crashes_three_times_and_stays_on_the_good_one(
    world: AgentWorld, agent: Command
) -> None:
    agent.write(agent='apply = "now"', more='[health]\ncommand = ["--version"]')
    publish(world, "2.0.0")
    world.say("update", "2.0.0", "in_ring")
    process = agent.start()
    try:
        until(lambda: version_of(agent.state().get("current")) == "2.0.0")
        publish(world, "2.1.0", CRASHES)
        world.say("update", "2.1.0", "in_ring")
        until(lambda: "rolled_back" in world.steps())
    finally:
        process.terminate()
        process.wait(10)

    assert version_of(agent.state()["current"]) == "2.0.0"
    assert [ban["version"] for ban in agent.state()["bans"]] == ["2.1.0"]
    crashed = [event for event in world.events if event.get("status") == "crashed"]
    assert [event["version"] for event in crashed] == ["2.1.0"] * 3


def test_run_alone_confirms_what_its_user_started(world: AgentWorld, agent: Command) -> None:
    agent.write(agent='confirm = "uptime"')
    publish(world, "2.0.0", SERVES)
    process = agent.start()
    app: subprocess.Popen[bytes] | None = None
    try:
        until(lambda: version_of(agent.state().get("pending")) == "2.0.0")
        app = subprocess.Popen([sys.executable, str(world.root / "launcher.py")])
        until(lambda: version_of(agent.state().get("current")) == "2.0.0")
        assert app.poll() is None
    finally:
        for each in (process, app):
            if each is not None:
                each.terminate()
                each.wait(10)


def test_two_dashes_alone_start_an_app_without_arguments(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0", b"#!/bin/sh\nexit $#\n")
    agent("check")
    world.loop().parts.installation.state.confirm(datetime.now(UTC))
    command = [sys.executable, "-m", "client_agent.cli", "run", "--config", str(agent.config)]

    assert subprocess.run([*command, "--"], check=False, timeout=30).returncode == 0
    assert subprocess.run([*command, "--", "a", "b"], check=False, timeout=30).returncode == 2


def test_run_with_an_app_starts_it_again_for_an_update(world: AgentWorld, agent: Command) -> None:
    agent.write(agent='apply = "now"', more="[health]\nuptime_seconds = 60")
    publish(world, "2.0.0", SERVES)
    agent("check")
    process = agent.start("demo")
    try:
        until(lambda: version_of(agent.state().get("current")) == "2.0.0")
        publish(world, "2.1.0", SERVES + b"# newer\n")
        world.say("update", "2.1.0", "in_ring")
        until(lambda: version_of(agent.state().get("current")) == "2.1.0")
    finally:
        process.terminate()
        process.wait(20)

    assert (world.root / "log").read_text() == "up\nup\n"


def test_run_with_an_app_that_ends_returns_its_status(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0", b"#!/bin/sh\nexit 7\n")
    agent("check")
    world.loop().parts.installation.state.confirm(datetime.now(UTC))
    process = agent.start("demo")

    assert process.wait(20) == 7


def test_run_leaves_no_app_behind_that_does_not_quit(world: AgentWorld, agent: Command) -> None:
    stays = 'trap "" TERM; sleep 0.3; echo $$ > "$SERINUS_ROOT/pid"; while :; do sleep 0.05; done'
    agent.write(agent="grace_seconds = 0")
    publish(world, "2.0.0", f"#!/bin/sh\n{stays}\n".encode())
    agent("check")
    process = agent.start("demo")
    until(lambda: (world.root / "pid").exists() and (world.root / "pid").read_text() != "")
    app = int((world.root / "pid").read_text())

    process.terminate()

    assert process.wait(20) == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(app, 0)


def test_a_killed_run_leaves_an_installation_that_the_next_one_finishes(
    world: AgentWorld, agent: Command
) -> None:
    agent.write(agent='apply = "now"', more='[health]\ncommand = ["--version"]')
    publish(world, "2.0.0")
    for word in ("timestamp.json", "rollout.stable.json", ".srn"):
        with held(world, word) as asked:
            process = agent.start()
            came = asked.wait(30)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert came, word

    process = agent.start()
    try:
        until(lambda: version_of(agent.state().get("current")) == "2.0.0")
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Give the test's signals back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_run_whatever_it_interrupts(
    agent: Command, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ended: list[bool] = []

    class Interrupted(Supervisor):
        def run_alone(self) -> None:
            with self._loop.stop._cond:  # type: ignore[attr-defined]  # as while it begins to wait
                signal.raise_signal(number)
            ended.append(self._loop.stop.wait(20))

    monkeypatch.setattr(cli, "Supervisor", Interrupted)

    assert agent("run")[0] == 0
    assert ended == [True]


@pytest.mark.usefixtures("handlers")
def test_a_run_under_nohup_outlives_its_terminal(
    agent: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(Supervisor, "run_alone", lambda _: None)

    assert agent("run")[0] == 0

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


# --- launch and healthy ------------------------------------------------------------------


def test_launch_becomes_the_app(world: AgentWorld, agent: Command) -> None:
    publish(world, "2.0.0", b'#!/bin/sh\necho "$@" > "$SERINUS_ROOT/out"\nexit 5\n')
    agent("check")
    command = [sys.executable, "-m", "client_agent.cli", "launch", "--config", str(agent.config)]

    done = subprocess.run([*command, "--", "demo", "--port", "80"], check=False)

    assert done.returncode == 5
    assert (world.root / "out").read_text() == "demo --port 80\n"


def test_there_is_nothing_to_launch_in_an_empty_root(agent: Command) -> None:
    code, said = agent("launch")

    assert (code, said["error"]["code"]) == (1, "lost")


def test_a_program_in_any_language_confirms_its_own_trial(
    world: AgentWorld, agent: Command
) -> None:
    report = f"{sys.executable} -m client_agent.cli report --healthy --json"
    # 60 seconds at this speed are a twentieth of a second.
    script = f"#!/bin/sh\nsleep 0.1\nexec {report} --config {agent.config} > $SERINUS_ROOT/said\n"
    publish(world, "2.0.0", script.encode())
    agent("check")
    command = [sys.executable, "-m", "client_agent.cli", "launch", "--config", str(agent.config)]

    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])

    assert done.returncode == 0
    assert json.loads((world.root / "said").read_text()) == {"confirmed": True}
    assert version_of(agent.state()["current"]) == "2.0.0"


def test_healthy_outside_of_a_start_is_refused(
    agent: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERINUS_LAUNCH", raising=False)

    assert agent("report", "--healthy")[0] == 1


def test_the_command_is_installed_under_its_name() -> None:
    found = Path(sys.executable).with_name("serinus-agent")

    assert os.access(found, os.X_OK)
