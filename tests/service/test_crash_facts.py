from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Rollout, RolloutId, RolloutState, Step
from tests.fakes import FakeDatabase
from tests.fakes.database import FakeStores
from update_server.evidence.facts import Crash
from update_server.service.crashes.book import CrashBook
from update_server.service.crashes.facts import (
    is_new,
    known_signatures,
    predecessors,
    signature_of,
)
from update_server.service.ports import App, Event, StoredRelease
from update_server.service.studies.codec import decode_fact
from update_server.service.studies.memory import begin
from update_server.service.studies.watched import WatchedStudies

NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
DAY = timedelta(days=1)
ROLLOUT = RolloutId("ro_7k2m")
OLD = {"exception": {"type": "ValueError"}, "frames": [{"module": "notes", "function": "load"}]}
NEW = {"exception": {"type": "KeyError"}, "frames": [{"module": "notes", "function": "save"}]}


def a_crash(body: dict[str, Any] | None = None, **changes: Any) -> Event:
    event = Event(
        app="demo",
        install_key=b"k" * 32,
        id="00000000-0000-4000-8000-000000000001",
        at=NOW - DAY,
        received_at=NOW,
        kind="crash",
        version="2.0.0",
        channel="stable",
        body=OLD if body is None else body,
    )
    return replace(event, **changes)


def a_release(version: str, **changes: Any) -> StoredRelease:
    release = StoredRelease(
        app="demo",
        channel="stable",
        platform="linux-x86_64",
        version=Version(version),
        number=0,
        document=b"{}",
        admitted_at=NOW,
        submitted_by="ada",
    )
    return replace(release, **changes)


def fill(stores: FakeStores, *releases: StoredRelease) -> None:
    app = App(
        name="demo",
        number=0,
        created_at=NOW,
        channels=("stable", "beta"),
        platforms=("linux-x86_64",),
    )
    stores.apps.add(app)
    stores.access.add_secret("pepper", b"p" * 32)
    for release in releases:
        stores.releases.add(release)


def comparable(body: dict[str, Any]) -> str:
    signature = signature_of(a_crash(body))
    assert signature is not None
    return signature.comparable


def test_a_crash_has_the_signature_of_its_error_and_frames() -> None:
    signature = signature_of(a_crash())

    assert signature is not None
    assert signature.title == "ValueError in notes:load"
    assert signature == signature_of(a_crash(version="2.1.0", id="another"))


@pytest.mark.parametrize(
    "event",
    [a_crash({}), a_crash({"sid": "s1"}), a_crash(kind="session"), a_crash(kind="metric")],
)
def test_what_says_nothing_of_a_crash_has_no_signature(event: Event) -> None:
    assert signature_of(event) is None


def test_a_signature_is_new_unless_it_is_known() -> None:
    signature = signature_of(a_crash())
    assert signature is not None

    assert is_new(frozenset(), signature)
    assert not is_new({signature.comparable}, signature)


def test_predecessors_are_in_the_order_of_versions() -> None:
    released = map(Version, ("2.0.0", "10.0.0", "9.0.0", "9.1.0", "11.0.0", "3.0.0"))

    assert predecessors(released, Version("10.0.0")) == [*map(Version, ("9.1.0", "9.0.0", "3.0.0"))]


def test_known_is_what_the_versions_before_showed_on_the_channel() -> None:
    database = FakeDatabase()
    with database.transaction() as stores:
        fill(stores, a_release("1.0.0"), a_release("1.5.0", channel="beta"), a_release("2.0.0"))
        crashes = [
            a_crash(OLD, version="1.0.0"),
            a_crash(NEW, version="1.5.0"),
            a_crash({"exception": {"type": "OSError"}}, version="1.5.0", channel="beta"),
        ]
        CrashBook().note(stores, crashes)

    with database.reading() as stores:
        at = NOW + 90 * DAY
        known = known_signatures(stores, "demo", "stable", Version("2.0.0"), at)

    assert known == {comparable(OLD)}


def told(database: FakeDatabase, watched: WatchedStudies, *events: Event) -> list[Crash]:
    with database.transaction() as stores:
        CrashBook().note(stores, events)
        watched.tell(stores, events)
        facts = [decode_fact(body) for _, body in stores.studies.facts(ROLLOUT, 100)]
    return [fact for fact in facts if isinstance(fact, Crash)]


def test_signatures_on_versions_that_nobody_published_are_not_kept() -> None:
    database, watched = FakeDatabase(), WatchedStudies()
    with database.transaction() as stores:
        fill(stores, a_release("1.0.0"), a_release("1.1.0", channel="beta"))
    bodies = [{"exception": {"type": name}} for name in ("ValueError", "OSError", "KeyError")]
    versions = ("1.0.0", "1.1.0", "9.9.9")

    for body, version in zip(bodies, versions, strict=True):
        told(database, watched, a_crash(body, id=version, version=version))

    with database.reading() as stores:
        known = stores.signatures.known("demo", "stable", versions=versions, published_at=NOW + DAY)
    assert known == {comparable(bodies[0])}


def test_studies_are_told_which_signatures_are_new() -> None:
    database, published_at = FakeDatabase(), NOW + DAY
    with database.transaction() as stores:
        fill(stores, a_release("2.0.0"), a_release("2.1.0", admitted_at=published_at))
    told_before = told(database, WatchedStudies(), a_crash(OLD))
    rollout = Rollout(
        id=ROLLOUT,
        app="demo",
        channel="stable",
        version=Version("2.1.0"),
        state=RolloutState.ACTIVE,
        ladder=(Step(ring="10%", exposure_bp=1_000),),
        position=0,
        started_at=published_at,
        position_reached_at=published_at,
        changed_at=published_at,
    )
    with database.transaction() as stores:
        stores.rollouts.add(rollout)
        begin(stores, rollout)

    watched = WatchedStudies()
    bodies: list[dict[str, Any]] = [OLD, NEW, {"sid": "s1"}, NEW]
    events = [
        a_crash(
            body, id=str(n), install_key=bytes([n]), at=NOW + 2 * DAY, received_at=NOW + 3 * DAY
        )
        for n, body in enumerate(bodies)
    ]
    told(database, watched, *events[:3])
    facts = told(database, watched, *events[3:])

    keys = [comparable(body) for body in (OLD, NEW)]
    assert told_before == []
    assert [(fact.signature, fact.new) for fact in facts] == [
        (keys[0], False),
        (keys[1], True),
        ("", False),
        (keys[1], True),
    ]
