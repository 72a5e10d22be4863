"""Set by set, SQL counts what the fake counts one record at a time.

``SERINUS_FULL=1`` tries 60 histories, else a sample.
"""

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from rollout.model import Arm, Rollout, RolloutState
from tests.fakes import FakeDatabase
from tests.store.recounting import recounted
from tests.store.values import NOW, a_contact, a_rollout, an_app, an_event
from update_server.service.ports import Contact, Database, Event, Phase
from update_server.service.ports.pulls import PullCounts
from update_server.store import SqlDatabase

pytestmark = pytest.mark.no_cover  # test_telemetry.py walks the same lines

ROLLOUTS = [
    a_rollout("ro_old0"),
    a_rollout("ro_beta", channel="beta"),
    a_rollout("ro_new0"),
    a_rollout("ro_next", version=Version("2.2.0"), channel="beta"),
]
HISTORIES = 60 if os.environ.get("SERINUS_FULL") == "1" else 20
installs = st.sampled_from("abcd")
moments = st.integers(0, 5).map(lambda n: NOW + timedelta(minutes=n))
versions = st.sampled_from(["2.1.0", "2.1", "2.2.0", "9.9", "no version"])
channels = st.sampled_from(["stable", "beta"])
contacts = st.builds(
    a_contact,
    installs,
    at=moments,
    channel=channels,
    version=versions,
    action=st.sampled_from(["update", "stay"]),
    offered=st.none() | versions,
    rollout=st.none() | st.sampled_from([one.id for one in ROLLOUTS]),
    ring=st.none() | st.sampled_from(["1%", "10%"]),
    arm=st.none() | st.sampled_from(list(Arm)),
)
events = st.builds(
    an_event,
    installs,
    st.sampled_from(["e1", "e2", "e3", "e4"]),
    received_at=moments,
    kind=st.sampled_from(["update", "update", "update", "crash"]),
    version=versions,
    phase=st.none() | st.sampled_from(list(Phase)),
    channel=st.none() | channels,
    body=st.just({}) | versions.map(lambda version: {"to": version}),
)
batches = st.lists(st.tuples(st.lists(contacts, max_size=8), st.lists(events, max_size=8)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("property")


@given(batches=batches)
@settings(max_examples=HISTORIES)
def test_sql_counts_as_the_fake_does(
    folder: Path, migrated_sqlite: Path, batches: list[tuple[list[Contact], list[Event]]]
) -> None:
    path = folder / "serinus.db"
    for leftover in folder.iterdir():
        leftover.unlink()
    shutil.copy(migrated_sqlite, path)
    real = SqlDatabase(f"sqlite:///{path}")

    told, expected = after(real, batches), after(FakeDatabase(), batches)

    real.close()
    assert told == expected


def after(database: Database, batches: list[tuple[list[Contact], list[Event]]]) -> object:
    """Return all that telemetry tells after it has absorbed *batches*."""
    with database.transaction() as stores:
        stores.apps.add(an_app())
        for rollout in ROLLOUTS:
            stores.rollouts.add(rollout)
    new = []
    for some_contacts, some_events in batches:
        with database.transaction() as stores:
            new.append(len(stores.telemetry.absorb(some_contacts, some_events)))
    with database.reading() as stores:
        silent_before = NOW + timedelta(minutes=3)
        found = {
            rollout.id: recounted(stores, pulled(rollout), silent_before=silent_before, most=3)
            for rollout in ROLLOUTS
        }
        for one in found.values():
            check_adds_up(one.pull)
        funnels = stores.telemetry.funnels([rollout.id for rollout in ROLLOUTS])
        return new, funnels, found, stores.telemetry.versions("demo")


def pulled(rollout: Rollout) -> Rollout:
    return replace(
        rollout,
        state=RolloutState.PULLED,
        changed_at=NOW + timedelta(minutes=2),
        replacement=Version("2.2.0") if rollout.version == Version("2.1.0") else None,
    )


def check_adds_up(counts: PullCounts) -> None:
    """Assert that no install is lost, and none counted twice."""
    assert counts.offered >= counts.downloaded >= counts.installed
    assert counts.installed == counts.replaced + counts.still_on + counts.unreachable
    assert counts.rolled_back <= counts.replaced
