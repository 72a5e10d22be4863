"""What the documents' vectors do not reach: other caps, and rendering."""

from typing import Any

import pytest

from rollout.errors import DocumentError
from rollout.strict_json import MAX_INTEGER, parse_strict, render_canonical


def test_bytes_over_the_cap_are_refused() -> None:
    data = b'{"a":1}'

    assert parse_strict(data, max_bytes=7) == {"a": 1}
    with pytest.raises(DocumentError):
        parse_strict(data, max_bytes=6)


def test_the_depth_cap_can_be_raised() -> None:
    data = b'{"a":' + b"[" * 8 + b"]" * 8 + b"}"

    assert parse_strict(data, max_depth=9)
    with pytest.raises(DocumentError):
        parse_strict(data, max_depth=8)


def test_the_string_cap_can_be_raised() -> None:
    data = b'{"' + b"k" * 600 + b'":1}'

    assert parse_strict(data, max_string=600)
    with pytest.raises(DocumentError):
        parse_strict(data, max_string=599)


@pytest.mark.parametrize(
    "data", [b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc0\x80"}', b"\xff\xfe{\x00}\x00"]
)
def test_what_is_not_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_strict(data)


@pytest.mark.parametrize("data", [b'{"a":"\\', b'{"a":"', b'{"[[[[[[[[[[[[', b"{]" * 20, b"}" * 50])
def test_broken_text_is_refused_and_not_a_crash(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_strict(data)


def test_the_largest_integer_is_accepted() -> None:
    data = b'{"a":%d}' % MAX_INTEGER

    assert parse_strict(data) == {"a": MAX_INTEGER}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_strict(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_keys_are_sorted_by_code_point() -> None:
    value = {"\U0001f600": 1, "\uffff": 2, "a": 3, "B": 4}

    assert render_canonical(value) == b'{"B":4,"a":3,"\\uffff":2,"\\ud83d\\ude00":1}'


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, {"a": float("inf")}, {"a": b"x"}, {"a": {1}}]
)
def test_what_json_cannot_say_is_not_rendered(value: Any) -> None:
    with pytest.raises(DocumentError):
        render_canonical(value)


def test_a_value_that_never_ends_is_not_rendered() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(DocumentError):
        render_canonical(value)
