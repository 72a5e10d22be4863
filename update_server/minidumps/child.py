"""The program that reads minidumps for the server: ``python -I -S child.py``.

On standard input comes ``length u32, dump``, on standard output goes ``length u32, JSON``, again
and again. The process can open no file and no socket, start nothing, and take only so much memory
and time for each dump: whatever a dump does to the code that reads it, it ends here. What it says
is checked by who asked (``answers``).

It imports the standard library and ``crashes.minidump``, and nothing after it gave up its rights.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

MAX_DUMP_BYTES: Final = 32 << 20
CPU_SECONDS: Final = 2.0
MAX_DUMPS: Final = 64
"""Dumps that one process reads: what an earlier one left behind does not last."""

_MEMORY_BYTES: Final = 512 << 20
_LENGTH: Final = struct.Struct("<I")

Answer = dict[str, object]


def main() -> None:
    """Answer dump after dump until no more come."""
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    answer = answerer()
    give_up_rights()
    serve(sys.stdin.buffer, sys.stdout.buffer, answer, limit_cpu)


def answerer() -> Callable[[bytes], Answer]:
    """Return what reads a dump. All that it will need is imported."""
    from update_server.crashes.errors import MalformedMinidumpError  # noqa: PLC0415
    from update_server.crashes.minidump import parse_minidump  # noqa: PLC0415 - see main

    "".encode("utf-16-le")  # loads the codec

    def answer(data: bytes) -> Answer:
        try:
            dump = parse_minidump(data)
        except MalformedMinidumpError as error:
            return {"malformed": error.detail}
        return {
            "error": dump.report.last.type,
            "frames": [
                {
                    "module": frame.module,
                    "in_app": frame.in_app,
                    "offset": frame.offset,
                    "debug_id": frame.debug_id,
                }
                for frame in dump.report.frames
            ],
            "os": dump.os,
            "arch": dump.arch,
            "is_crash": dump.is_crash,
            "main_module": dump.main_module,
            "main_debug_id": dump.main_debug_id,
            "annotations": dict(dump.annotations),
        }

    return answer


def give_up_rights() -> None:
    """Let this process open nothing, start nothing, write no file, and grow only so far."""
    for limit, most in (
        (resource.RLIMIT_CPU, int(CPU_SECONDS) * (MAX_DUMPS + 1)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        # Every file and socket needs a descriptor; what is open stays.
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    except ValueError:
        if sys.platform != "darwin":  # there any limit below what Python has mapped is refused
            raise


def limit_cpu(seconds: float) -> None:
    """End this process after *seconds* of CPU from now on; 0 calls that off."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def serve(
    asked: BinaryIO,
    told: BinaryIO,
    answer: Callable[[bytes], Answer],
    limit: Callable[[float], None],
) -> None:
    """Answer each dump in *asked*; return where what comes is no longer a whole one.

    *limit* is told before each dump how many seconds of CPU there are for it, and 0 after it.
    """
    while len(head := asked.read(_LENGTH.size)) == _LENGTH.size:
        (size,) = _LENGTH.unpack(head)
        if size > MAX_DUMP_BYTES:
            return
        limit(CPU_SECONDS)
        data = asked.read(size)
        if len(data) < size:
            return
        text = json.dumps(answer(data), ensure_ascii=False).encode()
        told.write(_LENGTH.pack(len(text)) + text)
        told.flush()
        limit(0)


if __name__ == "__main__":
    main()
