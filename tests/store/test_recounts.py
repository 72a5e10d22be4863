"""Contract of ports.Telemetry.pull_counts: every install of a pulled release is counted once.

``test_telemetry_property`` compares the stores over whatever may have been told.
"""

from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Rollout, RolloutState
from tests.store.values import HOUR, NOW, a_contact, a_control, a_rollout, an_event
from update_server.service.ports import Contact, Database, Event, Phase
from update_server.service.ports.pulls import PullCounts

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
        return stores.telemetry.pull_counts(pulled(**changes))


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
