"""Contract of ports.recounts: every install of a rollout is looked at once.

``test_telemetry_property`` compares the stores over whatever may have been told.
"""

from dataclasses import replace
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Arm, Rollout, RolloutId, RolloutState
from tests.store.recounting import recounted
from tests.store.values import (
    HOUR,
    NOW,
    OTHER_ROLLOUT,
    ROLLOUT,
    a_contact,
    a_control,
    a_rollout,
    an_event,
)
from update_server.service.ports import Contact, Database, Event, FunnelCell, Phase
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Recount

PULLED_AT = NOW + 2 * HOUR
AFTER = NOW + 3 * HOUR


def pulled(**changes: Any) -> Rollout:
    return a_rollout(
        **{
            "state": RolloutState.PULLED,
            "changed_at": PULLED_AT,
            "replacement": Version("2.0.0"),
            **changes,
        }
    )


def on_it(install: str = "1", **changes: Any) -> Contact:
    """Return the contact of an install that runs the release."""
    return a_control(install, **{"version": "2.1.0", "rollout": None, "arm": None, **changes})


@pytest.fixture
def live(database: Database) -> Database:
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
    return database


def counts(database: Database, *records: Contact | Event, **changes: Any) -> PullCounts:
    """Return what is counted after *records* were absorbed one after the other."""
    for record in records:
        with database.transaction() as stores:
            if isinstance(record, Contact):
                stores.telemetry.absorb([record], [])
            else:
                stores.telemetry.absorb([], [record])
    with database.reading() as stores:
        return recounted(stores, pulled(**changes), most=1).pull


def test_nobody_is_counted_where_nobody_was(live: Database) -> None:
    assert counts(live) == PullCounts()


def test_an_install_in_the_ring_was_offered_it(live: Database) -> None:
    assert counts(live, a_contact(), a_control("2")) == PullCounts(offered=1)


def test_a_failed_download_was_offered_and_not_downloaded(live: Database) -> None:
    assert counts(live, an_event(phase=Phase.FAILED)) == PullCounts(offered=1)


def test_whoever_staged_it_has_downloaded_it(live: Database) -> None:
    assert counts(live, an_event(phase=Phase.STAGED)) == PullCounts(offered=1, downloaded=1)


def test_an_install_that_was_not_heard_from_since_is_unreachable(live: Database) -> None:
    told = an_event(phase=Phase.APPLIED, received_at=NOW)

    found = counts(live, a_contact(at=NOW - HOUR), told)

    assert found == PullCounts(offered=1, downloaded=1, installed=1, unreachable=1)


def test_an_install_that_told_something_since_is_still_on_it(live: Database) -> None:
    told = an_event(phase=Phase.HEALTHY, received_at=AFTER)

    found = counts(live, a_contact(at=NOW - HOUR), told)

    assert found == PullCounts(offered=1, downloaded=1, installed=1, still_on=1)


def test_an_install_that_runs_the_replacement_was_rolled_back(live: Database) -> None:
    back = on_it(version="2.0.0", at=AFTER)

    found = counts(live, an_event(), back)

    assert found == PullCounts(offered=1, downloaded=1, installed=1, replaced=1, rolled_back=1)


def test_an_install_that_runs_a_newer_version_was_replaced(live: Database) -> None:
    found = counts(live, an_event(), on_it(version="2.2.0", at=AFTER))

    assert found == PullCounts(offered=1, downloaded=1, installed=1, replaced=1)


def test_without_a_replacement_nobody_is_rolled_back(live: Database) -> None:
    found = counts(live, an_event(), on_it(version="2.0.0", at=AFTER), replacement=None)

    assert (found.replaced, found.rolled_back) == (1, 0)


def test_an_install_that_went_back_by_itself_was_replaced(live: Database) -> None:
    went_back = an_event(event_id="e2", phase=Phase.ROLLED_BACK, received_at=NOW + HOUR)

    found = counts(live, a_contact(), an_event(), went_back)

    assert found == PullCounts(offered=1, downloaded=1, installed=1, replaced=1, rolled_back=1)


def test_an_install_that_took_it_again_after_going_back_is_on_it(live: Database) -> None:
    went_back = an_event(phase=Phase.ROLLED_BACK)

    found = counts(live, went_back, on_it(at=AFTER))

    assert found == PullCounts(offered=1, downloaded=1, installed=1, still_on=1)


@pytest.mark.parametrize(("at", "is_heard"), [(AFTER, True), (PULLED_AT, True), (NOW, False)])
def test_an_install_that_tells_nothing_counts_by_its_check_ins(
    live: Database, at: Any, *, is_heard: bool
) -> None:
    found = counts(live, on_it(at=at))

    assert found == PullCounts(
        offered=1,
        downloaded=1,
        installed=1,
        still_on=int(is_heard),
        unreachable=int(not is_heard),
    )


def test_installs_of_another_channel_do_not_count(live: Database) -> None:
    assert counts(live, on_it(channel="beta", at=AFTER)) == PullCounts()


def test_levels_of_telemetry_are_counted_by_arm(database: Database) -> None:
    with database.transaction() as stores:
        stores.telemetry.absorb(
            [
                a_contact("1", telemetry="off"),
                a_contact("2"),
                a_contact("3"),
                a_control("4", telemetry="health"),
                a_contact("5", rollout=None, ring=None, arm=None),
            ],
            [],
        )

    with database.reading() as stores:
        assert recounted(stores, a_rollout(), most=2).levels == (
            LevelCount(arm=Arm.CANDIDATE, level="crash", installs=2),
            LevelCount(arm=Arm.CANDIDATE, level="off", installs=1),
            LevelCount(arm=Arm.CONTROL, level="health", installs=1),
        )


def test_installs_are_looked_at_in_slices(live: Database) -> None:
    records = [on_it(name, version="2.1.0") for name in "abcde"]
    known = [a_contact(name) for name in "abc"]
    with live.transaction() as stores:
        stores.telemetry.absorb([*known, *records], [])

    with live.reading() as stores:
        first = stores.recounts.slice(pulled(), silent_before=NOW, after=None, most=2)
        rest = stores.recounts.slice(pulled(), silent_before=NOW, after=first.last, most=2)
        beside = stores.recounts.slice_beside(pulled(), after=b"a", most=5)
        running = stores.recounts.running(pulled())

    assert [(one.last, one.running) for one in (first, rest)] == [(b"b", 2), (None, 1)]
    assert (beside.last, beside.running, running) == (None, 2, 5)


def test_a_slice_that_ends_with_the_last_install_says_so(live: Database) -> None:
    with live.transaction() as stores:
        stores.telemetry.absorb([a_contact(name) for name in "ab"], [])

    with live.reading() as stores:
        found = [
            stores.recounts.slice(a_rollout(), silent_before=NOW, after=after, most=2).last
            for after in (None, b"b")
        ]

    assert found == [None, None]


def test_the_last_recount_is_kept(database: Database) -> None:
    first = Recount(
        rollout=ROLLOUT,
        counted_at=NOW,
        silent=(FunnelCell(ring="1%", arm=Arm.CANDIDATE, step="silent", installs=3),),
        levels=(LevelCount(arm=Arm.CONTROL, level="off", installs=2),),
    )
    last = Recount(rollout=ROLLOUT, counted_at=NOW + HOUR, pull=PullCounts())
    other = replace(first, rollout=OTHER_ROLLOUT)
    with database.transaction() as stores:
        stores.recounts.put([])
        stores.recounts.put([first, other])
        assert stores.recounts.of([ROLLOUT]) == {ROLLOUT: first}
        stores.recounts.put([last])

    with database.reading() as stores:
        asked = [ROLLOUT, OTHER_ROLLOUT, RolloutId("ro_unknown")]
        assert stores.recounts.of(asked) == {ROLLOUT: last, OTHER_ROLLOUT: other}
