"""The server of a rehearsal: its rollout, the documents that follow, and what studies are told.

It changes the rollout by ``rollout.transitions`` and composes documents by ``rollout.compose``, as
the real one does. Nothing is signed, and a document holds from the moment it is changed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rollout import transitions
from rollout.compose import PlacedHold, document_for
from rollout.model import (
    Actor,
    Artifact,
    Audience,
    Documents,
    Hold,
    Policy,
    Release,
    RolloutId,
    RolloutState,
)
from update_server.evidence.facts import Paused, PlatformHeld, StageOpened
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.installs import CHANNEL, GROUP, NEW, OLD
from update_server.rehearsal.plan import Plan

APP = "rehearsal"
ROLLOUT = RolloutId("ro_rehearsal")

_CHECK_IN_SECONDS = 14_400


def instant(at: float) -> datetime:
    """Return *at*, in Unix seconds, as the decision function wants it."""
    return datetime.fromtimestamp(at, UTC)


class Steering:
    """One virtual rollout. ``documents`` has the documents of each platform."""

    def __init__(self, plan: Plan, fleet: Fleet, salt: bytes, now: float) -> None:
        self._policy = Policy(
            app=APP,
            channel=CHANNEL,
            issued=instant(now),
            internal_groups=(GROUP,) if fleet.internal else (),
            ramp=plan.steps,
        )
        self._releases = {
            platform: {v: _release(platform, v, salt, now) for v in (OLD, NEW)}
            for platform, _ in fleet.platforms
        }
        self._holds: list[PlacedHold] = []
        self.rollout = transitions.start(
            id=ROLLOUT,
            app=APP,
            channel=CHANNEL,
            version=NEW,
            ladder=plan.steps,
            now=instant(now),
        )
        self.documents: dict[str, Documents] = {}
        self._publish(now)

    @property
    def is_active(self) -> bool:
        """Whether the release is offered."""
        return self.rollout.state is RolloutState.ACTIVE

    @property
    def at_end(self) -> bool:
        """Whether the ladder's last step is open."""
        return self.rollout.position == len(self.rollout.ladder) - 1

    def opened(self, now: float) -> StageOpened:
        """Return what the study is told of the step that is open."""
        step = self.rollout.step
        ahead = self.rollout.ladder[self.rollout.position + 1 :]
        return StageOpened(
            at=now,
            position=self.rollout.position,
            ring=step.ring,
            exposure_bp=step.exposure_bp,
            holdback_bp=step.holdback_bp,
            soak_seconds=step.soak_seconds,
            approvals=ahead[0].approvals if ahead else 0,
            next_ring=ahead[0].ring if ahead else None,
        )

    def promote(self, now: float) -> StageOpened:
        """Open the next step."""
        self.rollout = transitions.promote(self.rollout, instant(now))
        self._publish(now)
        return self.opened(now)

    def pause(self, now: float) -> Paused:
        """Offer the release to no further install."""
        self.rollout = transitions.pause(self.rollout, instant(now), Actor.AUTOMATIC, "rehearsed")
        self._publish(now)
        return Paused(at=now, automatic=True)

    def pull(self, now: float) -> None:
        """Withdraw the release, and send its installs back."""
        self.rollout = transitions.pull(self.rollout, instant(now), "rehearsed", OLD)
        self._publish(now)

    def hold(self, platform: str, now: float) -> PlatformHeld:
        """Keep one platform back."""
        audience = Audience(platform=(platform,))
        hold = Hold(id=f"h{len(self._holds) + 1}", title=platform, link="", audience=audience)
        self._holds.append(PlacedHold(hold=hold))
        self._publish(now)
        return PlatformHeld(at=now, platform=platform)

    def _publish(self, now: float) -> None:
        document = document_for(
            self._policy,
            [self.rollout],
            self._holds,
            now=instant(now),
            next_check_in_seconds=_CHECK_IN_SECONDS,
        )
        self.documents = {
            platform: Documents(policy=self._policy, rollout=document, releases=releases)
            for platform, releases in self._releases.items()
        }


def _release(platform: str, version: object, salt: bytes, now: float) -> Release:
    is_new = version is NEW
    return Release(
        app=APP,
        channel=CHANNEL,
        platform=platform,
        version=NEW if is_new else OLD,
        salt=salt,
        released_at=instant(now),
        artifact=Artifact(path="", format="", manifest_sha256="", tree_bytes=0, files=0),
        rollback_to=(OLD,) if is_new else (),
    )
