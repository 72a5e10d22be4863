"""Crashes as people look at them: groups, where each was seen, and what is the same bug."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packaging.version import Version

from rollout.versions import render_version
from update_server.service.access.caller import Caller
from update_server.service.crashes.novelty import news_of, published_of
from update_server.service.crashes.released import spellings_of
from update_server.service.crashes.spread import MOST_ROLLOUTS, Spread, spread_of
from update_server.service.errors import BadValueError
from update_server.service.ports import Clock, Database, NotFoundError
from update_server.service.ports.crashes import (
    UNATTRIBUTED,
    UNPUBLISHED,
    UNTOLD,
    Alias,
    CrashCount,
    CrashedInstalls,
    CrashGroup,
    CrashTotal,
    Sample,
)
from update_server.service.ports.signatures import OTHER
from update_server.service.ports.waivers import Waiver
from update_server.service.telemetry.levels import Reporting, reporting_of

MOST_COUNTS: Final = 10
"""Told with a group in a list, of those by version and arm; a group's own answer has all."""

TITLES: Final[Mapping[str, str]] = {
    UNTOLD: "crashed, and no report says how",
    OTHER: "one of too many signatures that began on a day",
}
"""What groups are called that are about no one signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A signature, or what stands for others, and how often it was seen where.

    ``about`` is None for what ``TITLES`` names. ``installs`` counts those that crashed, once for
    each version and arm; of ``UNTOLD`` those of which no report has a signature. ``total`` is what
    all counts add up to, None where there are none; ``counts`` are the last ones of them in a list.
    """

    signature: str
    title: str
    installs: int
    total: CrashTotal | None
    counts: tuple[CrashCount, ...]
    about: CrashGroup | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashesView:
    """Groups, those of the most installs first, and installs that crashed at all.

    ``reporting`` says who would have told of a crash.
    """

    groups: Sequence[GroupView]
    crashed: Sequence[CrashedInstalls]
    reporting: Sequence[Reporting]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashView:
    """All that is known of one group.

    ``counts`` are by version, arm, platform and operating system. ``news`` says for each channel
    and version on which installs showed it whether it was new there. ``samples`` are the newest
    first, ``frames`` those of the newest that has any.
    """

    group: GroupView
    same: tuple[str, ...]
    news: Mapping[tuple[str, str], bool]
    spread: Spread
    waivers: tuple[Waiver, ...]
    samples: tuple[Sample, ...]
    frames: tuple[Mapping[str, Any], ...]


class CrashGroups:
    """Shows crashes, and notes which are the same."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def all(
        self,
        app: str,
        *,
        version: Version | None = None,
        channel: str | None = None,
        start: int = 0,
        limit: int | None = None,
    ) -> CrashesView:
        """Return the crashes of *app*, of one version or on one channel only if that is asked.

        Of its groups, the worst first, *limit* from the one on that *start* others stand before.
        Raises NotFoundError.
        """
        with self._database.reading() as stores:
            stores.apps.get(app)
            text = None
            if version is not None:
                text = spellings_of(stores, app).get(version, render_version(version))
            names = stores.crashes.worst(
                app, version=text, channel=channel, limit=limit, offset=start
            )
            totals = stores.crashes.totals(app, names, version=text, channel=channel)
            counts = stores.crashes.last_counts(
                app, names, most=MOST_COUNTS, version=text, channel=channel
            )
            crashed = stores.crashes.crashed(app, version=text, channel=channel)
            about = stores.crashes.groups(app, names)
            reporting = reporting_of(stores, app, version=version, channel=channel)
        by_signature: dict[str, list[CrashCount]] = {}
        for one in counts:
            by_signature.setdefault(one.signature, []).append(one)
        views = [_group(name, totals[name], by_signature[name], about, crashed) for name in names]
        return CrashesView(groups=views, crashed=crashed, reporting=reporting)

    def get(self, app: str, signature: str) -> CrashView:
        """Return one group, by its signature or by one that is the same. Raises NotFoundError."""
        now = self._clock.now()
        with self._database.reading() as stores:
            aliases = stores.crashes.aliases(app)
            root = _root(aliases, signature)
            same = tuple(one.signature for one in aliases if one.same_as == root)
            newest = stores.rollouts.newest(app, MOST_ROLLOUTS)
            # One statement for both: a page has room for few.
            seen_in = stores.crashes.places_and(app, root, [each.id for each in newest])
            counts = seen_in.places
            about = stores.crashes.groups(app, [root])
            if not counts and not about:
                stores.apps.get(app)  # where that is what is not there
                raise NotFoundError("signature", signature)
            names = {root, *same}
            samples = tuple(stores.crashes.samples(app, names))
            seen = _seen(root, counts)
            published = published_of(stores, app)
            news = news_of(stores, app, root, seen, published, aliases)
            return CrashView(
                group=_group(
                    root,
                    _total(counts),
                    counts,
                    about,
                    stores.crashes.crashed(app) if root == UNTOLD else (),
                ),
                same=same,
                news=news,
                spread=spread_of(stores, app, newest, seen_in, published, news),
                waivers=tuple(
                    one
                    for one in stores.waivers.of_app(app)
                    if one.signature in names and now < one.expires_at
                ),
                samples=samples,
                frames=next((found for one in samples if (found := _frames(one))), ()),
            )

    def same_as(
        self, caller: Caller, app: str, signature: str, other: str, *, reason: str = ""
    ) -> None:
        """Note that *signature* is the same bug as *other*, and count it there.

        Raises:
            NotFoundError: One of them was never seen.
            BadValueError: They are the same already, or others are the same as *signature*.
        """
        with self._database.transaction() as stores:
            stores.apps.get(app)
            known = stores.crashes.groups(app, {signature, other})
            for name in (signature, other):
                if name not in known:
                    raise NotFoundError("signature", name)
            aliases = stores.crashes.aliases(app)
            root = _root(aliases, other)
            if root == signature:
                raise BadValueError("signature", "another than itself, or than what is the same")
            if any(one.same_as == signature for one in aliases):
                # What studies know must not change: what others lead to leads nowhere else.
                raise BadValueError("signature", "others are the same as this: say it of the other")
            now = self._clock.now()
            alias = Alias(app=app, signature=signature, same_as=root, at=now, by=caller.name)
            stores.crashes.put_alias(alias)
            stores.audit.append(
                at=now,
                actor=caller.name,
                action="crash.same_as",
                app=app,
                subject=signature,
                reason=reason,
                after={"same_as": root},
            )


def _root(aliases: Iterable[Alias], signature: str) -> str:
    """Return under which signature *signature* is counted."""
    return next((one.same_as for one in aliases if one.signature == signature), signature)


def _group(
    signature: str,
    total: CrashTotal | None,
    counts: Sequence[CrashCount],
    about: Mapping[str, CrashGroup],
    crashed: Sequence[CrashedInstalls],
) -> GroupView:
    group = about.get(signature)
    if signature == UNTOLD:
        installs = sum(one.installs - one.named for one in crashed)
    else:
        installs = 0 if total is None else total.installs
    return GroupView(
        signature=signature,
        title=group.title if group else TITLES.get(signature, signature),
        installs=installs,
        total=total,
        counts=tuple(counts),
        about=group,
    )


def _total(counts: Sequence[CrashCount]) -> CrashTotal | None:
    """Return what *counts* add up to."""
    if not counts:
        return None
    return CrashTotal(
        installs=sum(one.installs for one in counts if not one.handled),
        reports=sum(one.reports for one in counts if not one.handled),
        errors=sum(one.reports for one in counts if one.handled),
        first_at=min(one.first_at for one in counts),
        last_at=max(one.last_at for one in counts),
        counts=len(counts),
    )


def _seen(signature: str, counts: Sequence[CrashCount]) -> set[str]:
    """Return the versions on which installs of ours crashed with *signature*.

    A signature that stands for others is told of none: it is never new.
    """
    if signature in TITLES:
        return set()
    return {one.version for one in counts if not one.handled and one.arm != UNATTRIBUTED} - {
        UNPUBLISHED
    }


def _frames(sample: Sample) -> tuple[Mapping[str, Any], ...]:
    found = sample.body.get("crashed_thread") or sample.body.get("frames") or ()
    return tuple(frame for frame in found if isinstance(frame, Mapping))
