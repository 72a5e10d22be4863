"""Minidumps: from the bytes that a crash handler wrote to a report of the crash.

The format is Microsoft's, as Crashpad and Breakpad write it too. Pure, and only over bytes: every
number in a dump may be a lie, so each is checked, and reading ends in a ``Dump`` or in
``MalformedMinidumpError``. Not here: debug information, so no frame has a function's name.
"""

from update_server.crashes.minidump.dump import Dump, is_minidump, parse_minidump

__all__ = ["Dump", "is_minidump", "parse_minidump"]
