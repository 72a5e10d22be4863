"""Contract of study_ports.Studies: state, and facts that wait for a tick."""

from dataclasses import replace

import pytest

from rollout.model import RolloutId
from tests.store.values import HOUR, NOW, OTHER_ROLLOUT, ROLLOUT, a_study
from update_server.service.ports import (
    ChangedError,
    Database,
    ExistsError,
    NotFoundError,
    ReadOnlyError,
)
from update_server.service.ports.studies import StudyHead

MORE_THAN_A_STATEMENT_HOLDS = 40_000


@pytest.fixture
def studied(database: Database) -> Database:
    """A database with one study."""
    with database.transaction() as stores:
        stores.studies.add(a_study())
    return database


def test_a_study_comes_back_as_it_went(database: Database) -> None:
    study = a_study(version=7, settings=b"\x00\xff", state=bytes(range(256)), ended_at=NOW + HOUR)

    with database.transaction() as stores:
        stores.studies.add(study)

    with database.reading() as stores:
        assert stores.studies.get(ROLLOUT) == study
        assert stores.studies.of([ROLLOUT, OTHER_ROLLOUT]) == {ROLLOUT: study}


def test_a_rollout_has_one_study(studied: Database) -> None:
    with studied.transaction() as stores, pytest.raises(ExistsError):
        stores.studies.add(a_study(channel="beta"))


def test_a_study_that_is_not_there_is_not_found(database: Database) -> None:
    with database.transaction() as stores:
        for call in (
            lambda: stores.studies.get(ROLLOUT),
            lambda: stores.studies.replace(a_study(), 1),
            lambda: stores.studies.end(ROLLOUT, NOW),
        ):
            with pytest.raises(NotFoundError) as caught:
                call()
            assert (caught.value.kind, caught.value.key) == ("study", ROLLOUT)


def test_live_studies_are_those_that_have_not_ended_the_oldest_first(database: Database) -> None:
    young = a_study(ROLLOUT, opened_at=NOW + HOUR)
    old = a_study(OTHER_ROLLOUT, app="other")
    with database.transaction() as stores:
        for study in (young, old, replace(old, rollout=RolloutId("ro_ended"), ended_at=NOW)):
            stores.studies.add(study)

    with database.reading() as stores:
        live = stores.studies.live()

    assert [head.rollout for head in live] == [OTHER_ROLLOUT, ROLLOUT]
    assert live[1] == StudyHead(
        rollout=ROLLOUT,
        app="demo",
        channel="stable",
        version=1,
        settings=b"settings",
        opened_at=NOW + HOUR,
    )


def test_a_replaced_state_is_the_next_version(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.studies.replace(a_study(state=b"next", settings=b"others"), 1)

    with studied.reading() as stores:
        assert stores.studies.get(ROLLOUT) == a_study(state=b"next", version=2)


def test_who_read_an_older_version_replaces_nothing(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.studies.replace(a_study(state=b"first"), 1)

    with studied.transaction() as stores, pytest.raises(ChangedError):
        stores.studies.replace(a_study(state=b"second"), 1)

    with studied.reading() as stores:
        assert stores.studies.get(ROLLOUT).state == b"first"


def test_the_state_of_an_ended_study_stays(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.studies.end(ROLLOUT, NOW)

        with pytest.raises(ChangedError):
            stores.studies.replace(a_study(state=b"next"), 1)


def test_a_study_ends_once(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.studies.end(ROLLOUT, NOW)
        stores.studies.end(ROLLOUT, NOW + HOUR)

    with studied.reading() as stores:
        assert stores.studies.get(ROLLOUT).ended_at == NOW


def test_facts_wait_in_the_order_in_which_they_were_added(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_facts(ROLLOUT, [b"3", b"1"])
        stores.studies.add_facts(OTHER_ROLLOUT, [b"other"])
        stores.studies.add_facts(ROLLOUT, [])
        stores.studies.add_facts(ROLLOUT, [b"2", b"1"])

    with database.reading() as stores:
        facts = stores.studies.facts(ROLLOUT, 10)
        assert [body for _, body in facts] == [b"3", b"1", b"2", b"1"]
        assert [number for number, _ in facts] == sorted({number for number, _ in facts})
        assert stores.studies.facts(ROLLOUT, 2) == facts[:2]
        assert stores.studies.count_facts(ROLLOUT) == 4


def test_facts_that_were_dropped_wait_no_more(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_facts(ROLLOUT, [b"1", b"2", b"3"])
        stores.studies.add_facts(OTHER_ROLLOUT, [b"other"])
        (first, _), (second, _), _ = stores.studies.facts(ROLLOUT, 3)
        ((other, _),) = stores.studies.facts(OTHER_ROLLOUT, 1)

        stores.studies.drop_facts(ROLLOUT, [first, second, other])

    with database.reading() as stores:
        assert [body for _, body in stores.studies.facts(ROLLOUT, 9)] == [b"3"]
        assert stores.studies.count_facts(OTHER_ROLLOUT) == 1


def test_the_number_of_a_dropped_fact_is_not_given_again(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_facts(ROLLOUT, [b"1"])
        ((first, _),) = stores.studies.facts(ROLLOUT, 1)
        stores.studies.drop_facts(ROLLOUT, [first])
        stores.studies.add_facts(ROLLOUT, [b"2"])

    with database.reading() as stores:
        ((second, _),) = stores.studies.facts(ROLLOUT, 1)
    assert second > first


@pytest.mark.no_cover
def test_more_facts_than_a_statement_holds_are_dropped(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_facts(ROLLOUT, [b"1", b"2"])
        _, (last, _) = stores.studies.facts(ROLLOUT, 2)

        stores.studies.drop_facts(ROLLOUT, range(last, last - MORE_THAN_A_STATEMENT_HOLDS, -1))

        assert stores.studies.count_facts(ROLLOUT) == 0


def test_nothing_waits_for_a_study_that_ended(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.studies.add_facts(ROLLOUT, [b"1"])
        stores.studies.add_facts(OTHER_ROLLOUT, [b"2"])
        stores.studies.end(ROLLOUT, NOW)

    with studied.reading() as stores:
        assert stores.studies.count_facts(ROLLOUT) == 0
        assert stores.studies.count_facts(OTHER_ROLLOUT) == 1


def test_who_only_reads_writes_no_study(studied: Database) -> None:
    with pytest.raises(ReadOnlyError), studied.reading() as stores:
        stores.studies.replace(a_study(), 1)
