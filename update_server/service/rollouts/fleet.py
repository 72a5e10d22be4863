"""The installs of an app as a whole: how many, how they live, and how often they crash.

What a rehearsal is made from (``update_server.rehearsal``). Reads only, and of very many installs
a sample, always the same one: keys of installs are pseudonyms, and so the lowest ones are drawn as
if by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil, fsum
from typing import Final

from update_server.evidence.settings import STANDARD
from update_server.service.ports import Clock, Database
from update_server.service.ports.studies import History
from update_server.service.studies.histories import LAST_CRASHES, is_aged, usual_gap
from update_server.service.studies.stretch import Stretch

SAMPLE: Final = 10_000
"""Installs whose history is read at most: shares are then right to about one part in a hundred."""

DAYS: Final = 28
"""How far back crashes are counted."""

KEPT: Final = timedelta(minutes=10)
"""How long a sample is shown: reading it takes long, and habits change slowly."""

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The usual seconds between two check-ins of one install: quantiles over the installs."""

    p10: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """What is known of an app's installs.

    ``platforms`` counts the installs by platform, ``installs`` all of them. The rest is of
    ``sampled`` installs, as they were ``sampled_at``: ``aged`` are old enough to be counted in a
    study; ``gaps`` are None, and ``check_ins_a_day`` 0, as long as no install came twice.
    ``crash_a_day`` is the share of installs that crash on a day, from ``install_days`` of the
    last 28 days; None without any.
    """

    installs: int
    platforms: Mapping[str, int]
    sampled: int
    sampled_at: float
    aged: int
    gaps: Gaps | None
    check_ins_a_day: float
    crash_a_day: float | None
    install_days: float


class Fleets:
    """Looks at the installs of an app."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._sampled: dict[str, FleetView] = {}

    def view(self, app: str) -> FleetView:
        """Return what is known of the app's installs. Raises NotFoundError."""
        now = self._clock.now().timestamp()
        last = self._sampled.get(app)
        is_new = last is None or not 0 <= now - last.sampled_at < KEPT.total_seconds()
        with self._database.reading() as stores:
            stores.apps.get(app)
            running = stores.telemetry.versions(app)
            known = stores.histories.sample(app, SAMPLE) if is_new else ()
        platforms: Counter[str] = Counter()
        for _, platform, _, installs in running:
            platforms[platform] += installs
        if last is None or is_new:
            view = self._sampled[app] = view_of(platforms, known, now)
            return view
        told = dict(sorted(platforms.items()))
        return replace(last, installs=sum(platforms.values()), platforms=told)


def view_of(platforms: Mapping[str, int], known: Sequence[History], now: float) -> FleetView:
    """Return the view of installs by platform and a sample of histories, at *now*."""
    ours = Stretch(origin=now)
    gaps = sorted(g for g in (usual_gap(one, now, ours) for one in known) if g)
    crash_days, install_days = _crashes(known, now)
    return FleetView(
        installs=sum(platforms.values()),
        platforms=dict(sorted(platforms.items())),
        sampled=len(known),
        sampled_at=now,
        aged=sum(
            is_aged(
                one,
                now,
                ours,
                minimum_age_seconds=STANDARD.minimum_age_seconds,
                minimum_check_ins=STANDARD.minimum_check_ins,
            )
            for one in known
        ),
        gaps=Gaps(p10=_quantile(gaps, 0.1), p50=_quantile(gaps, 0.5), p90=_quantile(gaps, 0.9))
        if gaps
        else None,
        check_ins_a_day=fsum(_DAY / gap for gap in gaps) / len(gaps) if gaps else 0.0,
        crash_a_day=min(1.0, crash_days / install_days) if install_days > 0 else None,
        install_days=install_days,
    )


def _crashes(known: Sequence[History], now: float) -> tuple[int, float]:
    """Return on how many days of how many installs crashed: both counted over all installs."""
    crash_days, watched = 0, []
    for one in known:
        since = max(now - DAYS * _DAY, one.first_at)
        if len(one.crashes) == LAST_CRASHES:
            # Earlier ones were forgotten: this install is known from the first that was not.
            since = max(since, one.crashes[0])
        days = max(0.0, now - since) / _DAY
        watched.append(days)
        # Not more of them than there are days: several within one hour are not several days.
        found = {int((at - since) // _DAY) for at in one.crashes if since <= at <= now}
        crash_days += min(len(found), ceil(days))
    return crash_days, fsum(watched)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[ceil(share * len(ordered)) - 1]
