"""What the reader makes of dumps that Crashpad's handler wrote."""

from __future__ import annotations

import pytest

from tests.crashes.real_dumps import NAMES, real_dump
from update_server.crashes.minidump import Dump, parse_minidump
from update_server.crashes.signature import Signature, signature_of


def read(name: str) -> Dump:
    return parse_minidump(real_dump(name))


def signed(name: str) -> Signature:
    return signature_of(read(name).report)


def modules(name: str) -> list[str]:
    return [frame.module for frame in read(name).report.frames]


@pytest.mark.parametrize("name", NAMES)
def test_a_dump_says_what_crashed_and_where(name: str) -> None:
    dump = read(name)

    assert (dump.os, dump.arch, dump.is_crash) == ("linux", "x86_64", True)
    assert dump.main_module == "notes"
    assert len(dump.main_debug_id) == 40
    assert dump.annotations == {"ptype": "browser"}


def test_a_crash_three_functions_deep_has_their_frames() -> None:
    frames = read("read-2.4.0").report.frames

    assert modules("read-2.4.0") == ["notes", "notes", "notes", "notes", "libc.so.6"]
    assert [frame.in_app for frame in frames] == [None, None, None, None, False]
    assert signed("read-2.4.0").title == "SIGSEGV in notes"


@pytest.mark.parametrize(
    ("name", "comparable"),
    [
        ("read-2.3.9", "1c6efcc90af0d242"),
        ("read-2.4.0", "1c6efcc90af0d242"),
        ("call-2.4.0", "d08ed5984c46f5f2"),
        ("abort-2.4.0", "c13dd2f33ab23d81"),
    ],
)
def test_a_crash_is_grouped_as_it_was_from_the_beginning(name: str, comparable: str) -> None:
    assert signed(name).comparable == comparable


def test_two_builds_of_one_crash_share_the_family_and_not_the_places() -> None:
    old, new = signed("read-2.3.9"), signed("read-2.4.0")

    assert old.key != new.key
    assert old.comparable == new.comparable == new.family


def test_each_build_has_a_debug_id_of_its_own() -> None:
    builds = {name: read(name).main_debug_id for name in NAMES}

    assert len(set(builds.values())) == 3
    assert builds["read-2.4.0"] == builds["call-2.4.0"] == builds["abort-2.4.0"]


def test_without_frame_pointers_the_place_of_the_crash_is_told() -> None:
    bare = "read-2.4.0-without-frame-pointers"

    assert modules(bare) == ["notes"]
    assert signed(bare).comparable == signed("read-2.4.0").comparable


def test_a_call_of_a_null_pointer_is_told_with_its_caller() -> None:
    assert modules("call-2.4.0")[:3] == ["<unmapped>", "notes", "notes"]
    assert signed("call-2.4.0").title == "SIGSEGV in <unmapped>"


def test_crashes_that_differ_have_families_that_differ() -> None:
    crashes = [signed(name).family for name in ("read-2.4.0", "call-2.4.0", "abort-2.4.0")]

    assert len(set(crashes)) == 3


def test_an_abort_is_told_by_the_library_that_it_happened_in() -> None:
    assert modules("abort-2.4.0") == ["libc.so.6"]
    assert signed("abort-2.4.0").title == "SIGABRT in libc.so.6"
