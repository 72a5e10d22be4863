"""Modules through which nearly every crash goes, and which are no part of an app.

What ``lists.SKIP`` drops by the names of functions (raise, abort, copying memory, message pumps,
how threads begin) lies in them, and a dump has no names. So their frames count only where there
are no others. Names are as ``names.base_name`` has them. Drivers and other libraries of a system
are not here: that a crash is in one of them is what tells it apart.
"""

from __future__ import annotations

from typing import Final

from update_server.crashes.names import base_name

_RUNTIME: Final = frozenset(
    {
        # Windows
        *("ntdll.dll", "kernelbase.dll", "kernel32.dll", "user32.dll", "win32u.dll"),
        *("ucrtbase.dll", "ucrtbased.dll", "msvcrt.dll", "vcruntime140.dll", "vcruntime140_1.dll"),
        *("msvcp140.dll", "wow64.dll", "wow64cpu.dll"),
        # Linux and Android
        *("libc.so.6", "libc-<build>.so", "libpthread.so.0", "libpthread-<build>.so"),
        *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "ld-linux.so.2", "ld-<build>.so"),
        *("linux-vdso.so.1", "linux-gate.so.1", "libstdc++.so.6", "libgcc_s.so.1"),
        *("libc.so", "ld-musl-x86_64.so.1", "ld-musl-aarch64.so.1", "linker64", "linker"),
        # Apple's systems
        *("libsystem_kernel.dylib", "libsystem_c.dylib", "libsystem_pthread.dylib"),
        *("libsystem_platform.dylib", "libsystem_malloc.dylib", "libdyld.dylib", "dyld"),
        *("libc++abi.dylib", "libc++.1.dylib", "libobjc.a.dylib"),
    }
)


def is_runtime(module: str) -> bool:
    """Return whether a module is of a language's or a system's runtime."""
    return base_name(module) in _RUNTIME
