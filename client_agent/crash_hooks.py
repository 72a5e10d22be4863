"""Errors that nobody caught, on their way to Python's own hooks.

The hooks that were there before are called after ours, so that an app's own reporting goes on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType

Seen = Callable[[BaseException, bool], object]


class CrashHooks:
    """Hooks that tell *seen* of an error, and whether it ends the process."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._before = sys.excepthook
        self._before_in_thread = threading.excepthook
        self._installed = False

    def install(self) -> None:
        """Stand before the hooks that are there now."""
        if not self._installed:
            self._before, sys.excepthook = sys.excepthook, self._uncaught
            self._before_in_thread = threading.excepthook
            threading.excepthook = self._uncaught_in_thread
            self._installed = True

    def remove(self) -> None:
        """Give the place back, unless somebody else stands before us by now."""
        if self._installed and sys.excepthook == self._uncaught:
            sys.excepthook = self._before
        if self._installed and threading.excepthook == self._uncaught_in_thread:
            threading.excepthook = self._before_in_thread
        self._installed = False

    def _uncaught(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt | SystemExit):
            self._seen(error, True)
        self._before(kind, error, trace)

    def _uncaught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            self._seen(args.exc_value, False)
        self._before_in_thread(args)
