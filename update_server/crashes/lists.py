"""Functions that say little about a crash, by what wrote the frames. Names are normalised.

``skip``: how a crash was raised, and what every thread ends in; these frames are dropped.
``prefix``: what many bugs end in; such a frame stays in the key, but the frames after it still
count. A change here changes signatures, so it is a new version of the algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from update_server.crashes.report import Kind


@dataclass(frozen=True, slots=True)
class Names:
    """A set of functions: whole ``names``, and all that begin with one of ``starts``."""

    names: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()

    def __contains__(self, function: str) -> bool:
        return function in self.names or function.startswith(self.starts)


_NATIVE_SKIP: Final = Names(
    frozenset(
        {
            # raise and abort
            *("raise", "__GI_raise", "gsignal", "kill", "tgkill", "__restore_rt", "_sigtramp"),
            *("abort", "_abort", "__abort", "__GI_abort", "__libc_message", "__fortify_fail"),
            *("__assert", "__assert_fail", "__assert_fail_base", "__assert_rtn", "_wassert"),
            *("RaiseException", "RtlRaiseException", "RtlDispatchException", "RtlRaiseStatus"),
            *("KiUserExceptionDispatcher", "_CxxThrowException", "std::terminate"),
            *("_Unwind_RaiseException", "_Unwind_Resume", "objc_exception_throw"),
            *("__exceptionPreprocess", "-[NSException raise]", "+[NSException raise:format:]"),
            # panics
            *("rust_begin_unwind", "__rust_start_panic", "__rust_begin_short_backtrace"),
            *("__rust_end_short_backtrace", "std::panic::catch_unwind", "std::process::abort"),
            *("core::option::expect_failed", "core::option::unwrap_failed"),
            *("core::result::unwrap_failed", "core::cell::panic_already_borrowed"),
            *("core::str::slice_error_fail", "swift_unexpectedError", "_assertionFailure"),
            # copying memory
            *("memcpy", "memmove", "memset", "memcmp", "memcpy_repmovs", "bcopy", "bzero"),
            # message pumps
            *("GetMessageA", "GetMessageW", "PeekMessageA", "PeekMessageW", "NtUserGetMessage"),
            *("DispatchMessageA", "DispatchMessageW", "DispatchMessageWorker"),
            *("UserCallWinProc", "UserCallWinProcCheckWow", "KiUserCallbackDispatcher"),
            *("CFRunLoopRun", "CFRunLoopRunSpecific", "__CFRunLoopRun", "-[NSApplication run]"),
            *("NSApplicationMain", "UIApplicationMain", "g_main_loop_run"),
            *("g_main_context_dispatch", "g_main_context_iteration"),
            # how every thread begins
            *("_start", "start", "start_thread", "thread_start", "_pthread_start", "clone"),
            *(
                "clone3",
                "__clone",
                "__libc_start_main",
                "__libc_start_call_main",
                "__scrt_common_main_seh",
            ),
            *("BaseThreadInitThunk", "RtlUserThreadStart", "__RtlUserThreadStart"),
        }
    ),
    (
        *("pthread_kill", "__pthread_kill", "__GI___pthread_kill", "__cxa_", "__cxxabiv1::"),
        *("core::panicking::", "std::panicking::", "rust_panic", "std::sys::backtrace::"),
        *("std::sys_common::backtrace::", "std::rt::lang_start"),
        *("__memcpy_", "__memmove_", "__memset_", "__memcmp_", "_platform_mem"),
    ),
)

_NATIVE_PREFIX: Final = Names(
    frozenset(
        {
            *("malloc", "calloc", "realloc", "free", "_int_malloc", "_int_free", "operator new"),
            *("operator new[]", "operator delete", "operator delete[]", "RtlAllocateHeap"),
            *("RtlFreeHeap", "HeapAlloc", "HeapFree", "strlen", "strcmp", "strcpy", "strdup"),
            *("strncmp", "strncpy", "printf", "fprintf", "snprintf", "vsnprintf"),
            *("objc_msgSend", "objc_retain", "objc_release", "swift_retain", "swift_release"),
            *("_CFRelease", "CFRelease", "CFRetain", "RtlEnterCriticalSection"),
        }
    ),
    ("__str", "_platform_str", "std::", "__gnu_cxx::", "core::", "alloc::", "<T>::"),
)

SKIP: Final[Mapping[Kind, Names]] = MappingProxyType(
    {
        Kind.NATIVE: _NATIVE_SKIP,
        Kind.JAVASCRIPT: Names(frozenset({"captureStackTrace", "runMicrotasks"})),
        Kind.NODE: Names(
            frozenset(
                {
                    *("captureStackTrace", "runMicrotasks", "processTicksAndRejections"),
                    *("listOnTimeout", "processTimers", "processImmediate", "runNextTicks"),
                }
            )
        ),
        Kind.PYTHON: Names(frozenset({"reraise", "raise_from"})),
        Kind.OTHER: Names(
            frozenset({"athrow", "dumpStack", "fillInStackTrace", "throwException"}),
            ("runtime.gopanic", "runtime.goPanic", "runtime.panic", "runtime.sigpanic"),
        ),
    }
)

PREFIX: Final[Mapping[Kind, Names]] = MappingProxyType(
    {
        Kind.NATIVE: _NATIVE_PREFIX,
        Kind.JAVASCRIPT: Names(),
        Kind.NODE: Names(),
        Kind.PYTHON: Names(),
        Kind.OTHER: Names(),
    }
)
