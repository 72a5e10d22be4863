"""What a study remembers of its rollout: told in the transaction that changes the rollout.

Whoever changes it (a person, the judge, a refusal that takes a wish back), the study learns of
it exactly if it was stored. Not here: what installs tell (``service.studies.watched``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from rollout.model import Actor, Rollout, RolloutState
from update_server.evidence.facts import (
    Fact,
    Paused,
    PlatformHeld,
    PlatformReleased,
    Resumed,
    StageOpened,
    Struck,
    Unsuspended,
)
from update_server.evidence.settings import STANDARD, Settings
from update_server.evidence.state import State
from update_server.service.ports import NotFoundError, StoredHold, Stores
from update_server.service.ports.studies import StoredStudy
from update_server.service.studies.codec import (
    decode_settings,
    decode_state,
    encode_fact,
    encode_settings,
    encode_state,
)
from update_server.service.studies.past import past_of
from update_server.service.studies.stretch import Stretch

Waivers = Mapping[str, datetime]
"""Crash signatures that are known and accepted, and until when."""

NO_WAIVERS: Final[Waivers] = MappingProxyType({})

_LIVE: Final = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED})


def begin(stores: Stores, rollout: Rollout, terms: Settings | None = None) -> None:
    """Open the study of a rollout that starts, judged by *terms* from now on and for good."""
    settings = terms or STANDARD
    stores.studies.add(
        StoredStudy(
            rollout=rollout.id,
            app=rollout.app,
            channel=rollout.channel,
            version=1,
            settings=encode_settings(settings),
            state=encode_state(State()),
            opened_at=rollout.started_at,
        )
    )
    stretch = Stretch(origin=rollout.started_at.timestamp(), speed=settings.speed)
    opened = _stage(rollout, rollout.started_at, stretch)
    _tell(stores, rollout, [opened, past_of(stores, rollout, settings)])


def begin_again(stores: Stores, rollout: Rollout) -> None:
    """Open a new study of a rollout that is live and whose study was lost, on usual terms.

    What was known of installs is lost, too. So for a while nobody is old enough to enter, and
    all that is said of the rollout is that there is no verdict. Else nothing would be said.
    """
    if rollout.state not in _LIVE:
        return
    begin(stores, rollout)
    if rollout.state is RolloutState.PAUSED:
        at = rollout.changed_at.timestamp()
        _tell(stores, rollout, [Paused(at=at, automatic=rollout.paused_by is Actor.AUTOMATIC)])


def note_change(
    stores: Stores, old: Rollout, new: Rollout, *, waived: Waivers = NO_WAIVERS
) -> None:
    """Tell the study, if there is one, how its rollout stands now."""
    study = _study(stores, new)
    if study is None:
        return
    if new.state not in _LIVE:
        stores.studies.end(new.id, new.changed_at)
        return
    stretch = _stretch(study)
    at = stretch.instant(new.changed_at)
    facts: list[Fact] = []
    if old.state is RolloutState.PAUSED and new.state is RolloutState.ACTIVE:
        ends = tuple((signature, stretch.instant(end)) for signature, end in waived.items())
        facts.append(Resumed(at=at, waived=ends))
    if new.position != old.position:
        facts.append(_stage(new, new.changed_at, stretch))
    if old.state is RolloutState.ACTIVE and new.state is RolloutState.PAUSED:
        facts.append(Paused(at=at, automatic=new.paused_by is Actor.AUTOMATIC))
    _tell(stores, new, facts)


def end_suspension(stores: Stores, rollout: Rollout, now: datetime) -> bool:
    """Let a rollout be judged again that the judge refuses to judge; return whether it did."""
    study = _study(stores, rollout)
    if study is None or not decode_state(study.state).suspended:
        return False
    _tell(stores, rollout, [Unsuspended(at=_stretch(study).instant(now))])
    return True


def note_struck(stores: Stores, rollout: Rollout, reports: int, now: datetime) -> None:
    """Tell the study that so many reports of its present epoch were withdrawn."""
    study = _study(stores, rollout)
    if study is not None:
        _tell(stores, rollout, [Struck(at=_stretch(study).instant(now), reports=reports)])


def note_hold(stores: Stores, held: StoredHold) -> None:
    """Tell the studies that a hold is about which platforms it keeps back as a whole.

    Of any narrower hold they learn by the installs that it keeps: those leave, one by one.
    """
    for rollout, study in _held_studies(stores, held):
        at = _stretch(study).instant(held.created_at)
        facts = [PlatformHeld(at=at, platform=name) for name in _whole_platforms(held)]
        _tell(stores, rollout, facts)


def note_lift(stores: Stores, held: StoredHold, now: datetime) -> None:
    """Tell the studies that a hold is over, unless another one keeps its platforms.

    The stage opens anew: else those that are held no more would be offered the release and
    compared with nobody.
    """
    others = [each for each in stores.rollouts.holds(held.app) if each.channel == held.channel]
    for rollout, study in _held_studies(stores, held):
        kept = {
            name
            for each in others
            if each.rollout in {None, rollout.id}
            for name in _whole_platforms(each)
        }
        released = [name for name in _whole_platforms(held) if name not in kept]
        if released:
            stretch = _stretch(study)
            at = stretch.instant(now)
            facts: list[Fact] = [PlatformReleased(at=at, platform=name) for name in released]
            _tell(stores, rollout, [*facts, _stage(rollout, now, stretch)])


def _whole_platforms(held: StoredHold) -> tuple[str, ...]:
    """Return the platforms that a hold keeps back as a whole."""
    audience = held.hold.audience
    told = (audience.groups, audience.os_version, audience.locale, audience.country)
    if audience.platform is None or audience.unknown or audience.custom or any(told):
        return ()
    return audience.platform


def _held_studies(stores: Stores, held: StoredHold) -> Iterator[tuple[Rollout, StoredStudy]]:
    """Yield the live rollouts that a hold is about, with their studies."""
    for rollout in stores.rollouts.of_app(held.app):
        is_meant = held.rollout in {None, rollout.id} and rollout.channel == held.channel
        study = _study(stores, rollout) if is_meant and rollout.state in _LIVE else None
        if study is not None:
            yield rollout, study


def _study(stores: Stores, rollout: Rollout) -> StoredStudy | None:
    try:
        study = stores.studies.get(rollout.id)
    except NotFoundError:  # it began before there were studies, or was rebuilt from what is signed
        return None
    return study if study.ended_at is None else None


def _stretch(study: StoredStudy) -> Stretch:
    speed = decode_settings(study.settings).speed
    return Stretch(origin=study.opened_at.timestamp(), speed=speed)


def _stage(rollout: Rollout, at: datetime, stretch: Stretch) -> StageOpened:
    step = rollout.step
    ahead = rollout.ladder[rollout.position + 1 :]
    return StageOpened(
        at=stretch.instant(at),
        position=rollout.position,
        ring=step.ring,
        exposure_bp=step.exposure_bp,
        holdback_bp=step.holdback_bp,
        # The signer soaks by our clock, whatever the judge's.
        soak_seconds=round(stretch.duration(step.soak_seconds)),
        approvals=ahead[0].approvals if ahead else 0,
        next_ring=ahead[0].ring if ahead else None,
    )


def _tell(stores: Stores, rollout: Rollout, facts: Sequence[Fact]) -> None:
    stores.studies.add_facts(rollout.id, [encode_fact(fact) for fact in facts])
