from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.errors import BadJournalError
from signing.journal import Journal, Write, dump_journal, load_journal
from tests.signing.world import a_release, a_world

DIGEST = "ab" * 32
TIMESTAMP = Write(path="tuf/timestamp.json", data=b"timestamp", swap=True)
PATHS = (
    "tuf/12.root.json",
    "tuf/1.releases.stable.linux-x86_64.json",
    f"targets/demo/policy/{DIGEST}.stable.json",
    f"targets/demo/releases/stable/_odd-platform/1.0+local/{DIGEST}.release.json",
)


def a_journal(*paths: str) -> Journal:
    writes = tuple(Write(path=path, data=path.encode()) for path in paths)
    return Journal(app="demo", timestamp_version=3, writes=(*writes, TIMESTAMP))


def test_a_journal_survives_being_stored() -> None:
    journal = a_journal(*PATHS)

    assert load_journal(dump_journal(journal)) == journal


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 2**53 - 1))
def test_any_bytes_survive_being_stored(contents: list[bytes], version: int) -> None:
    writes = [Write(path=f"tuf/{n + 1}.policy.json", data=d) for n, d in enumerate(contents)]
    journal = Journal(app="demo", timestamp_version=version, writes=(*writes, TIMESTAMP))

    assert load_journal(dump_journal(journal)) == journal


def test_a_planned_journal_survives_being_stored() -> None:
    world = a_world(a_release("1.0"))
    journal = world.plan({}).journal

    assert load_journal(dump_journal(journal)) == journal


@pytest.mark.parametrize(
    "path",
    [
        "tuf/timestamp.json",
        "tuf/0.root.json",
        "tuf/root.json",
        "tuf/1.ROOT.json",
        "tuf/../1.root.json",
        "tuf/a/1.root.json",
        "/tuf/1.root.json",
        "tuf/1.root.json\n",
        "targets/stable.json",
        f"targets/{DIGEST}.stable.json",
        f"targets/../{DIGEST}.stable.json",
        f"targets/demo/../../{DIGEST}.stable.json",
        f"targets/demo//{DIGEST}.stable.json",
        f"targets/demo/{DIGEST}..stable",
        "targets/demo/abc.stable.json",
        f"targets/demo/a%2e/{DIGEST}.a",
        f"private/demo/{DIGEST}.a",
        "",
    ],
)
def test_a_path_outside_the_repository_is_refused(path: str) -> None:
    with pytest.raises(BadJournalError):
        load_journal(dump_journal(a_journal(path)))


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(dump_journal(a_journal(PATHS[0]))), **changes}).encode()


def writes(*items: Any) -> bytes:
    return changed(writes=list(items))


ROOT = {"path": "tuf/1.root.json", "data": "AA==", "swap": False}
LAST = {"path": "tuf/timestamp.json", "data": "AA==", "swap": True}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        changed(schema=2),
        changed(app="../demo"),
        changed(app=None),
        changed(timestamp_version=0),
        changed(timestamp_version=True),
        changed(timestamp_version="1"),
        changed(writes=None),
        writes(),
        writes(ROOT),
        writes(LAST, ROOT),
        writes(LAST, LAST),
        writes({**ROOT, "swap": True}, LAST),
        writes({**ROOT, "swap": 0}, LAST),
        writes({**ROOT, "data": "!"}, LAST),
        writes({**ROOT, "data": None}, LAST),
        writes({**ROOT, "path": 1}, LAST),
        writes("root", LAST),
        writes({"path": "tuf/1.root.json"}, LAST),
    ],
)
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    with pytest.raises(BadJournalError) as caught:
        load_journal(data)

    assert caught.value.code == "bad_journal"
