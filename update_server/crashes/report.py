"""A crash as it was told, reduced to what grouping looks at. Line numbers are not among it.

Not here: reading reports off the wire, and what may be kept of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What wrote the frames: it decides how a function's name is normalised."""

    NATIVE = "native"
    JAVASCRIPT = "javascript"
    NODE = "node"
    PYTHON = "python"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a stack. ``in_app`` None: nobody said.

    ``offset`` (bytes from the start of the module) and ``debug_id`` name the place where
    ``function`` is not known.
    """

    module: str = ""
    function: str = ""
    file: str = ""
    in_app: bool | None = None
    offset: int | None = None
    debug_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One exception of a chain. ``frames`` are innermost first."""

    type: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """A crash. ``exceptions`` are a chain, the one that ended it last.

    ``crashed_thread`` are the frames of the thread that crashed, innermost first. A
    ``fingerprint`` is what the app groups by instead. ``message_key`` stands for a message that
    was not kept: the key and the family that it led to, 16 hex digits each.
    """

    kind: Kind
    exceptions: tuple[Raised, ...] = ()
    crashed_thread: tuple[Frame, ...] = ()
    fingerprint: tuple[str, ...] = ()
    message_key: str = ""

    @property
    def last(self) -> Raised:
        """The exception that counts: the last of the chain."""
        return self.exceptions[-1] if self.exceptions else Raised()

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that count: native, those of the crashed thread; else the exception's."""
        own, thread = self.last.frames, self.crashed_thread
        return (thread or own) if self.kind is Kind.NATIVE else (own or thread)
