"""What is drawn over time, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from rollout.model import RolloutId
from tests.fakes.state import State
from update_server.service.ports import ExistsError
from update_server.service.ports.series import FirstCrashes, StudyPoint, VersionDay

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class FakeSeries:
    """See ports.series.Series."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add_point(self, rollout: RolloutId, point: StudyPoint) -> None:
        self._state.write()
        if (rollout, point.number) in self._state.points:
            raise ExistsError("point", f"{rollout}/{point.number}")
        self._state.points[rollout, point.number] = point

    def points(self, rollout: RolloutId) -> Sequence[StudyPoint]:
        return [point for (of, _), point in sorted(self._state.points.items()) if of == rollout]

    def drop_points(self, rollout: RolloutId, numbers: Collection[int]) -> None:
        self._state.write()
        for number in numbers:
            self._state.points.pop((rollout, number), None)

    def count_day(
        self, app: str, day: int, *, after: bytes | None, most: int
    ) -> tuple[Sequence[VersionDay], bytes | None]:
        keys = sorted(key for of, key in self._state.contacts if of == app and key > (after or b""))
        looked = keys[:most]
        counted = Counter(
            (contact.channel, contact.version)
            for key in looked
            if ((contact := self._state.contacts[app, key]).at - EPOCH) // DAY == day
        )
        return [
            VersionDay(app=app, day=day, channel=channel, version=version, installs=n)
            for (channel, version), n in sorted(counted.items())
        ], looked[-1] if len(looked) == most else None

    def put_day(self, day: int, counted: Sequence[VersionDay]) -> None:
        self._state.write()
        for key in [key for key in self._state.days if key[1] == day]:
            del self._state.days[key]
        for one in counted:
            self._state.days[one.app, day, one.channel, one.version] = one

    def days(self, app: str, since: int) -> Sequence[VersionDay]:
        return [
            one
            for (of, day, *_), one in sorted(self._state.days.items())
            if of == app and day >= since
        ]

    def expire_days(self, before: int) -> None:
        self._state.write()
        for key in [key for key in self._state.days if key[1] < before]:
            del self._state.days[key]

    def first_crashes(
        self,
        app: str,
        signatures: Collection[str],
        since: datetime,
        rollout: RolloutId | None = None,
    ) -> Sequence[FirstCrashes]:
        first: dict[tuple[str, ...] | tuple[object, ...], datetime] = {}
        for one in self._state.reports.values():
            cell = one.cell
            is_meant = one.app == app and one.signature in signatures and not one.handled
            is_meant = is_meant and bool(one.report_key)
            if is_meant and rollout in {None, cell.rollout}:
                key = (one.signature, cell.arm, one.version, one.report_key, cell.rollout)
                first[key] = min(one.at, first.get(key, one.at))
        counted = Counter(
            (str(key[0]), (at - EPOCH) // HOUR, str(key[1]))
            for key, at in first.items()
            if EPOCH + (at - EPOCH) // HOUR * HOUR >= since
        )
        return [
            FirstCrashes(signature=signature, at=EPOCH + hour * HOUR, arm=arm, installs=n)
            for (signature, hour, arm), n in sorted(counted.items())
        ]
