"""Crash reports, one row an install, signature and arm; their groups and samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from packaging.version import Version
from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, tuple_

from rollout.model import Arm, RolloutId, RolloutState
from update_server.service.ports.crashes import (
    Alias,
    CrashGroup,
    Reported,
    Sample,
    Standing,
    kept_samples,
)
from update_server.store.crash_counts import SqlCrashCounts
from update_server.store.crash_keeping import CrashKeeping
from update_server.store.rows import chunks, upsert
from update_server.store.tables import (
    crash_aliases,
    crash_groups,
    crash_samples,
    progress,
    rollouts,
)

_LIVE = (RolloutState.ACTIVE, RolloutState.PAUSED)
_Place = tuple[str, str, str, bool]  # app, version, signature, handled


class SqlCrashes(SqlCrashCounts):
    """Crashes over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._connection = connection
        self._keeping = CrashKeeping(connection)

    def standings(
        self, app: str, installs: Collection[bytes]
    ) -> Mapping[bytes, Sequence[Standing]]:
        """Return how each of *installs* takes part in rollouts, the newest first."""
        found: dict[bytes, list[Standing]] = {}
        for some in chunks(installs):
            rows = self._connection.execute(
                select(
                    progress.c.install_key,
                    func.coalesce(progress.c.ring, "").label("ring"),
                    func.coalesce(progress.c.arm, Arm.CANDIDATE.value).label("arm"),
                    rollouts.c.id,
                    rollouts.c.channel,
                    rollouts.c.version,
                    rollouts.c.state,
                )
                .join(rollouts, rollouts.c.id == progress.c.rollout)
                .where(progress.c.app == app, progress.c.install_key.in_(some))
                .order_by(rollouts.c.number.desc())
            )
            for row in rows:
                standing = Standing(
                    rollout=RolloutId(row.id),
                    channel=row.channel,
                    version=Version(row.version),
                    live=row.state in _LIVE,
                    ring=row.ring,
                    arm=row.arm,
                )
                found.setdefault(bytes(row.install_key), []).append(standing)
        return found

    def note(self, reports: Sequence[Reported]) -> None:
        """Count *reports*; of what may change, the newest one is told."""
        if reports:
            self._keeping.note(reports)

    def note_groups(self, groups: Sequence[CrashGroup]) -> None:
        """Store what signatures are about, as it was told first."""
        if not groups:
            return
        statement = upsert(self._connection, crash_groups)
        here, new = crash_groups.c, statement.excluded
        same_time = new.first_at == here.first_at
        first = or_(new.first_at < here.first_at, and_(same_time, new.key < here.key))
        told = ("key", "family", "title", "parts", "kind", "first_at")
        later = new.last_at > here.last_at
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(crash_groups.primary_key),
                set_={
                    **{name: case((first, new[name]), else_=here[name]) for name in told},
                    "last_at": case((later, new.last_at), else_=here.last_at),
                },
            ),
            [_group_row(one) for one in groups],
        )

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Keep of the samples of a signature and version the first and the newest ones."""
        by_place: dict[_Place, list[Sample]] = {}
        for one in samples:
            by_place.setdefault(_place(one), []).append(one)
        known = self._samples_at(by_place)
        gone: list[Sample] = []
        kept: list[Sample] = []
        for place, new in by_place.items():
            old = known.get(place, [])
            stays = kept_samples([*old, *new])
            names, here = {_name(one) for one in stays}, {_name(one) for one in old}
            gone += [one for one in old if _name(one) not in names]
            kept += [one for one in stays if _name(one) not in here]
        self._drop_samples(gone)
        if kept:
            statement = upsert(self._connection, crash_samples).on_conflict_do_nothing()
            self._connection.execute(statement, [_sample_row(one) for one in kept])

    def _drop_samples(self, samples: Sequence[Sample]) -> None:
        if samples:
            key = list(crash_samples.primary_key)
            mine = [column == bindparam(f"its_{column.name}") for column in key]
            rows = [_sample_row(one) for one in samples]
            self._connection.execute(
                delete(crash_samples).where(*mine),
                [{f"its_{column.name}": row[column.name] for column in key} for row in rows],
            )

    def _samples_at(self, places: Collection[_Place]) -> dict[_Place, list[Sample]]:
        found: dict[_Place, list[Sample]] = {}
        names: dict[tuple[str, str], set[str]] = {}
        for app, version, signature, _ in places:
            names.setdefault((app, version), set()).add(signature)
        for (app, version), signatures in names.items():
            for some in chunks(signatures):
                rows = self._connection.execute(
                    select(crash_samples).where(
                        crash_samples.c.app == app,
                        crash_samples.c.version == version,
                        crash_samples.c.signature.in_(some),
                    )
                ).mappings()
                for one in map(_sample, rows):
                    found.setdefault(_place(one), []).append(one)
        return found

    def forget(self, app: str, report_keys: Collection[bytes]) -> None:
        """Delete what is known by these keys."""
        self._keeping.forget(app, report_keys)
        for some in chunks(report_keys):
            mine = (crash_samples.c.app == app) & crash_samples.c.report_key.in_(some)
            self._connection.execute(delete(crash_samples).where(mine))

    def expire(
        self, *, reports_before: datetime, samples_before: datetime, groups_before: datetime
    ) -> None:
        """Delete what was last seen before, and samples of what happened before."""
        self._keeping.expire(reports_before)
        for column, before in (
            (crash_samples.c.at, samples_before),
            (crash_groups.c.last_at, groups_before),
        ):
            self._connection.execute(delete(column.table).where(column < before))

    def put_alias(self, alias: Alias) -> None:
        """Store that a signature is the same as another, and count both anew."""
        known = {one.signature: one.same_as for one in self.aliases(alias.app)}
        affected = {alias.signature, alias.same_as, known.get(alias.signature, alias.same_as)}
        statement = upsert(self._connection, crash_aliases).values(
            app=alias.app,
            signature=alias.signature,
            same_as=alias.same_as,
            at=alias.at,
            by=alias.by,
        )
        told = {name: statement.excluded[name] for name in ("same_as", "at", "by")}
        key = list(crash_aliases.primary_key)
        self._connection.execute(statement.on_conflict_do_update(index_elements=key, set_=told))
        self._keeping.recount(alias.app, affected)

    def aliases(self, app: str) -> Sequence[Alias]:
        """Return which signatures are the same as another."""
        found = select(crash_aliases).where(crash_aliases.c.app == app)
        rows = self._connection.execute(found.order_by(crash_aliases.c.signature))
        return [Alias(**row) for row in rows.mappings()]

    def groups(self, app: str, signatures: Collection[str]) -> Mapping[str, CrashGroup]:
        """Return what is known of *signatures*."""
        found: dict[str, CrashGroup] = {}
        for some in chunks(signatures):
            mine = (crash_groups.c.app == app) & crash_groups.c.signature.in_(some)
            for row in self._connection.execute(select(crash_groups).where(mine)).mappings():
                group = CrashGroup(**{**row, "parts": tuple(row["parts"])})
                found[group.signature] = group
        return found

    def titles(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        """Return what the groups of these apps and signatures are called."""
        c = crash_groups.c
        found: dict[tuple[str, str], str] = {}
        for some in chunks(names):
            mine = tuple_(c.app, c.signature).in_(some)
            rows = self._connection.execute(select(c.app, c.signature, c.title).where(mine))
            found |= {(row.app, row.signature): row.title for row in rows}
        return found

    def samples(self, app: str, signatures: Collection[str]) -> Sequence[Sample]:
        """Return the samples of *signatures*, the newest first."""
        mine = (crash_samples.c.app == app) & crash_samples.c.signature.in_(signatures)
        rows = self._connection.execute(select(crash_samples).where(mine)).mappings()
        return sorted(map(_sample, rows), key=lambda one: (one.at, one.id), reverse=True)


def _group_row(one: CrashGroup) -> dict[str, Any]:
    return {
        "app": one.app,
        "signature": one.signature,
        "key": one.key,
        "family": one.family,
        "title": one.title,
        "parts": list(one.parts),
        "kind": one.kind,
        "first_at": one.first_at,
        "last_at": one.last_at,
    }


def _sample_row(one: Sample) -> dict[str, Any]:
    return {
        "app": one.app,
        "version": one.version,
        "signature": one.signature,
        "handled": one.handled,
        "report_key": one.report_key,
        "id": one.id,
        "at": one.at,
        "body": dict(one.body),
    }


def _sample(row: Mapping[Any, Any]) -> Sample:
    return Sample(**{**row, "report_key": bytes(row["report_key"])})


def _place(one: Sample) -> _Place:
    return one.app, one.version, one.signature, one.handled


def _name(one: Sample) -> tuple[bytes, str]:
    return one.report_key, one.id
