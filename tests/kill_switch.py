"""Ports that die before a chosen effect, as a process does that is killed there.

An effect is what outlives the process: a commit, a write to storage, a signature. Dying
between two of them is the same wherever it happens, so there is one place to die for each
effect: just before it. What dies stays dead: no ``finally`` of the code under test gets
anything done any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from update_server.service.ports import Blobs, Database, Signer, Stores

_EFFECTS = frozenset(
    {"create", "swap", "copy", "delete", "append", "new_app", "admit", "sign_rollout", "refresh"}
)


class KilledError(BaseException):
    """The process is gone. No handler of ours may take it for something that it knows."""


class KillSwitch:
    """Kills before the effect with the number *at*, counted from 0; never, when it is None."""

    def __init__(self, at: int | None = None) -> None:
        self._at = at
        self.effects = 0

    def before_effect(self) -> None:
        """Die here, or let the effect happen."""
        self.alive()
        if self.effects == self._at:
            self.effects += 1
            raise KilledError
        self.effects += 1

    def alive(self) -> None:
        """Raise KilledError after the end."""
        if self._at is not None and self.effects > self._at:
            raise KilledError

    def database(self, inner: Database) -> Database:
        """Return *inner*, wired to this switch."""
        return cast("Database", _KillableDatabase(inner, self))

    def blobs(self, inner: Blobs) -> Blobs:
        """Return *inner*, wired to this switch."""
        return cast("Blobs", _Killable(inner, self))

    def signer(self, inner: Signer) -> Signer:
        """Return *inner*, wired to this switch."""
        return cast("Signer", _Killable(inner, self))


class _Killable:
    def __init__(self, inner: object, switch: KillSwitch) -> None:
        self._inner = inner
        self._switch = switch

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._inner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if name in _EFFECTS:
                self._switch.before_effect()
            self._switch.alive()
            return method(*arguments, **named)

        return call


class _KillableDatabase:
    def __init__(self, inner: Database, switch: KillSwitch) -> None:
        self._inner = inner
        self._switch = switch

    @contextmanager
    def transaction(self) -> Iterator[Stores]:
        self._switch.alive()
        with self._inner.transaction() as stores:
            yield stores
            self._switch.before_effect()  # the commit

    @contextmanager
    def reading(self) -> Iterator[Stores]:
        self._switch.alive()
        with self._inner.reading() as stores:
            yield stores
