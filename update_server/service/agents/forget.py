"""Delete what is known of an install, at its own wish.

The wish goes through the spool, behind what the install sent before: it is durable when
acknowledged, also while the database is down, and the digest carries it out in its turn.
"""

from __future__ import annotations

from rollout.model import InstallId
from update_server.service.agents.pseudonyms import install_key
from update_server.service.agents.table import Tables
from update_server.service.agents.tokens import check
from update_server.service.ports import Clock, Event, Spool

FORGET_KIND = "forget"
"""The kind of the spooled record. No sender can make one: it is no kind of event."""


class Forget:
    """The forget use-case of one process."""

    def __init__(self, tables: Tables, spool: Spool, clock: Clock) -> None:
        self._tables = tables
        self._spool = spool
        self._clock = clock

    def forget(self, app: str, install_id: InstallId, token: str) -> None:
        """Make the wish durable. Forgetting what is not known is no error.

        Raises:
            NotReadyError, UnknownAppError: As named.
            BadTokenError, ExpiredTokenError: It may be another's wish.
            UnavailableError: Nothing was noted; the agent asks again.
        """
        self._tables.of(app)
        now = self._clock.now()
        secrets = self._tables.secrets
        key = install_key(secrets.pepper, app, install_id)
        check(secrets.tokens, token, app=app, install_key=key, now=now)
        self._spool.events(
            [
                Event(
                    app=app,
                    install_key=key,
                    id="",
                    at=now,
                    received_at=now,
                    kind=FORGET_KIND,
                    version="",
                )
            ]
        )
