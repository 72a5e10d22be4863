"""examples/notes: an app with a window and the agent inside, on a virtual screen."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.examples.example import Example, ended, running, wait_until
from tests.examples.screen import Screen

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("examples"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_spec("_tkinter") is None, reason="this Python has no Tk"),
    pytest.mark.skipif(
        shutil.which("Xvfb") is None or shutil.which("xdotool") is None,
        reason="needs Xvfb and xdotool: scripts/example-tools",
    ),
]

HEAD_1_0, HEAD_1_1, READY = "#2a6f97", "#2d6a4f", "#ffd166"


def read(data: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(data.read_text())
    except FileNotFoundError:
        return {}
    return found


def test_an_app_shows_that_an_update_is_ready_and_restarts_into_it(
    example: Callable[[str, str], Example], screen: Screen, tmp_path: Path
) -> None:
    notes = example("notes", "notes")
    data, log = tmp_path / "notes.json", tmp_path / "log"
    environment = notes.environment | screen.environment
    launch: list[str | Path] = [sys.executable, "-I", notes.root / "launcher.py", data]
    publish_notes(notes, "1.0.0", schema=1)
    notes.script("install.sh", str(notes.root), str(notes.root_json), notes.url)
    notes.hurry()

    with running(launch, environment, log) as app:
        screen.wait_until_it_shows(HEAD_1_0)
        screen.type("milk")
        wait_until(lambda: read(data) == {"schema": 1, "notes": ["milk"]}, log.read_text)
        notes.wait_until_current("1.0.0")
        publish_notes(notes, "1.1.0", schema=2)
        screen.wait_until_it_shows(READY)
        _, y = screen.places_of(READY)[0]
        screen.click(370, y + 16)
        screen.wait_until_it_shows(HEAD_1_1)
        notes.wait_until_current("1.1.0")
        # On trial it had to leave the file as 1.0.0 can read it.
        assert read(data) == {"schema": 1, "notes": ["milk"]}
        assert ended(app) == 0

    with running(launch, environment, log) as app:
        screen.wait_until_it_shows(HEAD_1_1)
        assert read(data) == {"schema": 2, "notes": [["milk", False]]}
        assert notes.state["data_schema"] == 2
        assert ended(app) == 0


def publish_notes(notes: Example, version: str, *how: str, schema: int) -> None:
    notes.script("build.sh", version, str(notes.root_json), notes.url, *how)
    numbers = ("--data-schema", str(schema), "--reads-schema-max", str(schema))
    notes.publish(version, "--entry", "notes", *numbers)
