"""The names of what ended a process, by platform.

Sources: ``signal(7)`` for Linux, ``sys/signal.h`` and ``mach/exception_types.h`` of XNU for Apple's
systems, ``winnt.h`` and ``ntstatus.h`` for Windows; what Crashpad and Breakpad add is marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

LINUX: Final = "linux"
ANDROID: Final = "android"
MACOS: Final = "macos"
IOS: Final = "ios"
WINDOWS: Final = "windows"

REQUESTED: Final = "dump requested"
"""Stands for an exception where an app only wanted a dump of itself, and went on."""

_REQUESTED: Final = frozenset(
    {
        0xFFFFFFFF,  # Breakpad, and Crashpad on Linux
        0x0517A7ED,  # Crashpad on Windows
        0x43507378,  # Crashpad on Apple's systems: "CPsx"
    }
)

_SIGNALS: Final[Mapping[int, str]] = MappingProxyType(
    dict(
        enumerate(
            (
                *("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS"),
                *("SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM"),
                *("SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN"),
                *("SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH"),
                *("SIGIO", "SIGPWR", "SIGSYS"),
            ),
            start=1,
        )
    )
)
_DARWIN_SIGNALS: Final[Mapping[int, str]] = MappingProxyType(
    dict(
        enumerate(
            (
                *("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGEMT"),
                *("SIGFPE", "SIGKILL", "SIGBUS", "SIGSEGV", "SIGSYS", "SIGPIPE", "SIGALRM"),
                "SIGTERM",
            ),
            start=1,
        )
    )
)
_MACH: Final[Mapping[int, str]] = MappingProxyType(
    dict(
        enumerate(
            (
                *("EXC_BAD_ACCESS", "EXC_BAD_INSTRUCTION", "EXC_ARITHMETIC", "EXC_EMULATION"),
                *("EXC_SOFTWARE", "EXC_BREAKPOINT", "EXC_SYSCALL", "EXC_MACH_SYSCALL"),
                *("EXC_RPC_ALERT", "EXC_CRASH", "EXC_RESOURCE", "EXC_GUARD"),
                "EXC_CORPSE_NOTIFY",
            ),
            start=1,
        )
    )
)
_EXC_CRASH: Final = 10
_WINDOWS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x40000015: "STATUS_FATAL_APP_EXIT",
        0x80000001: "EXCEPTION_GUARD_PAGE",
        0x80000002: "EXCEPTION_DATATYPE_MISALIGNMENT",
        0x80000003: "EXCEPTION_BREAKPOINT",
        0x80000004: "EXCEPTION_SINGLE_STEP",
        0xC0000005: "EXCEPTION_ACCESS_VIOLATION",
        0xC0000006: "EXCEPTION_IN_PAGE_ERROR",
        0xC0000008: "EXCEPTION_INVALID_HANDLE",
        0xC000000D: "STATUS_INVALID_PARAMETER",
        0xC0000017: "STATUS_NO_MEMORY",
        0xC000001D: "EXCEPTION_ILLEGAL_INSTRUCTION",
        0xC0000025: "EXCEPTION_NONCONTINUABLE_EXCEPTION",
        0xC0000026: "EXCEPTION_INVALID_DISPOSITION",
        0xC000008C: "EXCEPTION_ARRAY_BOUNDS_EXCEEDED",
        0xC000008D: "EXCEPTION_FLT_DENORMAL_OPERAND",
        0xC000008E: "EXCEPTION_FLT_DIVIDE_BY_ZERO",
        0xC000008F: "EXCEPTION_FLT_INEXACT_RESULT",
        0xC0000090: "EXCEPTION_FLT_INVALID_OPERATION",
        0xC0000091: "EXCEPTION_FLT_OVERFLOW",
        0xC0000092: "EXCEPTION_FLT_STACK_CHECK",
        0xC0000093: "EXCEPTION_FLT_UNDERFLOW",
        0xC0000094: "EXCEPTION_INT_DIVIDE_BY_ZERO",
        0xC0000095: "EXCEPTION_INT_OVERFLOW",
        0xC0000096: "EXCEPTION_PRIV_INSTRUCTION",
        0xC00000FD: "EXCEPTION_STACK_OVERFLOW",
        0xC0000135: "STATUS_DLL_NOT_FOUND",
        0xC0000139: "STATUS_ENTRYPOINT_NOT_FOUND",
        0xC0000142: "STATUS_DLL_INIT_FAILED",
        0xC0000194: "EXCEPTION_POSSIBLE_DEADLOCK",
        0xC0000374: "STATUS_HEAP_CORRUPTION",
        0xC0000409: "STATUS_STACK_BUFFER_OVERRUN",
        0xC0000417: "STATUS_INVALID_CRUNTIME_PARAMETER",
        0xC000041D: "STATUS_FATAL_USER_CALLBACK_EXCEPTION",
        0xC0000420: "STATUS_ASSERTION_FAILURE",
        0xC0000602: "STATUS_FAIL_FAST_EXCEPTION",
        0xE0000008: "EXCEPTION_OUT_OF_MEMORY",  # Chromium
        0xE0434352: "EXCEPTION_CLR",  # .NET: "CCR"
        0xE06D7363: "EXCEPTION_CPP",  # Visual C++: "msc"
    }
)


_FAST_FAIL: Final = 0xC0000409
# abort() and others end a process by one code of Windows, and say beside it which they are.
_FAST_FAILS: Final[Mapping[int, str]] = MappingProxyType(
    {
        2: "FAST_FAIL_STACK_COOKIE_CHECK_FAILURE",
        3: "FAST_FAIL_CORRUPT_LIST_ENTRY",
        5: "FAST_FAIL_INVALID_ARG",
        7: "FAST_FAIL_FATAL_APP_EXIT",
        10: "FAST_FAIL_GUARD_ICALL_CHECK_FAILURE",
    }
)


def exception_name(os: str, code: int, flags: int, told: Sequence[int]) -> str:
    """Return the name of an exception. *told* are the first two of its parameters.

    An unknown code stands in the name as a word: as a number it would be the same as any other
    (``placeholders``).
    """
    if code in _REQUESTED:
        return REQUESTED
    if os in {LINUX, ANDROID}:
        return _SIGNALS.get(code, f"SIGNAL_{code}")
    if os in {MACOS, IOS}:
        return _mach(code, flags, told)
    if code == _FAST_FAIL and told[0] in _FAST_FAILS:
        return _FAST_FAILS[told[0]]
    return _WINDOWS.get(code, f"EXCEPTION_{code:08X}")


def _mach(code: int, flags: int, told: Sequence[int]) -> str:
    """Return Mach's name, and with it that of a signal that came without an exception: abort's.

    XNU puts it into bits 24 to 31 of what it says of EXC_CRASH. Breakpad keeps that as the flags;
    Crashpad has 0 for both, and Mach's own numbers as parameters.
    """
    if code == 0 and told[0] == _EXC_CRASH:
        code, flags = told
    name = _MACH.get(code, f"EXC_{code}")
    signal = _DARWIN_SIGNALS.get(flags >> 24 & 0xFF) if code == _EXC_CRASH else None
    return f"{name} ({signal})" if signal else name
