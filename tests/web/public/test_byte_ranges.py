from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.web.public.byte_ranges import (
    MAX_RANGES,
    ByteRange,
    FileBody,
    Multipart,
    UnsatisfiableRangeError,
    parse_ranges,
)


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-99", [(0, 100)]),
        ("bytes=10-", [(10, 90)]),
        ("bytes=-10", [(90, 10)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=90-1000", [(90, 10)]),
        ("BYTES=0-0", [(0, 1)]),
        ("bytes= 0-0 ,\t5-6", [(0, 1), (5, 2)]),
        ("bytes=5-6,0-0", [(5, 2), (0, 1)]),
        ("bytes=0-0,500-600", [(0, 1)]),
    ],
)
def test_ranges_are_read(header: str, ranges: list[tuple[int, int]]) -> None:
    assert parse_ranges(header, 100) == tuple(ByteRange(*each) for each in ranges)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=a-b",
        "bytes=6-5",
        "bytes=0-1,",
        "bytes=0-1;2-3",
        "bytes=--1",
        "bytes=+0-1",
        "bytes=0_0-1",
        "bytes=٠-١",  # noqa: RUF001 - digits, but not ours
        "bytes=" + "9" * 30 + "-",
        "items=0-1",
        "bytes=0-99,0-0",  # more than the file has
    ],
)
def test_what_is_no_range_of_ours_means_the_whole_file(header: str) -> None:
    assert parse_ranges(header, 100) is None


def test_a_thousand_blocks_may_be_asked_for_at_once_but_not_any_number() -> None:
    most = "bytes=" + ",".join(["0-0"] * MAX_RANGES)

    assert parse_ranges(most, 1 << 20) == (ByteRange(0, 1),) * MAX_RANGES
    assert parse_ranges(most + ",0-0", 1 << 20) is None


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [("bytes=100-", 100), ("bytes=100-200,300-", 100), ("bytes=-0", 100), ("bytes=0-", 0)],
)
def test_ranges_beyond_the_file_cannot_be_satisfied(header: str, size_bytes: int) -> None:
    with pytest.raises(UnsatisfiableRangeError) as caught:
        parse_ranges(header, size_bytes)
    assert caught.value.size_bytes == size_bytes


@given(st.text(alphabet="bytes=0123456789-, ", max_size=40), st.integers(0, 200))
def test_no_header_leads_outside_the_file(header: str, size_bytes: int) -> None:
    try:
        ranges = parse_ranges(header, size_bytes)
    except UnsatisfiableRangeError:
        return
    for each in ranges or ():
        assert each.length > 0
        assert 0 <= each.start < each.start + each.length <= size_bytes


def test_a_multipart_body_has_the_announced_length_and_form() -> None:
    data = bytes(range(100))
    multipart = Multipart(
        ranges=(ByteRange(0, 2), ByteRange(50, 3)),
        size_bytes=100,
        sha256="ab" * 32,
        media_type="application/octet-stream",
    )

    body = b"".join(FileBody(BytesIO(data), multipart.pieces()))

    boundary = b"serinus-" + b"ab" * 20
    head = b"\r\n--" + boundary + b"\r\nContent-Type: application/octet-stream\r\nContent-Range: "
    assert body == (
        head + b"bytes 0-1/100\r\n\r\n\x00\x01"
        + head + b"bytes 50-52/100\r\n\r\n\x32\x33\x34"
        + b"\r\n--" + boundary + b"--\r\n"
    )  # fmt: skip
    assert multipart.content_length == len(body)
    assert multipart.content_type == "multipart/byteranges; boundary=" + boundary.decode()


def test_a_file_that_is_shorter_than_it_should_be_ends_the_body() -> None:
    body = FileBody(BytesIO(b"abc"), iter([b"head", ByteRange(1, 10), b"tail"]))

    assert b"".join(body) == b"headbc"


def test_closing_the_body_closes_the_file() -> None:
    file = BytesIO(b"abc")

    FileBody(file, iter([])).close()

    assert file.closed
