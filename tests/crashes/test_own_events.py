"""Crash events of ours as reports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.crashes.own_events import kind_of, report_of
from update_server.crashes.report import Frame, Kind
from update_server.crashes.signature import Signature, signature_of


def a_frame(function: str, line: int | None = 1, **changes: Any) -> dict[str, Any]:
    frame = {"module": "notes.store", "function": function, "file": "store.py", "line": line}
    return {**frame, **changes}


def signed(*frames: Any, error: Any = "ValueError") -> Signature:
    report = report_of({"sid": "s1", "exception": {"type": error}, "frames": list(frames)})
    assert report is not None
    return signature_of(report)


def test_an_event_is_grouped_by_its_error_and_frames() -> None:
    signature = signed(a_frame("load"), a_frame("main", module="notes.app"))

    assert signature.parts == ("ValueError", "notes.store:load", "notes.app:main")
    assert signature.title == "ValueError in notes.store:load"


@given(st.lists(st.integers(0, 2**31 - 1), min_size=3, max_size=3))
def test_a_line_added_above_changes_nothing(lines: list[int]) -> None:
    functions = ("parse", "load", "main")
    moved = [a_frame(name, line) for name, line in zip(functions, lines, strict=True)]

    assert signed(*moved) == signed(*map(a_frame, functions))


def test_what_the_app_says_of_its_frames_counts() -> None:
    others = a_frame("raw_decode", module="json.decoder", in_app=False)

    assert signed(others, a_frame("load", in_app=True)) == signed(a_frame("load"))


@pytest.mark.parametrize("body", [{}, {"sid": "s1", "frames": []}, {"exception": {"type": ""}}])
def test_an_event_that_says_nothing_has_no_report(body: dict[str, Any]) -> None:
    assert report_of(body) is None


def test_an_error_alone_is_a_report() -> None:
    assert signed().parts == ("ValueError",)


@pytest.mark.parametrize(
    "body",
    [
        {"exception": "ValueError", "frames": [a_frame("load")]},
        {"exception": {"type": 7}, "frames": [a_frame("load"), "main", None]},
        {"frames": [a_frame("load", in_app="yes", line=None)]},
    ],
)
def test_what_is_of_another_type_is_not_there(body: dict[str, Any]) -> None:
    report = report_of(body)

    assert report is not None
    assert signature_of(report).parts == ("", "notes.store:load")


def test_frames_that_are_no_list_are_not_there() -> None:
    report = report_of({"exception": {"type": "ValueError"}, "frames": {"module": "notes"}})

    assert report is not None
    assert report.frames == ()


@pytest.mark.parametrize(
    ("error", "files", "kind"),
    [
        ("ValueError", ("store.py", "<frozen runpy>"), Kind.PYTHON),
        ("TypeError", ("app.js", "index.mjs"), Kind.NODE),
        ("Error", ("addon.node", "app.js", "timer.js"), Kind.NODE),
        ("SIGSEGV", ("main.rs",), Kind.NATIVE),
        ("panic", ("main.go",), Kind.OTHER),
        ("SIGSEGV", (), Kind.NATIVE),
        ("EXCEPTION_ACCESS_VIOLATION", ("",), Kind.NATIVE),
        ("Significant", (), Kind.OTHER),
        ("", (), Kind.OTHER),
    ],
)
def test_the_files_or_the_error_tell_what_wrote_the_frames(
    error: str, files: tuple[str, ...], kind: Kind
) -> None:
    assert kind_of(error, [Frame(file=file) for file in files]) is kind


def test_a_module_may_tell_what_wrote_the_frames() -> None:
    assert kind_of("Crash", [Frame(module=r"C:\Program Files\Notes\Notes.EXE")]) is Kind.NATIVE
