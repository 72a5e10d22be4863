"""The demo as a person or a script runs it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRUE = Path(shutil.which("true") or "")
ENOUGH_FOR_DELTAS = random.Random(1).randbytes(50_000)
COMMAND = (sys.executable, "-m", "update_server.cli.main", "demo")


def two_versions(folder: Path) -> Path:
    """Return a folder with two versions of a real program."""
    for version in ("1.0.0", "1.1.0"):
        path = folder / version / "tool"
        path.parent.mkdir(parents=True)
        path.write_bytes(TRUE.read_bytes() + ENOUGH_FOR_DELTAS + version.encode())
        path.chmod(0o755)
    return folder


def run_demo(*arguments: str | int | Path) -> tuple[int, dict[str, Any], str]:
    """Run the demo headless; return its status, its document and what it said."""
    done = subprocess.run(
        [*COMMAND, "--headless", "--json", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(done.stdout.splitlines()) == 1, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_small_fleet_ends_on_the_good_version_and_leaves_nothing(tmp_path: Path) -> None:
    programs = two_versions(tmp_path / "programs")
    data = tmp_path / "data"

    # Few installs can all check in so often that nobody waits for them.
    status, document, said = run_demo(
        "--programs", programs, "--installs", 3, "--speed", 400, "--data", data
    )

    assert document["ok"], said
    assert status == 0
    assert document["installs"] == {"1.1.0": 3}
    assert document["delta"]["installs"] == 3
    assert document["delta"]["sent_bytes"] < document["delta"]["full_bytes"]
    assert document["offered_after_pull"] == 0
    assert document["unverified_files_executed"] == 0
    assert [step["name"] for step in document["steps"]][-4:] == [
        "pause",
        "pull",
        "after_pull",
        "verdict",
    ]
    assert all(step["ok"] for step in document["steps"])
    assert not data.exists()


def test_a_failing_act_is_told_and_nothing_is_claimed(tmp_path: Path) -> None:
    data = tmp_path / "data"

    status, document, said = run_demo("--programs", tmp_path, "--data", data)

    assert status == 1
    assert document["ok"] is False
    assert document["steps"][-1]["name"] == "programs"
    assert document["steps"][-1]["ok"] is False
    assert document["error"]["type"] == "about:blank#no_programs"
    assert document["installs"] is None
    assert document["offered_after_pull"] is None
    assert "the demo failed" in said
    assert not data.exists()


def test_a_folder_of_somebody_elses_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    status, document, _ = run_demo("--data", tmp_path)

    assert status == 2
    assert document["type"] == "about:blank#not_empty"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_and_says_so(tmp_path: Path, number: int) -> None:
    programs, data = two_versions(tmp_path / "programs"), tmp_path / "data"
    demo = subprocess.Popen(
        [*COMMAND, "--headless", "--json", "--programs", programs, "--data", data],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    while "[2/" not in demo.stderr.readline():
        pass

    demo.send_signal(number)

    printed, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    document = json.loads(printed)
    assert document["ok"] is False
    assert document["steps"][-1]["text"] == "interrupted"
    assert not data.exists()
