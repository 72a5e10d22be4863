"""Withdrawing reports that were counted: forged ones, or ones that were nobody's.

A person names an install or a network; all its first events of the present epoch are struck, in
both arms alike. The study's own evidence stays as it was counted, for what a person picks is no
fair draw. But the server does not pull in this epoch any more, and a pause that does not stand
without them is **contested**: its record says so, and a sentence of its own. Nothing is resumed by
that.

Silence and the like are not reports, so there is nothing to withdraw.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rollout.model import Actor, InstallId, Rollout, RolloutId, RolloutState
from update_server.evidence.recomputing import without_struck
from update_server.evidence.sentences import contested
from update_server.evidence.state import Arms, Label
from update_server.evidence.verdicts import Verdict
from update_server.evidence.weighing import Kind
from update_server.service.access.caller import Caller
from update_server.service.agents.pseudonyms import install_key, network_hash
from update_server.service.agents.refresh import PEPPER
from update_server.service.errors import BadValueError
from update_server.service.ports import Clock, Database, Stores
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_entry, decode_state
from update_server.service.studies.memory import note_struck

CONTESTED: Final = "contested"
"""What became of the decision that says that another one is contested."""

_LABEL: Final = re.compile(r"[0-9a-f]{32}")
_LOOKED_AT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What a pause stands on without the reports that were withdrawn, in nats."""

    decision: str
    log_e: float
    needed: float
    sentence: str = ""

    @property
    def is_contested(self) -> bool:
        """Whether it does not stand any more."""
        return self.log_e < self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What was withdrawn, in each arm; ``stand`` is None where no pause rests on such reports."""

    struck: Arms
    stand: Stand | None = None


class Strikes:
    """Withdraws reports."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def strike(
        self,
        caller: Caller,
        app: str,
        rollout_id: RolloutId,
        *,
        install: InstallId | None = None,
        network: str | None = None,
        reason: str,
    ) -> Strike:
        """Withdraw the first events of one install or network that were counted in this epoch.

        *network* is an address in it, or its label of 32 hex digits, as the evidence has it. An
        install's reports are known for as long as event IDs are: 35 days.

        Raises:
            NotFoundError: There is no such rollout, or it is not judged.
            BadValueError: No reason, not one of *install* and *network*, or no such network.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            if not reason.strip():
                raise BadValueError("reason", "withdrawing reports needs a reason")
            if (install is None) is (network is None):
                raise BadValueError("install_id", "name an install or a network, one of them")
            study = stores.studies.get(rollout_id)
            epoch = decode_state(study.state).epoch.number
            is_meant = _chooser(stores, app, install, network)
            log = [decode_entry(entry) for entry in stores.studies.whole_log(rollout_id)]
            found = {
                number: entry
                for number, entry in enumerate(log, start=1)
                if isinstance(entry, Label)
                and entry.epoch == epoch
                and not entry.struck
                and is_meant(entry)
            }
            struck = Arms()
            for entry in found.values():
                struck.add(candidate=entry.candidate)
            if found:
                stores.studies.strike(rollout_id, list(found))
                note_struck(stores, rollout, len(found), now)
            stores.audit.append(
                at=now,
                actor=caller.name,
                action="evidence.strike",
                app=app,
                subject=rollout_id,
                reason=reason,
                after={
                    "of": "an install" if network is None else "a network",
                    "candidate": struck.candidate,
                    "control": struck.control,
                },
            )
            stand = _stand(stores, rollout, epoch, now) if found else None
        return Strike(struck=struck, stand=stand)


def _chooser(
    stores: Stores, app: str, install: InstallId | None, network: str | None
) -> Callable[[Label], bool]:
    """Return what tells the labels that are meant."""
    pepper = stores.access.secret(PEPPER)
    if install is not None:
        ids = stores.telemetry.event_ids(app, install_key(pepper, app, install))
        events = {hashlib.sha256(name.encode()).digest() for name in ids}
        return lambda label: label.event in events
    wanted = _network_of(pepper, app, network or "")
    return lambda label: label.network == wanted


def _network_of(pepper: bytes, app: str, text: str) -> bytes:
    if _LABEL.fullmatch(text):
        return bytes.fromhex(text)
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise BadValueError("network", "must be an address, or a label of 32 hex digits") from error
    found = network_hash(pepper, app, text)
    if not found:
        raise BadValueError("network", "reports from this machine itself belong to no network")
    return found


def _stand(stores: Stores, rollout: Rollout, epoch: int, now: datetime) -> Stand | None:
    """Return what the pause in force stands on now, and put on record if it is contested."""
    if rollout.state is not RolloutState.PAUSED or rollout.paused_by is not Actor.AUTOMATIC:
        return None
    page = stores.decisions.page(rollout.app, rollout=rollout.id, limit=_LOOKED_AT)
    paused = next((each for each in page if _rests_on_reports(each, epoch)), None)
    if paused is None:
        return None
    metric = paused.record["cause_metric"]
    stored = stores.studies.whole_log(rollout.id, first=paused.log_size)
    labels = [entry for entry in map(decode_entry, stored) if isinstance(entry, Label)]
    log_e = without_struck(paused.record, metric, labels)
    needed = paused.record["log_e_by_metric"][metric]["needed"]
    if log_e >= needed:
        return Stand(decision=paused.id, log_e=log_e, needed=needed)
    sentence = contested(
        paused_at=f"{paused.at:%Y-%m-%d %H:%M} UTC",
        struck=_struck_candidates(paused, metric, labels),
        k_candidate=paused.record["candidate"]["events"],
        log_e=log_e,
    )
    _record(stores, paused, metric, log_e, sentence, now)
    return Stand(decision=paused.id, log_e=log_e, needed=needed, sentence=sentence)


def _rests_on_reports(decision: StoredDecision, epoch: int) -> bool:
    """Whether a decision is a pause of this epoch by first events, and not contested yet."""
    record = decision.record
    told = record["log_e_by_metric"].get(record["cause_metric"], {})
    return (
        decision.verdict == Verdict.PAUSE
        and record["epoch"] == epoch
        and told.get("test") == Kind.EVENTS
        and not record["contested"]
    )


def _struck_candidates(decision: StoredDecision, metric: str, labels: Sequence[Label]) -> int:
    held = decision.record["held"]
    return sum(
        label.struck and label.candidate
        for label in labels
        if label.metric == metric
        and label.epoch == decision.record["epoch"]
        and label.platform not in held
    )


def _record(
    stores: Stores,
    paused: StoredDecision,
    metric: str,
    log_e: float,
    sentence: str,
    now: datetime,
) -> None:
    """Mark the decision, and put the sentence above it."""
    stores.decisions.contest(paused.id)
    by_metric = dict(paused.record["log_e_by_metric"])
    by_metric[metric] = {**by_metric[metric], "log_e": log_e}
    name = hashlib.sha256(f"{paused.id}/contested".encode()).hexdigest()[:24]
    record: dict[str, Any] = {
        **paused.record,
        "id": f"de_{name}",
        "contested": True,
        "contests": paused.id,
        "log_e_by_metric": by_metric,
        "sentence": sentence,
    }
    stores.decisions.add(
        StoredDecision(
            id=record["id"],
            rollout=paused.rollout,
            app=paused.app,
            at=now,
            verdict=paused.verdict,
            record=record,
            log_size=paused.log_size,
            carried_out_at=now,
            outcome=CONTESTED,
        )
    )
