from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import Annotated, Literal

import msgspec
import pytest
from werkzeug.test import create_environ

from update_server.web import wire
from update_server.web.errors import BadFieldError, MalformedError, TooLargeError


class Inner(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(ge=0)]


class Outer(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=3)]
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = None
    many: list[Inner] = []
    words: dict[Annotated[str, msgspec.Meta(max_length=2)], str] = {}


DECODER = msgspec.json.Decoder(Outer)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"{}", "name"),
        (b'{"name": 1}', "name"),
        (b'{"name": "long"}', "name"),
        (b'{"name": "a", "kind": "c"}', "kind"),
        (b'{"name": "a", "inner": {}}', "inner.size"),
        (b'{"name": "a", "inner": {"size": -1}}', "inner.size"),
        (b'{"name": "a", "many": [{"size": 1}, {"size": "1"}]}', "many[1].size"),
        (b'{"name": "a", "many": [{"size": 1}, {}]}', "many[1].size"),
        (b'{"name": "a", "words": {"abc": "x"}}', "words"),
        (b'{"name": "a", "words": {"ab": 1}}', "words[...]"),
        (b"[]", "body"),
        (b"null", "body"),
    ],
)
def test_a_wrong_or_missing_field_is_named(data: bytes, field: str) -> None:
    with pytest.raises(BadFieldError) as caught:
        wire.decode(data, DECODER)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"name": "a"} x',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"x": ' + b"[" * 100_000,
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        wire.decode(data, DECODER)


def test_unknown_fields_are_ignored() -> None:
    assert wire.decode(b'{"name": "a", "later": [1]}', DECODER) == Outer(name="a")


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not() -> None:
    environ = create_environ(method="POST", data=b"x" * 10)
    assert wire.read_environ(environ, 10) == b"x" * 10

    environ = create_environ(method="POST", data=b"x" * 11)
    with pytest.raises(TooLargeError) as caught:
        wire.read_environ(environ, 10)
    assert (caught.value.limit, caught.value.unit) == (10, "bytes")


def test_a_body_without_a_length_is_bounded_too() -> None:
    environ = create_environ(method="POST", input_stream=BytesIO(b"x" * 1_000))
    environ["wsgi.input_terminated"] = True
    environ.pop("CONTENT_LENGTH", None)

    with pytest.raises(TooLargeError):
        wire.read_environ(environ, 999)


def test_times_are_utc_in_whole_seconds() -> None:
    berlin = timezone(timedelta(hours=1))

    assert wire.render_time(datetime(2026, 11, 22, 4, 7, 0, 5, berlin)) == "2026-11-22T03:07:00Z"
    assert wire.render_time(datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22T00:00:00Z"
