"""Carrying out what the judge decided, by the verbs that people have, too.

A decision is stored with its tick and stays to be done until it is marked. Each step here may
be the last before a kill: what was done already is seen, and done once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rollout.model import Actor, Audience, Policy, Rollout, RolloutState
from update_server.evidence.verdicts import Verdict
from update_server.service.access.caller import AUTOMATIC
from update_server.service.errors import ServiceError
from update_server.service.notices.verdict_news import tell_advice
from update_server.service.ports import Clock, Database, SignerRefusedError
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.desired import documents_of
from update_server.service.rollouts.control import Control
from update_server.service.rollouts.holds import Holds

AGAIN_SECONDS: Final = 60.0
"""How long to wait after a refusal: soak times and windows pass, and policies change."""

_REFUSED: Final = "refused: "
_NOT_HELD: Final = "Paused instead, for the policy names no host at which to read of a hold. "
_LIVE: Final = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED})
_TITLE_CHARACTERS: Final = 200
_LOOKED_AT: Final = 100


class Executor:
    """Carries decisions out, oldest first."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        control: Control,
        holds: Holds,
        log: Callable[[str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._control = control
        self._holds = holds
        self._log = log
        self._tried_at: dict[str, float] = {}

    def undone(self) -> list[StoredDecision]:
        """Return what is to be done now; what was refused waits for its next turn."""
        with self._database.reading() as stores:
            undone = stores.decisions.undone()
        now = self._clock.monotonic()
        waiting = {each.id for each in undone} & self._tried_at.keys()
        self._tried_at = {name: self._tried_at[name] for name in waiting}
        return [
            each
            for each in undone
            if each.id not in waiting or now - self._tried_at[each.id] >= AGAIN_SECONDS
        ]

    def carry_out(self, decision: StoredDecision) -> None:
        """Do what *decision* says, unless it is overtaken, and note what became of it.

        Raises:
            LeaseLostError, UnavailableError, BrokenStateError: It is to be tried again soon.
        """
        with self._database.reading() as stores:
            rollout = stores.rollouts.get(decision.app, decision.rollout)
            policy, _ = documents_of(stores, rollout.app, rollout.channel)
            newest = stores.decisions.page(decision.app, rollout=decision.rollout, limit=1)[0]
        try:
            outcome = self._act(decision, rollout, policy, is_newest=newest.id == decision.id)
        except (ServiceError, SignerRefusedError) as refusal:
            self._refused(decision, refusal)
            return
        if outcome is None:
            self._tried_at[decision.id] = self._clock.monotonic()
            return
        with self._database.transaction() as stores:
            stores.decisions.mark_done(decision.id, self._clock.now(), outcome)
            if outcome.startswith(_REFUSED):
                tell_advice(stores, decision, outcome.removeprefix(_REFUSED))
        self._log(f"{decision.record['sentence']} ({outcome})")

    def _act(
        self, decision: StoredDecision, rollout: Rollout, policy: Policy, *, is_newest: bool
    ) -> str | None:
        """Return what became of *decision*; None while it has to wait."""
        hold = decision.record["hold"]
        if decision.verdict == Verdict.PAUSE:
            return self._pause(decision, rollout, policy)
        if decision.verdict == Verdict.PULL:
            return self._pull(decision, rollout)
        if decision.verdict == Verdict.PROMOTE:
            return self._promote(decision, rollout, is_newest=is_newest)
        if hold and rollout.state in _LIVE:
            return self._hold(decision, rollout, policy, hold)
        return f"overtaken: the rollout is {rollout.state}"

    def _pause(
        self, decision: StoredDecision, rollout: Rollout, policy: Policy, *, instead: str = ""
    ) -> str:
        if rollout.state not in _LIVE:
            return f"overtaken: the rollout is {rollout.state}"
        if rollout.paused_by is Actor.PERSON:
            return "overtaken: a person paused it"
        if not policy.automatic.pause:
            return f"{_REFUSED}the signed policy leaves pausing to people"
        # Also where it is paused already: it may not be in force yet.
        self._control.pause(
            AUTOMATIC,
            rollout.app,
            rollout.id,
            reason=instead + _sentence(decision),
            by=Actor.AUTOMATIC,
        )
        return "paused"

    def _pull(self, decision: StoredDecision, rollout: Rollout) -> str:
        if rollout.state not in _LIVE | {RolloutState.PULLED}:
            return f"overtaken: the rollout is {rollout.state}"
        if rollout.state is RolloutState.PULLED and rollout.reason != _sentence(decision):
            return "overtaken: a person pulled it"
        self._control.pull(AUTOMATIC, rollout.app, rollout.id, reason=_sentence(decision))
        return "pulled"

    def _promote(
        self, decision: StoredDecision, rollout: Rollout, *, is_newest: bool
    ) -> str | None:
        if rollout.state not in _LIVE:
            return f"overtaken: the rollout is {rollout.state}"
        record, step = decision.record, rollout.step
        if (step.ring, step.exposure_bp) != (record["ring"], record["exposure_bp"]):
            return "promoted" if self._promoted(decision) else f"overtaken: it is at {step.ring}"
        if not is_newest:
            return "overtaken: something else was found since"
        if rollout.state is RolloutState.PAUSED:
            return None
        self._control.promote(
            AUTOMATIC,
            rollout.app,
            rollout.id,
            reason=_sentence(decision),
            expected_revision=rollout.revision,
        )
        return "promoted"

    def _promoted(self, decision: StoredDecision) -> bool:
        """Whether it was this decision that opened the next step, before a kill."""
        with self._database.reading() as stores:
            records = stores.audit.page(app=decision.app, before_seq=None, limit=_LOOKED_AT)
        done = (AUTOMATIC.name, "rollout.promote", decision.rollout, _sentence(decision))
        return any((each.actor, each.action, each.subject, each.reason) == done for each in records)

    def _hold(
        self, decision: StoredDecision, rollout: Rollout, policy: Policy, platform: str
    ) -> str:
        title = f"{rollout.version} is held back on {platform}"[:_TITLE_CHARACTERS]
        with self._database.reading() as stores:
            known = [
                each
                for each in stores.rollouts.holds(rollout.app)
                if (each.rollout, each.hold.title) == (rollout.id, title)
            ]
        if known:
            self._holds.enforce(AUTOMATIC, rollout.app, rollout.channel)
            return "held"
        if not policy.link_hosts:
            # A hold must say where to read more. The policy did when this was decided.
            return self._pause(decision, rollout, policy, instead=_NOT_HELD)
        self._holds.add(
            AUTOMATIC,
            rollout.app,
            rollout.channel,
            title=title,
            link=f"https://{policy.link_hosts[0]}/",
            audience=Audience(platform=(platform,)),
            reason=_sentence(decision),
            rollout=rollout.id,
        )
        return "held"

    def _refused(self, decision: StoredDecision, refusal: Exception) -> None:
        self._tried_at[decision.id] = self._clock.monotonic()
        outcome = f"{_REFUSED}{refusal}"
        if outcome == decision.outcome:
            return
        with self._database.transaction() as stores:
            stores.decisions.note(decision.id, outcome)
            if decision.verdict in {Verdict.PAUSE, Verdict.PULL}:
                tell_advice(stores, decision, str(refusal))
        self._log(f"{decision.verdict} of {decision.rollout} was {outcome}")


def _sentence(decision: StoredDecision) -> str:
    return str(decision.record["sentence"])
