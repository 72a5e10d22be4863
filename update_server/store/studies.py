"""Studies of rollouts: state, facts that wait for a tick, and the log of what was counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from rollout.model import RolloutId
from update_server.service.ports import ChangedError, ExistsError
from update_server.service.ports.studies import LogKind, StoredLabel, StoredStudy, StudyHead
from update_server.store.rows import changed, chunks, insert_new, one
from update_server.store.tables import studies, study_facts, study_log, study_members

_HEAD = (
    studies.c.rollout,
    studies.c.app,
    studies.c.channel,
    studies.c.version,
    studies.c.settings,
    studies.c.opened_at,
    studies.c.ended_at,
)


class SqlStudies:
    """Studies over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, study: StoredStudy) -> None:
        """Store a new study; raise ExistsError if the rollout has one."""
        row = insert_new(
            self._connection,
            studies,
            rollout=study.rollout,
            app=study.app,
            channel=study.channel,
            version=study.version,
            opened_at=study.opened_at,
            ended_at=study.ended_at,
            expired=False,
            settings=study.settings,
            state=study.state,
        )
        if row is None:
            raise ExistsError("study", study.rollout)

    def get(self, rollout: RolloutId) -> StoredStudy:
        """Return the study of a rollout, or raise NotFoundError."""
        found = select(*_HEAD, studies.c.state).where(studies.c.rollout == rollout)
        row = one(self._connection, found, "study", rollout)
        return StoredStudy(**_head(row), state=bytes(row.state))

    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, StoredStudy]:
        """Return the studies of those of *rollouts* that have one."""
        found: dict[RolloutId, StoredStudy] = {}
        for some in chunks(rollouts):
            rows = self._connection.execute(
                select(*_HEAD, studies.c.state).where(studies.c.rollout.in_(some))
            )
            for row in rows:
                found[RolloutId(row.rollout)] = StoredStudy(**_head(row), state=bytes(row.state))
        return found

    def live(self) -> Sequence[StudyHead]:
        """Return the studies that have not ended, oldest first."""
        found = (
            select(*_HEAD)
            .where(studies.c.ended_at.is_(None))
            .order_by(studies.c.opened_at, studies.c.rollout)
        )
        return [StudyHead(**_head(row)) for row in self._connection.execute(found)]

    def replace(self, study: StoredStudy, expected_version: int) -> None:
        """Write the state if the study is still the live one that was read."""
        unchanged = (
            (studies.c.rollout == study.rollout)
            & (studies.c.version == expected_version)
            & studies.c.ended_at.is_(None)
        )
        values = {"state": study.state, "version": expected_version + 1}
        if not changed(self._connection, update(studies).where(unchanged).values(values)):
            self.get(study.rollout)
            raise ChangedError("study", study.rollout)

    def end(self, rollout: RolloutId, at: datetime) -> None:
        """Note that a study ended, and drop what only a live one needs."""
        this = studies.c.rollout == rollout
        ending = update(studies).where(this, studies.c.ended_at.is_(None)).values(ended_at=at)
        if not changed(self._connection, ending):
            self.get(rollout)
        self._connection.execute(delete(study_facts).where(study_facts.c.rollout == rollout))
        self._connection.execute(
            delete(study_members).where(
                study_members.c.rollout == rollout, study_members.c.forgotten
            )
        )

    def add_facts(self, rollout: RolloutId, facts: Sequence[bytes]) -> None:
        """Append *facts* to those that wait."""
        if facts:
            self._connection.execute(
                study_facts.insert(), [{"rollout": rollout, "body": f} for f in facts]
            )

    def facts(self, rollout: RolloutId, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return the first *limit* facts that wait, with their numbers."""
        found = (
            select(study_facts.c.number, study_facts.c.body)
            .where(study_facts.c.rollout == rollout)
            .order_by(study_facts.c.number)
            .limit(limit)
        )
        return [(number, bytes(body)) for number, body in self._connection.execute(found)]

    def count_facts(self, rollout: RolloutId) -> int:
        """Return how many facts wait."""
        counted = select(func.count()).where(study_facts.c.rollout == rollout)
        return self._connection.execute(counted).scalar_one()

    def drop_facts(self, rollout: RolloutId, numbers: Sequence[int]) -> None:
        """Delete the facts of these numbers."""
        for some in chunks(numbers):
            self._connection.execute(
                delete(study_facts).where(
                    study_facts.c.rollout == rollout, study_facts.c.number.in_(some)
                )
            )

    def add_log(self, rollout: RolloutId, entries: Sequence[StoredLabel]) -> None:
        """Append *entries* to the log."""
        if not entries:
            return
        size = self.log_size(rollout)
        self._connection.execute(
            study_log.insert(),
            [
                {
                    "rollout": rollout,
                    "number": number,
                    "epoch": entry.epoch,
                    "metric": entry.metric,
                    "kind": entry.kind,
                    "networks": entry.networks,
                    "body": entry.body,
                    "struck": entry.struck,
                }
                for number, entry in enumerate(entries, start=size + 1)
            ],
        )

    def log_size(self, rollout: RolloutId) -> int:
        """Return how many entries the log has."""
        last = select(func.max(study_log.c.number)).where(study_log.c.rollout == rollout)
        return self._connection.execute(last).scalar_one() or 0

    def log(
        self,
        rollout: RolloutId,
        epoch: int,
        metric: str,
        kind: LogKind,
        *,
        first: int | None = None,
    ) -> Sequence[StoredLabel]:
        """Return the entries of one metric and kind in one epoch, in order."""
        of_metric = (
            (study_log.c.epoch == epoch)
            & (study_log.c.metric == metric)
            & (study_log.c.kind == kind)
        )
        return self._log(rollout, first, of_metric)

    def whole_log(self, rollout: RolloutId, *, first: int | None = None) -> Sequence[StoredLabel]:
        """Return all entries, in order."""
        return self._log(rollout, first)

    def _log(self, rollout: RolloutId, first: int | None, *where: Any) -> Sequence[StoredLabel]:
        found = (
            select(study_log)
            .where(study_log.c.rollout == rollout, *where)
            .order_by(study_log.c.number)
        )
        if first is not None:
            found = found.where(study_log.c.number <= first)
        return [
            StoredLabel(
                epoch=row.epoch,
                metric=row.metric,
                kind=LogKind(row.kind),
                body=bytes(row.body),
                networks=bytes(row.networks),
                struck=row.struck,
            )
            for row in self._connection.execute(found)
        ]

    def strike(self, rollout: RolloutId, numbers: Sequence[int]) -> None:
        """Note that these entries rest on reports that were withdrawn."""
        for some in chunks(numbers):
            these = (study_log.c.rollout == rollout) & study_log.c.number.in_(some)
            self._connection.execute(update(study_log).where(these).values(struck=True))

    def forget_install(self, app: str, install_key: bytes) -> None:
        """Delete an install from the registers; from live ones as soon as it has left."""
        of_app = select(studies.c.rollout).where(studies.c.app == app)
        ended = of_app.where(studies.c.ended_at.is_not(None))
        this = (study_members.c.install_key == install_key) & study_members.c.rollout.in_(of_app)
        settled = study_members.c.has_left | study_members.c.rollout.in_(ended)
        self._connection.execute(delete(study_members).where(this, settled))
        self._connection.execute(update(study_members).where(this).values(forgotten=True))

    def expire(self, *, ended_before: datetime) -> None:
        """Delete the registers and networks of studies that ended before this instant."""
        due = studies.c.ended_at.is_not(None) & (studies.c.ended_at < ended_before)
        found = select(studies.c.rollout).where(due, studies.c.expired.is_(False))
        rollouts = list(self._connection.execute(found).scalars())
        for some in chunks(rollouts):
            self._connection.execute(delete(study_members).where(study_members.c.rollout.in_(some)))
            self._connection.execute(
                update(study_log).where(study_log.c.rollout.in_(some)).values(networks=b"")
            )
            self._connection.execute(
                update(studies).where(studies.c.rollout.in_(some)).values(expired=True)
            )


def _head(row: Any) -> dict[str, Any]:
    return {
        "rollout": RolloutId(row.rollout),
        "app": row.app,
        "channel": row.channel,
        "version": row.version,
        "settings": bytes(row.settings),
        "opened_at": row.opened_at,
        "ended_at": row.ended_at,
    }
