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

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from update_server.service.ports import UnavailableError

AT_ONCE: Final = 4
"""Each takes 64 MiB: whoever sends many passwords must not take the machine's memory."""

WAITING: Final = 12
"""More than so many are turned away at once: each that waits holds one of the threads that
answer everybody, and the brake is pressed through these."""

_PATIENCE_SECONDS: Final = 10.0
_TOO_MANY: Final = "too many passwords are being checked: try again"
_MOST_WORK: Final = 1 << 20
"""KiB times passes: some five times what one takes today. Whoever can write into the database
must not keep the signer, which checks one at a time and signs no pause meanwhile."""


class Argon2Passwords:
    """Passwords by argon2id. Satisfies ``service.ports.passwords.Passwords``; threads share it."""

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        *,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._patience_seconds = patience_seconds

    def hashed(self, password: str) -> str:
        """Return *password* as it is stored, with a salt of its own."""
        with self._turn():
            return self._hasher.hash(_bytes(password))

    def matches(self, stored: str, password: str) -> bool:
        """Tell whether *stored* was made of *password*. What is no hash was made of none.

        Nor was what would take much longer to check than any that is made here.
        """
        if not _is_bearable(stored):
            return False
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
        if not self._places.acquire(blocking=False):
            raise UnavailableError(_TOO_MANY)
        try:
            if not self._turns.acquire(timeout=self._patience_seconds):
                raise UnavailableError(_TOO_MANY)
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


def _is_bearable(stored: str) -> bool:
    try:
        costs = extract_parameters(stored)
    except InvalidHashError:
        return False
    return costs.memory_cost * costs.time_cost <= _MOST_WORK


def _text(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def _bytes(password: str) -> bytes:
    # Two keyboards may spell one letter in two ways (RFC 8265, 4.2.2, asks for as much).
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")
