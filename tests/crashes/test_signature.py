"""Grouping, v1: golden vectors, and what no vector could show."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crashes.reading import report_from
from update_server.crashes.names import MAX_TEXT, function_name
from update_server.crashes.placeholders import with_placeholders
from update_server.crashes.report import CrashReport, Frame, Kind, Raised
from update_server.crashes.signature import MAX_FRAMES, Signature, signature_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "crash_signatures.json").read_text("utf-8")
)["vectors"]
BY_NAME = {vector["name"]: vector for vector in VECTORS}


def of(name: str) -> Signature:
    return signature_of(report_from(BY_NAME[name]))


def native(*functions: str, error: str = "SIGSEGV") -> Signature:
    frames = tuple(Frame(module="notes", function=function) for function in functions)
    report = CrashReport(kind=Kind.NATIVE, exceptions=(Raised(type=error),), crashed_thread=frames)
    return signature_of(report)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_report_has_the_signature_of_its_vector(vector: Mapping[str, Any]) -> None:
    signature = signature_of(report_from(vector))

    assert {
        "key": signature.key,
        "family": signature.family,
        "exact": signature.exact,
        "comparable": signature.comparable,
        "title": signature.title,
        "parts": list(signature.parts),
    } == vector["signature"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_key_can_be_computed_from_its_parts(vector: Mapping[str, Any]) -> None:
    told = vector["signature"]
    text = json.dumps(["v1", "exact", *told["parts"]], separators=(",", ":"))

    assert told["key"] == hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
    assert told["comparable"] == (told["key"] if told["exact"] else told["family"])


def test_two_builds_of_a_native_crash_are_comparable() -> None:
    first, second = of("native: without symbols"), of("native: without symbols, the next build")

    assert first.key != second.key
    assert first.comparable == second.comparable == first.family


def test_with_names_the_next_build_has_the_same_key() -> None:
    first = of("native: Rust without hash and panic machinery")

    assert first == of("native: Rust of another build")


def test_two_bugs_differ() -> None:
    keys = [of(name).key for name in BY_NAME if name != "native: Rust of another build"]

    assert len(set(keys)) == len(keys)


def test_an_exception_of_another_type_is_another_bug() -> None:
    assert native("load", error="SIGBUS").comparable != native("load").comparable


def test_a_family_is_the_error_and_the_first_two_frames() -> None:
    assert native("a", "b", "c").family == native("a", "b", "d").family
    assert native("a", "b", "c").family != native("a", "c", "c").family


def test_where_all_frames_say_little_they_are_the_key() -> None:
    assert native("strlen", "free").parts == ("SIGSEGV", "notes:strlen", "notes:free")
    assert native("strlen").title == "SIGSEGV in notes:strlen"


def test_where_all_frames_are_skipped_the_error_is_the_key() -> None:
    assert native("raise", "abort").parts == ("SIGSEGV",)


def test_frames_without_any_name_are_told_apart_by_their_error_only() -> None:
    report = CrashReport(kind=Kind.OTHER, exceptions=(Raised(type="X", frames=(Frame(),)),))

    assert signature_of(report).title == "X in ?"


def test_a_thread_serves_where_an_exception_has_no_frames() -> None:
    thread = (Frame(module="notes", function="run"),)
    report = CrashReport(kind=Kind.PYTHON, exceptions=(Raised(type="X"),), crashed_thread=thread)

    assert signature_of(report).parts == ("X", "notes:run")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("f(int", "f"),
        ("map<int", "map<T>"),
        ("a>b", "a>b"),
        ("f(a<b)", "f"),
        ("f) g", "f) g"),
        ("f() const &", "f"),
        ("f() constant", "f constant"),
        ("Foo::operator()(int) const", "Foo::operator()"),
        ("operator<=>(A, B)", "operator<=>"),
        ("A::operator->*()", "A::operator->*"),
        ("f<&A::operator< >(int)", "f<T>"),
        ("g<decltype(a->b)>::h", "g<T>::h"),
        ("<notes::Store as core::ops::Drop>::drop", "<T>::drop"),
        ("_ZN5notes4main17h0123456789abcdefE", "_ZN5notes4main17h"),
        ("main+0x1a", "main"),
        ("foo.constprop.0", "foo"),
        ("foo.colder", "foo.colder"),
        ("0x7fff1234", ""),
        ("??", ""),
        ("<unknown>", ""),
    ],
)
def test_a_native_name_is_the_same_in_the_next_build(name: str, plain: str) -> None:
    assert function_name(name, Kind.NATIVE) == plain


@pytest.mark.parametrize("name", ["Foo.bar [as baz]", "new bar", "async bar", "a.b.bar", "bar."])
def test_a_javascript_name_is_its_last_part(name: str) -> None:
    assert function_name(name, Kind.JAVASCRIPT) == "bar"


def test_a_javascript_name_of_dots_is_none() -> None:
    assert function_name("...", Kind.NODE) == ""


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("\n \n", ""),
        ("utf8 in 3 files", "utf8 in <number> files"),
        ("1,234.5 of -7", "<number> of <number>"),
        ("and/or", "and/or"),
        (r"cannot open C:\Users\ada\x.txt", "cannot open <path>"),
        (r"\\server\share\x", "<path>"),
        ("~/notes and /etc/passwd", "<path> and <path>"),
        ("bad0cafe but 12345678", "<hex> but <number>"),
        ("defaced", "defaced"),
        ("memcpy@GLIBC_2.2.5", "memcpy@GLIBC_2.<number>"),
    ],
)
def test_values_have_placeholders(text: str, plain: str) -> None:
    assert with_placeholders(text) == plain


# --- any input ---------------------------------------------------------------------------

texts = st.text(max_size=40) | st.text(alphabet="<>()[]{}.:@/\\$0aA-~ \n", max_size=300)
frames = st.builds(
    Frame,
    module=texts,
    function=texts,
    file=texts,
    in_app=st.none() | st.booleans(),
    offset=st.none() | st.integers(0, 2**63),
    debug_id=texts,
)
many_frames = st.lists(frames, max_size=8).map(tuple)
raised = st.builds(Raised, type=texts, message=texts, frames=many_frames)
reports = st.builds(
    CrashReport,
    kind=st.sampled_from(Kind),
    exceptions=st.lists(raised, max_size=3).map(tuple),
    crashed_thread=many_frames,
    fingerprint=st.just(()) | st.lists(texts | st.just("{{ default }}"), max_size=3).map(tuple),
)


@pytest.mark.no_cover
@given(reports)
def test_any_report_has_a_signature(report: CrashReport) -> None:
    signature = signature_of(report)

    assert signature == signature_of(report)
    assert {len(signature.key), len(signature.family)} == {16}
    assert signature.comparable in {signature.key, signature.family}
    assert 0 < len(signature.title) <= 160


@given(reports)
def test_what_was_raised_before_changes_nothing(report: CrashReport) -> None:
    deeper = CrashReport(
        kind=report.kind,
        exceptions=(Raised(type="earlier"), *(report.exceptions or (Raised(),))),
        crashed_thread=report.crashed_thread,
        fingerprint=report.fingerprint,
    )

    assert signature_of(deeper) == signature_of(report)


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "text",
    [
        *("<" * 100_000, "(" * 99_999 + ")", "a@" * 50_000, "1." * 50_000, "/a" * 50_000),
        *("operator" * 20_000, "[as " * 30_000, "a.cold" * 20_000, "0123456789abcde" * 9_000),
        *("lambda$" * 20_000, "{closure" * 9_000, ") const &" * 20_000),
    ],
)
def test_no_text_takes_long(kind: Kind, text: str) -> None:
    frame = Frame(module=text, function=text, file=text)
    report = CrashReport(
        kind=kind,
        exceptions=(Raised(type=text, message=text, frames=(frame,) * 10 * MAX_FRAMES),),
        fingerprint=(text,) * 1_000,
    )

    began = time.process_time()
    signature = signature_of(report)

    assert time.process_time() - began < 1
    assert all(len(part) < 4 * MAX_TEXT for part in signature.parts)
