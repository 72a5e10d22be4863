"""Our side of the process that reads minidumps."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from update_server.minidumps.answers import MAX_ANSWER_BYTES, BadAnswerError, parse_answer
from update_server.minidumps.child import MAX_DUMP_BYTES, MAX_DUMPS
from update_server.service.ports.dumps import DumpReport

WALL_SECONDS: Final = 5.0

_LENGTH: Final = struct.Struct("<I")
# -I and -S keep the environment, the folder and all installed packages out.
_COMMAND: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")))
# Where some Pythons find their own library.
_PASSED_ON: Final = ("DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH")


class ChildReader:
    """Reads minidumps in a child process, and a new one when that has died or read enough.

    Satisfies ``service.ports.dumps.DumpReader``. For one thread at a time.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = _COMMAND,
        wall_seconds: float = WALL_SECONDS,
        most_dumps: int = MAX_DUMPS,
    ) -> None:
        self._command = command
        self._wall_seconds = wall_seconds
        self._most_dumps = most_dumps
        self._child: _Child | None = None

    def read(self, data: bytes) -> DumpReport | None:
        """Return what a dump says; None when it is malformed, or its reader died of it."""
        if len(data) > MAX_DUMP_BYTES:
            return None
        try:
            return parse_answer(self._living().ask(data, self._wall_seconds))
        except (OSError, EOFError, BadAnswerError):
            self.close()
            return None

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _living(self) -> _Child:
        if self._child is None or self._child.asked >= self._most_dumps or self._child.is_dead:
            self.close()
            self._child = _Child(self._command)
        return self._child


class _Child:
    """A child process. ``asked`` counts the dumps that it was given."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,  # a Ctrl-C is for us
        )
        self.asked = 0

    @property
    def is_dead(self) -> bool:
        return self._process.poll() is not None

    def ask(self, data: bytes, seconds: float) -> bytes:
        """Return the answer to a dump, for which there is so much time.

        Raises:
            BadAnswerError: It is too long to be one.
            EOFError: The child died.
            OSError: The same.
        """
        self.asked += 1
        # Killed, it ends our writing and reading too.
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            asked, told = self._pipes()
            asked.write(_LENGTH.pack(len(data)))
            asked.write(data)
            asked.flush()
            (size,) = _LENGTH.unpack(_exactly(told, _LENGTH.size))
            if size > MAX_ANSWER_BYTES:
                raise BadAnswerError
            return _exactly(told, size)
        finally:
            timer.cancel()
            timer.join()  # nobody kills it between two dumps

    def end(self) -> None:
        """End the process and leave nothing of it behind."""
        self._process.kill()
        for pipe in self._pipes():
            with suppress(OSError):  # what was not read is written no more
                pipe.close()
        self._process.wait()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None  # noqa: S101 - both are pipes, and mypy cannot know
        assert told is not None  # noqa: S101
        return asked, told


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
