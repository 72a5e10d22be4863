"""Grouping of what SDKs send: golden vectors, and what real SDKs sent."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.crashes.envelope_mutations import CAPTURES
from tests.crashes.envelopes import read, report, signed
from update_server.crashes.envelope import SdkReport
from update_server.crashes.own_events import report_of
from update_server.crashes.signature import signature_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "sdk_events.json").read_text("utf-8")
)["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_an_event_is_kept_and_grouped_as_its_vector_says(vector: Mapping[str, Any]) -> None:
    kept = report(vector["event"], messages=vector["messages"])
    signature = signed(vector["event"], messages=vector["messages"])

    assert kept.body == vector["body"]
    assert {
        "key": signature.key,
        "family": signature.family,
        "exact": signature.exact,
        "comparable": signature.comparable,
        "title": signature.title,
    } == vector["signature"]


def test_one_bug_has_one_key_and_two_bugs_have_two() -> None:
    keys = {(vector["bug"], vector["signature"]["key"]) for vector in VECTORS}

    assert len(keys) == len({bug for bug, _ in keys}) == len({key for _, key in keys})


def test_two_builds_of_one_native_crash_are_comparable() -> None:
    builds = {
        vector["signature"]["comparable"]
        for vector in VECTORS
        if vector["bug"] in {"native, a build", "native, the next build"}
    }

    assert len(builds) == 1


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_lines_added_above_change_no_key(vector: Mapping[str, Any]) -> None:
    moved = copy.deepcopy(vector["event"])
    for one in moved.get("exception", {}).get("values", ()):
        for frame in one["stacktrace"]["frames"]:
            frame["lineno"] = frame.get("lineno", 0) + 11

    assert signed(moved, messages=vector["messages"]).key == vector["signature"]["key"]


def test_an_event_of_ours_has_the_signature_of_the_sdks() -> None:
    vector = VECTORS[0]
    ours = {"sid": "s1", **{name: vector["body"][name] for name in ("exception", "frames")}}

    told = report_of(ours)

    assert told is not None
    assert signature_of(told).key == vector["signature"]["key"]


# --- what real SDKs sent -----------------------------------------------------------------


def captured(sdk: str) -> Iterator[tuple[str, SdkReport]]:
    for path in sorted(CAPTURES.glob(f"{sdk}-*.json")):
        for request in json.loads(path.read_text("utf-8"))["requests"]:
            for each in read("\n".join(request["lines"]).encode()).items:
                if isinstance(each, SdkReport):
                    yield path.stem.removeprefix(f"{sdk}-"), each


def key_of(found: SdkReport) -> str:
    told = report_of(found.body)
    assert told is not None
    return signature_of(told).key


@pytest.mark.parametrize(("sdk", "elsewhere"), [("python", set()), ("node", {"discards"})])
def test_captures_of_one_bug_have_one_key(sdk: str, elsewhere: set[str]) -> None:
    keys = [(situation, key_of(found)) for situation, found in captured(sdk)]

    one_bug = [(situation, key) for situation, key in keys if situation not in elsewhere]
    assert {"handled", "requests", "unhandled"} <= {situation for situation, _ in one_bug}
    assert len({key for _, key in one_bug}) == 1
    assert len({key for _, key in keys}) == 1 + len(elsewhere)


@pytest.mark.parametrize("sdk", ["python", "node"])
def test_captures_tell_what_nobody_handled(sdk: str) -> None:
    crashes = {situation for situation, found in captured(sdk) if found.is_crash}

    assert {"unhandled"} <= crashes
    assert not crashes & {"handled", "handled-gzip", "discards"}


def test_nothing_in_captures_is_bad_or_unknown() -> None:
    for path in CAPTURES.glob("*.json"):
        for request in json.loads(path.read_text("utf-8"))["requests"]:
            assert read("\n".join(request["lines"]).encode()).skipped == {}, path
