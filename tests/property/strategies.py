"""Values of the domain, drawn at random: every one is what a parser could have returned.

Numbers come from small pools, so that installs, releases, entries and policies often meet.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st
from packaging.version import Version

from rollout.model import (
    Approvals,
    Audience,
    Automatic,
    Delta,
    Documents,
    Entry,
    Failure,
    Hold,
    Install,
    MustReach,
    OpenRing,
    Policy,
    Reason,
    Release,
    RolloutDocument,
    RolloutId,
    RolloutState,
    SideFile,
    Step,
)
from tests.builders import (
    APP,
    CHANNEL,
    NOW,
    PLATFORM,
    a_hold,
    a_policy,
    a_release,
    an_entry,
    an_install,
    salt_of,
)

VERSIONS = tuple(Version(text) for text in ("1.0", "1.5", "2.0rc1", "2.0", "2.1", "2.1.post1"))
GROUPS = ("staff", "press")
PLATFORMS = (PLATFORM, "windows-x86_64")
COUNTRIES = ("AT", "DE")
EDITIONS = ("pro", "free")
STATES = tuple(state for state in RolloutState if state is not RolloutState.SUPERSEDED)

versions = st.sampled_from(VERSIONS)
instants = st.integers(-10 * 86_400, 10 * 86_400).map(lambda s: NOW + timedelta(seconds=s))
SHARES_BP = (0, 1, 100, 1_000, 5_000, 9_000, 9_800, 9_999, 10_000)
shares = st.sampled_from(SHARES_BP)
salts = st.integers(0, 99).map(lambda n: salt_of(str(n)))


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, unique=True).map(tuple)


@st.composite
def audiences(draw: st.DrawFn, *, groups: bool = True) -> Audience:
    def maybe(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | values) if draw(st.booleans()) else None

    return Audience(
        groups=maybe(some(GROUPS)) if groups else None,
        platform=maybe(some(PLATFORMS)),
        os_version=maybe(some((">=12", "<13", "==12.5"))),
        locale=maybe(some(("de", "de-AT", "fr"))),
        country=maybe(some(COUNTRIES)),
        custom=maybe(some(EDITIONS).map(lambda e: MappingProxyType({"edition": e}))),
        unknown=draw(st.booleans()) and draw(st.booleans()),
    )


@st.composite
def open_rings(draw: st.DrawFn) -> tuple[OpenRing, ...]:
    names = draw(st.lists(st.sampled_from(("internal", "1%", "10%", "all")), unique=True))
    audience = st.just(Audience()) | audiences()
    return tuple(
        OpenRing(name=name, exposure_bp=draw(shares), audience=draw(audience)) for name in names
    )


@st.composite
def holds(draw: st.DrawFn, id: str = "h1") -> Hold:  # noqa: A002 - the field's name
    title = draw(st.text("abc äß😀<&", min_size=1, max_size=8).filter(str.strip))
    return Hold(
        id=id, title=title, link=f"https://status.example.org/{id}", audience=draw(audiences())
    )


@st.composite
def entries(draw: st.DrawFn, rollout: str = "ro_0000") -> Entry:
    rings = draw(open_rings())
    general = max((r.exposure_bp for r in rings if r.audience.groups is None), default=0)
    if draw(st.booleans()) and draw(st.booleans()):
        return Entry(
            version=draw(versions),
            state=draw(st.sampled_from(STATES)),
            exposure_bp=general if rings else draw(shares),
            rings=rings,
            from_versions=draw(st.frozensets(versions, min_size=1)),
            rollback=True,
        )
    ids = draw(st.lists(st.sampled_from(("h1", "h2")), unique=True, max_size=2))
    return Entry(
        version=draw(versions),
        rollout=RolloutId(rollout),
        state=draw(st.sampled_from(STATES)),
        exposure_bp=general,
        holdback_bp=draw(st.sampled_from((0, 0, 200, 5_000, 10_000))),
        rings=rings,
        holds=tuple(draw(holds(id)) for id in ids) if draw(st.booleans()) else (),  # noqa: A001
        from_versions=draw(st.just(frozenset()) | st.frozensets(versions)),
    )


@st.composite
def rollout_documents(draw: st.DrawFn, most: int = 4) -> RolloutDocument:
    count = draw(st.integers(0, most))
    return RolloutDocument(
        app=APP,
        channel=CHANNEL,
        issued=draw(instants),
        next_check_in_seconds=draw(st.integers(1, 604_800)),
        entries=tuple(draw(entries(f"ro_{number:04}")) for number in range(count)),
    )


@st.composite
def ladders(draw: st.DrawFn, least: int = 0) -> tuple[Step, ...]:
    names = ("internal", "1%", "10%", "all")
    steps = [
        Step(
            ring=draw(st.sampled_from(names)),
            exposure_bp=draw(st.none() | shares),
            holdback_bp=draw(st.sampled_from((0, 200))),
            soak_seconds=draw(st.sampled_from((0, 60, 86_400))),
            approvals=draw(st.integers(0, 2)),
        )
        for _ in range(draw(st.integers(least, 5)))
    ]
    rising = iter(sorted(s.exposure_bp for s in steps if s.exposure_bp is not None))
    return tuple(
        Step(
            ring=step.ring,
            exposure_bp=None if step.exposure_bp is None else next(rising),
            holdback_bp=step.holdback_bp,
            soak_seconds=step.soak_seconds,
            approvals=step.approvals,
        )
        for step in steps
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    ages = sorted(draw(st.lists(st.sampled_from((0, 3_600, 86_400)), unique=True)))
    ceiling = zip(ages, sorted(draw(shares) for _ in ages), strict=True)
    must_reach = st.builds(MustReach, version=versions, after=instants)
    return Policy(
        app=APP,
        channel=CHANNEL,
        issued=draw(instants),
        floor=draw(st.none() | versions),
        revoked=draw(st.frozensets(versions, max_size=2)),
        must_reach=tuple(draw(st.lists(must_reach, max_size=2))),
        ceiling=tuple(ceiling),
        internal_groups=draw(st.sampled_from(((), ("staff",), GROUPS))),
        ramp=draw(ladders()),
        automatic=draw(
            st.builds(
                Automatic,
                pause=st.booleans(),
                pull=st.booleans(),
                rollback=st.booleans(),
                max_rollbacks_per_day=st.integers(0, 3),
            )
        ),
        approvals=draw(
            st.builds(
                Approvals,
                outside_ramp=st.integers(0, 2),
                resume_after_auto_pause=st.integers(0, 2),
            )
        ),
        link_hosts=("status.example.org",),
        custom_keys=("edition",),
    )


@st.composite
def releases(draw: st.DrawFn, version: Version) -> Release:
    deltas: tuple[Delta, ...] = ()
    others: tuple[SideFile, ...] = ()
    platform = draw(st.sampled_from((PLATFORM, PLATFORM, PLATFORM, "windows-x86_64")))
    folder = f"{APP}/releases/{CHANNEL}/{platform}/{version}"
    if draw(st.booleans()):
        deltas = (
            Delta(
                path=f"{folder}/from-1.0.delta",
                from_version=Version("1.0"),
                from_manifest="b" * 64,
                algo="pb1",
                output_bytes=draw(st.integers(0, 2**53 - 1)),
                max_file_bytes=1,
            ),
        )
        native = MappingProxyType({"minisign": draw(st.text("abc=/+", max_size=9))})
        others = (SideFile(path=f"{folder}/x.msi", kind="msi", native=native),)
    return a_release(
        version=version,
        platform=platform,
        salt=draw(salts),
        released_at=draw(instants),
        not_before=draw(st.none() | instants),
        min_version=draw(st.none() | versions),
        min_os=draw(st.none() | st.sampled_from(("12", "12.5"))),
        rollback_to=draw(st.lists(versions, unique=True)),
        security=draw(st.booleans()),
        deltas=deltas,
        others=others,
        data_schema=draw(st.none() | st.integers(0, 9)),
        authenticode_spki=draw(st.sampled_from(((), ("c3BraQ==",)))),
    )


# --- for decisions: few draws from hand-made pools, so that offers are common ------------------

OLDER = {version: tuple(other for other in VERSIONS if other < version) for version in VERSIONS}
STAFF_RING = OpenRing(name="internal", exposure_bp=10_000, audience=Audience(groups=("staff",)))
PRESS_RING = OpenRing(name="press", exposure_bp=5_000, audience=Audience(groups=("press", "staff")))
AUSTRIA = OpenRing(name="at", exposure_bp=9_000, audience=Audience(country=("AT",)))
FIRST, HALF, ALL = (
    OpenRing(name=name, exposure_bp=share)
    for name, share in (("1%", 100), ("half", 5_000), ("all", 10_000))
)
RING_POOL: tuple[tuple[OpenRing, ...], ...] = (
    (STAFF_RING, FIRST, HALF, ALL),
    (STAFF_RING, FIRST, HALF),
    (STAFF_RING, AUSTRIA),
    (PRESS_RING, HALF),
    (HALF,),
    (FIRST,),
    (ALL,),
    (ALL,),
    (STAFF_RING,),
    (),
)
HOLD_POOL: tuple[tuple[Hold, ...], ...] = (
    (),
    (),
    (),
    (a_hold(audience=Audience(country=("DE",))),),
    (a_hold(audience=Audience(os_version=("<12",), unknown=True)),),
)


def release_pool(version: Version) -> tuple[Release | None, ...]:
    """Return what may be known of *version*: mostly a plain release, old and with all edges."""
    plain = a_release(version=version, rollback_to=OLDER[version])
    return (
        *(plain,) * 8,
        replace(plain, salt=salt_of("another"), rollback_to=OLDER[version][-1:]),
        replace(plain, rollback_to=()),
        replace(plain, not_before=NOW),
        replace(plain, min_version=Version("2.0"), min_os="12"),
        a_release(version=version, platform="windows-x86_64"),
        None,
    )


POOLS = {version: release_pool(version) for version in VERSIONS}
DECISION_POLICIES = st.builds(
    a_policy,
    floor=st.sampled_from((None,) * 6 + VERSIONS[:3]),
    revoked=st.sampled_from(((),) * 4 + (VERSIONS[3:4], VERSIONS[4:5])),
    ceiling=st.sampled_from(((), (), ((0, 100), (86_400, 10_000)), ((3_600, 5_000),))),
    must_reach=st.sampled_from(
        (
            *((),) * 5,
            (MustReach(version=VERSIONS[3], after=NOW),),
            (MustReach(version=VERSIONS[3], after=NOW), MustReach(version=VERSIONS[4], after=NOW)),
        )
    ),
)


@st.composite
def decision_entries(draw: st.DrawFn, rollout: str = "ro_0000") -> Entry:
    """Return an entry; one in five is a rollback."""
    version, rings = draw(st.sampled_from(VERSIONS[1:])), draw(st.sampled_from(RING_POOL))
    state = draw(st.sampled_from((*STATES, *(RolloutState.ACTIVE,) * 4)))
    if draw(st.integers(0, 4)) == 0:
        higher = [other for other in VERSIONS if other > version] or list(VERSIONS)
        return an_entry(version=version, state=state, rollback=True, from_versions=higher)
    return an_entry(
        version=version,
        state=state,
        rings=rings,
        rollout=rollout,
        holds=draw(st.sampled_from(HOLD_POOL)),
        holdback_bp=draw(st.sampled_from((0, 0, 200, 5_000))),
        from_versions=draw(st.sampled_from(((), (), (), VERSIONS[:2]))),
    )


@st.composite
def documents(draw: st.DrawFn) -> Documents:
    count = draw(st.sampled_from((3, 2, 1, 2, 3, 4, 0, -1)))
    entries = [draw(decision_entries(f"ro_{number:04}")) for number in range(count)]
    known = [draw(st.sampled_from(POOLS[version])) for version in VERSIONS]
    rollout = RolloutDocument(
        app=APP, channel=CHANNEL, issued=NOW, next_check_in_seconds=60, entries=tuple(entries)
    )
    return Documents(
        policy=draw(DECISION_POLICIES),
        rollout=None if count < 0 else rollout,
        rollout_missing=draw(st.sampled_from((Reason.NO_RELEASE, Reason.STALE_SERVER))),
        releases={release.version: release for release in known if release is not None},
    )


@st.composite
def installs(draw: st.DrawFn) -> Install:
    """Return an install, mostly of the older versions, from one of 200 IDs."""
    version = draw(st.sampled_from((*VERSIONS, *VERSIONS[:3], *VERSIONS[:2], None)))
    higher = [v for v in VERSIONS if version is None or v >= version]
    failures = [Failure(version=draw(versions), retry_at=draw(instants))]
    return an_install(
        id=str(uuid.UUID(int=draw(st.integers(0, 199)), version=4)),
        version=version,
        high_water=draw(st.sampled_from((version, version, version, *higher))),
        sticky_floor=draw(st.sampled_from((None,) * 6 + VERSIONS[:3])),
        groups=draw(st.sampled_from(((), ("staff",), GROUPS))),
        attributes=draw(st.sampled_from(TOLD)),
        failures=failures if draw(st.integers(0, 4)) == 0 else (),
    )


TOLD: tuple[dict[str, str], ...] = (
    {},
    {"country": "AT", "os_version": "12.5", "locale": "de-AT", "edition": "pro"},
    {"country": "DE", "os_version": "11"},
    {"country": "DE", "os_version": "unreadable"},
)
