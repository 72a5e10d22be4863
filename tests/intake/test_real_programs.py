"""Real programs with unmodified SDKs crash, exit, hang and abort: each is counted exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.intake.fleet import NEW, OLD, Fleet, Program, kill
from tests.intake.numbers import Numbers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake"), pytest.mark.timeout(300)]


def sides(fleet: Fleet) -> Iterator[tuple[Program, str]]:
    yield fleet.candidate(), "candidate"
    yield fleet.control(), "control"


@pytest.fixture(scope="module")
def silent(fleet: Fleet) -> list[tuple[Program, str]]:
    """Installs for programs whose SDK says nothing of how they end."""
    return list(sides(fleet))


def test_programs_with_sentry_sdk_are_counted_by_version_arm_and_status(fleet: Fleet) -> None:
    for program, arm in list(sides(fleet)):
        before, v = fleet.numbers(), program.version

        statuses = {
            situation: program.python(situation)
            for situation in (
                "exit",
                "session",
                "exit-3",
                "handled",
                "unhandled",
                "unhandled-init-only",
                "thread",
                "requests",
                "discards",
            )
        }

        assert [name for name, status in statuses.items() if status] == [
            "exit-3",
            "unhandled",
            "unhandled-init-only",
        ]
        fleet.wait_until_counted(
            Numbers(
                sessions={
                    (v, arm, "sdk", "exited"): 2,
                    (v, arm, "sdk", "errored"): 2,
                    (v, arm, "sdk", "crashed"): 2,
                    (v, "aggregate", "sdk", "exited"): 2,
                    (v, "aggregate", "sdk", "errored"): 1,
                },
                crashes={(v, arm, "ValueError"): 3, (v, arm, "none"): 2},
                errors={(v, arm, "ValueError"): 3},
                crashed={(v, arm): 1},
                counters={("sdk_discarded", "before_send"): 1},
            ),
            since=before,
        )


@pytest.mark.usefixtures("node")
def test_programs_with_sentry_node_are_counted_by_version_arm_and_status(fleet: Fleet) -> None:
    for program, arm in list(sides(fleet)):
        before, v = fleet.numbers(), program.version

        statuses = {
            situation: program.node(situation)
            for situation in ("exit", "handled", "unhandled", "rejection", "requests", "discards")
        }

        assert [name for name, status in statuses.items() if status] == ["unhandled"]
        fleet.wait_until_counted(
            Numbers(
                sessions={
                    (v, arm, "sdk", "exited"): 1,
                    (v, arm, "sdk", "errored"): 2,
                    (v, arm, "sdk", "crashed"): 2,
                    (v, "aggregate", "sdk", "exited"): 2,
                    (v, "aggregate", "sdk", "crashed"): 1,
                },
                crashes={(v, arm, "RangeError"): 3, (v, arm, "none"): 2},
                errors={(v, arm, "RangeError"): 2},
                crashed={(v, arm): 1},
                counters={("sdk_discarded", "before_send"): 1},
            ),
            since=before,
        )


def test_a_program_that_knows_nothing_but_its_environment_is_counted(fleet: Fleet) -> None:
    """Its launcher tells of the same start, which is counted apart from what its SDK tells."""
    program = fleet.candidate()
    before = fleet.numbers()
    command = [sys.executable, "-m", "client_agent.cli", "launch", "--config"]

    done = subprocess.run(
        [*command, str(program.install.config), "--", "thread"],
        env={name: text for name, text in os.environ.items() if "SENTRY" not in name},
        capture_output=True,
        check=False,
        timeout=60,
    )

    program.install.agent("check")

    assert done.returncode == 0
    fleet.wait_until_counted(
        Numbers(
            sessions={
                (NEW, "candidate", "sdk", "crashed"): 1,
                # Its launcher became it, and nobody was left that could see how it ended.
                (NEW, "candidate", "launch", "abnormal"): 1,
            },
            crashes={(NEW, "candidate", "ValueError"): 1, (NEW, "candidate", "none"): 1},
            crashed={(NEW, "candidate"): 1},
        ),
        since=before,
    )


def test_a_program_that_aborts_is_a_crash_though_its_sdk_says_nothing(
    fleet: Fleet, silent: list[tuple[Program, str]]
) -> None:
    for program, arm in silent:
        before, v = fleet.numbers(), program.version

        with program.launched("abort") as process:
            process.wait(60)
        program.install.agent("check")

        fleet.wait_until_counted(
            Numbers(
                sessions={(v, arm, "launch", "crashed"): 1},
                crashes={(v, arm, "none"): 1},
                crashed={(v, arm): 1},
            ),
            since=before,
        )


def test_a_program_that_hangs_and_is_killed_ended_abnormally(
    fleet: Fleet, silent: list[tuple[Program, str]]
) -> None:
    for program, arm in silent:
        before, v = fleet.numbers(), program.version

        with program.launched("hang") as process:
            kill(process)
        program.install.agent("check")

        fleet.wait_until_counted(
            Numbers(sessions={(v, arm, "launch", "abnormal"): 1}), since=before
        )


@pytest.mark.parametrize("sdk", ["python", "node"])
def test_under_a_storm_of_errors_the_session_survives(
    fleet: Fleet, sdk: str, request: pytest.FixtureRequest
) -> None:
    if sdk == "node":
        request.getfixturevalue("node")
    program = fleet.control()
    before = fleet.numbers()

    (program.python if sdk == "python" else program.node)("storm")

    kind = "ValueError" if sdk == "python" else "RangeError"
    # Ten come in whole. The eleventh leaves a mark, and its answer asks for no more for a minute.
    fleet.wait_until_counted(
        Numbers(
            sessions={(OLD, "control", "sdk", "errored"): 1},
            errors={(OLD, "control", kind): 10, (OLD, "control", "none"): 1},
            counters={("sdk_discarded", "ratelimit_backoff"): 9},
        ),
        since=before,
    )


@pytest.mark.parametrize("start", ["the first start", "a later start"])
def test_what_is_told_after_an_update_counts_for_the_version_that_crashed(
    fleet: Fleet, start: str
) -> None:
    program = fleet.candidate()
    before = fleet.numbers()

    dsn = program.first_dsn if start == "the first start" else program.dsn
    replace(program, dsn=dsn, version=OLD).python("unhandled")

    fleet.wait_until_counted(
        Numbers(
            sessions={(OLD, "candidate", "sdk", "crashed"): 1},
            crashes={(OLD, "candidate", "ValueError"): 1, (OLD, "candidate", "none"): 1},
            crashed={(OLD, "candidate"): 1},
        ),
        since=before,
    )
