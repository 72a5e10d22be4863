"""Apps, releases, rollouts and the journal in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from packaging.version import Version

from rollout.model import Rollout, RolloutId, RolloutState
from tests.fakes.state import Lease, State
from update_server.service.ports import (
    App,
    ChangedError,
    ExistsError,
    JournalRow,
    LeaseLostError,
    NotFoundError,
    StoredDocument,
    StoredHold,
    StoredRelease,
    StoredTarget,
)
from update_server.service.ports.reach import Reach
from update_server.service.ports.rollouts import ChannelMark


class FakeApps:
    """See ports.Apps."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, app: App) -> App:
        self._state.write()
        if app.name in self._state.apps:
            raise ExistsError("app", app.name)
        numbered = replace(app, number=next(self._state.numbers))
        self._state.apps[app.name] = numbered
        return numbered

    def get(self, name: str) -> App:
        self._state.require_app(name)
        return self._state.apps[name]

    def all(self) -> Sequence[App]:
        return [self._state.apps[name] for name in sorted(self._state.apps)]

    def update(self, app: App) -> None:
        self._state.write()
        self._state.apps[app.name] = replace(
            self.get(app.name),
            channels=app.channels,
            platforms=app.platforms,
            registered=app.registered,
        )

    def generations(self) -> Mapping[str, int]:
        return {app.name: app.generation for app in self._state.apps.values()}

    def bump(self, name: str) -> int:
        self._state.write()
        app = self.get(name)
        self._state.apps[name] = replace(app, generation=app.generation + 1)
        return app.generation + 1

    def take_lease(self, name: str, holder: str, now: datetime, seconds: int) -> int:
        self._state.write()
        lease = self._state.leases.get(name)
        if lease is not None and lease.holder not in {None, holder} and lease.expires_at > now:
            raise LeaseLostError(name, lease.holder or "")
        fence = 1 if lease is None else lease.fence + 1
        expires_at = now + timedelta(seconds=seconds)
        self._state.leases[name] = Lease(holder=holder, expires_at=expires_at, fence=fence)
        return fence

    def check_lease(self, name: str, fence: int) -> None:
        lease = self._state.leases.get(name)
        if lease is None or lease.holder is None or lease.fence != fence:
            raise LeaseLostError(name, (lease and lease.holder) or "")

    def drop_lease(self, name: str, fence: int) -> None:
        self._state.write()
        lease = self._state.leases.get(name)
        if lease is not None and lease.fence == fence:
            self._state.leases[name] = replace(lease, holder=None)


class FakeReleases:
    """See ports.Releases."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, release: StoredRelease) -> StoredRelease:
        self._state.write()
        self._state.require_app(release.app)
        key = (release.app, release.channel, str(release.version), release.platform)
        if key in self._state.releases:
            raise ExistsError("release", "/".join(key))
        numbered = replace(release, number=next(self._state.numbers))
        self._state.releases[key] = numbered
        return numbered

    def get(self, app: str, channel: str, version: Version) -> Sequence[StoredRelease]:
        wanted = (app, channel, version)
        found = [r for r in self.all(app) if (r.app, r.channel, r.version) == wanted]
        return sorted(found, key=lambda release: release.platform)

    def all(self, app: str) -> Sequence[StoredRelease]:
        return [release for release in self._state.releases.values() if release.app == app]

    def versions(self, app: str) -> Sequence[tuple[str, Version]]:
        return sorted({(release.channel, release.version) for release in self.all(app)})

    def published(self, app: str) -> Sequence[tuple[str, Version, datetime]]:
        first: dict[tuple[str, Version], datetime] = {}
        for one in self.all(app):
            place = one.channel, one.version
            first[place] = min(one.admitted_at, first.get(place, one.admitted_at))
        return sorted((channel, version, at) for (channel, version), at in first.items())

    def add_targets(self, targets: Iterable[StoredTarget]) -> None:
        self._state.write()
        for target in targets:
            self._state.require_app(target.app)
            if self._state.targets.setdefault((target.app, target.path), target) != target:
                raise ExistsError("target", target.path)

    def target(self, app: str, path: str) -> StoredTarget:
        if (app, path) not in self._state.targets:
            raise NotFoundError("target", path)
        return self._state.targets[app, path]

    def of_versions(self, app: str, versions: Collection[Version]) -> Sequence[StoredRelease]:
        return [release for release in self.all(app) if release.version in versions]

    def targets(
        self, app: str, versions: Collection[Version] | None = None
    ) -> Sequence[StoredTarget]:
        named = None if versions is None else {str(version) for version in versions}
        found = [
            target
            for target in self._state.targets.values()
            if target.app == app
            and (named is None or (target.release is not None and target.release[2] in named))
        ]
        return sorted(found, key=lambda target: target.path)

    def put_document(self, document: StoredDocument) -> None:
        self._state.write()
        self._state.require_app(document.app)
        key = (document.app, document.kind, document.channel)
        old = self._state.documents.get(key)
        if old is not None and old != document and old.version >= document.version:
            raise ChangedError("document", "/".join(key))
        self._state.documents[key] = document

    def documents(self, app: str) -> Sequence[StoredDocument]:
        held = self._state.documents
        return [held[key] for key in sorted(held) if key[0] == app]


class FakeRollouts:
    """See ports.Rollouts."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, rollout: Rollout) -> None:
        self._state.write()
        self._state.require_app(rollout.app)
        if rollout.id in self._state.rollouts:
            raise ExistsError("rollout", rollout.id)
        self._state.rollouts[rollout.id] = rollout

    def get(self, app: str, rollout_id: RolloutId) -> Rollout:
        found = self._state.rollouts.get(rollout_id)
        if found is None or found.app != app:
            raise NotFoundError("rollout", rollout_id)
        return found

    def of_app(self, app: str, *, start: int = 0, limit: int | None = None) -> Sequence[Rollout]:
        found = [rollout for rollout in self._newest_first() if rollout.app == app]
        return found[start:] if limit is None else found[start : start + limit]

    def of_versions(self, app: str, versions: Collection[Version]) -> Sequence[Rollout]:
        return [rollout for rollout in self.of_app(app) if rollout.version in versions]

    def newest(self, app: str, limit: int) -> Sequence[Rollout]:
        return self.of_app(app)[:limit]

    def live(self) -> Sequence[Rollout]:
        states = {RolloutState.ACTIVE, RolloutState.PAUSED}
        return [rollout for rollout in self._newest_first() if rollout.state in states]

    def pulled(self) -> Sequence[Rollout]:
        return [one for one in self._newest_first() if one.state is RolloutState.PULLED]

    def revisions(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, int]:
        known = self._state.rollouts
        return {name: known[name].revision for name in rollouts if name in known}

    def reach(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Reach]:
        known = self._state.rollouts
        return {name: self._reach(known[name]) for name in rollouts if name in known}

    def _reach(self, rollout: Rollout) -> Reach:
        place = (rollout.app, rollout.channel)
        platforms = {
            release.platform
            for release in self._state.releases.values()
            if (release.app, release.channel) == place and release.version == rollout.version
        }
        there = [
            contact.version
            for contact in self._state.contacts.values()
            if (contact.app, contact.channel) == place and contact.platform in platforms
        ]
        heard = [
            one.last_at or one.minute
            for one in self._state.arrivals.values()
            if one.app == rollout.app and not one.code
        ]
        return Reach(
            eligible=len(there),
            running=there.count(str(rollout.version)),
            heard_at=max(heard, default=None),
        )

    def marks(self, apps: Collection[str]) -> Mapping[tuple[str, str], ChannelMark]:
        state = self._state
        told: dict[tuple[str, str], list[str]] = {}
        for document in state.documents.values():
            told.setdefault((document.app, document.channel), []).append(repr(document))
        for rollout in state.rollouts.values():
            told.setdefault((rollout.app, rollout.channel), []).append(repr(rollout))
        for release in state.releases.values():
            told.setdefault((release.app, release.channel), []).append(repr(release))
        for hold in state.holds.values():
            if hold.lifted_at is None:
                told.setdefault((hold.app, hold.channel), []).append(repr(hold))
        unstored = {row.app for row in state.journal.values() if row.published_at is None}
        return {
            (app, channel): ChannelMark(text="".join(parts), stored=app not in unstored)
            for (app, channel), parts in told.items()
            if app in apps
        }

    def _newest_first(self) -> Sequence[Rollout]:
        return list(reversed(self._state.rollouts.values()))

    def replace(self, old: Rollout, new: Rollout) -> None:
        self._state.write()
        if self.get(old.app, old.id).revision != old.revision:
            raise ChangedError("rollout", old.id)
        self._state.rollouts[old.id] = new

    def add_hold(self, hold: StoredHold) -> None:
        self._state.write()
        self._state.require_app(hold.app)
        if (hold.app, hold.hold.id) in self._state.holds:
            raise ExistsError("hold", hold.hold.id)
        self._state.holds[hold.app, hold.hold.id] = hold

    def lift_hold(self, app: str, hold_id: str, at: datetime) -> StoredHold:
        self._state.write()
        hold = self._hold(app, hold_id)
        self._state.holds[app, hold_id] = replace(hold, lifted_at=hold.lifted_at or at)
        return self._state.holds[app, hold_id]

    def restore_hold(self, app: str, hold_id: str) -> None:
        self._state.write()
        self._state.holds[app, hold_id] = replace(self._hold(app, hold_id), lifted_at=None)

    def holds(self, app: str, *, lifted: bool = False) -> Sequence[StoredHold]:
        found = [hold for hold in self._state.holds.values() if hold.app == app]
        return [hold for hold in found if lifted or hold.lifted_at is None]

    def _hold(self, app: str, hold_id: str) -> StoredHold:
        if (app, hold_id) not in self._state.holds:
            raise NotFoundError("hold", hold_id)
        return self._state.holds[app, hold_id]


class FakeJournal:
    """See ports.Journal."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, app: str, timestamp_version: int, body: bytes, now: datetime) -> JournalRow:
        self._state.write()
        self._state.require_app(app)
        if any(row.timestamp_version == timestamp_version for row in self._of(app)):
            raise ExistsError("journal row", f"{app}/{timestamp_version}")
        row = JournalRow(
            id=next(self._state.numbers),
            app=app,
            timestamp_version=timestamp_version,
            body=body,
            created_at=now,
        )
        self._state.journal[row.id] = row
        return row

    def unpublished(self) -> Sequence[JournalRow]:
        return [row for row in self._state.journal.values() if row.published_at is None]

    def mark_published(self, row_id: int, now: datetime) -> None:
        self._state.write()
        row = self._state.journal.get(row_id)
        if row is None:
            raise NotFoundError("journal row", str(row_id))
        self._state.journal[row_id] = replace(row, published_at=row.published_at or now)

    def newest(self, app: str) -> JournalRow:
        rows = self._of(app)
        if not rows:
            raise NotFoundError("journal row", app)
        return rows[-1]

    def page(self, app: str, *, after_id: int, limit: int) -> Sequence[JournalRow]:
        return [row for row in self._of(app) if row.id > after_id][:limit]

    def _of(self, app: str) -> Sequence[JournalRow]:
        return [row for row in self._state.journal.values() if row.app == app]
