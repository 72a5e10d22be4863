"""Asking one of the system's own programs a question."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Sequence

Run = Callable[[Sequence[str]], str]
"""Runs a program by its full path and returns what it printed; ``OSError`` when it failed."""

_PATIENCE_SECONDS = 20  # codesign reads a whole bundle


def run(command: Sequence[str]) -> str:
    """Return what the program printed, on both of its outputs.

    Raises:
        OSError: there is no such program, it failed, or it took too long.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, "took too long", command[0]) from error
    except subprocess.CalledProcessError as error:
        text = bytes(error.output).decode("utf-8", "replace").strip()
        raise OSError(
            errno.EIO, text[:200] or f"ended with {error.returncode}", command[0]
        ) from error
    return done.stdout.decode("utf-8", "replace")
