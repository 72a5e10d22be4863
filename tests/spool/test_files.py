"""Spool files: their names, their rotation, and how the reader takes them apart."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spool.disks import FIRST, ids
from tests.store.values import an_event
from update_server.service.ports import Event, ExistsError, NotFoundError
from update_server.spool import FileSpool, FileSpoolReader
from update_server.spool.records import Found, Halt, pack, unpack


def test_nothing_is_opened_before_the_first_record(folder: Path) -> None:
    FileSpool(folder, "one")

    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "x" * 101])
def test_a_spool_has_a_plain_name(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        FileSpool(folder, name)


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "a.b"])
def test_no_name_leads_the_reader_elsewhere(reader: FileSpoolReader, name: str) -> None:
    with pytest.raises(NotFoundError):
        reader.read(name, 0, 1)
    with pytest.raises(NotFoundError):
        reader.retire(name)


def test_spools_are_nobody_elses_business(spool: FileSpool, folder: Path) -> None:
    spool.events([an_event()])

    assert (folder / f"{FIRST}.spool").stat().st_mode & 0o777 == 0o600


def test_a_name_used_before_is_refused_and_nothing_is_acknowledged(
    spool: FileSpool, folder: Path, reader: FileSpoolReader
) -> None:
    spool.events([an_event(event_id="first")])
    second = FileSpool(folder, "one")

    with pytest.raises(ExistsError):
        second.events([an_event(event_id="second")])

    second.close()
    assert ids(reader) == ["first"]


def test_a_full_file_is_followed_by_another(folder: Path, reader: FileSpoolReader) -> None:
    spool = FileSpool(folder, "one", rotate_bytes=200)
    for n in range(12):
        spool.events([an_event(event_id=str(n))])

    assert len(reader.spools()) > 2
    assert ids(reader) == [str(n) for n in range(12)]
    for name in reader.spools():
        end = reader.read(name, 0, 100)[1]
        assert reader.read(name, end, 100) == ([], end)
        assert reader.retire(name)
    spool.events([an_event(event_id="after")])
    assert ids(reader) == ["after"]
    spool.close()


def test_a_record_says_where_it_ends() -> None:
    data = pack(an_event())

    assert unpack(data, 0) == Found(value=an_event(), end=len(data))


@given(st.binary(max_size=200), st.integers(0, 220))
def test_any_bytes_are_read_without_an_error(data: bytes, start: int) -> None:
    found = unpack(data, start)

    assert isinstance(found, Halt) or found.end <= len(data)


@given(st.data())
def test_a_flipped_bit_is_never_read_as_a_record(data: st.DataObject) -> None:
    record = bytearray(pack(an_event()))
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8

    assert isinstance(unpack(bytes(record), 0), Halt)


@pytest.mark.parametrize("kind", [3, 255])
def test_a_record_of_an_unknown_kind_is_skipped_and_counted(
    spool: FileSpool, folder: Path, reader: FileSpoolReader, kind: int
) -> None:
    spool.events([an_event(event_id="before")])
    spool.close()
    with (folder / f"{FIRST}.spool").open("ab") as file:
        file.write(of_kind(kind, b"\x80"))
        file.write(of_kind(1, b"\x80"))
        file.write(pack(an_event(event_id="after")))

    assert ids(reader) == ["before", "after"]
    assert reader.skipped_records == 2


def of_kind(kind: int, body: bytes) -> bytes:
    checksum = zlib.crc32(bytes((kind,)) + body)
    return struct.pack("<IIB", len(body), checksum, kind) + body


def test_a_record_longer_than_any_is_damage() -> None:
    assert unpack(struct.pack("<IIB", 2**31, 0, 1), 0) is Halt.DAMAGED


def test_zeros_after_a_power_cut_are_no_record() -> None:
    assert isinstance(unpack(bytes(64), 0), Halt)


def test_what_no_message_can_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        pack(an_event(body={"x": object()}))


def test_a_record_larger_than_one_reading_comes_out_whole(
    spool: FileSpool, reader: FileSpoolReader
) -> None:
    large = an_event(event_id="large", body={"x": "y" * 3_000_000})
    spool.events([an_event(event_id="before"), large, an_event(event_id="after")])

    assert ids(reader) == ["before", "large", "after"]


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_a_torn_end_is_passed_over_and_goes_with_the_file(
    spool: FileSpool, folder: Path, reader: FileSpoolReader, cut: int
) -> None:
    spool.events([an_event(event_id="whole")])
    spool.close()
    with (folder / f"{FIRST}.spool").open("ab") as file:
        file.write(pack(an_event(event_id="torn"))[:cut])

    records, end = reader.read(FIRST, 0, 100)

    assert [record.id for record in records if isinstance(record, Event)] == ["whole"]
    assert reader.read(FIRST, end, 100) == ([], end)
    assert reader.retire(FIRST)
    assert list(folder.iterdir()) == []


def test_damage_is_set_aside(spool: FileSpool, folder: Path, reader: FileSpoolReader) -> None:
    spool.events([an_event(event_id="whole"), an_event(event_id="damaged")])
    spool.close()
    path = folder / f"{FIRST}.spool"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    records, end = reader.read(FIRST, 0, 100)
    reader.read(FIRST, end, 100)

    assert len(records) == 1
    assert reader.retire(FIRST)
    assert [path.name for path in folder.iterdir()] == [f"{FIRST}.damaged"]
    assert reader.spools() == []


def test_a_checkpoint_beyond_what_survived_a_power_cut_is_the_end(
    spool: FileSpool, reader: FileSpoolReader
) -> None:
    spool.events([an_event()])
    spool.close()

    assert reader.read(FIRST, 10**6, 100) == ([], 10**6)
    assert reader.retire(FIRST)
