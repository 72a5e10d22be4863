from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.model import Arm, RolloutId
from update_server.evidence.facts import (
    Crash,
    Fact,
    Left,
    Score,
    Seen,
    Session,
    Step,
    Stepped,
)
from update_server.evidence.settings import Measured, Settings
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.ports import Contact, Event, Phase
from update_server.service.ports.studies import History
from update_server.service.studies.attribution import Attribution, Watched
from update_server.service.studies.stretch import Stretch

NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
T = NOW.timestamp()
HOUR = 3_600.0
DAY = 86_400.0
KEY = b"k" * 32
ROLLOUT = RolloutId("ro_7k2m")
LINUX = "linux-x86_64"


def a_study(**fields: Any) -> Watched:
    known: dict[str, Any] = {
        "rollout": ROLLOUT,
        "app": "demo",
        "channel": "stable",
        "version": "2.1.0",
        "settings": Settings(measured=(Measured(name="startup_ms", weight=0.05),)),
        "stretch": Stretch(origin=T - DAY),
        "published_at": {LINUX: T - DAY},
        "stage_opened_at": T - HOUR,
    }
    return Watched(**{**known, **fields})


def a_contact(**fields: Any) -> Contact:
    known: dict[str, Any] = {
        "app": "demo",
        "install_key": KEY,
        "at": NOW,
        "channel": "stable",
        "platform": LINUX,
        "version": "2.0.0",
        "action": "update",
        "reason": "in_ring",
        "rollout": ROLLOUT,
        "ring": "10%",
        "arm": Arm.CANDIDATE,
        "bucket": 17,
        "network": b"n" * 16,
    }
    return Contact(**{**known, **fields})


def an_event(kind: str = "crash", **fields: Any) -> Event:
    known: dict[str, Any] = {
        "app": "demo",
        "install_key": KEY,
        "id": "00000000-0000-4000-8000-000000000001",
        "at": NOW - timedelta(minutes=5),
        "received_at": NOW,
        "kind": kind,
        "version": "2.0.0",
        "channel": "stable",
    }
    return Event(**{**known, **fields})


def told(
    *records: Contact | Event,
    study: Watched | None = None,
    known: dict[bytes, History] | None = None,
) -> list[Fact]:
    attribution = Attribution([study or a_study()], {} if known is None else known)
    return [fact for _, fact in attribution.facts(records)]


def aged() -> History:
    return History(
        first_at=T - 30 * DAY,
        check_ins=20,
        early=tuple(T - (30 - n) * DAY for n in range(10)),
        seen=tuple(T - (11 - n) * 4 * HOUR for n in range(11)),
        crashes=(T - 20 * DAY, T - 13 * DAY, T - DAY, T - 60.0),
    )


class TestCheckIns:
    def test_an_eligible_install_is_seen_with_what_was_known_of_it_before(self) -> None:
        [seen] = told(a_contact(), known={KEY: aged()})

        assert seen == Seen(
            at=T,
            install=KEY,
            bucket=17,
            platform=LINUX,
            internal=False,
            aged=True,
            crashes=2,  # neither 20 days ago, nor since the stage opened
            gap_seconds=4 * HOUR,
            network=b"n" * 16,
        )

    def test_both_arms_are_told_alike(self) -> None:
        [candidate] = told(a_contact())
        [control] = told(a_contact(arm=Arm.CONTROL, reason="outside_ring", action="stay"))

        assert candidate == control

    def test_an_install_of_a_ring_of_groups_is_internal(self) -> None:
        [seen] = told(a_contact(arm=Arm.INTERNAL))

        assert isinstance(seen, Seen)
        assert seen.internal

    def test_one_that_chose_by_itself_has_left(self) -> None:
        assert told(a_contact(self_selected=True)) == [Left(at=T, install=KEY)]

    def test_one_that_a_hold_keeps_has_left_for_as_long(self) -> None:
        contact = a_contact(held=True, rollout=None, arm=None, bucket=None, reason="held")

        assert told(contact) == [Left(at=T, install=KEY, for_good=False)]

    @pytest.mark.parametrize(
        "fields",
        [
            {"reason": "stale_server"},
            {"rollout": None, "arm": None, "bucket": None},  # paused, or beyond the release
            {"rollout": RolloutId("ro_old1")},
            {"bucket": None},  # spooled by an older version of this program
        ],
    )
    def test_one_that_is_in_no_arm_only_lives(self, fields: dict[str, Any]) -> None:
        assert told(a_contact(**fields)) == [Session(at=T, install=KEY)]

    def test_studies_of_other_channels_hear_nothing(self) -> None:
        assert told(a_contact(channel="beta")) == []

    def test_a_new_install_is_not_aged(self) -> None:
        [seen] = told(a_contact())

        assert isinstance(seen, Seen)
        assert (seen.aged, seen.crashes, seen.gap_seconds) == (False, 0, None)

    @pytest.mark.parametrize(
        ("history", "is_aged"),
        [
            (History(first_at=T - 8 * DAY, check_ins=3, early=(T - 8 * DAY,) * 3), True),
            (History(first_at=T - 7 * DAY, check_ins=3, early=(T - 7 * DAY,) * 3), False),
            (History(first_at=T - 9 * DAY, check_ins=9, early=(T - 9 * DAY,) * 2), False),
            (History(first_at=T - 9 * DAY, check_ins=9, early=(T - 9 * DAY, T, T)), False),
        ],
    )
    def test_age_counts_up_to_the_publication(self, history: History, is_aged: bool) -> None:
        [seen] = told(a_contact(), known={KEY: history})

        assert isinstance(seen, Seen)
        assert seen.aged is is_aged

    def test_where_no_age_is_asked_everybody_is_aged(self) -> None:
        settings = Settings(minimum_age_seconds=0, minimum_check_ins=0)

        [seen] = told(a_contact(), study=a_study(settings=settings))

        assert isinstance(seen, Seen)
        assert seen.aged

    def test_check_ins_are_remembered(self) -> None:
        known: dict[bytes, History] = {}
        contacts = [a_contact(at=NOW + timedelta(hours=n)) for n in range(15)]

        told(*contacts, known=known)

        history = known[KEY]
        assert (history.first_at, history.check_ins) == (T, 15)
        assert history.early == tuple(T + n * HOUR for n in range(10))
        assert history.seen == tuple(T + n * HOUR for n in range(4, 15))


class TestCrashes:
    def test_a_crash_counts_when_it_happened_whatever_runs(self) -> None:
        event = an_event(version="1.4.0")

        assert told(event) == [
            Crash(
                at=T,
                happened_at=T - 300,
                install=KEY,
                event=hashlib.sha256(event.id.encode()).digest(),
            )
        ]

    def test_the_session_that_crashed_is_the_same_crash(self) -> None:
        body = {"status": "crashed", "started": "2026-11-22T03:00:00Z", "duration_seconds": 118}
        session = an_event("session", id="2", at=NOW, body=body)

        assert len(told(an_event(), session)) == 1

    def test_the_app_names_the_crash_that_its_launcher_told_of_first(self) -> None:
        session = an_event("session", id="2", body={"status": "crashed"})
        named = an_event(id="3", body={"exception": {"type": "ValueError"}})

        first, second = told(session, named)

        assert isinstance(first, Crash)
        assert isinstance(second, Crash)
        assert (first.signature, first.happened_at) == ("", second.happened_at)
        assert second.signature
        assert (first.again, second.again) == (False, True)

    def test_a_session_that_crashed_counts_when_it_ended(self) -> None:
        body = {"status": "crashed", "started": "2026-11-22T03:00:00Z", "duration_seconds": 60}

        [crash] = told(an_event("session", at=NOW, body=body))

        assert isinstance(crash, Crash)
        assert crash.happened_at == T - 6 * 60 + 1  # told in whole seconds

    def test_a_session_of_unknown_length_counts_when_it_began(self) -> None:
        body = {"status": "crashed", "started": "2026-11-22T03:00:00Z"}

        [crash] = told(an_event("session", at=NOW, body=body))

        assert isinstance(crash, Crash)
        assert crash.happened_at == T - 7 * 60 + 1

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"started": "2027-01-01T00:00:00Z"},
            {"started": "2026-11-22T03:00:00Z", "duration_seconds": 10**18},
            {"started": "yesterday"},
        ],
    )
    def test_a_session_counts_no_later_than_it_was_told(self, body: dict[str, Any]) -> None:
        [crash] = told(an_event("session", at=NOW, body={"status": "crashed", **body}))

        assert isinstance(crash, Crash)
        assert crash.happened_at == T

    def test_two_crashes_are_two(self) -> None:
        later = an_event(id="2", at=NOW - timedelta(minutes=4))

        assert len(told(an_event(), later)) == 2

    def test_crashes_are_remembered(self) -> None:
        known = {KEY: aged()}

        told(an_event(), known=known)

        assert known[KEY].crashes == (T - 20 * DAY, T - 13 * DAY, T - DAY, T - 300, T - 60)

    def test_a_power_cut_is_nothing(self) -> None:
        for body in ({"status": "abnormal", "cause": "reboot"}, {"status": "abnormal"}, {}):
            assert told(an_event("session", body=body)) == []


class TestOtherEvents:
    @pytest.mark.parametrize("status", ["ok", "exited", "errored"])
    def test_a_session_that_ran_is_a_sign_of_life(self, status: str) -> None:
        assert told(an_event("session", body={"status": status})) == [Session(at=T, install=KEY)]

    def test_a_session_of_the_release_says_so(self) -> None:
        event = an_event("session", version="2.1.0", body={"status": "exited"})

        assert told(event) == [Session(at=T, install=KEY, on_release=True)]

    @pytest.mark.parametrize(
        ("phase", "error", "step", "ok"),
        [
            (Phase.DOWNLOADED, None, Step.DOWNLOAD, True),
            (Phase.VERIFIED, None, Step.VERIFY, True),
            (Phase.APPLIED, None, Step.APPLY, True),
            (Phase.FAILED, "network", Step.DOWNLOAD, False),
            (Phase.FAILED, "trust", Step.VERIFY, False),
            (Phase.FAILED, "payload", Step.VERIFY, False),
            (Phase.FAILED, "disk", Step.APPLY, False),
            (Phase.FAILED, "launch", Step.LAUNCH, False),
            (Phase.ROLLED_BACK, "launch", Step.LAUNCH, False),
        ],
    )
    def test_a_step_towards_the_release_is_told(
        self, phase: Phase, error: str | None, step: Step, ok: bool
    ) -> None:
        body = {"error": {"category": error, "code": "x"}} if error else {}

        event = an_event("update", phase=phase, version="2.1.0", body=body)

        assert told(event) == [Stepped(at=T, install=KEY, step=step, ok=ok)]

    @pytest.mark.parametrize(
        ("phase", "body"),
        [
            (Phase.FAILED, {"error": {"category": "policy", "code": "bad_code"}}),
            (Phase.FAILED, {}),
            (Phase.OFFERED, {}),
            (Phase.STAGED, {}),
            (None, {}),
        ],
    )
    def test_what_is_neither_done_nor_failed_is_no_step(
        self, phase: Phase | None, body: dict[str, Any]
    ) -> None:
        assert told(an_event("update", phase=phase, version="2.1.0", body=body)) == []

    def test_a_step_towards_another_release_is_none(self) -> None:
        assert told(an_event("update", phase=Phase.APPLIED, version="2.2.0")) == []

    def test_a_healthy_update_is_a_launch_and_no_health_that_control_could_show_too(self) -> None:
        launched = Stepped(at=T, install=KEY, step=Step.LAUNCH, ok=True)

        assert told(an_event("update", phase=Phase.HEALTHY)) == []
        assert told(an_event("update", phase=Phase.HEALTHY, version="2.1.0")) == [launched]

    def test_a_measured_metric_is_told(self) -> None:
        event = an_event("metric", body={"name": "startup_ms", "value": 812})

        assert told(event) == [
            Score(at=T, happened_at=T - 300, install=KEY, metric="startup_ms", value=812.0)
        ]

    @pytest.mark.parametrize("body", [{"name": "other", "value": 1.0}, {"name": "startup_ms"}, {}])
    def test_what_is_not_measured_is_not_told(self, body: dict[str, Any]) -> None:
        assert told(an_event("metric", body=body)) == []

    def test_an_event_of_an_unknown_channel_goes_to_every_study(self) -> None:
        assert len(told(an_event(channel=None))) == 1

    def test_a_kind_that_is_not_known_says_nothing(self) -> None:
        assert told(an_event("dance")) == []


def test_an_install_that_wants_to_be_forgotten_has_left_and_is_new_afterwards() -> None:
    known = {KEY: aged()}
    attribution = Attribution([a_study()], known)
    wish = an_event(FORGET_KIND, id="")
    back = a_contact(at=NOW + timedelta(seconds=9))

    left, seen = [fact for _, fact in attribution.facts([wish, back])]

    assert left == Left(at=T, install=KEY)
    assert isinstance(seen, Seen)
    assert not seen.aged
    assert known[KEY].check_ins == 1


def test_a_faster_clock_stretches_instants_ages_and_gaps() -> None:
    stretch = Stretch(origin=T - DAY, speed=10.0)
    history = aged()

    [seen] = told(a_contact(), study=a_study(stretch=stretch), known={KEY: history})
    [crash] = told(an_event(), study=a_study(stretch=stretch))

    assert isinstance(seen, Seen)
    assert isinstance(crash, Crash)
    assert seen.at == T - DAY + 10 * DAY
    assert seen.gap_seconds == 40 * HOUR
    assert seen.crashes == 1  # the 14 days are 1.4 of ours
    assert crash.at - crash.happened_at == 3_000
    assert stretch.back(seen.at) == NOW


# --- installs that are taken first -------------------------------------------------------


def test_an_install_that_was_offered_it_first_enters_no_arm_later() -> None:
    known: dict[bytes, History] = {}
    first = a_contact(ring="first", arm=None, bucket=None)
    later = a_contact(version="2.1.0", at=NOW + timedelta(hours=1))

    for contact in (first, later):
        (told,) = Attribution([a_study()], known).facts([contact])
        assert isinstance(told[1], Session)

    assert known[KEY].taken_first == ROLLOUT


def test_in_the_next_rollout_it_is_an_install_like_any_other() -> None:
    known = {KEY: History(first_at=T - 30 * DAY, check_ins=9, taken_first="ro_older")}

    (told,) = Attribution([a_study()], known).facts([a_contact()])

    assert isinstance(told[1], Seen)
