"""Counts are what looking at everything would find, whatever came, was forgotten or expired.

``SERINUS_FULL=1`` tries 50 histories, else a sample.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from rollout.model import Arm, RolloutId
from tests.fakes import FakeDatabase
from tests.store.crash_values import a_report
from tests.store.values import NOW, a_contact, a_rollout, an_app, an_event
from update_server.service.ports import Contact, Database, Event, Phase, Stores
from update_server.service.ports.crashes import UNTOLD, Alias, Cell, SessionCount, SessionState
from update_server.store import SqlDatabase
from update_server.store.install_counts import REACHED, TOLD
from update_server.store.tables import (
    contact_counts,
    progress_counts,
    session_counts,
    session_hours,
)

pytestmark = pytest.mark.no_cover  # the contract suites walk the same lines

Change = Callable[[Stores], object]

ROLLOUTS = [RolloutId("ro_one0"), RolloutId("ro_two0")]
HISTORIES = 50 if os.environ.get("SERINUS_FULL") == "1" else 15
SIGNATURES = ["aa", "bb", "cc"]
installs = st.sampled_from("abcd")
keys = installs.map(str.encode)
moments = st.integers(0, 5).map(lambda n: NOW + timedelta(hours=n))
apps = st.sampled_from(["demo", "demo", "other"])


def absorbing(contacts: list[Contact], events: list[Event]) -> Change:
    return lambda stores: stores.telemetry.absorb(contacts, events)


def forgetting(app: str, key: bytes) -> Change:
    def forget(stores: Stores) -> None:
        stores.telemetry.forget_install(app, key)
        stores.crashes.forget(app, [key])
        stores.sessions.forget(app, [key])

    return forget


def expiring(moment: datetime) -> Change:
    def expire(stores: Stores) -> None:
        stores.telemetry.expire(contacts_before=moment, events_before=moment)
        stores.crashes.expire(
            reports_before=moment,
            samples_before=moment,
            groups_before=moment,
        )
        stores.sessions.expire(sessions_before=moment, hours_before=moment)

    return expire


some_contacts = st.builds(
    a_contact,
    installs,
    app=apps,
    at=moments,
    channel=st.sampled_from(["stable", "beta"]),
    version=st.sampled_from(["2.0.0", "2.1.0"]),
    telemetry=st.sampled_from(["off", "crash"]),
    rollout=st.sampled_from(ROLLOUTS),
    ring=st.none() | st.sampled_from(["1%", "10%"]),
    arm=st.none() | st.sampled_from(list(Arm)),
).map(lambda one: one if one.app == "demo" else replace(one, rollout=None))
some_events = st.builds(
    an_event,
    installs,
    st.sampled_from(["e1", "e2", "e3", "e4"]),
    received_at=moments,
    phase=st.sampled_from(list(Phase)),
    channel=st.none() | st.just("stable"),
)
cells = st.builds(
    Cell,
    rollout=st.sampled_from(["", *ROLLOUTS]),
    ring=st.sampled_from(["1%", "10%"]),
    arm=st.sampled_from(["candidate", "control"]),
)
some_reports = st.builds(
    a_report,
    st.sampled_from(["", "a", "b", "c"]),
    app=apps,
    version=st.sampled_from(["2.0.0", "2.1.0"]),
    signature=st.sampled_from([UNTOLD, *SIGNATURES]),
    at=moments,
    cell=cells,
    handled=st.booleans(),
    channel=st.sampled_from(["", "stable", "beta"]),
    platform=st.sampled_from(["", "linux-x86_64"]),
    os=st.sampled_from(["", "Linux 6.1", "Linux 6.2"]),
).map(lambda one: one if one.app == "demo" else replace(one, cell=Cell(arm=one.cell.arm)))
some_states = st.builds(
    SessionState,
    app=apps,
    key=st.sampled_from([b"s1", b"s2", b"s3"]),
    version=st.sampled_from(["2.0.0", "2.1.0"]),
    report_key=keys,
    source=st.sampled_from(["launch", "sdk"]),
    status=st.sampled_from(["ok", "exited", "crashed"]),
    started_at=moments,
    received_at=moments,
    cell=cells,
)
sames = st.sampled_from([("aa", "bb"), ("aa", "cc"), ("bb", "cc"), ("cc", "bb")])
changes = st.one_of(
    st.builds(absorbing, st.lists(some_contacts, max_size=6), st.lists(some_events, max_size=6)),
    st.lists(some_reports, min_size=1, max_size=8).map(
        lambda reports: lambda stores: stores.crashes.note(reports)
    ),
    st.lists(some_states, min_size=1, max_size=4).map(
        lambda states: lambda stores: stores.sessions.note(states)
    ),
    st.builds(forgetting, apps, keys),
    moments.map(expiring),
    sames.map(
        lambda names: (
            lambda stores: stores.crashes.put_alias(
                Alias(app="demo", signature=names[0], same_as=names[1], at=NOW, by="ada")
            )
        )
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("property")


@given(made=st.lists(changes, min_size=2, max_size=10))
@settings(max_examples=HISTORIES)
def test_counts_are_what_a_look_at_everything_finds(
    folder: Path, migrated_sqlite: Path, made: list[Change]
) -> None:
    path = folder / "serinus.db"
    for leftover in folder.iterdir():
        leftover.unlink()
    shutil.copy(migrated_sqlite, path)
    real, fake = SqlDatabase(f"sqlite:///{path}"), FakeDatabase()

    for database in (real, fake):
        prepare(database)
        for change in made:
            with database.transaction() as stores:
                change(stores)

    try:
        assert told(real) == told(fake)
        check_against_rows(real)
    finally:
        real.close()


def prepare(database: Database) -> None:
    with database.transaction() as stores:
        for app in ("demo", "other"):
            stores.apps.add(an_app(app))
        for rollout in ROLLOUTS:
            stores.rollouts.add(a_rollout(rollout))


def told(database: Database) -> dict[str, Any]:
    """Return all numbers that are kept."""
    with database.reading() as stores:
        crashes = stores.crashes
        asked: list[dict[str, str]] = [{}, {"version": "2.1.0"}, {"channel": "stable"}]
        return {
            "funnels": stores.telemetry.funnels(ROLLOUTS),
            "versions": [stores.telemetry.versions(app) for app in ("demo", "other")],
            "sessions": stores.sessions.tallies(ROLLOUTS),
            "counts": [crashes.counts("demo", **one) for one in asked],
            "some": crashes.counts("demo", signatures=["bb", UNTOLD]),
            "worst": [crashes.worst("demo", limit=2, offset=n, **a) for a in asked for n in (0, 2)],
            "crashed": [crashes.crashed("demo", **one) for one in asked],
            "places": [crashes.places("demo", name) for name in (UNTOLD, *SIGNATURES)],
            "of rollouts": [crashes.counts_of(ROLLOUTS), crashes.tallies(ROLLOUTS)],
            "last": [
                crashes.last_counts("demo", [UNTOLD, *SIGNATURES], most=2, **one) for one in asked
            ],
            "totals": [crashes.totals("demo", [UNTOLD, *SIGNATURES], **one) for one in asked],
            "newest": crashes.newest_of(ROLLOUTS, arms=["candidate"], but=[UNTOLD]),
            "places and rollouts": crashes.places_and("demo", "bb", ROLLOUTS),
        }


def check_against_rows(sql: SqlDatabase) -> None:
    """Assert that the tables of counts hold what grouping the rows would give, and no more."""
    hours = session_hours.c
    of = (hours.rollout, hours.version, hours.ring, hours.arm, hours.source, hours.status)
    sums = select(*of, func.sum(hours.sessions)).where(hours.rollout != "").group_by(*of)
    with sql._reading.begin() as connection:
        for counts, found in (
            (contact_counts, select(*TOLD, func.count()).group_by(*TOLD)),
            (progress_counts, select(*REACHED, func.count()).group_by(*REACHED)),
            (session_counts, sums),
        ):
            kept = sorted(map(tuple, connection.execute(select(counts))))
            assert kept == sorted(map(tuple, connection.execute(found)))


def test_a_look_at_everything_finds_something() -> None:
    """The control: the numbers that are compared above are not all empty."""
    fake = FakeDatabase()
    prepare(fake)
    with fake.transaction() as stores:
        stores.telemetry.absorb([a_contact(rollout=ROLLOUTS[0])], [])
        stores.crashes.note([a_report(cell=Cell(rollout=ROLLOUTS[0], arm="candidate"))])
        hour = SessionCount(
            app="demo",
            version="2.1.0",
            cell=Cell(rollout=ROLLOUTS[0]),
            source="sdk",
            status="ok",
            hour=NOW,
            sessions=2,
        )
        stores.sessions.add([hour, replace(hour, sessions=1)])

    found = told(fake)

    assert found["funnels"] != {rollout: [] for rollout in ROLLOUTS}
    assert all(any(found[name]) for name in ("versions", "counts", "worst", "crashed", "places"))
