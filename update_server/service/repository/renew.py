"""Signing short-lived metadata again before it expires.

A stopped refresher is the classic outage of a signed repository, so it is asked for often:
the timestamp is good for 24 hours and is renewed each hour (docs/trust.md, 2). The signer
itself knows when snapshot and rollout documents are due as well.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from update_server.service.access.caller import AUTOMATIC
from update_server.service.ports import Clock, Database, NotFoundError, Signer
from update_server.service.repository.leases import Leases
from update_server.service.repository.states import SignedStates

RENEW_EVERY: Final = timedelta(hours=1)


class Renewer:
    """Keeps the metadata of registered apps fresh."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        clock: Clock,
        *,
        leases: Leases,
        states: SignedStates,
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._leases = leases
        self._states = states

    def is_due(self, app: str) -> bool:
        """Whether the newest state of *app* was signed an hour ago or more. Reads only."""
        with self._database.reading() as stores:
            if not stores.apps.get(app).registered:
                return False
            try:
                newest = stores.journal.newest(app)
            except NotFoundError:
                return True
        return self._clock.now() - newest.created_at >= RENEW_EVERY

    def renew(self, app: str, *, patience_seconds: float = 0) -> None:
        """Have a new timestamp signed, with what else is due, and publish it.

        Raises:
            LeaseLostError: Somebody else publishes, and so signs a new timestamp anyway.
            UnavailableError: Storage, the database or the signer does not answer.
            SignerRefusedError: The signer cannot: offline metadata has expired, for example.
        """
        with self._leases.hold(app, patience_seconds=patience_seconds) as lease:
            self._states.catch_up(lease)
            state = self._signer.refresh(app)
            self._states.take_in(lease, state, submitted_by=AUTOMATIC.name)
