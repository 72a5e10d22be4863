"""What a port may raise, whichever adapter is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PortError(Exception):
    """Base of what a port may raise. Never raised itself."""


class NotFoundError(PortError):
    """There is no such thing. ``kind`` is a noun of the vocabulary, ``key`` what was asked."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"no {kind} {key!r}")
        self.kind = kind
        self.key = key


class ExistsError(PortError):
    """It exists already, and differs."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key!r} exists already")
        self.kind = kind
        self.key = key


class ChangedError(PortError):
    """Somebody else changed it since it was read; nothing was written."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key!r} was changed by somebody else")
        self.kind = kind
        self.key = key


class LeaseLostError(PortError):
    """The lease on an app's repository is held by another process."""

    def __init__(self, app: str, holder: str) -> None:
        super().__init__(f"the repository of {app!r} is being written by {holder!r}")
        self.app = app
        self.holder = holder


class ReadOnlyError(PortError):
    """A write inside ``Database.reading``: a mistake of ours."""


class UnavailableError(PortError):
    """The thing behind the port does not answer, or has no room."""


class BusyError(UnavailableError):
    """Somebody else is at it and will soon have done. Nothing was written."""


class SignerRefusedError(PortError):
    """The signer will not sign. ``code`` is stable, snake_case; ``data`` goes to the caller."""

    def __init__(self, code: str, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.data = dict(data or {})


class OffsetMismatchError(PortError):
    """An upload must go on at ``expected_bytes``."""

    def __init__(self, expected_bytes: int) -> None:
        super().__init__(f"the upload goes on at byte {expected_bytes}")
        self.expected_bytes = expected_bytes


class DigestMismatchError(PortError):
    """The bytes do not have the digest that they were announced with. They are gone."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected sha256 {expected}, found {found}")
        self.expected = expected
        self.found = found
