from __future__ import annotations

import pytest

from signing.errors import OvertakenError, PublishError
from signing.journal import Journal, Write, dump_journal, load_journal
from signing.publish import publish
from tests.signing.world import (
    PREFIX,
    MemoryBlobs,
    PowerCutError,
    World,
    a_release,
    a_rollout,
    a_world,
    first_submission,
)

TIMESTAMP = f"{PREFIX}tuf/timestamp.json"


def a_journal() -> Journal:
    return World().plan(first_submission()).journal


def test_files_are_written_in_the_journals_order() -> None:
    journal, blobs = a_journal(), MemoryBlobs()

    publish(journal, blobs, PREFIX)

    assert blobs.writes == [f"{PREFIX}{write.path}" for write in journal.writes]
    assert blobs.files[TIMESTAMP] == journal.writes[-1].data


def test_playing_a_journal_again_writes_nothing() -> None:
    journal, blobs = a_journal(), MemoryBlobs()
    publish(journal, blobs, PREFIX)
    blobs.writes.clear()

    publish(load_journal(dump_journal(journal)), blobs, PREFIX)

    assert blobs.writes == []


def test_other_bytes_under_a_name_stop_everything() -> None:
    journal, blobs = a_journal(), MemoryBlobs()
    key = f"{PREFIX}{journal.writes[3].path}"
    blobs.files[key] = b"somebody else's"

    with pytest.raises(PublishError) as caught:
        publish(journal, blobs, PREFIX)

    assert (caught.value.code, caught.value.path) == ("publish_conflict", key)
    assert blobs.files[key] == b"somebody else's"
    assert TIMESTAMP not in blobs.files


def test_more_bytes_than_ours_are_other_bytes() -> None:
    journal, blobs = a_journal(), MemoryBlobs()
    write = journal.writes[0]
    blobs.files[f"{PREFIX}{write.path}"] = write.data + b"\n"

    with pytest.raises(PublishError):
        publish(journal, blobs, PREFIX)


@pytest.mark.parametrize("index", range(len(a_journal().writes)))
@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_file_that_a_power_cut_tore_is_completed(index: int, kept: int) -> None:
    """Adapters rename whole files into place; this is for file systems that lie."""
    journal, blobs = a_journal(), MemoryBlobs()
    write = journal.writes[index]
    blobs.files[f"{PREFIX}{write.path}"] = write.data[:kept]

    publish(journal, blobs, PREFIX)

    for each in journal.writes:
        assert blobs.files[f"{PREFIX}{each.path}"] == each.data


def test_a_newer_timestamp_is_never_moved_back() -> None:
    world = a_world(a_release("1.0"))
    old = world.plan({}).journal
    world.roll_out(a_rollout("1.0"))
    world.roll_out(a_rollout("1.0", exposure_bp=200))
    newest = world.blobs.files[TIMESTAMP]

    with pytest.raises(OvertakenError) as caught:
        publish(old, world.blobs, PREFIX)

    assert (caught.value.code, caught.value.ours, caught.value.found) == ("overtaken", 3, 4)
    assert world.blobs.files[TIMESTAMP] == newest


def test_two_timestamps_of_one_version_are_an_alarm() -> None:
    world = a_world()
    first = world.plan({}).journal
    second = Journal(
        app=first.app,
        timestamp_version=first.timestamp_version,
        writes=(Write(path="tuf/timestamp.json", data=first.writes[-1].data + b" ", swap=True),),
    )
    publish(first, world.blobs, PREFIX)

    with pytest.raises(PublishError) as caught:
        publish(second, world.blobs, PREFIX)

    assert caught.value.code == "publish_conflict"


def test_an_older_timestamp_of_a_restored_backup_is_replaced() -> None:
    world = a_world()
    backup = world.blobs.files[TIMESTAMP]
    world.take_in({})
    world.blobs.files[TIMESTAMP] = backup

    planned = world.take_in({})

    assert world.blobs.files[TIMESTAMP] == planned.state.metadata["timestamp"]


class RacingBlobs(MemoryBlobs):
    """Somebody else publishes between our look and our swap."""

    def swap(self, key: str, data: bytes, expected: bytes | None) -> None:
        self.files[key] = b"theirs"
        super().swap(key, data, expected)


def test_a_lost_race_for_the_timestamp_is_an_error_of_the_storage() -> None:
    with pytest.raises(AssertionError):
        publish(a_journal(), RacingBlobs(), PREFIX)


def test_an_error_of_the_storage_is_not_swallowed() -> None:
    with pytest.raises(PowerCutError):
        publish(a_journal(), MemoryBlobs(stop_after=2), PREFIX)
