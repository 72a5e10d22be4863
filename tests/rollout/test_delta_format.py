"""The delta format PB1: how it is spelled, and that reading it takes one spelling only."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.delta_control import ByteReader, Control, Kind
from rollout.delta_format import (
    HEADER_BYTES,
    MAX_CONTROL_BYTES,
    MAX_DELTA_BYTES,
    MAX_NAME_BYTES,
    DeltaHeader,
    Op,
    StreamSizes,
    parse_header,
    render_header,
    spell_name,
    spell_sv,
    spell_uv,
)
from rollout.errors import DeltaFormatError
from rollout.manifest import EntryKind, ManifestEntry

MOST = 2**63 - 1
HEADER = DeltaHeader(
    from_manifest="0f" * 32,
    to_manifest="f0" * 32,
    packed=StreamSizes(1, 2, 3),
    raw=StreamSizes(4, 5, 6),
    output_bytes=7,
)
BASE = (
    ManifestEntry(kind=EntryKind.FILE, path="a", mode=0o755, size_bytes=10, sha256="aa" * 32),
    ManifestEntry(kind=EntryKind.FOLDER, path="b"),
    ManifestEntry(kind=EntryKind.LINK, path="c", target="a"),
)


def in_chunks(data: bytes, size: int = 1) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def reader(data: bytes, size: int = 1) -> ByteReader:
    return ByteReader(in_chunks(data, size))


def test_a_header_has_its_fields_where_the_format_says() -> None:
    data = render_header(HEADER)

    assert data == (
        b"SRNPB1\r\n"
        + b"\x0f" * 32
        + b"\xf0" * 32
        + b"".join(number.to_bytes(8, "little") for number in range(1, 8))
    )
    assert parse_header(data) == HEADER
    assert HEADER.delta_bytes == HEADER_BYTES + 6


@pytest.mark.parametrize(
    ("packed", "control"),
    [
        (StreamSizes(MAX_DELTA_BYTES - HEADER_BYTES + 1, 0, 0), 0),
        (StreamSizes(0, 0, 2**64 - 1), 0),
        (StreamSizes(0, 0, 0), MAX_CONTROL_BYTES + 1),
    ],
)
def test_a_header_over_the_caps_is_refused(packed: StreamSizes, control: int) -> None:
    header = DeltaHeader(
        from_manifest="00" * 32,
        to_manifest="00" * 32,
        packed=packed,
        raw=StreamSizes(control, 0, 0),
        output_bytes=0,
    )

    with pytest.raises(DeltaFormatError) as caught:
        parse_header(render_header(header))

    assert caught.value.code == "over_cap"


def test_a_header_at_the_caps_is_none_to_refuse() -> None:
    header = DeltaHeader(
        from_manifest="00" * 32,
        to_manifest="00" * 32,
        packed=StreamSizes(0, 0, MAX_DELTA_BYTES - HEADER_BYTES),
        raw=StreamSizes(MAX_CONTROL_BYTES, 0, 0),
        output_bytes=2**64 - 1,
    )

    assert parse_header(render_header(header)) == header


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\1"),
        (300, b"\xac\2"),
        (MOST, b"\xff" * 8 + b"\x7f"),
    ],
)
def test_a_number_is_spelled_in_groups_of_seven_bits(number: int, spelled: bytes) -> None:
    assert spell_uv(number) == spelled
    assert reader(spelled).uv() == number


@pytest.mark.parametrize("number", [-1, MOST + 1])
def test_a_number_that_no_reader_takes_cannot_be_spelled(number: int) -> None:
    with pytest.raises(ValueError, match=str(number)):
        spell_uv(number)


@given(st.integers(0, MOST))
def test_a_number_comes_back(number: int) -> None:
    assert reader(spell_uv(number)).uv() == number


@given(st.integers(-(2**62), 2**62 - 1))
def test_a_signed_number_comes_back(number: int) -> None:
    assert reader(spell_sv(number)).sv() == number


@given(st.binary(max_size=12))
def test_each_number_has_one_spelling(data: bytes) -> None:
    numbers = reader(data, 3)
    try:
        number = numbers.uv()
    except DeltaFormatError:
        return
    spelled = spell_uv(number)
    assert data.startswith(spelled)
    assert numbers.take(len(data) - len(spelled)) == data[len(spelled) :]
    numbers.finish()


@given(st.binary(max_size=40), st.integers(1, 50), st.lists(st.integers(0, 20)))
def test_bytes_come_in_any_portions(data: bytes, chunk: int, portions: list[int]) -> None:
    found, bytes_ = b"", reader(data, chunk)
    for portion in portions:
        if len(found) + portion > len(data):
            with pytest.raises(DeltaFormatError):
                bytes_.take(portion)
            return
        found += bytes_.take(portion)
    assert found == data[: len(found)]
    if len(found) < len(data):
        with pytest.raises(DeltaFormatError):
            bytes_.finish()
    else:
        bytes_.finish()


@given(st.lists(st.text(max_size=30), min_size=1))
def test_names_come_back_whatever_they_share(names: list[str]) -> None:
    header, *paths = names
    spelled, previous = b"", b""
    for kind, name in [(b"", header), *((bytes([Op.DIR]), path) for path in paths)]:
        spelled += kind + spell_name(previous, name.encode())
        previous = name.encode()

    control = Control(in_chunks(spelled + bytes([Op.END]), 5), ())

    assert control.header == header
    assert [placed.entry.path for placed in control.entries()] == paths


def test_what_a_name_shares_is_not_spelled_again() -> None:
    assert spell_name(b"lib/a.so", b"lib/b.so") == b"\4\4b.so"
    assert spell_name(b"lib", b"lib/b") == b"\3\2/b"
    assert spell_name(b"lib/b", b"lib") == b"\3\0"


def test_a_name_may_be_as_long_as_there_can_be_and_no_longer() -> None:
    long = b"n" * MAX_NAME_BYTES

    assert Control(in_chunks(spell_name(b"", long), 999), ()).header == long.decode()
    with pytest.raises(DeltaFormatError):
        Control(in_chunks(spell_name(b"", long + b"n"), 999), ())


def test_an_entry_tells_where_its_content_comes_from() -> None:
    """All operations, once: the counters say what the other two streams must hold."""
    name, sha256 = spell_name(b"", b""), b"\xbb" * 32
    control = Control(
        in_chunks(
            name
            + bytes([Op.SKIP, 1, Op.KEEP, 2])
            + bytes([Op.SAME, 0])
            + spell_name(b"", b"d")
            + b"\0"
            + bytes([Op.PATCH, 1])
            + spell_name(b"d", b"e")
            + bytes([0, 13])
            + sha256
            + bytes([4 << 1 | 1, 1, 2, 1, 1])
            + spell_sv(-4)
            + bytes([8 << 1, 0])
            + spell_sv(2)
            + bytes([Op.NEW, 0])
            + spell_name(b"e", b"f")
            + bytes([20])
            + sha256
            + bytes([Op.LINK])
            + spell_name(b"f", b"g")
            + spell_name(b"g", b"d")
            + bytes([Op.DIR])
            + spell_name(b"d", b"h")
            + bytes([Op.END])
        ),
        BASE,
    )
    found = []
    segments = []
    for placed in control.entries():
        found.append((placed.entry.path, placed.source and placed.source.path))
        segments += list(placed.segments or ())

    assert found == [
        ("b", None),
        ("c", None),
        ("d", "a"),
        ("e", "a"),
        ("f", None),
        ("g", None),
        ("h", None),
    ]
    assert segments == [
        (Kind.ADDED, 0, 1),
        (Kind.OLD, 1, 2),
        (Kind.ADDED, 3, 1),
        (Kind.LITERAL, 0, 1),
        (Kind.ADDED, 0, 8),
    ]
    assert control.difference_bytes == 10
    assert control.literal_bytes == 21
    assert control.output_bytes == 33
    assert control.max_file_bytes == 20
