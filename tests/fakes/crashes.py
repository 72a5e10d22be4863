"""Crash reports and sessions in memory, each report for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rollout.model import Arm, RolloutId, RolloutState
from tests.fakes.state import State
from update_server.service.ports.crashes import (
    FIRST_SAMPLES,
    NEWEST_SAMPLES,
    STATUSES,
    UNTOLD,
    Alias,
    CrashCount,
    CrashedInstalls,
    CrashGroup,
    CrashPlaces,
    CrashTotal,
    Reported,
    Sample,
    SessionCount,
    SessionState,
    Standing,
    Tally,
)

_LIVE = {RolloutState.ACTIVE, RolloutState.PAUSED}


class FakeCrashes:
    """See crash_ports.Crashes."""

    def __init__(self, state: State) -> None:
        self._state = state

    def standings(
        self, app: str, installs: Collection[bytes]
    ) -> Mapping[bytes, Sequence[Standing]]:
        found: dict[bytes, list[Standing]] = {}
        for rollout in reversed(self._state.rollouts.values()):
            for key in installs:
                one = self._state.progress.get((rollout.id, key))
                if one is None or one.app != app:
                    continue
                standing = Standing(
                    rollout=rollout.id,
                    channel=rollout.channel,
                    version=rollout.version,
                    live=rollout.state in _LIVE,
                    ring=one.ring or "",
                    arm=one.arm or Arm.CANDIDATE,
                )
                found.setdefault(key, []).append(standing)
        return found

    def note(self, reports: Sequence[Reported]) -> None:
        self._state.write()
        first = max(self._state.reports, default=-1) + 1
        self._state.reports |= dict(enumerate(reports, first))

    def note_groups(self, groups: Sequence[CrashGroup]) -> None:
        self._state.write()
        for one in groups:
            known = self._state.groups_of_crashes.get((one.app, one.signature), one)
            first = min(known, one, key=lambda group: (group.first_at, group.key))
            last_at = max(known.last_at, one.last_at)
            self._state.groups_of_crashes[one.app, one.signature] = replace(first, last_at=last_at)

    def add_samples(self, samples: Sequence[Sample]) -> None:
        self._state.write()
        for one in samples:
            key = (_place(one), one.report_key, one.id)
            self._state.samples.setdefault(key, one)
            mine = sorted(
                (other.at, other.id, other.report_key)
                for other in self._state.samples.values()
                if _place(other) == _place(one)
            )
            for _, name, report_key in mine[FIRST_SAMPLES:-NEWEST_SAMPLES]:
                del self._state.samples[_place(one), report_key, name]

    def forget(self, app: str, report_keys: Collection[bytes]) -> None:
        self._state.write()

        def is_kept(one: Reported | Sample) -> bool:
            return one.app != app or one.report_key not in report_keys

        self._state.reports = _only(self._state.reports, is_kept)
        self._state.samples = _only(self._state.samples, is_kept)

    def expire(
        self, *, reports_before: datetime, samples_before: datetime, groups_before: datetime
    ) -> None:
        self._state.write()
        last = dict[Hashable, datetime]()
        for one in self._state.reports.values():
            last[_row(one)] = max(one.at, last.get(_row(one), one.at))
        self._state.reports = _only(
            self._state.reports, lambda one: last[_row(one)] >= reports_before
        )
        self._state.samples = _only(self._state.samples, lambda one: one.at >= samples_before)
        self._state.groups_of_crashes = _only(
            self._state.groups_of_crashes, lambda one: one.last_at >= groups_before
        )

    def put_alias(self, alias: Alias) -> None:
        self._state.write()
        self._state.aliases[alias.app, alias.signature] = alias

    def aliases(self, app: str) -> Sequence[Alias]:
        held = self._state.aliases
        return [held[key] for key in sorted(held) if key[0] == app]

    def _named(self, app: str) -> list[Reported]:
        """Return the reports of *app* as they are now, under the signatures they are counted by."""
        newest: dict[Hashable, Reported] = {}
        for one in self._state.reports.values():
            newest[_row(one)] = max(newest.get(_row(one), one), one, key=lambda it: it.at)
        found = []
        for one in self._state.reports.values():
            alias = self._state.aliases.get((one.app, one.signature))
            told = newest[_row(one)]
            now = replace(
                one,
                signature=alias.same_as if alias else one.signature,
                cell=told.cell,
                channel=told.channel,
                platform=told.platform,
                os=told.os,
            )
            found += [now] if one.app == app else []
        return found

    def counts(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        signatures: Collection[str] | None = None,
    ) -> Sequence[CrashCount]:
        return _counted(
            one
            for one in self._named(app)
            if _is_asked(one, version, channel)
            and (signatures is None or one.signature in signatures)
        )

    def last_counts(
        self,
        app: str,
        signatures: Collection[str],
        *,
        most: int,
        version: str | None = None,
        channel: str | None = None,
    ) -> Sequence[CrashCount]:
        found: dict[str, list[CrashCount]] = {name: [] for name in signatures}
        for one in self.counts(app, version=version, channel=channel, signatures=signatures):
            found[one.signature].append(one)
        last = {
            name: set(sorted(counts, key=lambda one: one.last_at, reverse=True)[:most])
            for name, counts in found.items()
        }
        return [one for name in sorted(found) for one in found[name] if one in last[name]]

    def totals(
        self,
        app: str,
        signatures: Collection[str],
        *,
        version: str | None = None,
        channel: str | None = None,
    ) -> Mapping[str, CrashTotal]:
        found: dict[str, list[CrashCount]] = {}
        for one in self.counts(app, version=version, channel=channel, signatures=signatures):
            found.setdefault(one.signature, []).append(one)
        return {
            name: CrashTotal(
                installs=sum(one.installs for one in counts if not one.handled),
                reports=sum(one.reports for one in counts if not one.handled),
                errors=sum(one.reports for one in counts if one.handled),
                first_at=min(one.first_at for one in counts),
                last_at=max(one.last_at for one in counts),
                counts=len(counts),
            )
            for name, counts in found.items()
        }

    def worst(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[str]:
        installs, reports = Counter[str](), Counter[str]()
        for one in self.counts(app, version=version, channel=channel):
            installs[one.signature] += 0 if one.handled else one.installs
            reports[one.signature] += one.reports
        installs[UNTOLD] = sum(
            one.installs - one.named for one in self.crashed(app, version=version, channel=channel)
        )
        worst = sorted(reports, key=lambda name: (-installs[name], -reports[name], name))
        return worst[offset:][:limit]

    def counts_of(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]:
        every = [one for app in self._apps() for one in self._named(app)]
        return {
            rollout: _of_any_version(_counted(one for one in every if one.cell.rollout == rollout))
            for rollout in rollouts
        }

    def newest_of(
        self, rollouts: Collection[RolloutId], *, arms: Collection[str], but: Collection[str]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]:
        newest: dict[RolloutId, Sequence[CrashCount]] = {}
        for rollout, counts in self.counts_of(rollouts).items():
            crashes = [one for one in counts if not one.handled and one.signature not in but]
            theirs = {one.signature for one in crashes if one.arm in arms and one.installs}
            first: dict[str, datetime] = {}
            for one in crashes:
                first[one.signature] = min(one.first_at, first.get(one.signature, one.first_at))
            name = max(theirs, key=lambda each: (first[each], each), default=None)
            newest[rollout] = [one for one in crashes if one.signature == name]
        return newest

    def _apps(self) -> set[str]:
        return {one.app for one in self._state.reports.values()}

    def places(self, app: str, signature: str) -> Sequence[CrashCount]:
        mine = (one for one in self._named(app) if one.signature == signature)
        return _counted(mine, by_place=True)

    def places_and(self, app: str, signature: str, rollouts: Collection[RolloutId]) -> CrashPlaces:
        mine = [one for one in self._named(app) if one.signature == signature]
        return CrashPlaces(
            places=self.places(app, signature),
            rollouts={
                rollout: _counted(one for one in mine if one.cell.rollout == rollout)
                for rollout in rollouts
            },
        )

    def crashed(
        self, app: str, *, version: str | None = None, channel: str | None = None
    ) -> Sequence[CrashedInstalls]:
        found = [
            one for one in self._named(app) if _is_asked(one, version, channel) and not one.handled
        ]
        return [
            CrashedInstalls(
                version=place[0],
                arm=place[1],
                installs=_installs(some),
                named=_installs(one for one in some if one.signature != UNTOLD),
            )
            for place, some in _split(found, lambda one: (one.version, one.cell.arm))
        ]

    def tallies(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[Tally]]:
        return {rollout: self.crashed_of(rollout) for rollout in rollouts}

    def crashed_of(self, rollout: RolloutId) -> Sequence[Tally]:
        found = [
            one
            for app in self._apps()
            for one in self._named(app)
            if one.cell.rollout == rollout and not one.handled
        ]
        return [
            Tally(version=version, ring=ring, arm=arm, crashed_installs=_installs(some))
            for (version, ring, arm), some in _split(
                found, lambda one: (one.version, one.cell.ring, one.cell.arm)
            )
        ]

    def groups(self, app: str, signatures: Collection[str]) -> Mapping[str, CrashGroup]:
        return {
            signature: one
            for (of, signature), one in self._state.groups_of_crashes.items()
            if of == app and signature in signatures
        }

    def titles(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        known = self._state.groups_of_crashes
        return {name: known[name].title for name in names if name in known}

    def samples(self, app: str, signatures: Collection[str]) -> Sequence[Sample]:
        found = [
            one
            for one in self._state.samples.values()
            if one.app == app and one.signature in signatures
        ]
        return sorted(found, key=lambda one: (one.at, one.id), reverse=True)


class FakeSessions:
    """See crash_ports.Sessions."""

    def __init__(self, state: State) -> None:
        self._state = state

    def note(self, states: Sequence[SessionState]) -> Sequence[SessionState | None]:
        self._state.write()
        return [self._note(one) for one in states]

    def _note(self, one: SessionState) -> SessionState | None:
        known = self._state.sessions.get((one.app, one.key))
        if known is None and one.goes_on:
            return None
        if known is None:
            self._state.sessions[one.app, one.key] = replace(one, goes_on=False)
            self._count(one, 1)
            return one
        higher = STATUSES.index(one.status) > STATUSES.index(known.status)
        new = replace(
            known,
            status=one.status if higher else known.status,
            started_at=min(one.started_at, known.started_at),
            received_at=max(one.received_at, known.received_at),
        )
        self._count(known, -1)
        self._count(new, 1)
        self._state.sessions[one.app, one.key] = new
        return new

    def _count(self, one: SessionState, by: int) -> None:
        hour = one.started_at.replace(minute=0, second=0, microsecond=0)
        count = SessionCount(
            app=one.app,
            version=one.version,
            cell=one.cell,
            source=one.source,
            status=one.status,
            hour=hour,
            sessions=by,
        )
        self.add([count])

    def add(self, counts: Sequence[SessionCount]) -> None:
        self._state.write()
        for one in counts:
            key = replace(one, sessions=0)
            self._state.hours[key] = self._state.hours.get(key, 0) + one.sessions
            if self._state.hours[key] == 0:
                del self._state.hours[key]

    def hours(self, app: str) -> Sequence[SessionCount]:
        found = [replace(key, sessions=n) for key, n in self._state.hours.items() if key.app == app]
        return sorted(
            found, key=lambda one: (one.hour, one.version, str(one.cell), one.source, one.status)
        )

    def tallies(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[Tally]]:
        return {rollout: self.of_rollout(rollout) for rollout in rollouts}

    def of_rollout(self, rollout: RolloutId) -> Sequence[Tally]:
        sums: dict[tuple[str, str, str], dict[str, Counter[str]]] = {}
        for key, count in self._state.hours.items():
            if key.cell.rollout == rollout:
                place = (key.version, key.cell.ring, key.cell.arm)
                told = sums.setdefault(place, {})
                told.setdefault(key.source, Counter())[key.status] += count
        return [
            Tally(version=version, ring=ring, arm=arm, crashed_installs=0, sessions=told)
            for (version, ring, arm), told in sorted(sums.items())
        ]

    def forget(self, app: str, report_keys: Collection[bytes]) -> None:
        self._state.write()
        self._state.sessions = _only(
            self._state.sessions, lambda one: one.app != app or one.report_key not in report_keys
        )

    def expire(self, *, sessions_before: datetime, hours_before: datetime) -> None:
        self._state.write()
        self._state.sessions = _only(
            self._state.sessions, lambda one: one.received_at >= sessions_before
        )
        kept = {key: n for key, n in self._state.hours.items() if key.hour >= hours_before}
        self._state.hours = kept


def _only(held: dict[Any, Any], is_kept: Callable[[Any], bool]) -> dict[Any, Any]:
    return {key: one for key, one in held.items() if is_kept(one)}


def _place(one: Sample) -> tuple[str, str, str, bool]:
    return one.app, one.version, one.signature, one.handled


def _row(one: Reported) -> Hashable:
    """Return what makes two reports one row."""
    place = (one.app, one.version, one.signature, one.handled)
    return place, one.report_key, one.cell.rollout, one.cell.arm


def _is_asked(one: Reported, version: str | None, channel: str | None) -> bool:
    return version in {None, one.version} and channel in {None, one.channel}


def _installs(reports: Iterable[Reported]) -> int:
    return len({one.report_key for one in reports} - {b""})


def _split(
    reports: Iterable[Reported], place: Callable[[Reported], tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], list[Reported]]]:
    found: dict[tuple[Any, ...], list[Reported]] = {}
    for one in reports:
        found.setdefault(place(one), []).append(one)
    return sorted(found.items())


def _counted(reports: Iterable[Reported], *, by_place: bool = False) -> list[CrashCount]:
    def place(one: Reported) -> tuple[Any, ...]:
        where = (one.platform, one.os) if by_place else ("", "")
        return one.signature, one.version, one.cell.arm, one.handled, *where

    return [
        CrashCount(
            signature=signature,
            version=version,
            arm=arm,
            handled=handled,
            installs=_installs(some),
            reports=len(some),
            first_at=min(one.at for one in some),
            last_at=max(one.at for one in some),
            platform=platform,
            os=system,
        )
        for (signature, version, arm, handled, platform, system), some in _split(reports, place)
    ]


def _of_any_version(counts: Iterable[CrashCount]) -> list[CrashCount]:
    """Return *counts* with those of all versions added up."""
    found: dict[tuple[str, str, bool], CrashCount] = {}
    for one in counts:
        key = one.signature, one.arm, one.handled
        known = found.get(key, replace(one, installs=0, reports=0))
        found[key] = replace(
            known,
            version="",
            installs=known.installs + one.installs,
            reports=known.reports + one.reports,
            first_at=min(known.first_at, one.first_at),
            last_at=max(known.last_at, one.last_at),
        )
    return [found[key] for key in sorted(found)]
