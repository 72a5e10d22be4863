"""Telling live studies what telemetry brings, in the transaction that absorbs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from rollout.model import Rollout, RolloutId
from rollout.versions import render_version
from update_server.evidence.facts import Fact
from update_server.evidence.settings import Settings
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.crashes.facts import known_signatures
from update_server.service.ports import Contact, Event, Stores
from update_server.service.ports.studies import StudyHead
from update_server.service.studies.attribution import Attribution, Watched
from update_server.service.studies.codec import decode_settings, encode_fact
from update_server.service.studies.lags import Lags
from update_server.service.studies.outages import Outages
from update_server.service.studies.stretch import Stretch


class WatchedStudies:
    """What is read of live studies before each batch. What never changes is read once."""

    def __init__(self) -> None:
        self._settings: dict[RolloutId, Settings] = {}
        self._published_at: dict[tuple[str, str], Mapping[str, float]] = {}
        self._signatures: dict[RolloutId, frozenset[str]] = {}
        self._outages = Outages()
        self._lags = Lags()

    def tell(
        self, stores: Stores, records: Sequence[Contact | Event], *, late_seconds: float = 0.0
    ) -> None:
        """Bring histories up to date, and add the facts that *records* bear for each study.

        *records* are in the order of receipt, and none of their events was told before; the first
        of them was received *late_seconds* ago.
        """
        by_app = sorted(records, key=lambda record: record.app)  # stable: the order stays
        studies = self._live(stores) if records else []
        for app, own in groupby(by_app, key=lambda record: record.app):
            of_app = [s for s in studies if s.app == app]
            self._tell_app(stores, app, list(own), of_app, late_seconds)

    def _tell_app(
        self,
        stores: Stores,
        app: str,
        records: Sequence[Contact | Event],
        studies: Sequence[Watched],
        late_seconds: float,
    ) -> None:
        known = dict(stores.histories.get(app, {record.install_key for record in records}))
        attribution = Attribution(studies, known)
        facts: dict[RolloutId, list[Fact]] = {}
        for rollout, fact in attribution.facts(records):
            facts.setdefault(rollout, []).append(fact)
        for study in studies:
            told = self._outages.with_outages(stores, study, facts.get(study.rollout, []))
            told = self._lags.with_lag(stores, study, told, late_seconds)
            stores.studies.add_facts(study.rollout, [encode_fact(fact) for fact in told])
        for install in _forgotten(records):
            stores.studies.forget_install(app, install)
            stores.histories.forget_install(app, install)
        stores.histories.put(app, {key: known[key] for key in sorted(attribution.changed)})
        stores.histories.add_windows(app, attribution.windows)

    def _live(self, stores: Stores) -> list[Watched]:
        heads = {head.rollout: head for head in stores.studies.live()}
        rollouts = [each for each in stores.rollouts.live() if each.id in heads]
        return [self._watched(stores, heads[each.id], each) for each in rollouts]

    def _watched(self, stores: Stores, head: StudyHead, rollout: Rollout) -> Watched:
        if head.rollout not in self._settings:
            self._settings[head.rollout] = decode_settings(head.settings)
        settings = self._settings[head.rollout]
        version = render_version(rollout.version)
        if (head.app, version) not in self._published_at:
            self._published_at[head.app, version] = first_published(stores, rollout)
        published = self._published_at[head.app, version]
        if head.rollout not in self._signatures:
            self._signatures[head.rollout] = _signatures(stores, rollout, head, published)
        return Watched(
            rollout=head.rollout,
            app=head.app,
            channel=head.channel,
            version=version,
            settings=settings,
            stretch=Stretch(origin=head.opened_at.timestamp(), speed=settings.speed),
            published_at=published,
            stage_opened_at=rollout.position_reached_at.timestamp(),
            signatures=self._signatures[head.rollout],
        )


def first_published(stores: Stores, rollout: Rollout) -> Mapping[str, float]:
    """Return by platform when the release was first visible, on whichever channel."""
    first: dict[str, float] = {}
    for stored in stores.releases.of_versions(rollout.app, [rollout.version]):
        at = stored.admitted_at.timestamp()
        first[stored.platform] = min(at, first.get(stored.platform, at))
    return first


def _signatures(
    stores: Stores, rollout: Rollout, head: StudyHead, published_at: Mapping[str, float]
) -> frozenset[str]:
    """Return the crash signatures that were known when the release was first visible."""
    first = min(published_at.values(), default=head.opened_at.timestamp())
    at = datetime.fromtimestamp(first, UTC)
    return known_signatures(stores, rollout.app, rollout.channel, rollout.version, at)


def _forgotten(records: Iterable[Contact | Event]) -> list[bytes]:
    wishes = (r for r in records if isinstance(r, Event) and r.kind == FORGET_KIND)
    return list(dict.fromkeys(wish.install_key for wish in wishes))
