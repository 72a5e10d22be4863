"""Verbs that wait for a second person, and how they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from packaging.version import Version

from rollout.model import RolloutId

LIFE: Final = timedelta(minutes=60)
"""How long a verb waits, and how long what one person approved counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's. ``by`` goes to the audit log; ``tickets`` are the signer's word for it.

    There is one for each rollout that the verb widens.
    """

    by: str
    token_id: str
    tickets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingVerb:
    """A verb that some have asked for and that needs more people, ``needs`` in all.

    ``rollout`` is not there yet when the verb is to start it; it is the first of several when
    ``hold`` is to be lifted. ``revision`` is the rollout's when it was asked for (0: none);
    ``ring`` is the one that it would be at. ``entry`` tells by digests what the document would
    say of all that the verb widens, ``terms`` what the verb says and no document will.
    """

    id: str
    app: str
    channel: str
    rollout: RolloutId
    verb: str
    version: Version
    ring: str
    revision: int
    entry: str
    terms: str
    needs: int
    reason: str
    asked_at: datetime
    expires_at: datetime
    approvals: tuple[Approval, ...]
    hold: str | None = None


class PendingVerbs(Protocol):
    """What waits. ``put`` adds or replaces by ``id``."""

    def put(self, pending: PendingVerb) -> None: ...
    def get(self, app: str, pending_id: str) -> PendingVerb: ...  # NotFoundError
    def all(self) -> Sequence[PendingVerb]: ...  # of all apps, oldest first
    def of_app(self, app: str) -> Sequence[PendingVerb]: ...  # oldest first
    def remove(self, app: str, pending_id: str) -> None: ...  # NotFoundError
