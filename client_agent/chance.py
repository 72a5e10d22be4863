"""The agent's only source of random numbers and of new IDs."""

from __future__ import annotations

import secrets
import uuid
from typing import Protocol


class Chance(Protocol):
    """What the agent draws. Tests bring one with a seed."""

    def share(self) -> float:
        """Return a number in [0, 1), for jitter."""
        ...

    def new_id(self) -> str:
        """Return a fresh UUID (version 4), 36 lower-case characters."""
        ...


class SystemChance:
    """The machine's own randomness."""

    def share(self) -> float:
        """Return a number in [0, 1), for jitter."""
        return secrets.randbits(53) / 2**53

    def new_id(self) -> str:
        """Return a fresh UUID (version 4), 36 lower-case characters."""
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
