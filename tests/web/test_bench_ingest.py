"""A small part of ``make bench-ingest``, so that its code and its counts stay alive."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.evidence.line import Line
from benchmarks.ingest import __main__ as bench
from benchmarks.ingest import digesting, intake
from benchmarks.ingest.server import BATCH, an_intake, bodies

pytestmark = pytest.mark.no_cover  # the same lines many times


@pytest.fixture(scope="module")
def told() -> dict[str, Line]:
    lines = [*intake.lines(rounds=1, requests=4), *digesting.lines(rounds=1, records=200)]
    return {line.name: line for line in lines}


def test_nothing_that_was_acknowledged_is_lost_or_doubled(told: dict[str, Line]) -> None:
    line = told["ingest_lost_or_doubled"]

    assert (line.value, line.n, line.ok) == (0, 2 * 4 * BATCH, True)


def test_every_line_is_a_number_above_nothing(told: dict[str, Line]) -> None:
    assert all(line.value > 0 for name, line in told.items() if name != "ingest_lost_or_doubled")
    assert [name for name, line in told.items() if line.limit is not None] == [
        "ingest_fsync_vs_raw_sqlite_bulk",
        "ingest_vs_row_per_event",
        "ingest_cpu_vs_json",
        "ingest_lost_or_doubled",
        "digest_contacts_vs_raw_sqlite_bulk",
        "digest_mixed_vs_contacts",
    ]


def test_a_request_that_is_not_taken_whole_stops_the_measurement(tmp_path: Path) -> None:
    with an_intake(tmp_path / "spool", "web-1") as server:
        (body,) = bodies(server.world, 1)
        server.post(body)
        with pytest.raises(RuntimeError, match="bad_token"):
            server.post(body.replace(b'"token":"', b'"token":"x'))
        with pytest.raises(RuntimeError, match="unknown_kind"):
            server.post(body.replace(b'"kind":"update"', b'"kind":"upgrade"'))


def test_a_lost_event_is_noticed(tmp_path: Path) -> None:
    with an_intake(tmp_path / "spool", "web-1") as server:
        told = bodies(server.world, 2)
        server.post(told[0])

        assert intake._lost_or_doubled(tmp_path, server, told[:1], sent=2) == BATCH


def test_only_the_jobs_that_are_asked_for_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["nothing of the kind"]) == 0

    assert capsys.readouterr().out == ""
