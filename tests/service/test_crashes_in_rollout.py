"""Crashes of a rollout: both arms beside each other, the worst first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rollout.model import Arm
from tests.store.crash_values import a_count
from tests.store.values import NOW
from update_server.service.crashes.in_rollout import CrashInRollout, crashes_in, newest_of
from update_server.service.ports.crashes import UNTOLD, CrashCount

MINUTE = timedelta(minutes=1)


def names(*counts: CrashCount, **log_e: float) -> list[str]:
    weighed = {f"signature:{name}": {"log_e": e, "needed": 5.0} for name, e in log_e.items()}
    record: dict[str, Any] = {"log_e_by_metric": weighed}
    return [each.signature for each in crashes_in(counts, {}, record, None)]


def only(*counts: CrashCount, **more: Any) -> CrashInRollout:
    told: dict[str, Any] = {"titles": {}, "record": None, "known": None, **more}
    (one,) = crashes_in(counts, **told)
    return one


def test_arms_stand_beside_each_other_whatever_version_ran() -> None:
    one = only(
        a_count(arm="candidate", installs=3, reports=4),
        a_count(arm="candidate", version="2.0.0", installs=1, reports=1, first_at=NOW - MINUTE),
        a_count(arm="control", version="2.0.0", installs=2, reports=2, last_at=NOW + MINUTE),
    )

    assert one.installs == {Arm.CANDIDATE: 4, Arm.CONTROL: 2, Arm.INTERNAL: 0}
    assert (one.reports, one.first_at, one.last_at) == (7, NOW - MINUTE, NOW + MINUTE)


def test_what_the_app_handled_is_no_crash() -> None:
    assert crashes_in([a_count(handled=True)], {}, None, None) == []


def test_the_evidence_comes_first_and_then_the_installs_that_were_offered_it() -> None:
    few = a_count(signature="few", arm="candidate", installs=1)
    many = a_count(signature="many", arm="candidate", installs=9)
    controls = a_count(signature="controls", arm="control", installs=99)

    assert names(controls, few, many) == ["many", "few", "controls"]
    assert names(controls, few, many, few=2.5, controls=-1.0) == ["few", "controls", "many"]


def test_it_is_told_what_the_newest_decision_weighed() -> None:
    record = {"log_e_by_metric": {"signature:aa": {"log_e": 2.5, "needed": 5.0}, "crash": {}}}

    assert (only(a_count(), record=record).log_e, only(a_count()).log_e) == (2.5, None)
    assert only(a_count(), record=record).needed == 5.0


def test_new_is_what_was_not_known_before_and_what_has_no_name_is_neither() -> None:
    assert only(a_count(), known={"bb"}).is_new is True
    assert only(a_count(), known={"aa"}).is_new is False
    assert only(a_count()).is_new is None
    assert only(a_count(signature=UNTOLD), known=set()).is_new is None


def test_the_newest_is_of_those_that_the_release_shows() -> None:
    old = a_count(signature="old", arm="candidate")
    new = a_count(signature="new", arm="internal", first_at=NOW + MINUTE)
    theirs = a_count(signature="theirs", arm="control", first_at=NOW + 2 * MINUTE)
    untold = a_count(signature=UNTOLD, arm="candidate", first_at=NOW + 2 * MINUTE)

    newest = newest_of(crashes_in([old, new, theirs, untold], {}, None, None))

    assert newest is not None
    assert newest.signature == "new"
    assert newest_of(crashes_in([theirs, untold], {}, None, None)) is None
