"""What is drawn over time: of a study, of versions that run, of a crash. No row names anybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rollout.model import RolloutId


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPoint:
    """How a study stood at an instant of ours. ``number`` orders the points of one rollout.

    ``marked``: something was decided, or a stage or an epoch began. ``body`` is a JSON object of
    ``service.studies.points``.
    """

    number: int
    at: datetime
    marked: bool
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDay:
    """How many installs that checked in on a UTC day (counted from 1970) told a version last."""

    app: str
    day: int
    channel: str
    version: str
    installs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstCrashes:
    """How many installs had a crash for the first time in the hour that began ``at``."""

    signature: str
    at: datetime
    arm: str
    installs: int


class Series(Protocol):
    """Points of studies, days of versions, and hours of crashes."""

    def add_point(self, rollout: RolloutId, point: StudyPoint) -> None: ...  # ExistsError
    def points(self, rollout: RolloutId) -> Sequence[StudyPoint]: ...  # by number
    def drop_points(self, rollout: RolloutId, numbers: Collection[int]) -> None: ...

    # of the next *most* installs of the app after the key *after*, those whose last check-in was
    # in the day; with the last key of them, None where these were all that are left
    def count_day(
        self, app: str, day: int, *, after: bytes | None, most: int
    ) -> tuple[Sequence[VersionDay], bytes | None]: ...
    def put_day(self, day: int, counted: Sequence[VersionDay]) -> None: ...  # instead of before
    # by day, channel, version; days from *since* on
    def days(self, app: str, since: int) -> Sequence[VersionDay]: ...
    def expire_days(self, before: int) -> None: ...

    # crashes that no app handled, in hours from *since* on; of one rollout if it is named; by
    # signature, at, arm
    def first_crashes(
        self,
        app: str,
        signatures: Collection[str],
        since: datetime,
        rollout: RolloutId | None = None,
    ) -> Sequence[FirstCrashes]: ...
