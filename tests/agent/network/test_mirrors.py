from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from client_agent.network.mirrors import FILE_NAME, Mirrors
from tests.agent.agent_fakes import FakeClock

BAD, GOOD = "https://bad.example.org", "https://good.example.org"
HOUR = 3_600


def test_a_place_that_gave_wrong_bytes_is_not_asked_for_a_day(tmp_path: Path) -> None:
    clock = FakeClock()
    mirrors = Mirrors(tmp_path, clock)

    mirrors.bar(BAD)

    assert mirrors.is_barred(BAD)
    assert not mirrors.is_barred(GOOD)
    clock.advance(23 * HOUR)
    assert mirrors.is_barred(BAD)
    clock.advance(2 * HOUR)
    assert not mirrors.is_barred(BAD)


def test_another_process_knows_it_too(tmp_path: Path) -> None:
    clock = FakeClock()
    Mirrors(tmp_path, clock).bar(BAD)

    assert Mirrors(tmp_path, clock).is_barred(BAD)


def test_a_clock_that_was_ahead_bars_nothing_for_years(tmp_path: Path) -> None:
    clock = FakeClock()
    mirrors = Mirrors(tmp_path, clock)
    clock.set_wall(clock.now() + timedelta(days=900))
    mirrors.bar(BAD)

    clock.set_wall(clock.now() - timedelta(days=900))

    assert not mirrors.is_barred(BAD)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": "soon"}', "[" * 10_000])
def test_a_file_that_says_nothing_bars_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    mirrors = Mirrors(tmp_path, FakeClock())

    assert not mirrors.is_barred("a")
    mirrors.bar(BAD)
    assert mirrors.is_barred(BAD)


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    mirrors = Mirrors(tmp_path, FakeClock())

    for number in range(40):
        mirrors.bar(f"https://{number}.example.org")

    kept = json.loads((tmp_path / FILE_NAME).read_text())
    assert len(kept) == 32
    assert "https://39.example.org" in kept


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    Mirrors(tmp_path / "missing", FakeClock()).bar(BAD)
