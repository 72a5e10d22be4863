"""What installs let out, by arm: how many told nothing of themselves, how many tell of crashes.

"No crash was reported" says little where hardly anybody reports crashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.version import Version

from rollout.model import Rollout
from update_server.service.ports import Stores
from update_server.service.ports.arrivals import LevelCount

OFF: Final = "off"
CRASH: Final = "crash"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLevels:
    """Of so many ``installs`` of an arm so many opted out, and so many send crash reports."""

    arm: str
    installs: int
    opted_out: int
    send_crashes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """Who would tell of a crash in a live rollout, by arm, when that was counted: None if never."""

    rollout: Rollout
    counted_at: datetime | None
    arms: Sequence[ArmLevels]


def by_arm(levels: Iterable[LevelCount]) -> list[ArmLevels]:
    """Return *levels* of one rollout as sums of each arm."""
    arms: dict[str, list[LevelCount]] = {}
    for one in levels:
        arms.setdefault(one.arm, []).append(one)
    return [
        ArmLevels(
            arm=arm,
            installs=sum(one.installs for one in some),
            opted_out=sum(one.installs for one in some if one.level == OFF),
            send_crashes=sum(one.installs for one in some if one.level == CRASH),
        )
        for arm, some in sorted(arms.items())
    ]


def reporting_of(
    stores: Stores, app: str, *, version: Version | None = None, channel: str | None = None
) -> list[Reporting]:
    """Return who reports in the live rollouts of *app*, or in those of one version or channel."""
    asked = [
        each
        for each in stores.rollouts.live()
        if each.app == app and version in {None, each.version} and channel in {None, each.channel}
    ]
    counted = stores.recounts.of([each.id for each in asked])
    return [
        Reporting(
            rollout=each,
            counted_at=found.counted_at if (found := counted.get(each.id)) else None,
            arms=by_arm(found.levels if found else ()),
        )
        for each in asked
    ]
