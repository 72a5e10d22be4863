"""Contract of study_ports.Studies: the log of what was counted."""

from dataclasses import replace

from tests.store.values import HOUR, NOW, OTHER_ROLLOUT, ROLLOUT, a_label, a_study
from update_server.service.ports import Database
from update_server.service.ports.studies import LogKind

FIRST = a_label(b"1")
SECOND = a_label(b"2", networks=b"")
SCORED = a_label(b"3", kind=LogKind.SCORED)
LATER = a_label(b"4", epoch=2)
OTHER = a_label(b"5", metric="score:startup_ms:q99")
LAST = a_label(b"6", networks=b"\x00\xff")


def test_a_log_is_read_by_metric_and_kind_and_epoch_in_order(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_log(ROLLOUT, [FIRST, SECOND, SCORED])
        stores.studies.add_log(OTHER_ROLLOUT, [a_label(b"elsewhere")])
        stores.studies.add_log(ROLLOUT, [])
        stores.studies.add_log(ROLLOUT, [LATER, OTHER, LAST])

    with database.reading() as stores:
        log = stores.studies.log
        assert log(ROLLOUT, 1, "crash", LogKind.LABEL) == [FIRST, SECOND, LAST]
        assert log(ROLLOUT, 1, "crash", LogKind.SCORED) == [SCORED]
        assert log(ROLLOUT, 2, "crash", LogKind.LABEL) == [LATER]
        assert log(ROLLOUT, 1, OTHER.metric, LogKind.LABEL) == [OTHER]
        assert log(ROLLOUT, 1, "silence", LogKind.LABEL) == []


def test_a_decision_is_recomputed_from_the_first_entries(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_log(ROLLOUT, [FIRST, SCORED, SECOND])
        size = stores.studies.log_size(ROLLOUT)
        stores.studies.add_log(ROLLOUT, [LAST])

    with database.reading() as stores:
        assert size == 3
        assert stores.studies.log_size(ROLLOUT) == 4
        assert stores.studies.log(ROLLOUT, 1, "crash", LogKind.LABEL, first=size) == [FIRST, SECOND]
        assert stores.studies.whole_log(ROLLOUT, first=size) == [FIRST, SCORED, SECOND]
        assert stores.studies.whole_log(ROLLOUT) == [FIRST, SCORED, SECOND, LAST]


def test_an_empty_log_has_no_size(database: Database) -> None:
    with database.reading() as stores:
        assert stores.studies.log_size(ROLLOUT) == 0
        assert stores.studies.whole_log(ROLLOUT) == []


def test_a_log_that_expired_has_no_networks(database: Database) -> None:
    ended = NOW + HOUR
    with database.transaction() as stores:
        for rollout, at in ((ROLLOUT, ended), (OTHER_ROLLOUT, ended + HOUR)):
            stores.studies.add(a_study(rollout, ended_at=at))
            stores.studies.add_log(rollout, [FIRST, LAST])

        for _ in range(2):
            stores.studies.expire(ended_before=ended + HOUR)

    with database.reading() as stores:
        bare = [replace(entry, networks=b"") for entry in (FIRST, LAST)]
        assert stores.studies.whole_log(ROLLOUT) == bare
        assert stores.studies.whole_log(OTHER_ROLLOUT) == [FIRST, LAST]


def test_entries_are_struck_by_their_numbers(database: Database) -> None:
    with database.transaction() as stores:
        stores.studies.add_log(ROLLOUT, [FIRST, SECOND, SCORED])
        stores.studies.add_log(OTHER_ROLLOUT, [FIRST, SECOND])
        stores.studies.strike(ROLLOUT, [2])
        stores.studies.strike(ROLLOUT, [])

    with database.reading() as stores:
        struck = replace(SECOND, struck=True)
        assert stores.studies.whole_log(ROLLOUT) == [FIRST, struck, SCORED]
        assert stores.studies.whole_log(OTHER_ROLLOUT) == [FIRST, SECOND]


def test_an_entry_may_be_struck_from_the_first(database: Database) -> None:
    struck = replace(FIRST, struck=True)
    with database.transaction() as stores:
        stores.studies.add_log(ROLLOUT, [struck])

        assert stores.studies.whole_log(ROLLOUT) == [struck]
