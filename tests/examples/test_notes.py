"""examples/notes: an app with a window and the agent inside, on a virtual screen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.examples.example import Example, ended, running, wait_until
from tests.examples.notes_app import HEAD_1_0, HEAD_1_1, READY, install_notes, publish_notes
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
    launch = install_notes(notes, "1.0.0", data, schema=1)

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
