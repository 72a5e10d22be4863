"""Answers of the process that reads minidumps are checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crashes.real_dumps import NAMES, real_dump
from update_server.minidumps.answers import BadAnswerError, parse_answer
from update_server.minidumps.child import answerer
from update_server.service.ports.dumps import DumpFrame, DumpReport

FRAME = {"module": "notes", "in_app": False, "offset": 291, "debug_id": "ab12"}
ANSWER = {
    "error": "SIGSEGV",
    "frames": [FRAME, {"module": "<unmapped>", "in_app": None, "offset": None, "debug_id": ""}],
    "os": "linux",
    "arch": "x86_64",
    "is_crash": True,
    "main_module": "notes",
    "main_debug_id": "ab12",
    "annotations": {"ptype": "browser"},
}


def spelled(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")


def test_an_answer_is_a_report() -> None:
    assert parse_answer(spelled(ANSWER)) == DumpReport(
        error="SIGSEGV",
        frames=(
            DumpFrame(module="notes", in_app=False, offset=291, debug_id="ab12"),
            DumpFrame(module="<unmapped>", in_app=None, offset=None, debug_id=""),
        ),
        os="linux",
        arch="x86_64",
        is_crash=True,
        main_module="notes",
        main_debug_id="ab12",
        annotations={"ptype": "browser"},
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_the_child_says_of_real_dumps_is_an_answer(name: str) -> None:
    assert parse_answer(spelled(answerer()(real_dump(name)))) is not None


def test_of_a_malformed_dump_there_is_no_report() -> None:
    assert parse_answer(spelled(answerer()(b"MDMP"))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"error": ""},
        {"error": "x" * 65},
        {"error": 11},
        {"error": "SIG\x00"},
        {"frames": [FRAME] * 65},
        {"frames": [{**FRAME, "module": "x" * 257}]},
        {"frames": [{**FRAME, "module": "a\nb"}]},
        {"frames": [{**FRAME, "offset": -1}]},
        {"frames": [{**FRAME, "offset": 1 << 32}]},
        {"frames": [{**FRAME, "offset": 1.5}]},
        {"frames": [{**FRAME, "in_app": 0}]},
        {"frames": [{**FRAME, "debug_id": "AB"}]},
        {"frames": [{**FRAME, "path": "/home/ada"}]},
        {"os": "Linux; rm"},
        {"arch": "x" * 17},
        {"is_crash": "yes"},
        {"main_module": "\u202e"},
        {"main_debug_id": "../"},
        {"annotations": {"ptype": "a\x00"}},
        {"annotations": {"a\x00": "ptype"}},
        {"annotations": {str(n): "" for n in range(17)}},
        {"annotations": {"ptype": 1}},
        {"user": "ada"},
    ],
)
def test_another_shape_is_no_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswerError):
        parse_answer(spelled({**ANSWER, **changes}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"malformed": 1}',
        b'{"malformed": "x", "error": "SIGSEGV"}',
        b"[" * 10_000,
        spelled({**ANSWER, "error": "\ud800"}),
        b"\xff",
    ],
)
def test_other_bytes_are_no_answer(text: bytes) -> None:
    with pytest.raises(BadAnswerError):
        parse_answer(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(text: bytes) -> None:
    with pytest.raises(BadAnswerError):
        parse_answer(text)
