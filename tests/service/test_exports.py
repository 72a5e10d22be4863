"""What a scrape is told, beside what ``Report`` tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from rollout.model import Actor, RolloutId
from tests.admin_world import APP, STABLE, World
from tests.service.clinic import FLEET, LINUX, OPEN, Clinic, a_clinic, key_of
from update_server.evidence.ratio import empty_vector
from update_server.evidence.settings import STANDARD, Metric
from update_server.evidence.state import Process
from update_server.service.ports import Role
from update_server.service.ports.outbox import Attempt, DeliveryState, Level, Message
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_state, encode_state
from update_server.service.telemetry.counting import DECISIONS, counts_of_decision
from update_server.service.telemetry.exports import AppState, Exported
from update_server.web.admin.services import AdminServices


def read(world: World, app: str | None = None) -> Exported:
    return world.services().exports.read(app)


def the_app(world: World) -> AppState:
    (found,) = read(world, APP).apps
    return found


def a_decision(**record: str | None) -> StoredDecision:
    known = {"cause_metric": None, "no_verdict": None, "suspended_by": None}
    return StoredDecision(
        id="d",
        rollout=RolloutId("ro_1"),
        app=APP,
        at=World(folder=None).clock.now(),  # type: ignore[arg-type]
        verdict=str(record.pop("verdict", "pause")),
        record=known | record,
    )


# --- pauses ----------------------------------------------------------------------------------


def test_a_pause_counts_while_it_lasts_and_afterwards(released: World) -> None:
    control = released.services().control
    rollout = released.start("2.1.0")
    released.advance(60)
    paused_at = released.clock.now()
    control.pause(released.caller(), APP, rollout.id, reason="a look")
    released.advance(90)

    def seconds() -> dict[tuple[str, Actor], int]:
        return dict(the_app(released).paused_seconds)

    lasting = int((released.clock.now() - paused_at).total_seconds())
    assert seconds() == {(STABLE, Actor.PERSON): lasting, (STABLE, Actor.AUTOMATIC): 0}
    control.resume(released.caller(), APP, rollout.id)
    after = seconds()
    released.advance(600)
    assert seconds() == after
    assert after[STABLE, Actor.PERSON] >= lasting


def test_pauses_add_up_by_who_paused(released: World) -> None:
    control = released.services().control
    rollout = released.start("2.1.0")
    for _ in range(2):
        control.pause(released.caller(), APP, rollout.id, reason="x")
        released.advance(100)
        control.resume(released.caller(), APP, rollout.id)
    control.pause(released.caller(), APP, rollout.id, reason="x", by=Actor.AUTOMATIC)
    released.advance(50)

    told = the_app(released).paused_seconds

    assert 200 <= told[STABLE, Actor.PERSON] < 220
    assert 50 <= told[STABLE, Actor.AUTOMATIC] < 60


def test_a_pause_that_ends_in_a_pull_counts(released: World) -> None:
    control = released.services().control
    rollout = released.start("2.1.0")
    control.pause(released.caller(), APP, rollout.id, reason="x")
    released.advance(100)
    control.pull(released.caller(), APP, rollout.id, reason="x")

    assert the_app(released).paused_seconds[STABLE, Actor.PERSON] >= 100


# --- evidence --------------------------------------------------------------------------------


@pytest.fixture
def clinic(released: World) -> Clinic:
    """A rollout of which nothing is decided but told."""
    return a_clinic(released, terms=replace(OPEN, automatic=frozenset()))


def test_evidence_grows_towards_the_limit_at_which_it_pauses(clinic: Clinic) -> None:
    clinic.check_in(FLEET)
    clinic.round()
    before = evidence(clinic)
    clinic.crash(clinic.candidates(FLEET)[:9])
    clinic.check_in(FLEET)
    clinic.round()

    after = evidence(clinic)

    assert before["crash"] == pytest.approx((1.0, 1 / (0.01 * 0.3)))
    assert after["crash"][0] > 10
    assert after["crash"][1] == before["crash"][1]
    assert set(after) >= {Metric.CRASH, Metric.SILENCE, Metric.HEALTHY, "score:startup_ms"}


def evidence(clinic: Clinic) -> dict[str, tuple[float, float]]:
    (live,) = read(clinic.world).rollouts
    return {one.metric: (one.ratio, one.limit) for one in live.evidence}


def test_of_all_signatures_the_one_nearest_to_its_limit_is_told(clinic: Clinic) -> None:
    clinic.check_in(FLEET)
    clinic.round()
    rewrite(clinic, signatures=["a" * 16, "b" * 16, "c" * 16])

    told = evidence(clinic)

    # Nothing is known of any, and the first has the largest share.
    assert told["signature"] == pytest.approx((1.0, 1 / (0.01 * 0.1 / 2)))
    assert not [name for name in told if name.startswith("signature:")]


def rewrite(clinic: Clinic, **fields: object) -> None:
    with clinic.world.database.transaction() as stores:
        study = stores.studies.get(clinic.rollout.id)
        state = replace(decode_state(study.state), **fields)  # type: ignore[arg-type]
        stores.studies.replace(replace(study, state=encode_state(state)), study.version)


def test_however_strong_it_is_evidence_is_a_finite_number(clinic: Clinic) -> None:
    clinic.check_in(FLEET)
    clinic.round()
    with clinic.world.database.reading() as stores:
        epoch = decode_state(stores.studies.get(clinic.rollout.id).state).epoch
    epoch.processes["crash"] = {LINUX: Process(vector=[5_000.0] * len(empty_vector()))}
    rewrite(clinic, epochs=[epoch])

    assert evidence(clinic)["crash"][0] == pytest.approx(1e100)


def test_a_rollout_without_a_study_has_no_evidence(released: World) -> None:
    rollout = released.start("2.1.0")
    released.database._state.studies.pop(rollout.id)

    (live,) = read(released).rollouts

    assert (live.evidence, live.judged_at) == ((), None)


# --- the judge -------------------------------------------------------------------------------


def test_the_judge_looked_when_it_last_made_a_tick(clinic: Clinic) -> None:
    (before,) = read(clinic.world).rollouts
    assert before.judged_at == clinic.rollout.started_at

    clinic.check_in(FLEET)
    clinic.world.advance(1_300)
    clinic.round()
    (after,) = read(clinic.world).rollouts

    assert after.judged_at is not None
    assert (clinic.world.clock.now() - after.judged_at).total_seconds() < 700


def test_the_judges_faster_clock_is_told_in_our_time(released: World) -> None:
    clinic = a_clinic(released, terms=replace(STANDARD, speed=600.0))
    clinic.check_in(FLEET)
    clinic.world.advance(30)
    clinic.round()

    (live,) = read(clinic.world).rollouts

    assert live.judged_at is not None
    assert 0 <= (clinic.world.clock.now() - live.judged_at).total_seconds() < 30


def test_decisions_are_counted_as_they_are_written(clinic: Clinic) -> None:
    clinic.check_in(FLEET)
    clinic.crash(clinic.candidates(FLEET)[:40])
    clinic.check_in(FLEET)
    clinic.world.advance(700)
    clinic.round()

    counted = [one for one in read(clinic.world).counters if one.name == DECISIONS]

    by_verdict = Counter({"none": 0})
    for one in counted:
        by_verdict[dict(one.labels)["verdict"]] += one.by
    assert by_verdict == Counter(each.verdict or "none" for each in clinic.decisions)
    assert by_verdict["pause"] == 1
    assert {dict(one.labels)["cause"] for one in counted} >= {"crash", "too_few_installs"}


@pytest.mark.parametrize(
    ("record", "cause", "verdict"),
    [
        ({"cause_metric": "signature:" + "a" * 16}, "signature", "pause"),
        ({"verdict": "", "no_verdict": "no_contacts"}, "no_contacts", "none"),
        ({"verdict": "suspend", "suspended_by": "telemetry_lag"}, "telemetry_lag", "suspend"),
        ({"verdict": "promote"}, "none", "promote"),
    ],
)
def test_the_cause_of_a_decision_is_one_of_few(
    record: dict[str, str], cause: str, verdict: str
) -> None:
    (counted,) = counts_of_decision(a_decision(**record))

    assert counted.labels == (("cause", cause), ("verdict", verdict))


# --- apps and the server ---------------------------------------------------------------------


def test_what_is_signed_says_when_it_expires(released: World) -> None:
    told = the_app(released)

    assert set(told.document_expires_at) == {(STABLE, "policy"), (STABLE, "rollout")}
    assert all(at > released.clock.now() for at in told.document_expires_at.values())
    assert told.signed_at is not None
    assert told.signed_at <= released.clock.now()


def test_an_app_that_was_just_added_has_nothing_signed(released: World) -> None:
    services: AdminServices = released.services()
    services.apps.add(released.caller(Role.ADMIN, None), "new", ["stable"], ["a-b"])

    (told,) = read(released, "new").apps

    assert (told.document_expires_at, told.signed_at) == ({}, None)


def test_only_those_who_may_see_all_apps_see_the_server(clinic: Clinic) -> None:
    spool = clinic.spools.writer("web")
    clinic.world.spools = clinic.spools
    spool.contact(clinic.contact(1, install_key=key_of(1)))
    clinic.world.advance(5)

    server = read(clinic.world).server

    assert server is not None
    assert server.backlog.lag_seconds == 5
    assert (server.unpublished_states, server.undelivered_messages) == (0, 0)
    assert read(clinic.world, APP).server is None


def test_a_message_that_is_tried_in_vain_counts_after_a_while(released: World) -> None:
    now = released.clock.now()
    message = Message(
        id="msg_1",
        at=now,
        type="serinus.rollout.paused",
        level=Level.PAGES,
        subject="PAUSED",
        text="Paused.",
        sentence="Paused.",
    )
    with released.database.transaction() as stores:
        stores.outbox.add(message)
        stores.outbox.route("msg_1", ["ops"], now)
        (delivery,) = stores.outbox.due("ops", now, 1)
        failed = Attempt(number=1, at=now, error="refused")
        stores.outbox.note(delivery, failed, DeliveryState.PENDING, now)

    def undelivered() -> int:
        server = read(released).server
        assert server is not None
        return server.undelivered_messages

    assert undelivered() == 0
    released.advance(301)
    assert undelivered() == 1
