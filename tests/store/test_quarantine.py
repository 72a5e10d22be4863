"""Contract of quarantine_ports.QuarantineStore."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.model import Arm
from tests.store.values import HOUR, NOW, OTHER_ROLLOUT, ROLLOUT, a_contact, a_control, an_event
from update_server.service.ports import Database, Event, ReadOnlyError
from update_server.service.ports.quarantine import Aside, RuleCount

IMPLAUSIBLE, UNKNOWN = "implausible", "unknown_version"
DAY = timedelta(days=1)


def an_aside(event_id: str = "e1", *, arm: str = "candidate", **fields: Any) -> Aside:
    known = {"kind": "crash", "phase": None, "quarantine": IMPLAUSIBLE, "body": {"n": [1, None]}}
    return Aside(event=an_event(event_id=event_id, **{**known, **fields}), arm=arm)


def keep(database: Database, *asides: Aside) -> None:
    with database.transaction() as stores:
        stores.quarantine.add(asides)


def waiting(database: Database, rule: str | None = None) -> list[Event]:
    with database.reading() as stores:
        found = stores.quarantine.page("demo", rule=rule, before_id=None, limit=100)
    return [kept.event for kept in found]


def counts(database: Database) -> list[tuple[str, str, int, int]]:
    with database.reading() as stores:
        found = stores.quarantine.counts("demo")
    return [(one.rule, one.arm, one.events, one.kept) for one in found]


def test_nothing_is_set_aside_at_first(database: Database) -> None:
    with database.transaction() as stores:
        stores.quarantine.add([])
        assert not stores.quarantine.has_accepted()
        assert stores.quarantine.take_accepted(10) == []
    assert (waiting(database), counts(database)) == ([], [])


def test_reports_come_back_as_they_went_newest_first(database: Database) -> None:
    first, second = an_aside("e1"), an_aside("e2", install="2", arm="", version="\x00odd")
    keep(database, first)
    keep(database, second)

    assert waiting(database) == [second.event, first.event]


def test_a_page_goes_on_where_the_last_one_ended(database: Database) -> None:
    keep(database, *(an_aside(f"e{n}") for n in range(5)))

    with database.reading() as stores:
        first = stores.quarantine.page("demo", rule=None, before_id=None, limit=2)
        rest = stores.quarantine.page("demo", rule=None, before_id=first[-1].id, limit=9)

    assert [kept.event.id for kept in (*first, *rest)] == ["e4", "e3", "e2", "e1", "e0"]
    assert {(kept.rule, kept.arm) for kept in first} == {(IMPLAUSIBLE, "candidate")}


def test_a_page_may_be_of_one_rule(database: Database) -> None:
    keep(database, an_aside("e1"), an_aside("e2", quarantine=UNKNOWN))

    assert [event.id for event in waiting(database, UNKNOWN)] == ["e2"]


def test_they_are_counted_by_rule_and_arm(database: Database) -> None:
    keep(database, an_aside("e1"), an_aside("e2", received_at=NOW + DAY), an_aside("e3", arm=""))
    keep(database, an_aside("e4", quarantine=UNKNOWN, arm="control"))
    keep(database, an_aside("e5", app="other"))

    with database.reading() as stores:
        assert stores.quarantine.counts("demo") == [
            RuleCount(rule=IMPLAUSIBLE, arm="", events=1, kept=1, installs=1),
            RuleCount(rule=IMPLAUSIBLE, arm="candidate", events=2, kept=2, installs=1),
            RuleCount(rule=UNKNOWN, arm="control", events=1, kept=1, installs=1),
        ]


def test_installs_are_those_that_sent_what_waits(database: Database) -> None:
    keep(database, an_aside("e1"), an_aside("e2", install="2"), an_aside("e3", install="2"))
    keep(database, an_aside("e4", install=""), an_aside("e5", install="", quarantine=UNKNOWN))

    with database.transaction() as stores:
        before = [(one.kept, one.installs) for one in stores.quarantine.counts("demo")]
        stores.quarantine.drop("demo", IMPLAUSIBLE, None)
        after = [(one.kept, one.installs) for one in stores.quarantine.counts("demo")]

    assert before == [(4, 2), (1, 0)]
    assert after == [(0, 0), (1, 0)]


def test_further_reports_of_a_rule_are_only_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("update_server.store.quarantine", "tests.fakes.quarantine"):
        monkeypatch.setattr(f"{where}.MOST_KEPT", 3)

    keep(database, *(an_aside(f"e{n}") for n in range(2)))
    keep(database, *(an_aside(f"e{n}") for n in range(2, 9)), an_aside("u", quarantine=UNKNOWN))

    assert [event.id for event in waiting(database)] == ["u", "e2", "e1", "e0"]
    assert counts(database)[0] == (IMPLAUSIBLE, "candidate", 9, 3)


def test_what_was_accepted_is_taken_once_oldest_first(database: Database) -> None:
    events = [an_aside(f"e{n}").event for n in range(3)]
    keep(database, *(an_aside(f"e{n}") for n in range(3)))

    with database.transaction() as stores:
        accepted = stores.quarantine.accept("demo", IMPLAUSIBLE, None)
        again = stores.quarantine.accept("demo", IMPLAUSIBLE, None)
    with database.transaction() as stores:
        assert stores.quarantine.has_accepted()
        first = stores.quarantine.take_accepted(2)
        rest = stores.quarantine.take_accepted(2)
        assert not stores.quarantine.has_accepted()

    assert (accepted, again) == (3, 0)
    assert [*first, *rest] == [replace(event, quarantine="") for event in events]
    assert counts(database) == [(IMPLAUSIBLE, "candidate", 3, 0)]


def test_what_waits_to_be_taken_is_neither_shown_nor_dropped(database: Database) -> None:
    keep(database, an_aside())

    with database.transaction() as stores:
        stores.quarantine.accept("demo", IMPLAUSIBLE, None)
        assert stores.quarantine.drop("demo", IMPLAUSIBLE, None) == 0
        assert stores.quarantine.has_accepted()
    assert waiting(database) == []


def test_the_id_of_what_was_taken_counts_as_not_seen(database: Database) -> None:
    mine, others = an_aside().event, an_event(install="2")
    with database.transaction() as stores:
        stores.telemetry.absorb([], [mine, others])
    keep(database, an_aside())

    with database.transaction() as stores:
        stores.quarantine.accept("demo", IMPLAUSIBLE, None)
        taken = stores.quarantine.take_accepted(10)
        new = stores.telemetry.absorb([], [*taken, others])

    assert new == taken


def test_what_was_dropped_is_gone_and_stays_counted(database: Database) -> None:
    keep(database, an_aside())

    with database.transaction() as stores:
        dropped = stores.quarantine.drop("demo", IMPLAUSIBLE, None)

    assert (dropped, waiting(database)) == (1, [])
    assert counts(database) == [(IMPLAUSIBLE, "candidate", 1, 0)]


def test_a_decision_is_about_one_app_rule_and_version(database: Database) -> None:
    keep(
        database,
        an_aside("mine"),
        an_aside("older", version="2.0.0"),
        an_aside("rule", quarantine=UNKNOWN),
        an_aside("app", app="other"),
    )

    with database.transaction() as stores:
        assert stores.quarantine.drop("demo", IMPLAUSIBLE, "2.1.0") == 1
        assert stores.quarantine.accept("demo", IMPLAUSIBLE, "9.9.9") == 0
        assert stores.quarantine.accept("demo", IMPLAUSIBLE, "2.0.0") == 1
        assert [event.id for event in stores.quarantine.take_accepted(9)] == ["older"]
    assert [event.id for event in waiting(database)] == ["rule"]


def test_a_forgotten_install_leaves_nothing_behind(database: Database) -> None:
    keep(database, an_aside("e1"), an_aside("e2"), an_aside("e3", install="2"))
    keep(database, an_aside("e4", app="other"))

    with database.transaction() as stores:
        stores.quarantine.accept("demo", IMPLAUSIBLE, None)
        stores.quarantine.forget_install("demo", b"1")
        assert [event.id for event in stores.quarantine.take_accepted(9)] == ["e3"]
        assert len(stores.quarantine.page("other", rule=None, before_id=None, limit=9)) == 1


def test_what_is_too_old_is_cleared_away(database: Database) -> None:
    keep(database, an_aside("e1"), an_aside("e2", received_at=NOW + 3 * DAY))

    with database.transaction() as stores:
        stores.quarantine.expire(NOW + HOUR)
    assert [event.id for event in waiting(database)] == ["e2"]
    assert counts(database) == [(IMPLAUSIBLE, "candidate", 2, 1)]  # the day is not over

    with database.transaction() as stores:
        stores.quarantine.expire(NOW + DAY)
    assert counts(database) == [(IMPLAUSIBLE, "candidate", 1, 1)]


def test_the_arm_is_that_of_the_first_rollout_in_which_there_is_one(database: Database) -> None:
    with database.transaction() as stores:
        stores.telemetry.absorb(
            [
                a_contact("1"),
                a_control("1", rollout=OTHER_ROLLOUT),
                a_control("2", rollout=OTHER_ROLLOUT),
                a_contact("3", rollout=None, ring=None, arm=None),
            ],
            [],
        )

    with database.reading() as stores:
        found = stores.quarantine.arms([ROLLOUT, OTHER_ROLLOUT], [b"1", b"2", b"3"])
        assert stores.quarantine.arms([], [b"1"]) == {}
    assert found == {b"1": Arm.CANDIDATE, b"2": Arm.CONTROL}


def test_nothing_is_set_aside_while_reading(database: Database) -> None:
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.quarantine.add([an_aside()])
