"""How deep a document is, seen before it is decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.crashes.documents import MAX_DEPTH, document_of
from update_server.crashes.errors import BadDocumentError

awkward = st.text(alphabet='[]{}"\\,:a\n\u00e9', max_size=12)
values = st.recursive(
    awkward | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(awkward, inner, max_size=4),
    max_leaves=20,
)


def wrapped(value: Any, times: int) -> dict[str, Any]:
    for number in range(times - 1):
        value = [value, "]"] if number % 2 else {'"[': value}
    return {"a": value}


def depth_of(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case _:
            return 0


@given(values, st.sampled_from([1, 2, 30, 58, 59, 60, 61, 62, 63, 64, 65, 66, 90]), st.booleans())
def test_what_is_not_too_deep_is_decoded_and_nothing_else(
    value: Any, times: int, ascii_only: bool
) -> None:
    document = wrapped(value, times)
    data = json.dumps(document, ensure_ascii=ascii_only).encode()

    if depth_of(document) <= MAX_DEPTH:
        assert document_of(data) == document
    else:
        with pytest.raises(BadDocumentError):
            document_of(data)


@pytest.mark.no_cover
@given(st.binary(max_size=60), st.sampled_from([b"[", b'{"a":', b'[{"":']))
def test_nothing_in_front_hides_how_deep_it_is(front: bytes, opening: bytes) -> None:
    with pytest.raises(BadDocumentError):
        document_of(b'{"a":[' + front + opening * 3_000)
