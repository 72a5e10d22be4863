"""A seeded sample of ``make crash-agent``, in a process of its own: it forks, and kills itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.starts import false_fallbacks

PROJECT = Path(__file__).parents[2]


def proven(*parts: str, sample: int = 1) -> list[dict[str, Any]]:
    """Run a sample of those parts; skip where the machine lacks what they need."""
    command = [sys.executable, "-B", "-m", "tests.crash", "--sample", str(sample), *parts]
    done = subprocess.run(
        command, check=False, capture_output=True, cwd=PROJECT, text=True, timeout=110
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert done.returncode == 0, done.stderr
    assert all(line["ok"] for line in lines)
    if reasons := {line["skipped"] for line in lines if "skipped" in line}:
        pytest.skip(", ".join(sorted(reasons)))
    return lines


def test_an_app_starts_after_a_fault_at_any_call_and_the_update_still_comes() -> None:
    lines = proven("crash points")

    assert {line["name"] for line in lines} == {"crash_points_total", "crash_points_stuck"}


def test_a_full_disk_harms_nothing_and_the_update_comes_with_the_room() -> None:
    proven("full disk")


def test_what_was_promised_outlasts_a_power_cut_and_the_test_would_notice_if_not() -> None:
    lines = proven("power cut ext4", "power cut control ext4", sample=3)

    noticed = [line for line in lines if line["name"] == "power_cut_control_ext4_noticed"]
    assert [line["value"] >= 3 for line in noticed] == [True]


def test_torn_and_rotten_files_and_wrong_clocks_end_no_install() -> None:
    proven("damage", "two agents")


def test_what_is_broken_on_purpose_is_noticed() -> None:
    proven("control: ")


def test_no_good_version_is_left_and_every_bad_one_is() -> None:
    proven("false fallbacks", "dying versions", sample=2)


def test_starts_can_be_simulated_twice_in_one_process() -> None:
    assert [false_fallbacks(24), false_fallbacks(24)] == [0, 0]
