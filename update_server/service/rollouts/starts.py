"""What a start of a rollout asks for, and what it makes of the rollouts before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from packaging.version import Version

from rollout import transitions
from rollout.documents import render_ladder
from rollout.errors import IllegalTransitionError
from rollout.model import Rollout, RolloutId, RolloutState, Step
from update_server.evidence.settings import Settings
from update_server.service.access.caller import AUTOMATIC, Caller
from update_server.service.errors import BadValueError, NotNewerError, NotReleasedError
from update_server.service.ports import Stores
from update_server.service.repository.desired import Desired
from update_server.service.rollouts.asks import digest_of_terms
from update_server.service.rollouts.changes import is_soaked, record_change
from update_server.service.studies.codec import encode_settings

_LIVE = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED})
_STANDING = _LIVE | {RolloutState.COMPLETED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start, as it was asked for; None: as the policy or the published rules have it."""

    channel: str
    version: Version
    ladder: tuple[Step, ...] | None
    ring: str | None
    terms: Settings | None
    first_for: Version | None

    @property
    def is_override(self) -> bool:
        """Whether it says by itself that it means to leave the signed ramp."""
        return any(own is not None for own in (self.ladder, self.ring, self.first_for))

    def digest(self) -> str:
        """Return the digest of all that it asks for."""
        return digest_of_terms(
            {
                "channel": self.channel,
                "version": str(self.version),
                "ladder": None if self.ladder is None else render_ladder(self.ladder),
                "ring": self.ring,
                "terms": None if self.terms is None else encode_settings(self.terms).hex(),
                "first_for": None if self.first_for is None else str(self.first_for),
            }
        )

    def check(self, stores: Stores, before: Desired) -> None:
        """Return if such a rollout may follow those of *before*.

        Raises:
            NotReleasedError, NotNewerError: As named.
            BadValueError: ``first_for`` names no release whose installs need another one.
        """
        if not stores.releases.get(before.app, before.channel, self.version):
            raise NotReleasedError(before.channel, self.version)
        for rollout in before.rollouts:
            if rollout.state in _STANDING and rollout.version >= self.version:
                raise NotNewerError(self.version, rollout)
        if self.first_for is not None:
            _check_bad(before.rollouts, self.first_for)
            if self.first_for >= self.version:
                why = f"{self.first_for} is not older than {self.version}"
                raise BadValueError("first_for", why)

    def rollout(
        self, rollout_id: RolloutId, before: Desired, reason: str, now: datetime
    ) -> Rollout:
        """Return the rollout that it asks for. Raises BadValueError: there is no such ring."""
        try:
            rollout = transitions.start(
                id=rollout_id,
                app=before.app,
                channel=before.channel,
                version=self.version,
                ladder=before.policy.ramp if self.ladder is None else self.ladder,
                now=now,
                ring=self.ring,
                reason=reason,
            )
        except IllegalTransitionError as error:
            field = "ladder" if self.ring is None else "start_ring"
            raise BadValueError(field, error.detail) from error
        rollout = replace(rollout, first_for=self.first_for)
        if self.ring is None or any(r.state is RolloutState.COMPLETED for r in before.rollouts):
            return rollout
        # Nothing is fully released yet, so there is nothing to hold a part of the installs back on.
        steps = [n for n, step in enumerate(rollout.ladder) if step.ring == self.ring]
        return replace(rollout, position=steps[-1])


def make_way(stores: Stores, before: Iterable[Rollout], newer: Rollout, caller: Caller) -> None:
    """End what is live: superseded, or completed when it offers its release to everybody.

    The controller would complete it at its next round; a start in between must not cost the
    channel its last good release.
    """
    reason = f"version {newer.version} was started"
    now = newer.started_at
    for older in before:
        if older.state not in _LIVE:
            continue
        if is_soaked(older, now):
            done = transitions.complete(older, now)
            record_change(stores, older, done, actor=AUTOMATIC.name, verb="complete", reason=reason)
        else:
            gone = transitions.supersede(older, now, reason)
            record_change(stores, older, gone, actor=caller.name, verb="supersede", reason=reason)


def _check_bad(rollouts: Iterable[Rollout], version: Version) -> None:
    """Return if the installs on *version* are on a bad release, and have no way back from it."""
    for rollout in rollouts:
        is_stuck = rollout.state is RolloutState.PULLED and rollout.replacement is None
        if rollout.version == version and (rollout.state is RolloutState.PAUSED or is_stuck):
            return
    why = f"{version} is neither paused, nor pulled without a replacement"
    raise BadValueError("first_for", why)
