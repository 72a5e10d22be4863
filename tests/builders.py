"""Values with valid defaults: a test names only the field that matters to it.

Versions may be given as text. The default app is ``demo``, on channel ``stable`` and platform
``linux-x86_64``; version 2.1.0 is being rolled out to installs on 2.0.0.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from packaging.version import Version

from rollout.bucket import bucket_of
from rollout.documents import release_folder
from rollout.model import (
    Actor,
    Artifact,
    Audience,
    Documents,
    Entry,
    Failure,
    Hold,
    Install,
    InstallId,
    OpenRing,
    Policy,
    Reason,
    Release,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)

APP = "demo"
CHANNEL = "stable"
PLATFORM = "linux-x86_64"
OLD = Version("2.0.0")
NEW = Version("2.1.0")
NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
INSTALL_ID = InstallId("2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11")
ROLLOUT_ID = RolloutId("ro_7k2m")

LADDER = (
    Step(ring="internal", soak_seconds=86_400),
    Step(ring="1%", exposure_bp=100, soak_seconds=86_400),
    Step(ring="10%", exposure_bp=1_000, soak_seconds=259_200),
    Step(ring="all", exposure_bp=5_000, soak_seconds=259_200),
    Step(ring="all", exposure_bp=9_800, holdback_bp=200, soak_seconds=1_209_600),
    Step(ring="all", exposure_bp=10_000),
)
"""The default ladder."""


def v(version: Version | str) -> Version:
    """Return *version*, parsed if it is text."""
    return Version(version) if isinstance(version, str) else version


def salt_of(name: str) -> bytes:
    """Return 32 bytes that stay the same for the same *name*."""
    return hashlib.sha256(name.encode()).digest()


def an_install_id(*, in_bucket: int, salt: bytes) -> InstallId:
    """Return the first install ID that *salt* puts into the bucket. Takes some 10,000 hashes."""
    return next(
        InstallId(text)
        for number in itertools.count()
        if bucket_of(salt, text := f"00000000-0000-4000-8000-{number:012x}") == in_bucket
    )


def an_install(
    *,
    id: str = INSTALL_ID,  # noqa: A002 - the field's name
    version: Version | str | None = OLD,
    high_water: Version | str | None = None,
    sticky_floor: Version | str | None = None,
    groups: Iterable[str] = (),
    failures: Iterable[Failure] = (),
    attributes: Mapping[str, str] | None = None,
    channel: str = CHANNEL,
    platform: str = PLATFORM,
) -> Install:
    """Return an install on 2.0.0, enrolled in nothing, that has told nothing of itself."""
    return Install(
        id=InstallId(id),
        channel=channel,
        platform=platform,
        version=None if version is None else v(version),
        high_water=None if high_water is None else v(high_water),
        sticky_floor=None if sticky_floor is None else v(sticky_floor),
        groups=frozenset(groups),
        attributes=attributes or {},
        failures=tuple(failures),
    )


def a_release(
    *,
    version: Version | str = NEW,
    app: str = APP,
    channel: str = CHANNEL,
    platform: str = PLATFORM,
    salt: bytes | None = None,
    released_at: datetime = datetime(2026, 11, 20, 2, 0, tzinfo=UTC),
    min_version: Version | str | None = None,
    rollback_to: Iterable[Version | str] = (),
    manifest_sha256: str = "a" * 64,
    **more: Any,
) -> Release:
    """Return a release with one artifact. Its salt follows from its version."""
    number = v(version)
    folder = release_folder(app, channel, platform, number)
    artifact = Artifact(
        path=f"{folder}/{app}-{number}.srn",
        format="serinus-1",
        manifest_sha256=manifest_sha256,
        tree_bytes=8_388_608,
        files=3,
    )
    fields: dict[str, Any] = {"artifact": artifact} | more
    return Release(
        app=app,
        channel=channel,
        platform=platform,
        version=number,
        salt=salt_of(f"salt {number}") if salt is None else salt,
        released_at=released_at,
        min_version=None if min_version is None else v(min_version),
        rollback_to=tuple(v(version) for version in rollback_to),
        **fields,
    )


def a_policy(
    *,
    app: str = APP,
    channel: str = CHANNEL,
    issued: datetime = datetime(2026, 11, 1, tzinfo=UTC),
    floor: Version | str | None = None,
    revoked: Iterable[Version | str] = (),
    internal_groups: tuple[str, ...] = ("staff",),
    ramp: tuple[Step, ...] = LADDER,
    link_hosts: tuple[str, ...] = ("status.example.org",),
    **more: Any,
) -> Policy:
    """Return a policy with the default ramp, no floor and no ceiling."""
    return Policy(
        app=app,
        channel=channel,
        issued=issued,
        floor=None if floor is None else v(floor),
        revoked=frozenset(v(version) for version in revoked),
        internal_groups=internal_groups,
        ramp=ramp,
        link_hosts=link_hosts,
        **more,
    )


def a_ring(
    *, name: str = "all", exposure_bp: int = 10_000, audience: Audience | None = None
) -> OpenRing:
    """Return a ring open to everybody."""
    return OpenRing(name=name, exposure_bp=exposure_bp, audience=audience or Audience())


def a_hold(*, id: str = "h1", audience: Audience | None = None) -> Hold:  # noqa: A002
    """Return a hold on everybody, with a link to the host that the policy lists."""
    return Hold(
        id=id,
        title="Crashes with driver 531",
        link=f"https://status.example.org/{id}",
        audience=audience or Audience(),
    )


def an_entry(
    *,
    version: Version | str = NEW,
    state: RolloutState = RolloutState.ACTIVE,
    rings: tuple[OpenRing, ...] | None = None,
    exposure_bp: int | None = None,
    rollback: bool = False,
    from_versions: Iterable[Version | str] = (),
    rollout: RolloutId | str | None = ROLLOUT_ID,
    **more: Any,
) -> Entry:
    """Return an active entry for 2.1.0, open to everybody.

    ``exposure_bp`` follows from ``rings``; given alone it makes the one ring ``all``. A
    rollback has no rings and no rollout by itself.
    """
    if rings is None:
        share = 10_000 if exposure_bp is None else exposure_bp
        rings = () if rollback else (a_ring(exposure_bp=share),)
    general = [ring.exposure_bp for ring in rings if ring.audience.groups is None]
    if exposure_bp is None:
        exposure_bp = 10_000 if rollback and not rings else max(general, default=0)
    named = None if rollback and rollout == ROLLOUT_ID else rollout
    return Entry(
        version=v(version),
        state=state,
        exposure_bp=exposure_bp,
        rings=rings,
        rollback=rollback,
        from_versions=frozenset(v(version) for version in from_versions),
        rollout=None if named is None else RolloutId(named),
        **more,
    )


def a_rollout_document(
    *entries: Entry,
    app: str = APP,
    channel: str = CHANNEL,
    issued: datetime = NOW,
    next_check_in_seconds: int = 14_400,
) -> RolloutDocument:
    """Return a rollout document with these entries; without any, with the default one."""
    return RolloutDocument(
        app=app,
        channel=channel,
        issued=issued,
        next_check_in_seconds=next_check_in_seconds,
        entries=entries or (an_entry(),),
    )


def documents(
    *entries: Entry,
    policy: Policy | None = None,
    releases: Iterable[Release] | None = None,
    rollout: RolloutDocument | None = None,
    missing: Reason | None = None,
) -> Documents:
    """Return the documents that a decision needs.

    Releases default to 2.0.0, the version of each entry and all that they roll back from,
    each with edges to all the older ones. ``missing`` stands for a rollout document that
    cannot be had.
    """
    if rollout is None and missing is None:
        rollout = a_rollout_document(*entries)
    if releases is None:
        named = {OLD} if rollout is None else {OLD} | {e.version for e in rollout.entries}
        for entry in rollout.entries if rollout else ():
            named |= entry.from_versions
        releases = [
            a_release(version=one, rollback_to=sorted(other for other in named if other < one))
            for one in sorted(named)
        ]
    return Documents(
        policy=policy or a_policy(),
        rollout=rollout,
        rollout_missing=missing or Reason.NO_RELEASE,
        releases={release.version: release for release in releases},
    )


def a_rollout(
    *,
    id: str = ROLLOUT_ID,  # noqa: A002 - the field's name
    app: str = APP,
    channel: str = CHANNEL,
    version: Version | str = NEW,
    state: RolloutState = RolloutState.ACTIVE,
    ladder: tuple[Step, ...] = LADDER,
    position: int = 0,
    started_at: datetime = NOW,
    paused_by: Actor | None = None,
    replacement: Version | str | None = None,
    **more: Any,
) -> Rollout:
    """Return the server's record of a rollout that has just started."""
    times: dict[str, Any] = {"position_reached_at": started_at, "changed_at": started_at}
    if state is RolloutState.PAUSED and paused_by is None:
        paused_by = Actor.PERSON
    return Rollout(
        id=RolloutId(id),
        app=app,
        channel=channel,
        version=v(version),
        state=state,
        ladder=ladder,
        position=position,
        started_at=started_at,
        paused_by=paused_by,
        replacement=None if replacement is None else v(replacement),
        **(times | more),
    )
