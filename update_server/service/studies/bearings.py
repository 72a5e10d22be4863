"""What the judge has to be told of the world around a study: names, and whether it may pull."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rollout.model import RolloutState
from rollout.versions import render_version
from update_server.evidence.verdicts import Names, Verdict
from update_server.service.ports import Stores
from update_server.service.ports.studies import StoredStudy
from update_server.service.repository.desired import documents_of, rollouts_of
from update_server.service.rollouts.replacement import default_replacement_of

_DAY: Final = timedelta(days=1)
_LOOKED_AT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearings:
    """``can_pull``: the signed policy lets the server, and there is somewhere to go back to.

    ``can_hold``: it names a host at which people can read of a hold.
    """

    names: Names
    can_pull: bool
    can_hold: bool


def bearings_of(stores: Stores, study: StoredStudy, at: datetime) -> Bearings:
    """Read them, as they are for a tick at *at*. Raises NotRegisteredError."""
    rollout = stores.rollouts.get(study.app, study.rollout)
    policy, _ = documents_of(stores, study.app, study.channel)
    completed = [
        each.version
        for each in rollouts_of(stores, study.app, study.channel)
        if each.state is RolloutState.COMPLETED and each.version < rollout.version
    ]
    replacement = default_replacement_of(stores, rollout)
    return Bearings(
        names=Names(
            app=study.app,
            channel=study.channel,
            version=render_version(rollout.version),
            rollout=study.rollout,
            previous=render_version(max(completed)) if completed else "",
            replacement=render_version(replacement) if replacement else "",
        ),
        can_pull=replacement is not None
        and policy.automatic.pull
        and policy.automatic.rollback
        and _pulls_of_the_day(stores, study.app, at) < policy.automatic.max_rollbacks_per_day,
        can_hold=bool(policy.link_hosts),
    )


def _pulls_of_the_day(stores: Stores, app: str, at: datetime) -> int:
    """Return how many releases of *app* the server was to pull by itself in the day before *at*.

    The signer counts too, and has the last word; asking for one too many would leave the rollout
    pulled here and offered there.
    """
    return sum(
        decision.verdict == Verdict.PULL
        for decision in stores.decisions.page(app, limit=_LOOKED_AT)
        if at - _DAY < decision.at
    )
