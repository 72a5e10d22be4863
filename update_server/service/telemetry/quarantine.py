"""What is set aside: kept for a while, until an operator accepts or drops it.

Decisions are about all that one rule set aside, of one version or of all, and so about both arms
alike: whoever could choose single reports could choose an arm. What is accepted goes the ordinary
road: the digest takes it as if it had just been read, with its own times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final

from rollout.model import Arm, RolloutId
from update_server.evidence.facts import Rule
from update_server.service.access.caller import Caller
from update_server.service.errors import BadValueError
from update_server.service.ports import Clock, Database, Event, Stores
from update_server.service.ports.quarantine import Aside, Kept, RuleCount

KEPT: Final = timedelta(days=35)
"""How long they are kept; then a retry would be too old as well."""


class Action(StrEnum):
    """What may become of what was set aside."""

    ACCEPT = "accept"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinePage:
    """Counts by rule and arm, and reports that wait, newest first; ``next_id``: where it goes on.

    In the counts of the arms every install is in the live rollout that it was in when it reported.
    """

    counts: Sequence[RuleCount]
    entries: Sequence[Kept]
    next_id: int | None


class Quarantine:
    """Shows what was set aside, and takes decisions about it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def page(
        self, app: str, *, rule: Rule | None, before_id: int | None, limit: int
    ) -> QuarantinePage:
        """Return what waits, of one rule or of all. Raises NotFoundError."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            counts = stores.quarantine.counts(app)
            found = stores.quarantine.page(app, rule=rule, before_id=before_id, limit=limit + 1)
        entries = found[:limit]
        next_id = entries[-1].id if len(found) > limit else None
        return QuarantinePage(counts=counts, entries=entries, next_id=next_id)

    def decide(
        self,
        caller: Caller,
        app: str,
        action: Action,
        rule: Rule,
        *,
        version: str | None,
        reason: str,
    ) -> int:
        """Accept or drop what *rule* set aside; return how many reports.

        Raises:
            NotFoundError: There is no such app.
            BadValueError: No reason is given.
        """
        if not reason.strip():
            raise BadValueError("reason", "what was set aside is decided with a reason")
        with self._database.transaction() as stores:
            stores.apps.get(app)
            store = stores.quarantine
            decide = store.accept if action is Action.ACCEPT else store.drop
            reports = decide(app, rule, version)
            if reports:
                stores.audit.append(
                    at=self._clock.now(),
                    actor=caller.name,
                    action=f"quarantine.{action}",
                    app=app,
                    subject=rule,
                    reason=reason,
                    before={"reports": reports, "version": version},
                )
        return reports


def set_aside(stores: Stores, events: Iterable[Event]) -> None:
    """Keep those of *events* that are set aside, with the arms of their installs.

    None of them was known before.
    """
    aside = sorted((each for each in events if each.quarantine), key=lambda each: each.app)
    for app, own in groupby(aside, key=lambda each: each.app):
        reports = list(own)
        arms = _arms(stores, app, reports)
        stores.quarantine.add(
            [Aside(event=each, arm=arms.get(each.install_key, "")) for each in reports]
        )


def _arms(stores: Stores, app: str, events: Sequence[Event]) -> Mapping[bytes, Arm]:
    live: list[RolloutId] = [each.id for each in stores.rollouts.live() if each.app == app]
    installs = sorted({each.install_key for each in events if each.install_key})
    return stores.quarantine.arms(live, installs) if live and installs else {}
