"""Forms of crash handlers: read within bounds, and what they say of a minidump."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.web.errors import MalformedError, TooLargeError, WebError
from update_server.web.public.intake.dump_forms import EVENT_FILE, FILE, parse_dump
from update_server.web.public.intake.multipart import MAX_FIELD_BYTES, MAX_PARTS, parse_form

TYPE = "multipart/form-data; boundary=b0undary"
DUMP = b"MDMP\r\n--b0undar\r\n\r\n" + bytes(range(256)) * 40
WANTED = {FILE: 1 << 20}


def a_part(name: str, data: bytes | str, filename: str | None = None) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--b0undary\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def a_form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b0undary--\r\n"


FILE_PART = a_part(FILE, DUMP, "a.dmp")


class TestReading:
    def test_fields_and_wanted_files_come_out_as_they_went_in(self) -> None:
        body = a_form(a_part("a", "ä"), FILE_PART, a_part("log", b"x" * 300_000, "log.txt"))

        form = parse_form(body, TYPE, WANTED)

        assert form.fields == {"a": "ä"}
        assert form.files == {FILE: DUMP}

    def test_of_two_of_one_name_the_first_counts(self) -> None:
        form = parse_form(a_form(a_part("a", "1"), a_part("a", "2")), TYPE, WANTED)

        assert form.fields == {"a": "1"}

    @pytest.mark.parametrize(
        "content_type",
        ["", "text/html", "multipart/form-data; boundary=other", "\xff", "a; boundary="],
    )
    def test_the_boundary_is_found_where_nobody_tells_it(self, content_type: str) -> None:
        assert parse_form(a_form(FILE_PART), content_type, WANTED).files == {FILE: DUMP}

    def test_line_feeds_alone_end_lines_too(self) -> None:
        body = a_form(a_part("a", "1")).replace(b"\r\n", b"\n")

        assert parse_form(body, "", WANTED).fields == {"a": "1"}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"--b0undary\r\n",
            FILE_PART,
            a_form(FILE_PART)[:-8],
            b"--b0undary\r\nno header\r\n\r\nx\r\n--b0undary--\r\n",
            b"--b0undary\r\n\xff: \xff\r\n\r\nx\r\n--b0undary--\r\n",
            b"x" * 100_000,
        ],
    )
    def test_what_is_no_whole_form_is_refused(self, body: bytes) -> None:
        with pytest.raises(MalformedError):
            parse_form(body, TYPE, WANTED)


class TestBounds:
    @pytest.mark.parametrize(
        "body",
        [
            a_form(*[a_part(f"f{number}", "x") for number in range(MAX_PARTS + 1)]),
            a_form(a_part("f", "x" * (MAX_FIELD_BYTES + 1))),
            a_form(a_part(FILE, b"x" * ((1 << 20) + 1), "a")),
            b"--b0undary\r\nX: " + b"y" * 1_000_000,
            b"--b0undary\r\n" + b"X: y\r\n" * 100_000,
            b"\r\n" * 200_000 + a_form(FILE_PART),
        ],
        ids=["parts", "field", "file", "header", "headers", "preamble"],
    )
    def test_more_than_anybody_needs_is_refused(self, body: bytes) -> None:
        with pytest.raises(TooLargeError):
            parse_form(body, TYPE, WANTED)

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize(
        "filling",
        [b"\r\n--b0undary", b"\r", b"\n", b"\r\n", b"--b0undary ", b"-", b"\r\n--b0undar"],
    )
    def test_no_filling_makes_it_slow(self, filling: bytes) -> None:
        data = filling * ((8 << 20) // len(filling))

        with contextlib.suppress(WebError):
            parse_form(a_form(a_part(FILE, data, "a")), TYPE, {FILE: 32 << 20})

    @given(st.binary(max_size=400), st.text(max_size=40))
    def test_any_bytes(self, data: bytes, content_type: str) -> None:
        for body in (data, a_form(FILE_PART)[:60] + data + a_form(FILE_PART)):
            try:
                parse_form(body, content_type, WANTED)
            except WebError:
                continue


class TestDumps:
    def test_the_surest_release_stands_first(self) -> None:
        event = msgspec.msgpack.encode({"release": "3", "user": {"id": 7}, "level": "fatal"})
        body = a_form(
            a_part("ver", "5"),
            a_part("release", "4"),
            a_part("sentry[release]", "2"),
            a_part("_version", "1"),
            a_part(EVENT_FILE, event, EVENT_FILE),
            FILE_PART,
        )

        form = parse_dump(body, TYPE, {"version": "6"})

        assert form.releases == ["1", "2", "3", "4", "5", "6"]
        assert (form.data, form.reporter) == (DUMP, "7")

    @pytest.mark.parametrize("where", ["prod", "product"])
    def test_electrons_own_version_is_nobodys(self, where: str) -> None:
        told = a_part("prod", "Electron") if where == "prod" else b""
        query = {"product": "Electron"} if where == "product" else {}

        form = parse_dump(a_form(told, a_part("ver", "37.2.0"), FILE_PART), TYPE, query)

        assert form.releases == []

    def test_what_sentry_puts_into_one_field_is_read(self) -> None:
        sentry = '{"release": "demo@2.0.0", "user": {"id": "anna"}}'

        form = parse_dump(a_form(a_part("sentry", sentry), FILE_PART), TYPE, {})

        assert (form.releases, form.reporter) == (["demo@2.0.0"], "anna")

    @pytest.mark.parametrize("event", [b"", b"\xc1", b"\x93" * 5_000, b"{]", b'{"release": 1}'])
    def test_what_cannot_be_read_of_it_is_not_there(self, event: bytes) -> None:
        body = a_form(
            a_part(EVENT_FILE, event, "e"), a_part("sentry", event), a_part("guid", "g"), FILE_PART
        )

        form = parse_dump(body, TYPE, {})

        assert (form.releases, form.reporter) == ([], "g")

    def test_only_what_is_named_goes_on_and_only_as_a_word(self) -> None:
        body = a_form(
            a_part("process_type", "gpu-process"),
            a_part("ptype", "of Anna"),
            a_part("_productName", "Acme Desk"),
            a_part("comments", "secret"),
            FILE_PART,
        )

        form = parse_dump(body, TYPE, {})

        assert form.said == {"process_type": "gpu-process"}

    def test_a_minidump_may_come_alone(self) -> None:
        form = parse_dump(DUMP, "application/octet-stream", {"guid": "g", "version": "2.0.0"})

        assert (form.data, form.reporter, form.releases) == (DUMP, "g", ["2.0.0"])

    def test_a_form_without_a_minidump_is_refused(self) -> None:
        with pytest.raises(MalformedError):
            parse_dump(a_form(a_part("_version", "1")), TYPE, {})
