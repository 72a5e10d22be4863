"""How long whoever failed to sign in must wait: longer each time, and never for good.

Failures are counted for an account in a network, which is where guessing happens; for a network
whatever the account; and for an account whatever the network. The last delay is short: else
anybody could keep the release captain out by failing in their name (docs/operators.md). Where
somebody signed in before, in the same browser, they are counted apart from all others: whoever
goes on failing in their name, also from their own network, keeps them out of nothing.

What is kept are hashes: neither names nor addresses, and nothing for longer than a day.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from update_server.service.agents.pseudonyms import network_hash
from update_server.service.agents.refresh import PEPPER
from update_server.service.errors import TooManyFailuresError
from update_server.service.ports import Clock, Database, Stores
from update_server.service.ports.access import person_called
from update_server.service.ports.operators import Failures

FORGOTTEN_AFTER: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many ``free`` failures, then a delay that doubles, up to ``most``."""

    free: int
    first: timedelta
    most: timedelta

    def delay(self, count: int) -> timedelta:
        """Return how long to wait after *count* failures."""
        over = count - self.free
        if over < 0:
            return timedelta()
        doublings = min(over, math.ceil(math.log2(self.most / self.first)))
        return min(self.most, self.first * (1 << doublings))


_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)

LIMITS: Final[Mapping[str, Limit]] = {
    "account in a network": Limit(free=5, first=10 * _SECOND, most=15 * _MINUTE),
    # This machine itself, or a proxy that does not tell for whom it asks: that may be everybody.
    "account in no network": Limit(free=5, first=5 * _SECOND, most=30 * _SECOND),
    # An office is one network: its people mistype for each other.
    "network": Limit(free=30, first=10 * _SECOND, most=15 * _MINUTE),
    "known browser": Limit(free=5, first=10 * _SECOND, most=15 * _MINUTE),
    "signed in": Limit(free=5, first=10 * _SECOND, most=15 * _MINUTE),
    "account": Limit(free=50, first=_SECOND, most=5 * _SECOND),
}
_OWN: Final = (
    "account in a network",
    "account in no network",
    "account",
    "known browser",
    "signed in",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try. ``keys`` are what it is counted for; ``failures`` those of its own account."""

    keys: Mapping[str, str]
    failures: int


class LockOut:
    """Counts a try as failed before it is made: many at once are as many, one after the other."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, name: str, address: str, browser: str = "") -> Attempt:
        """Count a try to sign in as *name* from *address*.

        *browser* names one in which *name* signed in before; empty: it is none.

        Raises:
            TooManyFailuresError: It is too early for it. It was not counted.
        """
        pepper = self._pepper()
        if browser:
            return self._begin({"known browser": _key(pepper, b"browser\0" + browser.encode())})
        return self._begin(_keys(pepper, name, address))

    def begin_again(self, operator_id: str) -> Attempt:
        """Count a try of somebody who is signed in, and asked for their password again.

        Raises:
            TooManyFailuresError: See ``begin``.
        """
        return self._begin({"signed in": _key(self._pepper(), b"again\0" + operator_id.encode())})

    def _begin(self, keys: Mapping[str, str]) -> Attempt:
        now = self._clock.now()
        with self._database.reading() as stores:  # whoever is refused costs no write
            _check(stores, keys, now)
        with self._database.transaction() as stores:
            known = _check(stores, keys, now)
            stores.operators.forget_failures(now - FORGOTTEN_AFTER)
            counts = {kind: _count(known, key, now) + 1 for kind, key in keys.items()}
            for kind, key in keys.items():
                until = now + LIMITS[kind].delay(counts[kind])
                stores.operators.put_failures(
                    Failures(key=key, count=counts[kind], last_at=now, until=until)
                )
        return Attempt(keys=keys, failures=max(counts[kind] for kind in _OWN if kind in counts))

    def _pepper(self) -> bytes:
        with self._database.reading() as stores:
            return stores.access.secret(PEPPER)

    def succeeded(self, stores: Stores, attempt: Attempt) -> None:
        """Forget the failures of the account; the network's others stay."""
        for kind in _OWN:
            if kind in attempt.keys:
                stores.operators.clear_failures(attempt.keys[kind])
        self._uncount(stores, attempt, "network")

    def undo(self, attempt: Attempt) -> None:
        """Let *attempt* count for nothing: it could not be made."""
        with self._database.transaction() as stores:
            for kind in attempt.keys:
                self._uncount(stores, attempt, kind)

    def _uncount(self, stores: Stores, attempt: Attempt, kind: str) -> None:
        key = attempt.keys.get(kind)
        known = stores.operators.failures([key] if key else []).get(key or "")
        if known is not None:
            less = replace(known, count=max(0, known.count - 1), until=self._clock.now())
            stores.operators.put_failures(less)


def _keys(pepper: bytes, name: str, address: str) -> dict[str, str]:
    """Return what a try is counted for."""
    person = person_called(name).encode(errors="surrogatepass")
    network = network_hash(pepper, "", address)
    told = {"account": b"account\0" + person}
    if network:
        told["account in a network"] = b"pair\0" + network + person
        told["network"] = b"network\0" + network
    else:
        told["account in no network"] = b"here\0" + person
    return {kind: _key(pepper, value) for kind, value in told.items()}


def _key(pepper: bytes, told: bytes) -> str:
    return hmac.digest(pepper, b"sign-in\0" + told, "sha256").hex()


def _check(stores: Stores, keys: Mapping[str, str], now: datetime) -> Mapping[str, Failures]:
    known = stores.operators.failures(keys.values())
    until = max((each.until for each in known.values()), default=now)
    if until > now:
        raise TooManyFailuresError(math.ceil((until - now).total_seconds()))
    return known


def _count(known: Mapping[str, Failures], key: str, now: datetime) -> int:
    failures = known.get(key)
    if failures is None or failures.last_at < now - FORGOTTEN_AFTER:
        return 0
    return failures.count
