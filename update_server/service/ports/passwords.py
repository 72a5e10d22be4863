"""What makes a password into something that may be stored."""

from __future__ import annotations

from typing import Protocol


class Passwords(Protocol):
    """Slow hashes of passwords. Each of these takes long; UnavailableError when many wait."""

    def hashed(self, password: str) -> str: ...  # with its salt and parameters
    def matches(self, stored: str, password: str) -> bool: ...
    def waste(self, password: str) -> None: ...  # take as long as ``matches``, for nobody
    def is_dated(self, stored: str) -> bool: ...  # was made with other parameters; at once
