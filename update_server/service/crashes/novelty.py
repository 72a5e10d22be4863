"""On which versions a crash was new: what ``facts.known_signatures`` says, asked of one crash.

Studies ask once what was known when a release was published, of all signatures; a page asks about
one signature and many releases, and so reads what was ever seen of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.version import Version

from rollout.versions import render_version
from update_server.service.crashes.facts import PREDECESSORS
from update_server.service.ports import Stores
from update_server.service.ports.crashes import Alias
from update_server.service.ports.signatures import LOOK_BACK, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published of an app: versions by channel, newest first, and when.

    ``spelled`` says how each version is spelled; ``at`` when it was published first, and
    ``here`` when on each channel.
    """

    channels: Mapping[str, Sequence[Version]]
    spelled: Mapping[Version, str]
    at: Mapping[Version, datetime]
    here: Mapping[tuple[str, Version], datetime]

    def last(self) -> list[tuple[str, Version]]:
        """Return the last versions of each channel, newest first."""
        return [
            (channel, version)
            for channel in sorted(self.channels)
            for version in self.channels[channel][:PREDECESSORS]
        ]


def published_of(stores: Stores, app: str) -> Published:
    """Return what was published of *app*."""
    channels: dict[str, list[Version]] = {}
    spelled: dict[Version, str] = {}
    at: dict[Version, datetime] = {}
    here: dict[tuple[str, Version], datetime] = {}
    for channel, version, then in stores.releases.published(app):
        channels.setdefault(channel, []).append(version)
        text = render_version(version)
        spelled[version] = min(text, spelled.get(version, text))
        at[version] = min(then, at.get(version, then))
        here[channel, version] = min(then, here.get((channel, version), then))
    for versions in channels.values():
        versions.sort(reverse=True)
    return Published(channels=channels, spelled=spelled, at=at, here=here)


def news_of(
    stores: Stores,
    app: str,
    signature: str,
    seen: Collection[str],
    published: Published,
    aliases: Iterable[Alias],
) -> Mapping[tuple[str, str], bool]:
    """Return whether *signature* was new, by channel and version, on the versions in *seen*."""
    bug = [one for one in aliases if signature in {one.signature, one.same_as}]
    roots = {one.same_as for one in bug}
    names = {signature} | roots | {one.signature for one in aliases if one.same_as in roots}
    runs = stores.signatures.runs(app, published.channels.keys(), names)
    here = [place for place in sorted(published.here) if published.spelled[place[1]] in seen]
    return {
        (channel, published.spelled[version]): not any(
            _is_known(run, published.at[version], before)
            for run in runs
            if run.channel == channel
            and run.comparable in _same(signature, aliases, published.at[version])
        )
        for channel, version in here
        for before in [_before(published, channel, version)]
    }


def _before(published: Published, channel: str, version: Version) -> frozenset[str]:
    """Return how the versions are spelled on which a crash stays known, however long ago."""
    versions = published.channels[channel]  # newest first
    start = bisect_left(versions, 1, key=lambda each: int(each < version))
    return frozenset(map(render_version, versions[start : start + PREDECESSORS]))


def _is_known(run: Run, published_at: datetime, versions: frozenset[str]) -> bool:
    """Return whether a run of sightings makes its crash known to what was published then."""
    began_before = run.first_at < published_at
    return began_before and (run.version in versions or run.last_at >= published_at - LOOK_BACK)


def _same(signature: str, aliases: Iterable[Alias], published_at: datetime) -> set[str]:
    """Return what *signature* had been called the same as, by that time; and itself."""
    known = [one for one in aliases if one.at < published_at]
    roots = {one.same_as for one in known if signature in {one.signature, one.same_as}}
    return {signature} | roots | {one.signature for one in known if one.same_as in roots}
