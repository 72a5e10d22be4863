"""examples/c-counter: a C program that knows nothing of updates, beside ``serinus-agent run``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.example import Example, ended, running, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("examples"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: scripts/example-tools"),
]


def counted(data: Path) -> tuple[int, str]:
    """Return how far it has counted, and which version did."""
    try:
        count, version = data.read_text().split()
    except FileNotFoundError:
        return 0, ""
    return int(count), version


def test_a_c_program_is_updated_and_falls_back_by_itself(
    example: Callable[[str, str], Example], tmp_path: Path
) -> None:
    counter = example("c-counter", "counter")
    data, log = tmp_path / "count", tmp_path / "log"
    counter.release("1.0.0")
    run = counter.install_agent(data)

    with running(run, counter.environment, log) as agent:
        counter.wait_until_current("1.0.0")
        counter.release("1.1.0")
        wait_until(lambda: counted(data)[1] == "1.1.0", log.read_text)
        counter.wait_until_current("1.1.0")
        counter.release("1.2.0", "--broken")
        counter.wait_until_banned("1.2.0")
        before = counted(data)[0]
        wait_until(lambda: counted(data) > (before, "1.1.0"), log.read_text)
        status = ended(agent)

    lines = log.read_text().splitlines()
    counts = [int(line.rpartition(" ")[2]) for line in lines if line.startswith("counter ")]
    assert status == 0
    assert counter.state["current"]["version"] == "1.1.0"
    assert [ban["reason"] for ban in counter.state["bans"]] == ["tries_used_up"]
    # No version began anew, and none lost what another had counted.
    assert counts == list(range(1, len(counts) + 1))
