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
    """One person's. ``by`` goes to the audit log; ``ticket`` is the signer's word for it."""

    by: str
    token_id: str
    ticket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingVerb:
    """A verb that some have asked for and that needs more people, ``needs`` in all.

    ``rollout`` is not there yet when the verb is to start it. ``revision`` is the rollout's
    when it was asked for (0: none); ``ring`` is the one that it would be at, ``entry`` the
    digest of what the document would say. ``terms`` is the digest of what only a start says.
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


class PendingVerbs(Protocol):
    """What waits. ``put`` adds or replaces by ``id``."""

    def put(self, pending: PendingVerb) -> None: ...
    def get(self, app: str, pending_id: str) -> PendingVerb: ...  # NotFoundError
    def of_app(self, app: str) -> Sequence[PendingVerb]: ...  # oldest first
    def remove(self, app: str, pending_id: str) -> None: ...  # NotFoundError
