"""Points of studies, days of versions, hours of crashes: small, and read whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from rollout.model import RolloutId
from update_server.service.ports import ExistsError
from update_server.service.ports.series import FirstCrashes, StudyPoint, VersionDay
from update_server.store.rows import chunks, insert_new
from update_server.store.tables import contacts, crash_hours, study_points, version_days

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqlSeries:
    """Series over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_point(self, rollout: RolloutId, point: StudyPoint) -> None:
        """Store a point; raise ExistsError if there is one of its number."""
        row = insert_new(
            self._connection,
            study_points,
            rollout=rollout,
            number=point.number,
            at=point.at,
            marked=point.marked,
            body=point.body,
        )
        if row is None:
            raise ExistsError("point", f"{rollout}/{point.number}")

    def points(self, rollout: RolloutId) -> Sequence[StudyPoint]:
        """Return the points of a study, in order."""
        c = study_points.c
        found = select(study_points).where(c.rollout == rollout).order_by(c.number)
        return [
            StudyPoint(number=row.number, at=row.at, marked=row.marked, body=row.body)
            for row in self._connection.execute(found)
        ]

    def drop_points(self, rollout: RolloutId, numbers: Collection[int]) -> None:
        """Delete the points of these numbers."""
        c = study_points.c
        for some in chunks(numbers):
            self._connection.execute(
                delete(study_points).where(c.rollout == rollout, c.number.in_(some))
            )

    def count_day(
        self, app: str, day: int, *, after: bytes | None, most: int
    ) -> tuple[Sequence[VersionDay], bytes | None]:
        """Count the next installs whose last check-in was in a day, by what they told then."""
        c = contacts.c
        wanted = [c.app == app, *([] if after is None else [c.install_key > after])]
        keys = select(c.install_key).where(*wanted).order_by(c.install_key)
        last = self._connection.execute(keys.offset(most - 1).limit(1)).scalar_one_or_none()
        if last is not None:
            wanted.append(c.install_key <= last)
        began_at = _EPOCH + timedelta(days=day)
        wanted += [c.at >= began_at, c.at < began_at + timedelta(days=1)]
        where = (c.channel, c.version)
        found = self._connection.execute(
            select(*where, func.count().label("installs")).where(*wanted).group_by(*where)
        )
        counted = [
            VersionDay(
                app=app,
                day=day,
                channel=row.channel,
                version=row.version,
                installs=row.installs,
            )
            for row in sorted(found, key=tuple)
        ]
        return counted, None if last is None else bytes(last)

    def put_day(self, day: int, counted: Sequence[VersionDay]) -> None:
        """Store the counts of a day in place of those before."""
        self._connection.execute(delete(version_days).where(version_days.c.day == day))
        if counted:
            self._connection.execute(
                version_days.insert(),
                [
                    {
                        "app": one.app,
                        "day": day,
                        "channel": one.channel,
                        "version": one.version,
                        "installs": one.installs,
                    }
                    for one in counted
                ],
            )

    def days(self, app: str, since: int) -> Sequence[VersionDay]:
        """Return the counts of an app from a day on."""
        c = version_days.c
        found = self._connection.execute(select(version_days).where(c.app == app, c.day >= since))
        days = [
            VersionDay(
                app=row.app,
                day=row.day,
                channel=row.channel,
                version=row.version,
                installs=row.installs,
            )
            for row in found
        ]
        return sorted(days, key=lambda one: (one.day, one.channel, one.version))

    def expire_days(self, before: int) -> None:
        """Delete the counts of days before this one."""
        self._connection.execute(delete(version_days).where(version_days.c.day < before))

    def first_crashes(
        self,
        app: str,
        signatures: Collection[str],
        since: datetime,
        rollout: RolloutId | None = None,
    ) -> Sequence[FirstCrashes]:
        """Count the installs by the hour of their first crash of a signature."""
        c = crash_hours.c
        wanted = [c.app == app, c.hour >= since]
        if rollout is not None:
            wanted.append(c.rollout == rollout)
        found: list[FirstCrashes] = []
        for some in chunks(sorted(signatures)):
            counted = (
                select(c.signature, c.hour, c.arm, func.sum(c.installs).label("installs"))
                .where(*wanted, c.signature.in_(some))
                .group_by(c.signature, c.hour, c.arm)
            )
            found += [
                FirstCrashes(
                    signature=row.signature, at=row.hour, arm=row.arm, installs=int(row.installs)
                )
                for row in self._connection.execute(counted)
            ]
        return sorted(found, key=lambda one: (one.signature, one.at, one.arm))
