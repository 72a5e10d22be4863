"""How far a crash has spread: in both arms of the newest rollouts, and over the last versions.

One version alone misleads: after one that few installs ran for a short while, an old crash looks
as if it were new (Launchpad 1988819). So the last few are told, seen or not, each with how many
installs run it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rollout.model import Arm, Rollout
from update_server.service.crashes.novelty import Published
from update_server.service.ports import FunnelCell, Stores
from update_server.service.ports.crashes import CrashCount, CrashPlaces

MOST_ROLLOUTS: Final = 5
"""Of an app, the newest ones: older ones say nothing about what is offered now."""

CHECKED_IN: Final = "contacts"
"""The step of the funnel that says how many installs of an arm there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InArm:
    """So many ``installs`` of an arm, ``of`` those that checked in while they stood in it."""

    arm: Arm
    installs: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InRollout:
    """How a crash hits the arms of one rollout."""

    rollout: Rollout
    arms: tuple[InArm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnVersion:
    """How a crash shows on one version of a channel.

    ``installs`` crashed with it, once for each arm; ``running`` is how many run the version now,
    by their last check-in. ``is_new`` is None where no install of ours crashed with it.
    """

    channel: str
    version: str
    published_at: datetime
    installs: int
    running: int
    first_at: datetime | None
    last_at: datetime | None
    is_new: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """``rollouts`` are the newest, ``versions`` the last of each channel, both newest first.

    ``running`` counts the installs that run a version now, by version and platform.
    """

    rollouts: tuple[InRollout, ...]
    versions: tuple[OnVersion, ...]
    running: Mapping[tuple[str, str], int]


def spread_of(
    stores: Stores,
    app: str,
    newest: Sequence[Rollout],
    seen: CrashPlaces,
    published: Published,
    news: Mapping[tuple[str, str], bool],
) -> Spread:
    """Return how far a crash has spread that was *seen* there, also in the *newest* rollouts."""
    running = stores.telemetry.versions(app)
    by_platform = Counter[tuple[str, str]]()
    for _, platform, version, installs in running:
        by_platform[version, platform] += installs
    return Spread(
        rollouts=_in_rollouts(stores, newest, seen),
        versions=_on_versions(seen.places, published, news, running),
        running=by_platform,
    )


def _in_rollouts(
    stores: Stores, newest: Sequence[Rollout], seen: CrashPlaces
) -> tuple[InRollout, ...]:
    funnels = stores.telemetry.funnels([each.id for each in newest])
    found = []
    for rollout in newest:
        crashed = Counter[str]()
        for one in seen.rollouts[rollout.id]:
            if not one.handled:
                crashed[one.arm] += one.installs
        there = _by_arm(funnels[rollout.id])
        arms = tuple(InArm(arm=arm, installs=crashed[arm], of=there[arm]) for arm in Arm)
        found.append(InRollout(rollout=rollout, arms=arms))
    return tuple(found)


def _by_arm(cells: Iterable[FunnelCell]) -> Counter[str]:
    installs = Counter[str]()
    for cell in cells:
        if cell.step == CHECKED_IN:
            installs[cell.arm] += cell.installs
    return installs


def _on_versions(
    counts: Sequence[CrashCount],
    published: Published,
    news: Mapping[tuple[str, str], bool],
    told: Sequence[tuple[str, str, str, int]],
) -> tuple[OnVersion, ...]:
    running = Counter[tuple[str, str]]()
    for channel, _, version, installs in told:
        running[channel, version] += installs
    seen: dict[str, list[CrashCount]] = {}
    for one in counts:
        if not one.handled:
            seen.setdefault(one.version, []).append(one)
    found = []
    for channel, released in published.last():
        version = published.spelled[released]
        here = seen.get(version, [])
        found.append(
            OnVersion(
                channel=channel,
                version=version,
                published_at=published.here[channel, released],
                installs=sum(one.installs for one in here),
                running=running[channel, version],
                first_at=min((one.first_at for one in here), default=None),
                last_at=max((one.last_at for one in here), default=None),
                is_new=news.get((channel, version)),
            )
        )
    return tuple(found)
