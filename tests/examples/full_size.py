"""All stories of all examples: ``make examples``. The frozen one takes minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.example import Example, ended, running, wait_until
from tests.examples.notes_app import HEAD_1_1, READY, install_notes, publish_notes
from tests.examples.screen import Screen

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def test_a_window_that_does_not_open_is_left_after_three_starts(
    example: Callable[[str, str], Example], screen: Screen, tmp_path: Path
) -> None:
    notes = example("notes", "notes")
    data, log = tmp_path / "notes.json", tmp_path / "log"
    environment = notes.environment | screen.environment
    launch = install_notes(notes, "2.0.0", data, schema=2)

    with running(launch, environment, log) as app:
        screen.wait_until_it_shows(HEAD_1_1)
        notes.wait_until_current("2.0.0")
        publish_notes(notes, "2.1.0", "--broken", schema=2)
        screen.wait_until_it_shows(READY)
        assert ended(app) == 0
    for _ in range(3):
        with running(launch, environment, log) as app:
            assert app.wait(60) == 1
    with running(launch, environment, log) as app:
        screen.wait_until_it_shows(HEAD_1_1)
        assert ended(app) == 0

    assert [ban["version"] for ban in notes.state["bans"]] == ["2.1.0"]
    assert notes.state["current"]["version"] == "2.0.0"


def test_a_shell_script_reports_that_it_is_healthy(
    example: Callable[[str, str], Example], tmp_path: Path
) -> None:
    clock = example("shell-clock", "clock")
    data, log = tmp_path / "time", tmp_path / "log"
    clock.release("1.0.0")
    run = clock.install_agent(data)

    with running(run, clock.environment, log) as agent:
        clock.wait_until_current("1.0.0")
        clock.release("1.1.0")
        clock.wait_until_current("1.1.0")
        clock.release("1.2.0", "--broken")
        clock.wait_until_banned("1.2.0")
        data.unlink()
        wait_until(data.exists, log.read_text)
        assert data.read_text().startswith("clock 1.1.0 ")
        assert ended(agent) == 0


def test_a_frozen_app_updates_itself_without_any_python_around(
    example: Callable[[str, str], Example], tmp_path: Path
) -> None:
    pulse = example("frozen", "pulse")
    log = tmp_path / "pulse.log"
    nothing_else = {"PATH": "/nowhere"}
    launch: list[str | Path] = [pulse.root / "launcher", "--log", log]

    def publish(version: str, *how: str) -> None:
        pulse.script("build.sh", version, str(pulse.root_json), pulse.url, *how)
        pulse.publish(version, "--entry", "pulse")

    def says(version: str) -> bool:
        return log.exists() and log.read_text().endswith(f"pulse {version}\n")

    publish("1.0.0")
    pulse.script("install.sh", str(pulse.root), str(pulse.root_json), pulse.url)
    pulse.hurry()
    with running(launch, nothing_else, tmp_path / "output") as app:
        wait_until(lambda: says("1.0.0"))
        pulse.wait_until_current("1.0.0")
        publish("1.1.0")
        wait_until(lambda: says("1.1.0"))
        pulse.wait_until_current("1.1.0")
        publish("1.2.0", "--broken")
        assert app.wait(120) != 0  # it has become 1.2.0, which is broken
    for _ in range(2):
        with running(launch, nothing_else, tmp_path / "output") as app:
            assert app.wait(60) != 0
    log.unlink()
    with running(launch, nothing_else, tmp_path / "output") as app:
        wait_until(lambda: says("1.1.0"))
        assert ended(app) == 0

    assert [ban["version"] for ban in pulse.state["bans"]] == ["1.2.0"]
    assert not list(pulse.root.rglob("*.py"))
