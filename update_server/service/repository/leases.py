"""The right to write an app's signed repository: one holder at a time, across processes.

A holder that stalls past its seconds loses the lease to the next one. What it then still
does is harmless: the transaction that would record it checks the fence, and the timestamp
is written by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from update_server.service.ports import (
    Clock,
    Database,
    Ids,
    LeaseLostError,
    Stores,
    UnavailableError,
)

# Signing and publishing take well under a second; ten let a slow disk finish, and bound how
# long a killed holder keeps others waiting.
LEASE_SECONDS: Final = 10
POLL_SECONDS: Final = 0.05
# Longer than the lease, so that a verb outlives the lease of a holder that was killed.
PATIENCE_SECONDS: Final = LEASE_SECONDS + 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease that was taken. ``fence`` is greater than that of every holder before."""

    app: str
    fence: int

    def check(self, stores: Stores) -> None:
        """Raise LeaseLostError when somebody else took the lease since."""
        stores.apps.check_lease(self.app, self.fence)


class Leases:
    """Takes leases, and gives them back."""

    def __init__(
        self, database: Database, clock: Clock, ids: Ids, wait: Callable[[float], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._wait = wait

    @contextmanager
    def hold(self, app: str, *, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Lease]:
        """Hold the lease on *app*'s repository during the block.

        Raises:
            LeaseLostError: Somebody else held it for all of *patience_seconds*.
        """
        lease = self._take(app, patience_seconds)
        try:
            yield lease
        finally:
            # A lease that cannot be given back runs out; what the block did stands.
            with suppress(UnavailableError), self._database.transaction() as stores:
                stores.apps.drop_lease(app, lease.fence)

    def _take(self, app: str, patience_seconds: float) -> Lease:
        # A name per operation, not per process: threads of one process exclude each other.
        holder = self._ids.short_id("lease_")
        until = self._clock.monotonic() + patience_seconds
        while True:
            try:
                with self._database.transaction() as stores:
                    fence = stores.apps.take_lease(app, holder, self._clock.now(), LEASE_SECONDS)
            except LeaseLostError:
                if self._clock.monotonic() >= until:
                    raise
                self._wait(POLL_SECONDS)
            else:
                return Lease(app=app, fence=fence)
