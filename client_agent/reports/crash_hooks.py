"""Errors that nobody caught, on their way to Python's own hooks, and deaths of the interpreter.

The hooks that were there before are called after ours, so that an app's own reporting goes on.
An app that has switched ``faulthandler`` on keeps it as it is.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # an app without event loops need not wait until asyncio is loaded
    import asyncio

Seen = Callable[[BaseException, bool], object]

_NO_CRASH = (KeyboardInterrupt, SystemExit)


class CrashHooks:
    """Hooks that tell *seen* of an error, and whether it ends the process."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._before = sys.excepthook
        self._before_in_thread = threading.excepthook
        self._installed = False
        self._fault: tuple[Path, int] | None = None
        self._telling = threading.local()

    def install(self, fault_file: Path | None = None) -> None:
        """Stand before the hooks that are there now.

        What kills the interpreter is written to *fault_file*: its next start tells of it.
        """
        if not self._installed:
            self._before, sys.excepthook = sys.excepthook, self._uncaught
            self._before_in_thread = threading.excepthook
            threading.excepthook = self._uncaught_in_thread
            self._installed = True
            if fault_file is not None and not faulthandler.is_enabled():
                self._watch_faults(fault_file)

    def remove(self) -> None:
        """Give the place back, unless somebody else stands before us by now."""
        if self._installed and sys.excepthook == self._uncaught:
            sys.excepthook = self._before
        if self._installed and threading.excepthook == self._uncaught_in_thread:
            threading.excepthook = self._before_in_thread
        self._installed = False
        if self._fault is not None:
            path, descriptor = self._fault
            self._fault = None
            faulthandler.disable()
            os.close(descriptor)
            path.unlink(missing_ok=True)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear of what nobody caught in *loop*; its handler, if it has one, is called after."""
        before = loop.get_exception_handler()

        def uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, BaseException):
                self._tell(error, ends_process=False)
            if before is None:
                loop.default_exception_handler(context)
            else:
                before(loop, context)

        loop.set_exception_handler(uncaught)

    def _watch_faults(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            descriptor = os.open(path, flags | safe, 0o600)
        except OSError:
            return  # then such a death is only seen to be one
        faulthandler.enable(descriptor)
        self._fault = path, descriptor

    def _uncaught(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        self._tell(error, ends_process=True)
        self._before(kind, error, trace)

    def _uncaught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._tell(args.exc_value, ends_process=False)
        self._before_in_thread(args)

    def _tell(self, error: BaseException, *, ends_process: bool) -> None:
        # An error in our own telling must not be told in its turn.
        if _is_wanted(error) or getattr(self._telling, "now", False):
            return
        self._telling.now = True
        try:
            self._seen(error, ends_process)
        finally:
            self._telling.now = False


def _is_wanted(error: BaseException) -> bool:
    """Return whether *error* is an end that somebody asked for."""
    loaded = sys.modules.get("asyncio")
    cancelled = () if loaded is None else (loaded.CancelledError,)
    return isinstance(error, (*_NO_CRASH, *cancelled))
