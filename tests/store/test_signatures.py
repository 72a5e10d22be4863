"""Contract of signature_ports.Signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.store.values import NOW
from update_server.service.ports import Database
from update_server.service.ports.signatures import LOOK_BACK, MAX_NEW_A_DAY, OTHER, Sighting

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def a_sighting(comparable: str = "aa", **changes: Any) -> Sighting:
    sighting = Sighting(
        app="demo",
        channel="stable",
        version="2.0.0",
        comparable=comparable,
        title=f"ValueError in {comparable}",
        at=NOW,
    )
    return replace(sighting, **changes)


def note(database: Database, *sightings: Sighting) -> Sequence[str]:
    with database.transaction() as stores:
        return stores.signatures.note(sightings)


def known(database: Database, *versions: str, **changes: Any) -> frozenset[str]:
    asked = {"app": "demo", "channel": "stable", "published_at": NOW + DAY, **changes}
    with database.reading() as stores:
        return stores.signatures.known(versions=versions, **asked)


def test_what_was_seen_lately_on_any_version_is_known(database: Database) -> None:
    note(database, a_sighting("aa"), a_sighting("bb", version="1.0.0"))

    assert known(database) == {"aa", "bb"}


def test_what_was_seen_long_ago_is_known_on_the_versions_before_only(database: Database) -> None:
    note(database, a_sighting("aa"), a_sighting("bb", version="1.0.0"))

    assert known(database, "2.0.0", "1.9.0", published_at=NOW + 99 * DAY) == {"aa"}
    assert known(database, published_at=NOW + 99 * DAY) == frozenset()


def test_a_signature_stays_known_for_thirty_days(database: Database) -> None:
    note(database, a_sighting())

    assert known(database, published_at=NOW + LOOK_BACK) == {"aa"}
    assert known(database, published_at=NOW + LOOK_BACK + MOMENT) == frozenset()


@pytest.mark.parametrize("versions", [(), ("2.0.0",)])
def test_what_is_seen_after_publication_was_not_known(
    database: Database, versions: tuple[str, ...]
) -> None:
    note(database, a_sighting())

    assert known(database, *versions, published_at=NOW) == frozenset()
    assert known(database, *versions, published_at=NOW + MOMENT) == {"aa"}


@pytest.mark.parametrize("days_later", [1, 29, 30, 31, 90])
def test_what_was_known_stays_as_it_is_whatever_is_noted_later(
    database: Database, days_later: int
) -> None:
    note(database, a_sighting("old", at=NOW - 45 * DAY), a_sighting("new", at=NOW - DAY))
    before = known(database, published_at=NOW)

    later = NOW + days_later * DAY
    note(database, *(a_sighting(name, at=later) for name in ("old", "new", "newest")))

    assert known(database, published_at=NOW) == before == {"new"}


def test_sightings_in_a_row_keep_a_signature_known(database: Database) -> None:
    for days in (0, 29, 58, 87):
        note(database, a_sighting(at=NOW + days * DAY))

    for days in (1, 30, 59, 88, 116):
        assert known(database, published_at=NOW + days * DAY) == {"aa"}
    assert known(database, published_at=NOW + 118 * DAY) == frozenset()


def test_apps_and_channels_know_their_own(database: Database) -> None:
    note(
        database, a_sighting("aa"), a_sighting("bb", app="other"), a_sighting("cc", channel="beta")
    )

    assert known(database) == {"aa"}
    assert known(database, app="other") == {"bb"}
    assert known(database, channel="beta") == {"cc"}


def test_a_batch_may_be_in_any_order_and_hold_nothing(database: Database) -> None:
    note(database)
    note(database, a_sighting(at=NOW + 40 * DAY), a_sighting(at=NOW), a_sighting(at=NOW))
    note(database, a_sighting(at=NOW + 39 * DAY))

    assert known(database, published_at=NOW + 31 * DAY) == frozenset()
    assert known(database, published_at=NOW + 50 * DAY) == {"aa"}


def test_a_flood_of_signatures_goes_to_one(database: Database) -> None:
    flood = [a_sighting(f"{number:04}") for number in range(MAX_NEW_A_DAY + 20)]
    names = note(database, *flood[:-10])
    later = note(database, a_sighting("0000", at=NOW + MOMENT), *flood[-10:])
    note(database, a_sighting("other version", version="2.1.0"), a_sighting("9", at=NOW + DAY))

    assert names == [one.comparable for one in flood[:MAX_NEW_A_DAY]] + [OTHER] * 10
    assert later == ["0000", *[OTHER] * 10]
    everything = known(database, published_at=NOW + 2 * DAY)
    with database.reading() as stores:
        titles = stores.signatures.titles("demo", "stable", [OTHER])

    assert len(everything - {"other version", "9"}) == MAX_NEW_A_DAY + 1
    assert {OTHER, "0000", "other version", "9"} <= everything
    assert titles == {OTHER: OTHER}


def test_the_first_title_stays(database: Database) -> None:
    note(database, a_sighting(title="first"), a_sighting("bb"))
    note(
        database,
        a_sighting(title="second"),
        a_sighting(title="third", version="2.1.0", at=NOW + DAY),
    )

    with database.reading() as stores:
        titles = stores.signatures.titles("demo", "stable", ["aa", "bb", "cc"])
        elsewhere = stores.signatures.titles("demo", "beta", ["aa"])

    assert titles == {"aa": "first", "bb": "ValueError in bb"}
    assert elsewhere == {}


def test_runs_that_ended_expire(database: Database) -> None:
    note(database, a_sighting("aa"), a_sighting("bb"))
    note(database, a_sighting("bb", at=NOW + 20 * DAY))

    with database.transaction() as stores:
        stores.signatures.expire(seen_before=NOW + 10 * DAY)

    assert known(database) == {"bb"}


def test_a_title_may_hold_anything(database: Database) -> None:
    note(database, a_sighting(title="\x00"))

    assert known(database) == {"aa"}


@pytest.mark.parametrize(("day", "told"), [(29, [(0, 29)]), (30, [(0, 0), (30, 30)])])
def test_runs_come_back_as_they_were_noted(
    database: Database, day: int, told: list[tuple[int, int]]
) -> None:
    note(database, a_sighting(), a_sighting(channel="beta"))
    note(database, a_sighting(at=NOW + day * DAY))
    note(database, a_sighting("bb"), a_sighting(app="other"))

    with database.reading() as stores:
        found = stores.signatures.runs("demo", ["stable"], ["aa", "cc"])

    assert {(one.channel, one.version, one.comparable) for one in found} == {
        ("stable", "2.0.0", "aa")
    }
    assert [((one.first_at - NOW) / DAY, (one.last_at - NOW) / DAY) for one in found] == told
