"""Contract of study_ports.Decisions."""

from dataclasses import replace

import pytest

from rollout.model import RolloutId
from tests.store.values import HOUR, NOW, OTHER_ROLLOUT, ROLLOUT, a_decision
from update_server.service.ports import Database, ExistsError, NotFoundError
from update_server.service.ports.studies import StoredDecision

FULL = a_decision(
    verdict="continue",
    record={"why": "naïve\x00", "e": 5e-324, "big": 2**53 + 1, "nested": {"1": [None, True, -0.1]}},
    log_size=5_000_000_000,
    carried_out_at=NOW + HOUR,
    outcome="nothing to do",
)


def added(database: Database, *decisions: StoredDecision) -> list[StoredDecision]:
    with database.transaction() as stores:
        return [stores.decisions.add(decision) for decision in decisions]


@pytest.mark.parametrize("wanted", [a_decision(), FULL])
def test_a_decision_comes_back_as_it_went(database: Database, wanted: StoredDecision) -> None:
    (stored,) = added(database, wanted)

    with database.reading() as stores:
        assert stores.decisions.get("de_1") == stored
    assert replace(stored, number=0) == wanted


def test_a_decision_id_is_taken_once(database: Database) -> None:
    added(database, a_decision())

    with database.transaction() as stores, pytest.raises(ExistsError):
        stores.decisions.add(a_decision(verdict="pull"))


def test_a_decision_that_is_not_there_is_not_found(database: Database) -> None:
    with database.transaction() as stores:
        with pytest.raises(NotFoundError):
            stores.decisions.get("de_1")
        with pytest.raises(NotFoundError):
            stores.decisions.mark_done("de_1", NOW, "paused")


def test_decisions_are_paged_newest_first(database: Database) -> None:
    one, two, other, three = added(
        database,
        a_decision("de_9"),
        a_decision("de_1", rollout=OTHER_ROLLOUT),
        a_decision("de_5", app="other"),
        a_decision("de_3", at=NOW - HOUR),
    )

    with database.reading() as stores:
        page = stores.decisions.page
        assert page("demo", limit=10) == [three, two, one]
        assert page("demo", limit=2) == [three, two]
        assert page("demo", before=two.number, limit=10) == [one]
        assert page("demo", rollout=ROLLOUT, limit=10) == [three, one]
        assert page("demo", rollout=ROLLOUT, before=three.number, limit=10) == [one]
        assert page("other", limit=10) == [other]
        assert page("other", rollout=OTHER_ROLLOUT, limit=10) == []


def test_a_decision_is_undone_until_it_was_carried_out(database: Database) -> None:
    first, second, _ = added(
        database, a_decision("de_2"), a_decision("de_1"), replace(FULL, id="de_3")
    )
    with database.reading() as stores:
        assert stores.decisions.undone() == [first, second]

    with database.transaction() as stores:
        stores.decisions.mark_done("de_2", NOW + HOUR, "paused")

    with database.reading() as stores:
        assert stores.decisions.undone() == [second]
        done = replace(first, carried_out_at=NOW + HOUR, outcome="paused")
        assert stores.decisions.get("de_2") == done


def test_what_was_done_is_not_done_again(database: Database) -> None:
    added(database, a_decision())

    with database.transaction() as stores:
        stores.decisions.mark_done("de_1", NOW, "paused")
        stores.decisions.mark_done("de_1", NOW + HOUR, "was paused already")

        done = stores.decisions.get("de_1")
    assert (done.carried_out_at, done.outcome) == (NOW, "paused")


def test_why_a_decision_is_not_carried_out_yet_can_be_noted(database: Database) -> None:
    added(database, a_decision())

    with database.transaction() as stores:
        stores.decisions.note("de_1", "refused: too early")
        stores.decisions.note("de_2", "there is none")
        assert [each.outcome for each in stores.decisions.undone()] == ["refused: too early"]

        stores.decisions.mark_done("de_1", NOW, "promoted")
        stores.decisions.note("de_1", "too late")

        assert stores.decisions.get("de_1").outcome == "promoted"


def test_a_contested_decision_says_so_in_its_record(database: Database) -> None:
    one, other = added(database, FULL, a_decision("de_2", record={"contested": False, "e": 0.1}))
    with database.transaction() as stores:
        stores.decisions.contest(other.id)
        stores.decisions.contest(other.id)
        with pytest.raises(NotFoundError):
            stores.decisions.contest("de_3")

    with database.reading() as stores:
        assert stores.decisions.get(one.id) == one
        assert stores.decisions.get("de_2") == replace(other, record={"contested": True, "e": 0.1})


def test_the_newest_decision_is_known_of_many_rollouts_at_once(database: Database) -> None:
    _, other, newest = added(
        database,
        a_decision("de_9"),
        a_decision("de_1", rollout=OTHER_ROLLOUT),
        a_decision("de_5", at=NOW - HOUR),
    )
    many = [RolloutId(f"ro_{number}") for number in range(300)]

    with database.reading() as stores:
        found = stores.decisions.newest([ROLLOUT, *many, OTHER_ROLLOUT])
        assert found == {ROLLOUT: newest, OTHER_ROLLOUT: other}
        assert stores.decisions.newest([]) == {}


def test_decisions_are_found_by_their_verdicts_oldest_first(database: Database) -> None:
    added(
        database,
        a_decision("de_1", verdict="promote"),
        a_decision("de_2", verdict=""),
        a_decision("de_3", verdict="pause", rollout=OTHER_ROLLOUT),
        a_decision("de_4", verdict="pause"),
        a_decision("de_5", verdict="pull", rollout=RolloutId("ro_0000")),
    )

    with database.reading() as stores:
        of = stores.decisions.of_verdicts
        both = of([ROLLOUT, OTHER_ROLLOUT], ["pause", "promote"], 10)
        assert [each.id for each in both] == ["de_1", "de_3", "de_4"]
        assert [each.id for each in of([ROLLOUT], ["pause", "promote"], 1)] == ["de_1"]
        assert of([], ["pause"], 10) == []
