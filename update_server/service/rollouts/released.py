"""Releases as people look at them: what each is made of, and how it stands. Reads only.

Not here: publishing them (``service.repository.publish``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.version import Version

from rollout.documents import parse_release
from rollout.model import Release, Rollout, RolloutState
from update_server.service.ports import StoredRelease, StoredTarget, Stores

_FilesByRelease = Mapping[tuple[str, str, str], Mapping[str, StoredTarget]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformView:
    """One platform's part of a release, and the files that its artifact, deltas and others are."""

    release: Release
    number: int
    admitted_at: datetime
    submitted_by: str
    files: Mapping[str, StoredTarget]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """A version on a channel. ``state`` is its newest rollout's, or ``admitted`` before one."""

    app: str
    channel: str
    version: Version
    state: str
    platforms: tuple[PlatformView, ...]


def released(
    stores: Stores, app: str, *, start: int = 0, limit: int | None = None
) -> Sequence[ReleaseView]:
    """Return releases of *app*, newest version first within each channel.

    *start* is how many to leave out. No more documents are read than are shown.
    """
    known = sorted(stores.releases.versions(app), key=lambda each: each[1], reverse=True)
    known.sort(key=lambda each: each[0])
    end = len(known) if limit is None else start + limit
    return views_of(stores, app, known[start:end])


def views_of(
    stores: Stores, app: str, wanted: Sequence[tuple[str, Version]]
) -> Sequence[ReleaseView]:
    """Return the releases of these channels and versions, in this order."""
    versions = {version for _, version in wanted}
    files = _by_release(stores.releases.targets(app, versions))
    rollouts = stores.rollouts.of_versions(app, versions)
    parts: dict[tuple[str, Version], list[StoredRelease]] = {}
    for stored in stores.releases.of_versions(app, versions):
        parts.setdefault((stored.channel, stored.version), []).append(stored)
    return [
        _view(app, channel, version, parts[channel, version], files, rollouts)
        for channel, version in wanted
        if (channel, version) in parts
    ]


def _by_release(targets: Iterable[StoredTarget]) -> _FilesByRelease:
    files: dict[tuple[str, str, str], dict[str, StoredTarget]] = {}
    for target in targets:
        if target.release is not None:
            files.setdefault(target.release, {})[target.path] = target
    return files


def _view(
    app: str,
    channel: str,
    version: Version,
    parts: Iterable[StoredRelease],
    files: _FilesByRelease,
    rollouts: Iterable[Rollout],
) -> ReleaseView:
    states = [r.state for r in rollouts if (r.channel, r.version) == (channel, version)]
    return ReleaseView(
        app=app,
        channel=channel,
        version=version,
        state=_state(states),
        platforms=tuple(
            PlatformView(
                release=parse_release(stored.document),
                number=stored.number,
                admitted_at=stored.admitted_at,
                submitted_by=stored.submitted_by,
                files=files.get((channel, stored.platform, str(version)), {}),
            )
            for stored in sorted(parts, key=lambda stored: stored.platform)
        ),
    )


def _state(states: Sequence[RolloutState]) -> str:
    """Return the word for a version with these rollouts, newest first; pulled is for good."""
    if RolloutState.PULLED in states:
        return RolloutState.PULLED.value
    return states[0].value if states else "admitted"
