"""Whatever bytes come in: an error of ours, or exactly what was signed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollout.documents import render_release
from signing.ceremony import sign_release
from signing.errors import BadJournalError, BadStateError, SubmissionError, TrustError
from signing.journal import dump_journal, load_journal
from signing.metadata import parse_root, parse_snapshot, parse_targets, parse_timestamp
from signing.state import dump_state, load_state
from tests.signing.world import LINUX, NOW, PUBLISHER, a_release, a_world, files_of

RELEASES = f"releases.stable.{LINUX}"
RELEASE = a_release("1.0")
WORLD = a_world()
WORLD.place(RELEASE)
SIGNED = sign_release(WORLD.state, render_release(RELEASE), files_of(RELEASE), PUBLISHER, NOW)[
    RELEASES
]


@st.composite
def mangled(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, repeat, replace or insert somewhere, up to three times."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        middle = draw(
            st.one_of(
                st.binary(max_size=8),
                st.just(data[start:end] * 2),
                st.sampled_from([b"0", b"true", b"null", b"[]", b"{}", b'"', b"1.0", b",", b" "]),
            )
        )
        data = data[:start] + middle + data[end:]
    return data


@given(mangled(SIGNED))
def test_mangled_metadata_is_refused_or_says_what_was_signed(data: bytes) -> None:
    try:
        admission = WORLD.check({RELEASES: data})
    except SubmissionError:
        return

    assert signed_part(data) == signed_part(SIGNED)
    assert admission.releases == (RELEASE,)


def signed_part(data: bytes) -> Any:
    return json.loads(data)["signed"]


@given(st.data())
def test_no_reader_fails_with_an_error_that_is_not_ours(data: st.DataObject) -> None:
    metadata = WORLD.state.metadata
    readers: dict[str, Callable[[bytes], object]] = {
        "root": parse_root,
        "snapshot": parse_snapshot,
        "timestamp": parse_timestamp,
        "targets": lambda raw: parse_targets("targets", raw),
    }
    role = data.draw(st.sampled_from(sorted(readers)))
    raw = data.draw(mangled(metadata[role]))

    with contextlib.suppress(TrustError):
        readers[role](raw)


@given(mangled(dump_journal(WORLD.plan({}).journal)))
def test_a_mangled_journal_is_refused_or_whole(raw: bytes) -> None:
    try:
        journal = load_journal(raw)
    except BadJournalError:
        return

    assert load_journal(dump_journal(journal)) == journal


@given(mangled(dump_state(WORLD.state)))
def test_a_mangled_state_is_refused_or_whole(raw: bytes) -> None:
    try:
        state = load_state(raw)
    except BadStateError:
        return

    assert load_state(dump_state(state)) == state
