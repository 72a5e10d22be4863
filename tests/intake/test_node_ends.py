"""Node programs that abort, or hang and are killed: their SDK has no time to say so."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.intake.fleet import Fleet, wait_until
from tests.intake.numbers import Numbers
from tests.intake.record import PROGRAMS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake"), pytest.mark.timeout(300)]


def test_a_node_program_that_dies_is_counted_by_nobody_but_its_launcher(
    fleet: Fleet, node: Path
) -> None:
    """What the launcher says of such ends is tried in test_real_programs, whatever was launched."""
    program = fleet.control()
    before = fleet.numbers()

    assert program.node("abort") == -signal.SIGABRT
    with subprocess.Popen(
        ["node", str(PROGRAMS / "node_app.js"), "hang", f"notes@{program.version}"],
        env={**os.environ, "NODE_PATH": str(node), "SENTRY_DSN": program.dsn},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()

    fleet.wait_until_counted(Numbers(), since=before)
    # The control: one that can end by itself is counted.
    assert program.node("exit") == 0
    wait_until(lambda: sum(fleet.numbers().since(before).sessions.values()) == 1)
