"""Minidumps as crash reports."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from tests.crashes.dumping import (
    ARM64,
    BUILD_ID,
    CRASHPAD,
    EXCEPTION,
    GUID,
    LIBC,
    LINUX,
    MACOS,
    MODULES,
    NOTES,
    SYSTEM,
    THREADS,
    WINDOWS,
    X86,
    X86_64,
    Module,
    Stream,
    Thread,
    a_crash,
    context,
    crashpad,
    dump_of,
    elf,
    exception,
    modules,
    pdb,
    system,
    threads,
    words,
)
from update_server.crashes.errors import MalformedMinidumpError
from update_server.crashes.minidump import Dump, is_minidump, parse_minidump
from update_server.crashes.report import CrashReport, Frame, Kind, Raised
from update_server.crashes.signature import signature_of

STACK = 0x7F00_0000
NAMES = {NOTES.base: "notes", LIBC.base: "libc.so.6"}


def places(data: bytes) -> list[str]:
    """Return the frames of a dump as ``module+offset``."""
    frames = parse_minidump(data).report.frames
    return [one.module + (f"+{one.offset:x}" if one.offset is not None else "") for one in frames]


# --- the whole -------------------------------------------------------------------------------


def test_a_dump_becomes_a_report() -> None:
    data = a_crash(
        stack=words(STACK + 16, 0x10457, 0, 0x71001),
        told={"ptype": "renderer", "user": "ada@example.org"},
    )

    dump = parse_minidump(data)

    assert dump == Dump(
        report=CrashReport(
            kind=Kind.NATIVE,
            exceptions=(Raised(type="SIGSEGV"),),
            crashed_thread=(
                Frame(module="notes", offset=0x123, debug_id=BUILD_ID.hex()),
                Frame(module="notes", offset=0x456, debug_id=BUILD_ID.hex()),
                Frame(module="libc.so.6", in_app=False, offset=0x1000, debug_id="01" * 20),
            ),
        ),
        os="linux",
        arch="x86_64",
        is_crash=True,
        main_module="notes",
        main_debug_id=BUILD_ID.hex(),
        annotations={"ptype": "renderer"},
    )


def test_its_signature_holds_places_and_its_family_modules() -> None:
    gpu = Module(base=0x50000, size=0x1000, name="/usr/lib/libGL.so.1", code_view=elf(b"\x02" * 20))
    stack = words(STACK + 16, 0x10457, 0, 0x71001)
    data = a_crash(loaded=(NOTES, gpu, LIBC), registers={"pc": 0x50321}, stack=stack)

    signature = signature_of(parse_minidump(data).report)

    assert signature.title == "SIGSEGV in libgl.so.1"
    assert signature.parts == (
        "SIGSEGV",
        f"libgl.so.1+0x321@{'02' * 20}",
        f"notes+0x456@{BUILD_ID.hex()}",
    )
    assert signature.comparable == signature.family


@pytest.mark.parametrize(
    "runtime",
    [
        "/usr/lib/libc.so.6",
        "/lib/x86_64-linux-gnu/libc-2.31.so",
        r"C:\Windows\System32\KERNELBASE.dll",
        "/usr/lib/system/libsystem_c.dylib",
    ],
)
def test_what_crashes_go_through_counts_only_alone(runtime: str) -> None:
    loaded = (NOTES, Module(base=LIBC.base, size=LIBC.size, name=runtime))
    here = {"pc": LIBC.base + 5}

    called = parse_minidump(a_crash(loaded=loaded, registers=here, stack=words(0, 0x10457)))
    alone = parse_minidump(a_crash(loaded=loaded, registers=here))

    assert [frame.in_app for frame in called.report.frames] == [False, None]
    assert signature_of(called.report).title == "SIGSEGV in notes"
    assert signature_of(alone.report).parts[1].endswith("+0x5@")


def test_an_empty_dump_says_that_there_was_no_exception() -> None:
    dump = parse_minidump(dump_of([]))

    assert dump == Dump(
        report=CrashReport(kind=Kind.NATIVE, exceptions=(Raised(type="no exception"),)),
        os="",
        arch="",
        is_crash=True,
        main_module="",
        main_debug_id="",
    )


@pytest.mark.parametrize("data", [b"", b"MDM", b"<html>", b"PMDM" + bytes(40)])
def test_what_is_no_dump_is_seen_by_its_first_bytes(data: bytes) -> None:
    assert not is_minidump(data)
    with pytest.raises(MalformedMinidumpError):
        parse_minidump(data)


def test_a_dump_of_another_version_is_refused() -> None:
    assert is_minidump(a_crash())
    with pytest.raises(MalformedMinidumpError):
        parse_minidump(b"MDMP\x94\xa7" + a_crash()[6:])


def test_more_streams_than_any_handler_writes_are_refused() -> None:
    parse_minidump(dump_of([(0, lambda _: b"")] * 512))

    with pytest.raises(MalformedMinidumpError):
        parse_minidump(dump_of([(0, lambda _: b"")] * 513))


def test_of_two_streams_of_one_type_the_first_counts() -> None:
    dump = parse_minidump(dump_of([(SYSTEM, system(LINUX)), (SYSTEM, system(WINDOWS))]))

    assert dump.os == "linux"


def test_a_dump_that_was_asked_for_is_no_crash() -> None:
    for platform, code in ((LINUX, 0xFFFFFFFF), (WINDOWS, 0x0517A7ED), (MACOS, 0x43507378)):
        dump = parse_minidump(a_crash(platform=platform, code=code))

        assert not dump.is_crash
        assert dump.report.last.type == "dump requested"


# --- the system and the exception ------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "arch", "os", "processor"),
    [
        (0x8201, 9, "linux", "x86_64"),
        (0x8203, 12, "android", "arm64"),
        (0x8203, 0x8003, "android", "arm64"),
        (0x8101, 12, "macos", "arm64"),
        (0x8102, 12, "ios", "arm64"),
        (2, 0, "windows", "x86"),
        (0x8202, 3, "", ""),
    ],
)
def test_the_system_is_told_by_numbers(platform: int, arch: int, os: str, processor: str) -> None:
    dump = parse_minidump(dump_of([(SYSTEM, system(platform, arch))]))

    assert (dump.os, dump.arch) == (os, processor)


@pytest.mark.parametrize(
    ("platform", "code", "flags", "name"),
    [
        (LINUX, 11, 1, "SIGSEGV"),
        (LINUX, 7, 0, "SIGBUS"),
        (LINUX, 6, 0, "SIGABRT"),
        (LINUX, 31, 0, "SIGSYS"),
        (LINUX, 64, 0, "SIGNAL_64"),
        (MACOS, 1, 2, "EXC_BAD_ACCESS"),
        (MACOS, 10, 0x06000000, "EXC_CRASH (SIGABRT)"),
        (MACOS, 10, 0x0A100000, "EXC_CRASH (SIGBUS)"),
        (MACOS, 10, 0, "EXC_CRASH"),
        (MACOS, 1, 0x06000000, "EXC_BAD_ACCESS"),
        (MACOS, 0, 0, "EXC_0"),
        (MACOS, 99, 0, "EXC_99"),
        (WINDOWS, 0xC0000005, 0, "EXCEPTION_ACCESS_VIOLATION"),
        (WINDOWS, 0xC0000409, 1, "STATUS_STACK_BUFFER_OVERRUN"),
        (WINDOWS, 0xE0001234, 0, "EXCEPTION_E0001234"),
        (0, 5, 0, "EXCEPTION_00000005"),
    ],
)
def test_an_exception_has_a_name_by_platform(
    platform: int, code: int, flags: int, name: str
) -> None:
    report = parse_minidump(a_crash(platform=platform, code=code, flags=flags)).report

    assert report.last.type == name
    assert signature_of(report).parts[0] == name


@pytest.mark.parametrize(
    ("platform", "code", "told", "name"),
    [
        (WINDOWS, 0xC0000409, (7, 0), "FAST_FAIL_FATAL_APP_EXIT"),
        (WINDOWS, 0xC0000409, (99, 0), "STATUS_STACK_BUFFER_OVERRUN"),
        (WINDOWS, 0xC0000005, (7, 0), "EXCEPTION_ACCESS_VIOLATION"),
        (MACOS, 0, (10, 0x06000000), "EXC_CRASH (SIGABRT)"),
        (MACOS, 0, (10, (1 << 63) + 0x06000000), "EXC_CRASH (SIGABRT)"),
        (MACOS, 0, (9, 0x06000000), "EXC_0"),
        (MACOS, 1, (10, 0x06000000), "EXC_BAD_ACCESS"),
    ],
)
def test_its_parameters_may_tell_more_of_an_exception(
    platform: int, code: int, told: tuple[int, int], name: str
) -> None:
    streams = [(SYSTEM, system(platform)), (EXCEPTION, exception(code, 0, told=told))]

    assert parse_minidump(dump_of(streams)).report.last.type == name


# --- modules ---------------------------------------------------------------------------------


def named(name: str | bytes) -> str:
    return parse_minidump(dump_of([(MODULES, modules(a_module(name=name)))])).main_module


def a_module(name: str | bytes = "notes", code_view: bytes = b"", base: int = 0x10000) -> Module:
    return Module(base=base, size=0x1000, name=name, code_view=code_view)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/ada/notes/bin/notes", "notes"),
        (r"C:\Users\Ada\AppData\Notes.exe", "Notes.exe"),
        ("notes", "notes"),
        ("/opt/" + "x" * 300 + "/notes", "notes"),
        ("/opt/" + "x" * 300, "x" * 256),
        ("/opt/no\x00te\x1bs\u2028", "notes"),
        ("", ""),
        (b"n\0o\0t", "no"),
        (b"\x00\xdcn\0", "\ufffdn"),
    ],
)
def test_of_a_modules_path_the_last_part_is_kept(path: str | bytes, name: str) -> None:
    assert named(path) == name


@pytest.mark.parametrize(
    ("code_view", "debug_id"),
    [
        (pdb(GUID, 1), "0302010005040706" + "08090a0b0c0d0e0f" + "1"),
        (pdb(GUID, 26), "0302010005040706" + "08090a0b0c0d0e0f" + "1a"),
        (pdb(GUID, 0), "0302010005040706" + "08090a0b0c0d0e0f"),
        (elf(b"\xab" * 20), "ab" * 20),
        (elf(b"\xab" * 8), "ab" * 8),
        (elf(b"\xab" * 80), "ab" * 64),
        (elf(b""), ""),
        (b"RSDS", ""),
        (b"NB10" + bytes(20), ""),
        (b"", ""),
    ],
)
def test_a_build_is_named_by_its_debug_id(code_view: bytes, debug_id: str) -> None:
    dump = parse_minidump(dump_of([(MODULES, modules(a_module(code_view=code_view)))]))

    assert dump.main_debug_id == debug_id


def test_an_address_lies_in_the_module_around_it() -> None:
    loaded = (LIBC, NOTES, Module(base=0x10100, size=0, name="empty"))

    assert places(a_crash(loaded=loaded, registers={"pc": 0x10000})) == ["notes+0"]
    assert places(a_crash(loaded=loaded, registers={"pc": 0x13FFF})) == ["notes+3fff"]
    assert places(a_crash(loaded=loaded, registers={"pc": 0x10123})) == ["notes+123"]
    for outside in (0, 0xFFFF, 0x14000, 0x78000):
        assert places(a_crash(loaded=loaded, registers={"pc": outside})) == ["<unmapped>"]


def test_modules_beyond_the_limit_are_not_looked_at() -> None:
    many = [a_module(name=f"lib{n}", base=n << 16) for n in range(1, 1026)]

    assert places(a_crash(loaded=many, registers={"pc": (1024 << 16) + 5})) == ["lib1024+5"]
    assert places(a_crash(loaded=many, registers={"pc": (1025 << 16) + 5})) == ["<unmapped>"]


def test_a_list_may_be_aligned_as_breakpad_does() -> None:
    crashed = Thread(
        stack=words(0, 0x71001), context=context(X86_64, pc=0x10123, sp=STACK, fp=STACK)
    )
    data = dump_of(
        [
            (SYSTEM, system()),
            (MODULES, modules(NOTES, LIBC, aligned=True)),
            (THREADS, threads(crashed, aligned=True)),
            (EXCEPTION, exception()),
        ]
    )

    assert places(data) == ["notes+123", "libc.so.6+1000"]


# --- the stack -------------------------------------------------------------------------------


def test_frame_pointers_are_followed_outwards() -> None:
    stack = words(STACK + 32, 0x10201, 7, 7, STACK + 48, 0x10301, 0, 0x71001)

    assert places(a_crash(stack=stack)) == ["notes+123", "notes+200", "notes+300", "libc.so.6+1000"]


@pytest.mark.parametrize(
    ("why", "stack", "registers"),
    [
        ("the frame pointer is another number", words(0, 0x10201), {"fp": 0x1234}),
        ("it is not aligned", words(0, 0x10201, 0), {"fp": STACK + 4}),
        ("it lies below the stack pointer", words(0, 0x10201, 0, 0), {"sp": STACK + 16}),
        ("it lies at the end", words(0, 0x10201), {"fp": STACK + 8}),
        ("no code is where it would return to", words(STACK + 16, 0x20000, 0, 0x10201), {}),
        ("there is no stack", b"", {}),
        ("the stack pointer is beyond the stack", words(0, 0x10201), {"sp": STACK + 99}),
    ],
)
def test_where_the_chain_is_broken_only_the_place_of_the_crash_is_told(
    why: str, stack: bytes, registers: Mapping[str, int]
) -> None:
    assert places(a_crash(stack=stack, registers=registers)) == ["notes+123"], why


def test_the_chain_ends_where_it_would_go_back() -> None:
    assert places(a_crash(stack=words(STACK, 0x10201))) == ["notes+123", "notes+200"]


def test_at_most_64_frames_are_told() -> None:
    stack = b"".join(words(STACK + 16 * (n + 1), 0x10001 + n) for n in range(100))

    assert len(places(a_crash(stack=stack))) == 64


def test_at_most_a_mebibyte_of_the_stack_is_looked_at() -> None:
    far = (1 << 20) - 16
    near_enough = words(STACK + far, 0x10201) + bytes(far - 16) + words(0, 0x10301)
    too_far = words(STACK + far + 8, 0x10201) + bytes(far - 8) + words(0, 0x10301)

    assert places(a_crash(stack=near_enough)) == ["notes+123", "notes+200", "notes+300"]
    assert places(a_crash(stack=too_far)) == ["notes+123", "notes+200"]


def test_the_stack_of_an_overflow_is_read_from_where_it_begins() -> None:
    data = a_crash(stack=words(0, 0x10201), registers={"sp": STACK - 4096})

    assert places(data) == ["notes+123", "notes+200"]


def test_a_call_of_nothing_is_told_with_its_caller() -> None:
    stack = words(0x10201, STACK + 24, 0x10301, 0, 0x71001)
    data = a_crash(stack=stack, registers={"pc": 0, "fp": STACK + 8})

    assert places(data) == ["<unmapped>", "notes+200", "notes+300", "libc.so.6+1000"]
    assert signature_of(parse_minidump(data).report).title == "SIGSEGV in <unmapped>"


def test_a_call_of_nothing_from_nowhere_has_one_frame() -> None:
    assert places(a_crash(registers={"pc": 0})) == ["<unmapped>"]
    assert places(a_crash(stack=words(0x20000), registers={"pc": 0})) == ["<unmapped>"]


def test_arm64_keeps_a_return_address_in_a_register() -> None:
    stack = words(0, 0x71004)

    called = a_crash(arch=ARM64, stack=stack, registers={"lr": 0x10204})
    nothing = a_crash(arch=ARM64, stack=stack, registers={"lr": 0x10204, "pc": 0})

    assert places(called) == ["notes+123", "libc.so.6+1000"]
    assert places(nothing) == ["<unmapped>", "notes+200", "libc.so.6+1000"]


def test_signed_return_addresses_of_arm64_lose_their_signature() -> None:
    stack = words(STACK + 16, 0x00A5_0000_0001_0204, 0, 0x8123_0000_0007_1004)

    assert places(a_crash(arch=ARM64, stack=stack)) == [
        "notes+123",
        "notes+200",
        "libc.so.6+1000",
    ]


def test_an_address_of_x86_64_keeps_all_its_bits() -> None:
    assert places(a_crash(stack=words(0, 0x00A5_0000_0001_0204))) == ["notes+123"]


def test_x86_has_words_of_4_bytes() -> None:
    stack = struct.pack("<4I", STACK + 8, 0x10201, 0, 0x71001)

    assert places(a_crash(arch=X86, platform=WINDOWS, stack=stack)) == [
        "notes+123",
        "notes+200",
        "libc.so.6+1000",
    ]


# --- threads ---------------------------------------------------------------------------------


def with_thread(*streams: tuple[int, Stream], registers: bytes = b"") -> bytes:
    return dump_of(
        [
            (SYSTEM, system()),
            (MODULES, modules(NOTES, LIBC)),
            (EXCEPTION, exception(registers=registers)),
            *streams,
        ]
    )


def test_the_registers_beside_the_exception_come_first() -> None:
    thread = Thread(context=context(X86_64, pc=0x71000))

    own = with_thread((THREADS, threads(thread)))
    both = with_thread((THREADS, threads(thread)), registers=context(X86_64, pc=0x10123))

    assert places(own) == ["libc.so.6+1000"]
    assert places(both) == ["notes+123"]


def test_without_its_thread_a_crash_has_one_frame() -> None:
    registers = context(X86_64, pc=0x10123, sp=STACK, fp=STACK)
    other = Thread(id=8, stack=words(0, 0x10201))

    assert places(with_thread(registers=registers)) == ["notes+123"]
    assert places(with_thread((THREADS, threads(other)), registers=registers)) == ["notes+123"]


def test_without_registers_a_crash_has_no_frames() -> None:
    assert places(with_thread()) == []
    assert places(with_thread((THREADS, threads(Thread())))) == []


def test_on_an_unknown_processor_a_crash_has_no_frames() -> None:
    data = dump_of([(SYSTEM, system(arch=3)), (EXCEPTION, exception(registers=bytes(2000)))])

    assert parse_minidump(data).report.frames == ()


def test_a_thread_beyond_the_limit_is_not_found() -> None:
    crashed = Thread(context=context(X86_64, pc=0x10123))
    others = [Thread(id=1000 + n) for n in range(4096)]

    assert places(with_thread((THREADS, threads(*others[:-1], crashed)))) == ["notes+123"]
    assert places(with_thread((THREADS, threads(*others, crashed)))) == []


# --- annotations -----------------------------------------------------------------------------


def test_annotations_that_are_not_allowed_are_not_kept() -> None:
    told: dict[str | bytes, str | bytes] = {
        "process_type": "browser",
        "ptype": b"gpu\xff\0",
        "guid": "1234",
        "url": "https://example.org",
        b"\xffptype": "1",
    }

    annotations = parse_minidump(a_crash(told=told)).annotations

    assert annotations == {"process_type": "browser", "ptype": "gpu\ufffd"}


def test_a_long_annotation_is_cut() -> None:
    assert parse_minidump(a_crash(told={"ptype": "9" * 300})).annotations == {"ptype": "9" * 256}


def test_annotations_beyond_the_limit_are_not_looked_at() -> None:
    told: dict[str | bytes, str | bytes] = {str(n): "" for n in range(256)}

    assert parse_minidump(a_crash(told={**told, "ptype": "1"})).annotations == {}


# --- what contradicts itself -----------------------------------------------------------------


@pytest.mark.parametrize(
    "streams",
    [
        [(MODULES, modules(NOTES, count=2))],
        [(MODULES, modules(NOTES, count=0xFFFFFFFF))],
        [(MODULES, lambda _: b"")],
        [(THREADS, threads(Thread(), count=2)), (EXCEPTION, exception())],
        [(SYSTEM, system()), (EXCEPTION, exception(registers=bytes(100)))],
        [(SYSTEM, lambda _: bytes(20))],
        [(EXCEPTION, lambda _: bytes(100))],
        [(CRASHPAD, lambda _: bytes(40))],
        [(CRASHPAD, crashpad({"ptype": "1"}, count=200))],
    ],
)
def test_a_stream_shorter_than_it_says_is_refused(streams: list[tuple[int, Stream]]) -> None:
    with pytest.raises(MalformedMinidumpError):
        parse_minidump(dump_of(streams))


def test_a_dump_cut_off_anywhere_is_refused_or_the_same() -> None:
    data = a_crash(stack=words(0, 0x71001), told={"ptype": "1"})
    whole = parse_minidump(data)
    needed = len(data) - 24  # its last fields are not read

    for end in range(needed):
        with pytest.raises(MalformedMinidumpError):
            parse_minidump(data[:end])
    assert parse_minidump(data[:needed]) == whole


def test_the_error_says_where_and_quotes_nothing() -> None:
    with pytest.raises(MalformedMinidumpError) as raised:
        parse_minidump(dump_of([(MODULES, modules(NOTES, count=2))]))

    assert raised.value.detail == "the list of modules is shorter than it says"
