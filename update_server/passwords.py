"""Slow hashes of passwords: argon2id, with the parameters that argon2-cffi recommends.

What may be a password at all is for the use-case to say (``service.access.passwords``).
"""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from update_server.service.ports import UnavailableError

AT_ONCE: Final = 4
"""Each takes 64 MiB: whoever sends many passwords must not take the machine's memory."""

_PATIENCE_SECONDS: Final = 10.0


class Argon2Passwords:
    """Passwords by argon2id. Satisfies ``service.ports.passwords.Passwords``; threads share it."""

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        *,
        at_once: int = AT_ONCE,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(at_once)
        self._patience_seconds = patience_seconds

    def hashed(self, password: str) -> str:
        """Return *password* as it is stored, with a salt of its own."""
        with self._turn():
            return self._hasher.hash(_bytes(password))

    def matches(self, stored: str, password: str) -> bool:
        """Tell whether *stored* was made of *password*. What is no hash was made of none."""
        with self._turn():
            try:
                return self._hasher.verify(stored, _bytes(password))
            except (InvalidHashError, VerificationError):
                return False

    def waste(self, password: str) -> None:
        """Do what ``matches`` does, for nobody: a name that is unknown answers no sooner."""
        self.matches(self._nobodys, password)

    def is_dated(self, stored: str) -> bool:
        """Tell whether *stored* was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        """A hash of nothing, with today's parameters: to make it costs nothing."""
        made = self._hasher
        costs = f"m={made.memory_cost},t={made.time_cost},p={made.parallelism}"
        salt, digest = (_text(secrets.token_bytes(n)) for n in (made.salt_len, made.hash_len))
        return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._patience_seconds):
            raise UnavailableError("too many passwords are being checked: try again")
        try:
            yield
        finally:
            self._turns.release()


def _text(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def _bytes(password: str) -> bytes:
    # Two keyboards may spell one letter in two ways (RFC 8265, 4.2.2, asks for as much).
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")
