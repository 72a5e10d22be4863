from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from client_agent.platforms import Lock
from client_agent.platforms.linux import Linux
from client_agent.reports.reporter import zulu
from client_agent.reports.spool import DOOR_BYTES, RING_EVENTS, Spool
from client_agent.reports.spool_limits import MAX_BYTES, MAX_EVENTS
from tests.agent.agent_fakes import START, Dice, FakeClock

DICE = Dice(7)


def an_event(kind: str = "update", **fields: Any) -> dict[str, Any]:
    return {"id": DICE.new_id(), "at": zulu(START), "kind": kind, **fields}


def a_spool(folder: Path, clock: FakeClock | None = None, platform: Linux | None = None) -> Spool:
    return Spool(folder, platform or Linux(), clock or FakeClock())


def put(spool: Spool, *events: dict[str, Any], token: str | None = "T") -> None:
    for event in events:
        spool.append(event, version="2.0.0", token=token)


def ids(spool: Spool) -> list[str]:
    return [spooled.id for spooled in spool.load()]


class FullDisk(Linux):
    """A disk on which nothing can be made or synced while *full*."""

    full = True

    def lock(self, path: Path) -> Lock | None:
        if self.full and path.suffix == ".jsonl" and not path.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().lock(path)


def test_an_event_survives_with_its_version_and_token(tmp_path: Path) -> None:
    event = an_event()
    spool = a_spool(tmp_path)
    put(spool, event)
    spool.seal()

    (found,) = a_spool(tmp_path).load()

    assert found.event == event
    assert (found.version, found.token) == ("2.0.0", "T")


def test_urgent_events_come_first_and_oldest_first(tmp_path: Path) -> None:
    events = [an_event("metric"), an_event("crash"), an_event("session"), an_event("update")]
    spool = a_spool(tmp_path)
    put(spool, *events)

    assert ids(spool) == [events[i]["id"] for i in (1, 3, 0, 2)]


def test_a_segment_that_another_process_writes_to_is_left_alone(tmp_path: Path) -> None:
    writer, sender = a_spool(tmp_path), a_spool(tmp_path)
    put(writer, an_event())

    assert ids(sender) == []
    writer.seal()
    assert len(ids(sender)) == 1


def test_events_of_a_killed_process_are_found(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tests.agent.reports.test_spool import a_spool, an_event, put\n"
        "spool = a_spool(Path(sys.argv[1]))\n"
        "put(spool, an_event('crash'), an_event('metric'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)

    assert died.returncode == -9
    assert len(ids(a_spool(tmp_path))) == 2


@pytest.mark.parametrize(
    "torn", [b"{", b"[]", b'{"event": {}, "version": "1", "token": null}', b"\xff", b""]
)
def test_torn_and_foreign_lines_are_passed_over_and_counted(tmp_path: Path, torn: bytes) -> None:
    spool = a_spool(tmp_path)
    put(spool, an_event())
    spool.seal()
    (segment,) = tmp_path.glob("urgent-*.jsonl")
    segment.write_bytes(segment.read_bytes() + torn + (b"\n" if torn else b""))

    assert len(ids(spool)) == 1
    assert spool.dropped["any", "torn"] == (1 if torn else 0)


def test_what_arrived_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    events = [an_event(), an_event(), an_event("metric")]
    spool = a_spool(tmp_path)
    put(spool, *events)
    loaded = spool.load()

    spool.settle(loaded, {events[0]["id"], events[2]["id"]})

    assert ids(spool) == [events[1]["id"]]
    assert list(tmp_path.glob("bulk-*")) == []


def test_segments_end_at_64_kib(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    for _ in range(20):
        put(spool, an_event(padding="x" * 8_000))

    segments = list(tmp_path.glob("urgent-*.jsonl"))
    assert len(segments) == 3
    assert all(segment.stat().st_size <= 64 * 1024 for segment in segments)
    assert len(ids(spool)) == 20


def test_an_event_over_16_kib_loses_frames_and_message_but_not_its_count(tmp_path: Path) -> None:
    frames = [{"function": "f" * 208} for _ in range(100)]
    big = an_event("crash", exception={"type": "E", "message": "m" * 20_000}, frames=frames)
    many = an_event("crash", exception={"type": "E"}, frames=frames[:74])
    hopeless = an_event("metric", name="n" * 20_000)
    spool = a_spool(tmp_path)
    put(spool, big, many, hopeless)

    first, second = spool.load()

    assert first.event["exception"] == {"type": "E"}
    assert "frames" not in first.event
    assert len(second.event["frames"]) == 64
    assert spool.dropped["metric", "too_large"] == 1


def test_a_full_disk_keeps_the_newest_200_in_memory_until_there_is_room(tmp_path: Path) -> None:
    disk = FullDisk()
    spool = a_spool(tmp_path, platform=disk)
    put(spool, *(an_event() for _ in range(RING_EVENTS + 5)))
    assert ids(spool) == []

    disk.full = False
    last = an_event()
    put(spool, last)

    found = ids(spool)
    assert len(found) == RING_EVENTS
    assert found[-1] == last["id"]
    assert spool.dropped["any", "no_disk"] == 6


def test_a_failed_sync_is_counted_and_never_raised(tmp_path: Path) -> None:
    class Broken(Linux):
        def sync_file(self, descriptor: int) -> None:
            raise OSError(errno.EIO, "broken", descriptor)

    spool = a_spool(tmp_path, platform=Broken())
    put(spool, an_event())

    assert spool.dropped["any", "io"] == 1


def test_bulk_events_are_synced_every_five_seconds(tmp_path: Path) -> None:
    synced: list[int] = []

    class Watched(Linux):
        def sync_file(self, descriptor: int) -> None:
            synced.append(descriptor)

    clock = FakeClock()
    spool = a_spool(tmp_path, clock, Watched())
    put(spool, an_event("metric"))
    spool.tick()
    assert synced == []

    clock.advance(5)
    spool.tick()

    assert len(synced) == 1


def test_a_spool_that_nobody_empties_takes_no_more_at_twice_its_limit(tmp_path: Path) -> None:
    (tmp_path / "urgent-00000001.jsonl").write_bytes(b"x" * (DOOR_BYTES + 1))
    spool = a_spool(tmp_path)

    put(spool, an_event())

    assert spool.dropped["update", "full"] == 1
    assert spool.waiting() == DOOR_BYTES + 1


# --- limits ------------------------------------------------------------------------------


def test_what_is_older_than_14_days_is_given_up(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    old = an_event() | {"at": zulu(START - timedelta(days=15))}
    nonsense = an_event() | {"at": "yesterday"}
    new = an_event()
    put(spool, old, nonsense, new)

    spool.trim(START)

    assert ids(spool) == [new["id"]]
    assert spool.dropped["update", "too_old"] == 2


def test_too_many_events_go_in_the_documented_order(tmp_path: Path) -> None:
    metric, good = an_event("metric"), an_event("session", status="exited")
    bad, crash, step = an_event("session", status="crashed"), an_event("crash"), an_event()
    spool = a_spool(tmp_path)
    put(spool, metric, good, bad, crash, step)
    line = json.dumps(
        {"version": "2.0.0", "token": "T", "event": an_event("update", phase="healthy")}
    )
    (tmp_path / "urgent-00000009.jsonl").write_text(f"{line}\n" * (MAX_EVENTS - 2))

    spool.trim(START)

    left = set(ids(spool))
    assert metric["id"] not in left
    assert good["id"] not in left
    assert bad["id"] not in left
    assert {crash["id"], step["id"]} <= left


def test_frames_of_the_oldest_crashes_go_before_any_crash(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    frames = [{"function": "f" * 200} for _ in range(40)]
    crashes = [an_event("crash", exception={"type": "E"}, frames=frames) for _ in range(240)]
    put(spool, *crashes)

    spool.trim(START)

    left = spool.load()
    assert len(left) == 240
    assert "frames" not in left[0].event
    assert left[-1].event["frames"] == frames
    assert sum(len(spooled.line()) for spooled in left) <= MAX_BYTES


def test_twenty_crashes_of_a_version_outlive_the_rest(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    line = json.dumps({"version": "1.0.0", "token": "T", "event": an_event("crash")})
    (tmp_path / "urgent-00000001.jsonl").write_text(f"{line}\n" * (MAX_EVENTS + 100))
    few = [an_event("crash") for _ in range(3)]
    put(spool, *few)

    spool.trim(START)

    assert {event["id"] for event in few} <= set(ids(spool))


def test_within_the_limits_nothing_is_touched(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    put(spool, an_event("metric"))

    spool.trim(START)

    assert len(ids(spool)) == 1


def test_turning_telemetry_off_empties_the_spool(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    put(spool, an_event(), an_event("metric"))

    spool.clear("off")

    assert ids(spool) == []
    assert spool.dropped["update", "off"] == 1
