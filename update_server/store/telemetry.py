"""Counts of installs: who was last seen where, and how far each came with a rollout.

Everything is done in sets: a batch is folded in memory to one row per key first, then each
table gets one statement. ``absorb`` is idempotent by event ID, and by nature for the rest
(sets of steps, the last contact), so a batch that is digested twice changes nothing.

Not here: sessions, crashes and metrics, of which only the event ID is kept so far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    or_,
    select,
    true,
)

from rollout.model import RolloutId
from update_server.service.ports import Checkpoint, Contact, Event, FunnelCell, SeenInstall
from update_server.store.folding import (
    Known,
    Progress,
    after,
    fold,
    without_channel,
)
from update_server.store.install_counts import TOLD, InstallCounts, Reached, Told
from update_server.store.rows import chunks, upsert
from update_server.store.tables import (
    checkpoints,
    contacts,
    enrolments,
    progress,
    rollouts,
    seen_events,
)

_RANGES = (
    200  # of keys, in one look-up: SQLite refuses conditions that are nested deeper than 1,000
)


class SqlTelemetry:
    """Telemetry over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts = InstallCounts(connection)

    def absorb(self, batch: Sequence[Contact], events: Sequence[Event]) -> Sequence[Event]:
        """Count contacts and events, in order; return the events that were new."""
        fresh = self._unseen(events)
        channels = self._write_contacts(_latest(batch), without_channel(fresh))
        known = self._known(batch, fresh, channels)
        self._write_progress(fold(batch, fresh, known))
        return fresh

    def _unseen(self, events: Sequence[Event]) -> list[Event]:
        """Note the IDs of events, and return the events whose IDs were not noted before."""
        by_id: dict[tuple[str, bytes, bytes], Event] = {}
        for event in events:
            by_id.setdefault((event.app, event.install_key, event.id.encode()), event)
        if not by_id:
            return []
        statement = upsert(self._connection, seen_events).on_conflict_do_nothing()
        new = self._connection.execute(
            statement.returning(seen_events.c.app, seen_events.c.install_key, seen_events.c.id),
            [
                {"app": app, "install_key": key, "id": name, "received_at": event.received_at}
                for (app, key, name), event in by_id.items()
            ],
        )
        inserted = {(row.app, bytes(row.install_key), bytes(row.id)) for row in new}
        return [event for key, event in by_id.items() if key in inserted]

    def _known(
        self,
        batch: Sequence[Contact],
        events: Sequence[Event],
        channels: Mapping[tuple[str, bytes], str],
    ) -> Known:
        """Look up what is needed to match the batch with rollouts."""
        names = {contact.app for contact in batch} | {event.app for event in events}
        found = self._connection.execute(
            select(rollouts.c.id, rollouts.c.app, rollouts.c.channel, rollouts.c.version)
            .where(rollouts.c.app.in_(names))
            .order_by(rollouts.c.number)
        )
        known = Known(channels=channels)
        for row in found:
            known.add_rollout(row.id, row.app, row.channel, row.version)
        return known

    def _write_contacts(
        self, latest: Collection[Contact], others: Mapping[str, Collection[bytes]]
    ) -> Mapping[tuple[str, bytes], str]:
        """Keep the last contacts; return the channels of their installs, and of *others*."""
        asked = {app: set(keys) for app, keys in others.items()}
        for contact in latest:
            asked.setdefault(contact.app, set()).add(contact.install_key)
        held = self._last_contacts(asked)
        channels = {key: told.channel for key, (_, told) in held.items()}
        later: list[Contact] = []
        came: list[Told] = []
        gone: list[Told] = []
        for contact in latest:
            key = (contact.app, contact.install_key)
            before = held.get(key)
            if before is not None and before[0] > contact.at:
                continue  # spools of several processes are read one after another
            later.append(contact)
            channels[key] = contact.channel
            told = Told.by(contact)
            if before is None:
                came.append(told)
            elif told != before[1]:
                came.append(told)
                gone.append(before[1])
        self._put_contacts(later)
        self._counts.change_contacts(came, gone)
        return channels

    def _last_contacts(
        self, asked: Mapping[str, Collection[bytes]]
    ) -> dict[tuple[str, bytes], tuple[datetime, Told]]:
        held: dict[tuple[str, bytes], tuple[datetime, Told]] = {}
        for app, keys in asked.items():
            for some in chunks(keys):
                rows = self._connection.execute(
                    select(contacts.c.install_key, contacts.c.at, *TOLD).where(
                        contacts.c.app == app, contacts.c.install_key.in_(some)
                    )
                )
                for key, at, *told in rows.all():
                    held[app, bytes(key)] = at, Told._make(told)
        return held

    def _put_contacts(self, later: Collection[Contact]) -> None:
        if not later:
            return
        statement = upsert(self._connection, contacts)
        told = {c.name: statement.excluded[c.name] for c in contacts.c if not c.primary_key}
        key = list(contacts.primary_key.columns)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=told),
            [
                {
                    "app": contact.app,
                    "install_key": contact.install_key,
                    "at": contact.at,
                    "channel": contact.channel,
                    "platform": contact.platform,
                    "version": contact.version,
                    "action": contact.action,
                    "reason": contact.reason,
                    "offered": contact.offered,
                    "self_selected": contact.self_selected,
                    "telemetry": contact.telemetry,
                    "timestamp_version": contact.timestamp_version,
                    "snapshot_sha256": contact.snapshot_sha256,
                }
                for contact in later
            ],
        )

    def _write_progress(self, folded: Mapping[tuple[RolloutId, bytes], Progress]) -> None:
        if not folded:
            return
        held = self._progress_of(folded)
        now = {key: after(held.get(key), told) for key, told in folded.items()}
        statement = upsert(self._connection, progress)
        told = {name: statement.excluded[name] for name in ("ring", "arm", "steps", "last_at")}
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[progress.c.rollout, progress.c.install_key], set_=told
            ),
            [
                {
                    "rollout": rollout,
                    "install_key": key,
                    "app": one.app,
                    "ring": one.ring,
                    "arm": one.arm,
                    "steps": one.steps,
                    "last_at": one.last_at,
                }
                for (rollout, key), one in now.items()
            ],
        )
        changed = [key for key, one in now.items() if not one.counts_as(held.get(key))]
        self._counts.change_progress(
            (Reached.by(key[0], now[key]) for key in changed),
            (Reached.by(key[0], held[key]) for key in changed if key in held),
        )

    def _progress_of(
        self, asked: Iterable[tuple[RolloutId, bytes]]
    ) -> dict[tuple[RolloutId, bytes], Progress]:
        c = progress.c
        keys: dict[RolloutId, list[bytes]] = {}
        for rollout, key in asked:
            keys.setdefault(rollout, []).append(key)
        held: dict[tuple[RolloutId, bytes], Progress] = {}
        for rollout, its in keys.items():
            for some in chunks(its):
                rows = self._connection.execute(
                    select(c.install_key, c.app, c.ring, c.arm, c.steps, c.last_at).where(
                        c.rollout == rollout, c.install_key.in_(some)
                    )
                )
                for key, app, ring, arm, steps, last_at in rows.all():
                    held[rollout, bytes(key)] = Progress(
                        app=app, ring=ring, arm=arm, steps=steps, last_at=last_at
                    )
        return held

    def checkpoint(self, spool: str) -> int:
        """Return how far a spool has been digested; 0 when nothing is known of it."""
        found = select(checkpoints.c.offset_bytes).where(checkpoints.c.spool == spool)
        return self._connection.execute(found).scalar_one_or_none() or 0

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Note how far a spool has been digested."""
        statement = upsert(self._connection, checkpoints).values(
            spool=checkpoint.spool, offset_bytes=checkpoint.offset_bytes
        )
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[checkpoints.c.spool],
                set_={"offset_bytes": statement.excluded.offset_bytes},
            )
        )

    def forget_checkpoint(self, spool: str) -> None:
        """Drop the note on a spool that is gone."""
        self._connection.execute(delete(checkpoints).where(checkpoints.c.spool == spool))

    def funnels(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[FunnelCell]]:
        """Return how many installs reached each step of each of *rollouts*; no cell is 0.

        An install that reported steps but was never seen to check in counts as a candidate
        of ring ``""``.
        """
        return self._counts.funnels(rollouts)

    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]:
        """Return channel, platform, version and the number of installs last seen on it."""
        return self._counts.versions(app)

    def event_ids(self, app: str, install_key: bytes) -> Sequence[str]:
        """Return the IDs of the install's events that are remembered."""
        mine = (seen_events.c.app == app) & (seen_events.c.install_key == install_key)
        found = self._connection.execute(select(seen_events.c.id).where(mine))
        return sorted(bytes(name).decode() for name in found.scalars())

    def seen_ids(self, names: Iterable[tuple[str, bytes, str]]) -> set[tuple[str, bytes, str]]:
        """Return those of *names* (app, install key, event ID) that are remembered."""
        c = seen_events.c
        found: set[tuple[str, bytes, str]] = set()
        for some in chunks(names, _RANGES):
            here = (
                and_(c.app == app, c.install_key == key, c.id == name.encode())
                for app, key, name in some
            )
            rows = self._connection.execute(select(c.app, c.install_key, c.id).where(or_(*here)))
            found |= {(row.app, bytes(row.install_key), bytes(row.id).decode()) for row in rows}
        return found

    def find(self, app: str, keys: Collection[bytes]) -> Mapping[bytes, SeenInstall]:
        """Return the installs whose keys are, or begin with, *keys*; by what was asked for."""
        c = contacts.c
        found: dict[bytes, SeenInstall] = {}
        for some in chunks(sorted(key for key in keys if key), _RANGES):
            # Each part of the OR says all of it, so that each is a look-up by the primary key.
            here = (and_(c.app == app, c.install_key >= key, _before_end(key)) for key in some)
            rows = self._connection.execute(
                select(c.install_key, c.channel, c.platform)
                .where(or_(*here))
                .order_by(c.install_key.desc())
            )
            for row in rows:
                key = bytes(row.install_key)
                seen = SeenInstall(install_key=key, channel=row.channel, platform=row.platform)
                found |= {asked: seen for asked in some if key.startswith(asked)}
        return found

    def forget_install(self, app: str, install_key: bytes) -> None:
        """Delete every row that is about an install, its enrolments too."""
        its = {
            table: (table.c.app == app) & (table.c.install_key == install_key)
            for table in (contacts, progress, seen_events, enrolments)
        }
        self._counts.drop_contacts(its[contacts])
        self._counts.drop_progress(its[progress])
        for table, mine in its.items():
            self._connection.execute(delete(table).where(mine))

    def expire(self, *, contacts_before: datetime, events_before: datetime) -> None:
        """Delete installs not seen, and event IDs received, before these instants.

        How far an install came with rollouts goes with it.
        """
        old = contacts.c.at < contacts_before
        self._counts.drop_contacts(old)
        self._connection.execute(delete(contacts).where(old))
        is_known = exists().where(
            contacts.c.app == progress.c.app, contacts.c.install_key == progress.c.install_key
        )
        unheard = and_(progress.c.last_at < contacts_before, ~is_known)
        self._counts.drop_progress(unheard)
        self._connection.execute(delete(progress).where(unheard))
        self._connection.execute(
            delete(seen_events).where(seen_events.c.received_at < events_before)
        )


def _before_end(prefix: bytes) -> ColumnElement[bool]:
    """Return what keys meet that begin with *prefix*, of all that are not below it."""
    end = prefix.rstrip(b"\xff")
    if not end:
        return true()
    return contacts.c.install_key < end[:-1] + bytes([end[-1] + 1])


def _latest(batch: Sequence[Contact]) -> Collection[Contact]:
    """Return the last contact of each install."""
    latest: dict[tuple[str, bytes], Contact] = {}
    for contact in batch:
        key = (contact.app, contact.install_key)
        if key not in latest or latest[key].at <= contact.at:
            latest[key] = contact
    return latest.values()
