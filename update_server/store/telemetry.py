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
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)

from rollout.model import Arm, Rollout, RolloutId
from update_server.service.ports import Checkpoint, Contact, Event, FunnelCell, SeenInstall
from update_server.service.ports.pulls import PullCounts
from update_server.store.folding import LIFE, STEP_BITS, Known, Progress, fold, without_channel
from update_server.store.pull_counts import has_step, pull_counts, with_contacts
from update_server.store.rows import chunks, upsert
from update_server.store.tables import (
    checkpoints,
    contacts,
    enrolments,
    progress,
    rollouts,
    seen_events,
)

# Keys in one look-up: well below the 32,766 parameters that SQLite allows in a statement.
_CHUNK = 5_000
_RANGES = (
    200  # of keys, in one look-up: SQLite refuses conditions that are nested deeper than 1,000
)


class SqlTelemetry:
    """Telemetry over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def absorb(self, batch: Sequence[Contact], events: Sequence[Event]) -> Sequence[Event]:
        """Count contacts and events, in order; return the events that were new."""
        fresh = self._unseen(events)
        self._write_contacts(_latest(batch))
        self._write_progress(fold(batch, fresh, self._known(batch, fresh)))
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

    def _known(self, batch: Sequence[Contact], events: Sequence[Event]) -> Known:
        """Look up what is needed to match the batch with rollouts."""
        names = {contact.app for contact in batch} | {event.app for event in events}
        found = self._connection.execute(
            select(rollouts.c.id, rollouts.c.app, rollouts.c.channel, rollouts.c.version)
            .where(rollouts.c.app.in_(names))
            .order_by(rollouts.c.number)
        )
        known = Known()
        for row in found:
            known.add_rollout(row.id, row.app, row.channel, row.version)
        for app, keys in without_channel(events).items():
            for start in range(0, len(keys), _CHUNK):
                last = select(contacts.c.install_key, contacts.c.channel).where(
                    contacts.c.app == app,
                    contacts.c.install_key.in_(keys[start : start + _CHUNK]),
                )
                for key, channel in self._connection.execute(last):
                    known.channels[app, bytes(key)] = channel
        return known

    def _write_contacts(self, latest: Collection[Contact]) -> None:
        rows = [
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
            for contact in latest
        ]
        if not rows:
            return
        statement = upsert(self._connection, contacts)
        told = {
            column.name: statement.excluded[column.name]
            for column in contacts.c
            if not column.primary_key
        }
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[contacts.c.app, contacts.c.install_key],
                set_=told,
                # Spools of several processes are read one after another.
                where=contacts.c.at <= statement.excluded.at,
            ),
            rows,
        )

    def _write_progress(self, folded: Mapping[tuple[RolloutId, bytes], Progress]) -> None:
        if not folded:
            return
        statement = upsert(self._connection, progress)
        excluded = statement.excluded
        # The first contact decides; but a control install that is offered the release later,
        # in a wider ring, counts where it was offered it (ports.Telemetry).
        settles = or_(
            progress.c.arm.is_(None),
            and_(progress.c.arm == Arm.CONTROL, excluded.arm != Arm.CONTROL),
        )
        takes = and_(excluded.arm.is_not(None), settles)
        later = excluded.last_at > progress.c.last_at
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[progress.c.rollout, progress.c.install_key],
                set_={
                    "ring": case((takes, excluded.ring), else_=progress.c.ring),
                    "arm": case((takes, excluded.arm), else_=progress.c.arm),
                    "steps": progress.c.steps.op("|")(excluded.steps),
                    "last_at": case((later, excluded.last_at), else_=progress.c.last_at),
                },
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
                for (rollout, key), one in folded.items()
            ],
        )

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
        """Return how many installs reached each step of each of *rollouts*; no cell is 0."""
        ring = func.coalesce(progress.c.ring, literal("", literal_execute=True))
        arm = func.coalesce(progress.c.arm, literal(Arm.CANDIDATE.value, literal_execute=True))
        found = self._connection.execute(
            select(
                progress.c.rollout,
                ring.label("ring"),
                arm.label("arm"),
                *(
                    func.sum(case((has_step(bit), 1), else_=0)).label(name)
                    for name, bit in STEP_BITS.items()
                ),
            )
            .where(progress.c.rollout.in_(rollouts))
            .group_by(progress.c.rollout, ring, arm)
            .order_by(progress.c.rollout, ring, arm)
        )
        funnels: dict[RolloutId, list[FunnelCell]] = {rollout: [] for rollout in rollouts}
        for row in found:
            funnels[RolloutId(row.rollout)] += [
                FunnelCell(
                    ring=row.ring, arm=Arm(row.arm), step=step, installs=int(getattr(row, step))
                )
                for step in STEP_BITS
                if getattr(row, step)
            ]
        return funnels

    def funnel(self, rollout: Rollout, *, silent_before: datetime) -> Sequence[FunnelCell]:
        """Return how many installs reached each step, by ring and arm; no cell is 0.

        An install that reported steps but was never seen to check in counts as a candidate
        of ring ``""``. ``silent`` are those of the candidates and the internal ones that
        applied or launched the version, and have not checked in since *silent_before*.
        """
        # Literals: PostgreSQL cannot tell that two parameters of GROUP BY are the same.
        ring = func.coalesce(progress.c.ring, literal("", literal_execute=True))
        arm = func.coalesce(progress.c.arm, literal(Arm.CANDIDATE.value, literal_execute=True))
        last_at = func.coalesce(contacts.c.at, progress.c.last_at)
        silent = and_(arm != Arm.CONTROL, has_step(LIFE), last_at < silent_before)
        counted = {name: has_step(bit) for name, bit in STEP_BITS.items()} | {"silent": silent}
        found = self._connection.execute(
            select(
                ring.label("ring"),
                arm.label("arm"),
                *(func.sum(case((met, 1), else_=0)).label(n) for n, met in counted.items()),
            )
            .select_from(with_contacts())
            .where(progress.c.rollout == rollout.id)
            .group_by(ring, arm)
            .order_by(ring, arm)
        )
        return [
            FunnelCell(
                ring=row.ring,
                arm=Arm(row.arm),
                step=step,
                installs=int(getattr(row, step)),
            )
            for row in found
            for step in counted
            if getattr(row, step)
        ]

    def pull_counts(self, pulled: Rollout) -> PullCounts:
        """Return what became of the installs of a rollout, pulled at its last change."""
        return pull_counts(self._connection, pulled)

    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]:
        """Return channel, platform, version and the number of installs last seen on it."""
        where = (contacts.c.channel, contacts.c.platform, contacts.c.version)
        found = self._connection.execute(
            select(*where, func.count()).where(contacts.c.app == app).group_by(*where)
        )
        return sorted((channel, platform, version, n) for channel, platform, version, n in found)

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
        for table in (contacts, progress, seen_events, enrolments):
            self._connection.execute(
                delete(table).where(table.c.app == app, table.c.install_key == install_key)
            )

    def expire(self, *, contacts_before: datetime, events_before: datetime) -> None:
        """Delete installs not seen, and event IDs received, before these instants.

        How far an install came with rollouts goes with it.
        """
        self._connection.execute(delete(contacts).where(contacts.c.at < contacts_before))
        is_known = exists().where(
            contacts.c.app == progress.c.app, contacts.c.install_key == progress.c.install_key
        )
        self._connection.execute(
            delete(progress).where(progress.c.last_at < contacts_before, ~is_known)
        )
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
