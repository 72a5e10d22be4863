"""Installs that run what they should have left: below a floor, or a release that was pulled.

By what each told when it last checked in. Reads only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.version import Version

from rollout.errors import InvalidVersionError
from rollout.model import MustReach, Rollout, RolloutState
from rollout.versions import parse_version
from update_server.service.ports import Clock, Database, Stores
from update_server.service.ports.recounts import Recount
from update_server.service.rollouts.channels import ChannelBook

MOST_PULLED: Final = 10
"""Of an app, the newest ones, and with them all that somebody still runs."""

Running = Mapping[Version, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """How many installs of a channel run less than ``must_reach``."""

    must_reach: MustReach
    installs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BelowFloor:
    """How many of a channel's ``installs`` run less than its ``floor``; None where it has none."""

    channel: str
    installs: int
    floor: Version | None
    below: int | None
    behind: tuple[Behind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPulled:
    """A release that was pulled, and how many still run it.

    ``recount`` says what became of all that had it; None until somebody counted.
    """

    rollout: Rollout
    running: int
    recount: Recount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StragglersView:
    """``pulled`` has the newest first."""

    floors: tuple[BelowFloor, ...]
    pulled: tuple[OnPulled, ...]


class Stragglers:
    """Looks for installs that should have moved on."""

    def __init__(self, database: Database, clock: Clock, *, next_check_in_seconds: int) -> None:
        self._database = database
        self._clock = clock
        self._book = ChannelBook(next_check_in_seconds=next_check_in_seconds)

    def look(self, app: str) -> StragglersView:
        """Return the app's stragglers. Raises NotFoundError."""
        with self._database.reading() as stores:
            channels = sorted(stores.apps.get(app).channels)
            known = self._book.look(stores, {(app, name) for name in channels}, self._clock.now())
            running = _running(stores, app)
            pulled = _pulled(
                [each for name in channels for each in known[app, name].rollouts], running
            )
            recounts = stores.recounts.of([each.id for each, _ in pulled])
        floors = []
        for name in channels:
            policy = known[app, name].policy
            here: Running = running.get(name, {})
            floor = policy.floor if policy else None
            floors.append(
                BelowFloor(
                    channel=name,
                    installs=sum(here.values()),
                    floor=floor,
                    below=None if floor is None else _below(here, floor),
                    behind=tuple(
                        Behind(must_reach=each, installs=_below(here, each.version))
                        for each in (policy.must_reach if policy else ())
                    ),
                )
            )
        return StragglersView(
            floors=tuple(floors),
            pulled=tuple(
                OnPulled(rollout=each, running=installs, recount=recounts.get(each.id))
                for each, installs in pulled
            ),
        )


def _running(stores: Stores, app: str) -> Mapping[str, Counter[Version]]:
    """Return how many installs run each version, by channel."""
    found: dict[str, Counter[Version]] = {}
    for channel, _, text, installs in stores.telemetry.versions(app):
        try:
            version = parse_version(text)
        except InvalidVersionError:
            continue
        found.setdefault(channel, Counter())[version] += installs
    return found


def _below(running: Running, version: Version) -> int:
    return sum(installs for each, installs in running.items() if each < version)


def _pulled(
    rollouts: Sequence[Rollout], running: Mapping[str, Running]
) -> list[tuple[Rollout, int]]:
    """Return the pulled ones that are new or still run, each with how many run it."""
    newest = sorted(
        (each for each in rollouts if each.state is RolloutState.PULLED),
        key=_pulled_at,
        reverse=True,
    )
    counted = [(each, running.get(each.channel, {}).get(each.version, 0)) for each in newest]
    return [
        (each, installs)
        for number, (each, installs) in enumerate(counted)
        if number < MOST_PULLED or installs
    ]


def _pulled_at(rollout: Rollout) -> datetime:
    return rollout.changed_at
