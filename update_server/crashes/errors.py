"""What was handed in is not what it should be. Texts are ours and hold nothing of the input."""

from __future__ import annotations


class CrashesError(Exception):
    """Base of this package's errors; never raised itself."""


class MalformedEnvelopeError(CrashesError):
    """The bytes are no Sentry envelope at all. A bad item in one is no error.

    ``detail`` says why, for whoever wrote the SDK.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"no envelope: {detail}")
        self.detail = detail


class BadDocumentError(CrashesError):
    """Here is no JSON object, or too large or too deep a one. Caught within this package."""


class MalformedMinidumpError(CrashesError):
    """The bytes are no minidump, or one that contradicts itself. ``detail`` says where."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"malformed minidump: {detail}")
        self.detail = detail
