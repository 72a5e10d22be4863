"""What the documents' vectors do not reach: other caps, and rendering."""

import json
import tracemalloc
from typing import Any

import pytest

from rollout import strict_json
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


@pytest.mark.parametrize("data", [b"[]", b"1", b'"a"', b"null", b'{"a":1}\x00', b'{"a":"\x00"}'])
def test_what_is_not_just_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_strict(data)


@pytest.mark.parametrize(
    "text", [r"[[[[[[[[[", r"\"[[[[[[[[[", r"\\[[[[[[[[[", r"\\\"[[[[[[[[[", r"\u0022[[[[[[[[["]
)
def test_brackets_in_a_string_are_no_depth(text: str) -> None:
    found = parse_strict(f'{{"{text}": "{text}"}}'.encode())

    assert found == {json.loads(f'"{text}"'): json.loads(f'"{text}"')}
    with pytest.raises(DocumentError, match="nested"):
        parse_strict(f'{{"{text}": [[[[[[[["{text}"]]]]]]]]}}'.encode())


@pytest.mark.parametrize("character", ["a", "\u00e9", r"\"", r"\\", r"\n", r"\u00e9"])
def test_a_string_is_as_long_as_its_characters(character: str) -> None:
    assert parse_strict(f'{{"k": "{character * 512}"}}'.encode())

    with pytest.raises(DocumentError, match="over 512 characters"):
        parse_strict(f'{{"k": "{character * 513}"}}'.encode())


def test_a_key_that_stands_twice_is_named() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_strict(b'{"a":1,"b":2,"b":3}')

    assert "'b'" in caught.value.detail


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


class _Counted(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Counted.comparisons += 1
        return str.__eq__(self, other)


def test_a_key_that_stands_twice_is_found_in_linear_time() -> None:
    count = 2_000
    pairs = [(_Counted(number), None) for number in range(count)]

    with pytest.raises(DocumentError, match="stands twice"):
        strict_json._object([*pairs, (_Counted(count - 1), None)])

    assert _Counted.comparisons < 20 * count  # each against each would be 1,000 times that


@pytest.mark.parametrize(
    "text", [b"a" * 60_000, b"\\a" * 30_000, b'\\"' * 30_000], ids=["long", "escapes", "quotes"]
)
def test_a_long_string_is_walked_without_a_state_for_each_character(text: bytes) -> None:
    data = b'{"' + text + b'":[[[[[[[1]]]]]]]}'

    tracemalloc.start()
    depth = strict_json._depth(strict_json._pieces(data))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert depth == 8
    assert peak_bytes < 4 * len(data)  # a state has more bytes than that
