"""What is set aside: kept, shown, told to studies, and accepted or dropped by a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.model import Arm
from tests.admin_world import APP, World
from tests.service.clinic import FLEET, Clinic, a_clinic, key_of
from update_server.controller import KEEP_EVENT_IDS
from update_server.evidence.facts import Fact, Lag, Rule, SetAside
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.errors import BadValueError
from update_server.service.ports import Event, NotFoundError
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_fact
from update_server.service.telemetry.digest import Digest
from update_server.service.telemetry.quarantine import KEPT, Action, Quarantine


@pytest.fixture
def clinic(released: World) -> Clinic:
    clinic = a_clinic(released)
    clinic.check_in(FLEET)
    clinic.world.advance(30)
    return clinic


def crashes(
    clinic: Clinic, numbers: Iterable[int], rule: str = Rule.IMPLAUSIBLE, **fields: Any
) -> list[Event]:
    """Let crashes of installs arrive that are set aside."""
    now = clinic.world.clock.now()
    events = [
        Event(
            app=APP,
            install_key=key_of(number),
            id=f"{rule}-{number}",
            at=now,
            received_at=now,
            kind="crash",
            version="2.1.0",
            channel="stable",
            quarantine=rule,
        )
        for number in numbers
    ]
    events = [replace(event, **fields) for event in events]
    clinic.spools.writer("web").events(events)
    return events


def digest(clinic: Clinic) -> None:
    Digest(clinic.world.database, clinic.spools, clock=clinic.world.clock).run()


def use_case(clinic: Clinic) -> Quarantine:
    return Quarantine(clinic.world.database, clinic.world.clock)


def decide(
    clinic: Clinic, action: Action, rule: Rule = Rule.IMPLAUSIBLE, version: str | None = None
) -> int:
    caller = clinic.world.caller()
    return use_case(clinic).decide(caller, APP, action, rule, version=version, reason="looked at")


def counts(clinic: Clinic) -> list[tuple[str, str, int, int]]:
    page = use_case(clinic).page(APP, rule=None, before_id=None, limit=1)
    return [(one.rule, one.arm, one.events, one.kept) for one in page.counts]


def facts(clinic: Clinic) -> list[Fact]:
    with clinic.world.database.reading() as stores:
        return [decode_fact(body) for _, body in stores.studies.facts(clinic.rollout.id, 5_000)]


def settle(clinic: Clinic) -> StoredDecision:
    """Let ticks pass until what was set aside is judged; return the last decision."""
    clinic.round()
    clinic.world.advance(700)
    clinic.round()
    return clinic.decisions[-1]


# --- keeping --------------------------------------------------------------------------------


def test_what_is_set_aside_is_kept_and_counted_by_rule_and_arm(clinic: Clinic) -> None:
    crashes(clinic, clinic.candidates(FLEET)[:2])
    crashes(clinic, clinic.controls(FLEET)[:1])
    crashes(clinic, [9_999], Rule.UNKNOWN_VERSION)

    digest(clinic)

    assert counts(clinic) == [
        ("implausible", Arm.CANDIDATE, 2, 2),
        ("implausible", Arm.CONTROL, 1, 1),
        ("unknown_version", "", 1, 1),
    ]


def test_a_report_that_comes_twice_is_counted_once(clinic: Clinic) -> None:
    candidates = clinic.candidates(FLEET)[:1]
    crashes(clinic, candidates)
    digest(clinic)

    crashes(clinic, candidates)
    digest(clinic)

    assert counts(clinic) == [("implausible", Arm.CANDIDATE, 1, 1)]


def test_reports_of_several_apps_are_kept_apart(clinic: Clinic) -> None:
    crashes(clinic, [1], app="other")
    crashes(clinic, [1])

    digest(clinic)

    with clinic.world.database.reading() as stores:
        assert len(stores.quarantine.page("other", rule=None, before_id=None, limit=9)) == 1


def test_a_page_goes_on_where_the_last_one_ended(clinic: Clinic) -> None:
    crashes(clinic, range(3))
    digest(clinic)
    quarantine = use_case(clinic)

    first = quarantine.page(APP, rule=None, before_id=None, limit=2)
    last = quarantine.page(APP, rule=None, before_id=first.next_id, limit=2)

    ids = [kept.event.id for kept in (*first.entries, *last.entries)]
    assert ids == ["implausible-2", "implausible-1", "implausible-0"]
    assert last.next_id is None


def test_an_app_that_is_not_there_has_no_quarantine(clinic: Clinic) -> None:
    with pytest.raises(NotFoundError):
        use_case(clinic).page("nope", rule=None, before_id=None, limit=1)


def test_a_wish_to_be_forgotten_takes_it_along(clinic: Clinic) -> None:
    crashes(clinic, [1, 2])
    crashes(clinic, [1], "", kind=FORGET_KIND, id="")

    digest(clinic)

    page = use_case(clinic).page(APP, rule=None, before_id=None, limit=9)
    assert [kept.event.install_key for kept in page.entries] == [key_of(2)]


# --- telling studies ------------------------------------------------------------------------


def test_a_study_is_told_of_the_rule_and_of_nothing_else(clinic: Clinic) -> None:
    digest(clinic)
    before = len(facts(clinic))
    (event,) = crashes(clinic, [1])
    crashes(clinic, [1], id="another")

    digest(clinic)

    (told,) = facts(clinic)[before:]
    assert told == SetAside(at=told.at, install=event.install_key, rule=Rule.IMPLAUSIBLE)


def test_a_rule_that_this_version_does_not_know_is_told_to_nobody(clinic: Clinic) -> None:
    digest(clinic)
    before = len(facts(clinic))

    crashes(clinic, [1], "tomorrows_rule")
    digest(clinic)

    assert len(facts(clinic)) == before
    assert counts(clinic) == [("tomorrows_rule", clinic.contact(1).arm, 1, 1)]


def test_an_arm_difference_suspends_and_the_sentence_says_why(clinic: Clinic) -> None:
    clinic.round()
    crashes(clinic, clinic.candidates(FLEET)[:30])

    decision = settle(clinic)

    assert decision.verdict == "suspend"
    assert decision.record["suspended_by"] == "set_aside"
    assert str(decision.record["sentence"]).startswith(
        'Stopped judging 2.1.0: of 30 installs with reports set aside as "implausible", 30 are '
        "candidates where 15 were due (e-value "
    )
    assert str(decision.record["sentence"]).endswith(
        "What sets reports aside must hit both arms alike; no number here can be trusted until it "
        "is found why it does not."
    )


def test_as_many_in_both_arms_suspend_nothing(clinic: Clinic) -> None:
    clinic.round()
    crashes(clinic, [*clinic.candidates(FLEET)[:30], *clinic.controls(FLEET)[:30]])

    assert settle(clinic).verdict != "suspend"


def test_what_is_set_aside_of_strangers_suspends_nothing(clinic: Clinic) -> None:
    clinic.round()
    crashes(clinic, range(5_000, 5_400))

    assert settle(clinic).verdict != "suspend"


def test_crashes_that_are_set_aside_pause_nothing(clinic: Clinic) -> None:
    """The control: the same crashes, accepted, have the release pulled (see below)."""
    clinic.round()
    crashes(clinic, clinic.candidates(FLEET)[:60])
    crashes(clinic, clinic.controls(FLEET)[:60], kind="session", body={"status": "exited"})

    settle(clinic)

    assert not {"pause", "pull"} & set(clinic.verdicts)


# --- accepting and dropping -----------------------------------------------------------------


def test_what_is_accepted_counts_as_if_it_had_just_been_read(clinic: Clinic) -> None:
    clinic.round()
    crashes(clinic, clinic.candidates(FLEET)[:60])
    crashes(clinic, clinic.controls(FLEET)[:60], kind="session", body={"status": "exited"})
    digest(clinic)
    clinic.world.advance(60)

    accepted = decide(clinic, Action.ACCEPT)
    decision = settle(clinic)

    assert accepted == 120
    assert decision.verdict == "pull"
    assert counts(clinic) == [
        ("implausible", Arm.CANDIDATE, 60, 0),
        ("implausible", Arm.CONTROL, 60, 0),
    ]


def test_what_was_accepted_is_no_old_news(clinic: Clinic) -> None:
    crashes(clinic, [1])
    digest(clinic)
    clinic.world.advance(3_600)
    clinic.check_in([1])

    decide(clinic, Action.ACCEPT)
    digest(clinic)

    assert not any(isinstance(fact, Lag) for fact in facts(clinic))


def test_what_was_accepted_keeps_its_times(clinic: Clinic) -> None:
    (event,) = crashes(clinic, [1])
    digest(clinic)
    clinic.world.advance(3_600)

    decide(clinic, Action.ACCEPT)
    with clinic.world.database.transaction() as stores:
        (taken,) = stores.quarantine.take_accepted(9)

    assert taken == replace(event, quarantine="")


def test_what_was_accepted_counts_once_even_if_it_is_sent_again(clinic: Clinic) -> None:
    crashes(clinic, [1])
    digest(clinic)
    decide(clinic, Action.ACCEPT)
    digest(clinic)
    told = len(facts(clinic))

    crashes(clinic, [1], quarantine="")  # the same ID, and set aside no more
    digest(clinic)

    assert len(facts(clinic)) == told


def test_what_was_accepted_is_one_event_to_the_counters(clinic: Clinic) -> None:
    crashes(clinic, [1, 2])
    digest(clinic)

    decide(clinic, Action.ACCEPT)
    clinic.check_in([3])
    digest(clinic)

    with clinic.world.database.reading() as stores:
        found = {(one.name, one.labels): one.by for one in stores.counters.all(APP)}
    assert found["events", (("kind", "crash"),)] == 2
    assert found["telemetry_quarantined", (("reason", "implausible"),)] == 2


def test_what_was_dropped_never_counts(clinic: Clinic) -> None:
    crashes(clinic, [1])
    digest(clinic)
    told = len(facts(clinic))

    dropped = decide(clinic, Action.DROP)
    crashes(clinic, [1], quarantine="")
    digest(clinic)

    assert (dropped, len(facts(clinic))) == (1, told)
    assert counts(clinic) == [("implausible", clinic.contact(1).arm, 1, 0)]


def test_a_decision_takes_both_arms_and_may_be_about_one_version(clinic: Clinic) -> None:
    both = [clinic.candidates(FLEET)[0], clinic.controls(FLEET)[0]]
    crashes(clinic, both)
    crashes(clinic, both, Rule.UNKNOWN_VERSION, version="7.7.7")
    crashes(clinic, [5], Rule.UNKNOWN_VERSION, version="8.8.8")
    digest(clinic)

    assert decide(clinic, Action.DROP, Rule.UNKNOWN_VERSION, "7.7.7") == 2
    assert decide(clinic, Action.ACCEPT, Rule.UNKNOWN_VERSION, "7.7.7") == 0


def test_a_decision_is_audited(clinic: Clinic) -> None:
    crashes(clinic, [1, 2])
    digest(clinic)

    decide(clinic, Action.ACCEPT)

    with clinic.world.database.reading() as stores:
        (record,) = stores.audit.page(app=APP, before_seq=None, limit=1)
    assert (record.action, record.subject) == ("quarantine.accept", "implausible")
    assert (record.reason, record.before) == ("looked at", {"reports": 2, "version": None})


def test_a_decision_about_nothing_leaves_no_trace(clinic: Clinic) -> None:
    with clinic.world.database.reading() as stores:
        before = stores.audit.page(app=APP, before_seq=None, limit=100)

    assert decide(clinic, Action.DROP) == 0

    with clinic.world.database.reading() as stores:
        assert stores.audit.page(app=APP, before_seq=None, limit=100) == before


def test_a_decision_needs_a_reason(clinic: Clinic) -> None:
    with pytest.raises(BadValueError) as refused:
        use_case(clinic).decide(
            clinic.world.caller(), APP, Action.DROP, Rule.IMPLAUSIBLE, version=None, reason=" "
        )

    assert refused.value.field == "reason"


def test_more_than_a_round_takes_is_taken_by_the_next(clinic: Clinic) -> None:
    crashes(clinic, range(5))
    digest(clinic)
    decide(clinic, Action.ACCEPT)

    digested = Digest(clinic.world.database, clinic.spools, 2, clock=clinic.world.clock).run()

    assert (digested.new_events, digested.more) == (5, False)


def test_a_digest_that_fails_loses_nothing_that_was_accepted(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes(clinic, [1])
    digest(clinic)
    decide(clinic, Action.ACCEPT)
    with monkeypatch.context() as patch:
        patch.setattr("update_server.service.telemetry.digest.counts_of", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            digest(clinic)

    digested = Digest(clinic.world.database, clinic.spools).run()

    assert digested.new_events == 1


def test_they_are_kept_for_as_long_as_a_retry_may_come() -> None:
    assert KEPT == KEEP_EVENT_IDS == timedelta(days=35)
