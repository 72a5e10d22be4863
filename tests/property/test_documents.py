"""Documents: what is written is read back, and nothing else than a value or a refusal comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollout.documents import (
    check_against_policy,
    parse_policy,
    parse_release,
    parse_rollout,
    render_policy,
    render_release,
    render_rollout,
)
from rollout.errors import DocumentError
from rollout.model import Policy, Release, RolloutDocument
from rollout.strict_json import parse_strict, render_canonical
from tests.property import strategies as own

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**53)
    | st.text(max_size=4)
    | own.versions.map(str),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(own.policies())
def test_a_policy_is_read_as_it_was_written(policy: Policy) -> None:
    assert parse_policy(render_policy(policy)) == policy


@given(own.rollout_documents(most=8))
def test_a_rollout_document_is_read_as_it_was_written(document: RolloutDocument) -> None:
    assert parse_rollout(render_rollout(document)) == document


@given(own.versions.flatmap(own.releases))
def test_a_release_is_read_as_it_was_written(release: Release) -> None:
    assert parse_release(render_release(release)) == release


@given(own.rollout_documents(), own.policies())
def test_the_drawn_documents_agree_with_the_drawn_policies(
    document: RolloutDocument, policy: Policy
) -> None:
    assert check_against_policy(document, policy) is document


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_strict_json_is_read_as_it_was_written_or_refused(value: dict[str, Any]) -> None:
    rendered = render_canonical(value)

    try:
        assert parse_strict(rendered) == value
    except DocumentError:
        assert (
            "-1" in rendered.decode()
            or str(2**53) in rendered.decode()
            or "\\u" in rendered.decode()
        )


@given(
    st.binary(max_size=64)
    | st.text('{}[]":,0123456789.eE+-truefalsn \\u', max_size=64).map(str.encode)
)
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    try:
        value = parse_strict(data)
    except DocumentError:
        return
    assert value == json.loads(data)


@given(st.data())
def test_a_damaged_document_is_refused_or_means_something(data: st.DataObject) -> None:
    kinds: list[tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = [
        (own.policies(), render_policy, parse_policy),
        (own.rollout_documents(), render_rollout, parse_rollout),
        (own.versions.flatmap(own.releases), render_release, parse_release),
    ]
    values, render, parse = data.draw(st.sampled_from(kinds))
    document = json.loads(render(data.draw(values)))

    damage(document, data)

    try:
        found = parse(render_canonical(document))
    except DocumentError:
        return
    assert parse(render(found)) == found


def damage(document: dict[str, Any], data: st.DataObject) -> None:
    """Replace, remove or add one value, somewhere in *document*."""
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and place[key]
        if deeper and data.draw(st.booleans()):
            place = place[key]
            continue
        if data.draw(st.booleans()):
            place[key] = data.draw(json_values)
        else:
            del place[key]
        return
