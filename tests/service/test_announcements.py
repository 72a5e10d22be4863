"""What people are told, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge_world import NAMES, a_bad_world, a_terrible_world, a_world
from update_server.evidence.findings import Finding
from update_server.evidence.records import describe
from update_server.evidence.settings import DAY, HOUR, Metric
from update_server.evidence.verdicts import NoVerdict
from update_server.service.notices import announcements, server_announcements
from update_server.service.notices.message_text import Part, Said, compose, head
from update_server.service.notices.plain_text import plain
from update_server.service.notices.scene import NewSignature, Reach, Scene
from update_server.service.notices.subjects import subject

AT = datetime(2026, 12, 1, 3, 7, tzinfo=UTC)
REACH = Reach(
    installs=3_900, of=39_000, after_ring="all", not_before=datetime(2026, 12, 4, 3, 7, tzinfo=UTC)
)
AUTOMATIC = Scene(
    app="Acme Desk",
    channel="stable",
    version="4.2.0",
    ring="10%",
    at=AT,
    running=3_412,
    of=39_000,
    people=2,
    back_to="4.1.9",
    reach=REACH,
)
BY_ANN = replace(AUTOMATIC, by="Ann", people=1)


def a_record(**changes: Any) -> dict[str, Any]:
    """Return the record of the published pause."""
    return {**a_bad_world().judge().record, **changes}


def the_record(no_verdict: NoVerdict | None = None, **stage: Any) -> dict[str, Any]:
    """Return a record of there being no verdict."""
    world = a_world(**stage)
    finding = Finding(no_verdict=no_verdict)
    return describe(world.state, world.log, world.settings, world.now, finding, NAMES)


# --- stopped ------------------------------------------------------------------------------


def test_a_pause_for_crashes() -> None:
    record = a_record(top_signatures=[{"id": "1f2e", "candidate": 27, "control": 2, "log_e": 9.0}])
    scene = replace(AUTOMATIC, title="SIGSEGV gpu::Flush")

    said = announcements.paused(scene, record, record["sentence"])

    assert said.subject == "PAUSED Acme Desk 4.2.0 ring 10%: 44/3,900 crashed vs 176/35,100"
    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Paused 4.2.0 at ring 10 % after 7 h: 44 of 3,900 "
        "installs offered it crashed against 176 of 35,100 held back on 4.1.9, about 2.2 times as "
        "often (95 % interval 1.2 to 4.0, valid however often we looked). Evidence this strong "
        "(e-value 2,160; crashes pause at 333) would ever appear for fewer than 1 harmless release "
        "in 100. Undoing it takes at least 3 false reports among the 44. 27 of the 44 are the new "
        'crash "SIGSEGV gpu::Flush". No further install is offered 4.2.0; 3,412 installs still run '
        "it. It stays paused until it is pulled, or resumed by 2 people: serinus rollout show 4.2.0"
    )
    assert said.sentence == record["sentence"]


def test_a_pause_in_which_no_crash_stands_out() -> None:
    record = a_record(top_signatures=[{"id": "1f2e", "candidate": 21, "control": 2, "log_e": 9.0}])

    said = announcements.paused(replace(AUTOMATIC, people=1, running=1), record, "Paused.")

    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Paused. No further install is offered 4.2.0; "
        "1 install still runs it. It stays paused until it is pulled, or resumed by a person: "
        "serinus rollout show 4.2.0"
    )


def test_a_crash_without_a_title_is_named_by_its_id() -> None:
    record = a_record(
        top_signatures=[{"id": "1f2e", "candidate": 1, "control": 0, "log_e": 9.0}],
        candidate={**a_record()["candidate"], "events": 1},
    )

    assert '1 of the 1 is the new crash "1f2e".' in announcements.paused(AUTOMATIC, record).text


def test_a_pause_for_silence() -> None:
    world = a_world()
    world.can_pull = False
    world.cohort(20, 18, 20, 180, metric=Metric.SILENCE, networks=(b"n1", b"n2", b"n3", b"n4"))
    record = {**world.judge().record}
    record["jackknife"] = {"log_e_without_one_network": 99.0, "log_e_without_few_networks": 99.0}

    said = announcements.paused(AUTOMATIC, record, record["sentence"])

    assert said.subject == "PAUSED Acme Desk 4.2.0 ring 10%: 20/20 silent vs 18/180"
    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Paused 4.2.0: 20 of 20 installs offered it have "
        "not come back within their usual time, against 18 of 180 held back. They sent no crash "
        "report; that is the point. They may not start any more, and a pull may not reach them. "
        "3,392 others still run 4.2.0. No further install is offered 4.2.0. It stays paused until "
        "it is pulled, or resumed by 2 people: serinus rollout show 4.2.0"
    )


def test_a_single_other_install_runs_it() -> None:
    record = a_record(cause_metric=Metric.SILENCE.value)
    record["log_e_by_metric"] = {Metric.SILENCE.value: {"needed": 1.0}}

    said = announcements.paused(replace(AUTOMATIC, running=45), record)

    assert "1 other still runs 4.2.0. No further" in said.text


@pytest.mark.parametrize(("left", "value"), [(4.4659, "87"), (None, "0")])
def test_a_pause_that_hangs_on_one_network(left: float | None, value: str) -> None:
    jackknife = {"log_e_without_one_network": left, "log_e_without_few_networks": None}
    record = a_record(jackknife=jackknife)

    said = announcements.paused(AUTOMATIC, record, "Paused.")

    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Paused. Without the reports of one network it "
        f"would not stand (e-value {value}): possibly forged; a pull needs a person. No further "
        "install is offered 4.2.0; 3,412 installs still run it. It stays paused until it is "
        "pulled, or resumed by 2 people: serinus rollout show 4.2.0"
    )


def test_a_pause_by_a_stop_line() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=40, ring="internal")
    world.state.stage.failed_starts = 3
    record = world.judge().record

    said = announcements.paused(replace(AUTOMATIC, ring="internal"), record, record["sentence"])

    assert said.subject == "PAUSED Acme Desk 4.2.0 ring internal: 3/40 failed to start"
    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Paused 4.2.0 at ring internal: 3 of 40 installs "
        "failed to start it, at or above the limit of 3. There is no control group in this ring; "
        "this is a stop line, not a comparison. No further install is offered 4.2.0; 3,412 "
        "installs still run it. It stays paused until it is pulled, or resumed by 2 people: "
        "serinus rollout show 4.2.0"
    )


def test_a_pause_by_a_person() -> None:
    said = announcements.paused(replace(BY_ANN, reason="looks wrong on my laptop"), None)

    assert said == Said(
        subject="PAUSED Acme Desk 4.2.0 ring 10%",
        text=(
            "Acme Desk, stable, 03:07 UTC, by Ann. Paused 4.2.0 at ring 10 %: looks wrong on my "
            "laptop. No further install is offered 4.2.0; 3,412 installs still run it. It stays "
            "paused until it is pulled, or resumed by a person: serinus rollout show 4.2.0"
        ),
        sentence="Paused 4.2.0 at ring 10 %: looks wrong on my laptop.",
    )


@pytest.mark.parametrize(("reason", "ends"), [("", "10 %."), ("Why?", "Why?"), (" ", "10 %.")])
def test_a_reason_ends_as_a_sentence_does(reason: str, ends: str) -> None:
    assert announcements.paused(replace(BY_ANN, reason=reason), None).sentence.endswith(ends)


def test_a_pull() -> None:
    record = a_terrible_world().judge().record

    said = announcements.pulled(replace(AUTOMATIC, unheard=61), record, record["sentence"])

    assert said.subject == "PULLED Acme Desk 4.2.0 ring 10%: 60/3,900 crashed vs 100/35,100"
    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Pulled 4.2.0 at ring 10 % after 7 h: 60 of 3,900 "
        "installs offered it crashed against 100 of 35,100 held back on 4.1.9, at least 2.8 times "
        "as often. Installs on it are being given 4.1.9. Undoing this would take 33 false reports. "
        "3,412 installs are being given 4.1.9 at their next check-in; 61 of them have not checked "
        "in for a day: serinus rollout show 4.2.0"
    )


def test_a_pull_of_one_install_by_a_person() -> None:
    said = announcements.pulled(replace(BY_ANN, running=1, unheard=1, reason="bad"), None)

    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, by Ann. Pulled 4.2.0 at ring 10 %: bad. 1 install is being "
        "given 4.1.9 at its next check-in; 1 of them has not checked in for a day: serinus rollout "
        "show 4.2.0"
    )


def test_a_pull_with_nothing_to_give_back() -> None:
    said = announcements.pulled(replace(BY_ANN, back_to=None, reason="bad"), None)

    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, by Ann. Pulled 4.2.0 at ring 10 %: bad. There is no version "
        "to give them: 3,412 installs still run it, until a newer one is started: serinus rollout "
        "show 4.2.0"
    )


def test_a_platform_that_is_held_back() -> None:
    record = a_record(verdict="continue", hold="windows-x86_64")

    said = announcements.held(AUTOMATIC, record, "windows-x86_64", "Held 4.2.0 back.")

    assert said == Said(
        subject="HELD Acme Desk 4.2.0 ring 10%: 44/3,900 crashed vs 176/35,100",
        text=(
            "Acme Desk, stable, 03:07 UTC, automatic. Held 4.2.0 back. No further install on "
            "windows-x86_64 is offered 4.2.0; others still are. It is held back until a person "
            "ends that: serinus hold list"
        ),
        sentence="Held 4.2.0 back.",
    )


def test_a_pause_that_is_left_to_people() -> None:
    said = announcements.advised(AUTOMATIC, a_record(sentence="Paused."), "its terms leave this")

    assert said == Said(
        subject="PAUSE ADVISED Acme Desk 4.2.0 ring 10%: 44/3,900 crashed vs 176/35,100",
        text=(
            "Acme Desk, stable, 03:07 UTC, automatic. Paused. Nothing was done: its terms leave "
            "this. 4.2.0 is still offered, and 3,412 installs still run it: serinus rollout pause "
            "4.2.0"
        ),
        sentence="Paused.",
    )


@pytest.mark.parametrize(
    ("by", "ends"),
    [
        ("sample_ratio", "until a person ends this: serinus rollout resume 4.2.0"),
        ("set_aside", "until a person ends this: serinus rollout resume 4.2.0"),
        ("telemetry_lag", "until it has caught up: serinus rollout show 4.2.0"),
    ],
)
def test_a_suspension(by: str, ends: str) -> None:
    record = a_record(verdict="suspend", suspended_by=by, sentence="Stopped judging 4.2.0.")

    said = announcements.suspended(AUTOMATIC, record)

    assert said.subject == "SUSPENDED Acme Desk 4.2.0 ring 10%"
    assert said.text == (
        "Acme Desk, stable, 03:07 UTC, automatic. Stopped judging 4.2.0. Exposure stays at ring "
        f"10 %. No automatic promote or pull {ends}"
    )


# --- waiting ------------------------------------------------------------------------------


def test_no_verdict_for_long() -> None:
    record = the_record(NoVerdict.TOO_FEW_INSTALLS, entered=(12, 378), ring="1%", exposure_bp=100)
    record["exposed_installs"] = 390

    said = announcements.no_verdict(replace(AUTOMATIC, ring="1%"), record, 2 * DAY)

    assert said.subject == "NO VERDICT Acme Desk 4.2.0 ring 1%: 390 installs"
    assert said.text == (
        f"Acme Desk, stable, 03:07 UTC, automatic. {record['sentence']} So it has been for 2 days. "
        "It stays in ring 1 % (390 installs). Nothing is known to be wrong, and nothing is known "
        "to be right: serinus rollout show 4.2.0"
    )
    assert "No verdict on 4.2.0 at ring 1 %: 12 of 20 installs so far." in said.text


def test_nothing_is_received() -> None:
    record = the_record(NoVerdict.INTAKE_GAP)

    said = announcements.silent(AUTOMATIC, record)

    assert said.subject == "TELEMETRY SILENT Acme Desk 4.2.0 ring 10%"
    assert said.text == (
        f"Acme Desk, stable, 03:07 UTC, automatic. {record['sentence']} Either no install reaches "
        "this server, or it takes in nothing of what they send. Until it does nothing is promoted "
        "or pulled by it, and 3,412 installs still run it. Look at the server first: serinus doctor"
    )


NEW = NewSignature(
    id="1f2e", candidate=3, candidates=390, control=1, controls=3_510, log_e=2.5, needed=7.6
)


def test_a_crash_that_no_version_before_had() -> None:
    said = announcements.new_signature(replace(AUTOMATIC, title="SIGSEGV gpu::Flush"), NEW)

    assert said.subject == "NEW CRASH Acme Desk 4.2.0 ring 10%: 3/390 vs 1/3,510"
    assert said.text == (
        'Acme Desk, stable, 03:07 UTC, automatic. New crash "SIGSEGV gpu::Flush" in 4.2.0 at ring '
        "10 %: 3 of 390 installs offered it had it, against 1 of 3,510 held back. That does not "
        "pause it (e-value 12; crashes of this kind pause at 1,998): serinus rollout decisions "
        "4.2.0"
    )
    assert 'New crash "1f2e" in' in announcements.new_signature(AUTOMATIC, NEW).text


# --- going on -----------------------------------------------------------------------------

NEXT = "3,900 of 39,000 installs may now get it; next ring all, not before 2026-12-04 03:07 UTC."


def test_a_start() -> None:
    assert announcements.started(replace(BY_ANN, reason="release day")) == Said(
        subject="STARTED Acme Desk 4.2.0 ring 10%",
        text=(
            f"Acme Desk, stable, 03:07 UTC, by Ann. Started 4.2.0 at ring 10 %: release day. {NEXT}"
        ),
        sentence="Started 4.2.0 at ring 10 %: release day.",
    )


def test_a_promotion_by_evidence() -> None:
    assert announcements.promoted(AUTOMATIC, "Promoted 4.2.0 from 1 % to 10 %: all is well.") == (
        Said(
            subject="PROMOTED Acme Desk 4.2.0 ring 10%",
            text=(
                "Acme Desk, stable, 03:07 UTC, automatic. Promoted 4.2.0 from 1 % to 10 %: all is "
                f"well. {NEXT}"
            ),
            sentence="Promoted 4.2.0 from 1 % to 10 %: all is well.",
        )
    )


def test_a_promotion_by_a_person_to_the_last_step() -> None:
    reach = Reach(installs=39_000, of=39_000)

    assert announcements.promoted(replace(BY_ANN, ring="all", reach=reach)).text == (
        "Acme Desk, stable, 03:07 UTC, by Ann. Promoted 4.2.0 to ring all. 39,000 of 39,000 "
        "installs may now get it; this is the last step of its ladder: serinus rollout show 4.2.0"
    )


def test_a_resumption() -> None:
    reach = replace(REACH, not_before=None, installs=1, of=1)

    assert announcements.resumed(replace(BY_ANN, reason="a false alarm", reach=reach)) == Said(
        subject="RESUMED Acme Desk 4.2.0 ring 10%",
        text=(
            "Acme Desk, stable, 03:07 UTC, by Ann. Resumed 4.2.0 at ring 10 %: a false alarm. "
            "1 of 1 install may now get it; next ring all."
        ),
        sentence="Resumed 4.2.0 at ring 10 %: a false alarm.",
    )


def test_where_nothing_is_known_of_its_reach_it_says_where_to_look() -> None:
    assert announcements.resumed(replace(BY_ANN, reach=None)).text.endswith(
        "See serinus rollout show 4.2.0"
    )


def test_a_completion() -> None:
    assert announcements.completed(replace(AUTOMATIC, ring="all")) == Said(
        subject="COMPLETED Acme Desk 4.2.0 ring all",
        text=(
            "Acme Desk, stable, 03:07 UTC, automatic. Completed 4.2.0 at ring all. 3,412 of 39,000 "
            "installs on stable run it. From now on it is what installs of a bad release are "
            "given: serinus rollout show 4.2.0"
        ),
        sentence="Completed 4.2.0 at ring all.",
    )


def test_making_way() -> None:
    assert announcements.superseded(replace(BY_ANN, reason="version 4.3.0 was started")) == Said(
        subject="SUPERSEDED Acme Desk 4.2.0 ring 10%",
        text=(
            "Acme Desk, stable, 03:07 UTC, by Ann. Superseded 4.2.0 at ring 10 %: version 4.3.0 "
            "was started. No further install is offered 4.2.0; 3,412 installs still run it."
        ),
        sentence="Superseded 4.2.0 at ring 10 %: version 4.3.0 was started.",
    )


@pytest.mark.parametrize(("reason", "because"), [("never: no", ": never: no"), ("", "")])
def test_a_wish_that_is_taken_back(reason: str, because: str) -> None:
    assert announcements.taken_back(replace(AUTOMATIC, reason=reason), "active") == Said(
        subject="TAKEN BACK Acme Desk 4.2.0 ring 10%",
        text=(
            "Acme Desk, stable, 03:07 UTC, automatic. Took back what was asked for 4.2.0"
            f"{because}. It is active at ring 10 %: serinus rollout show 4.2.0"
        ),
        sentence=f"Took back what was asked for 4.2.0{because}.",
    )


# --- the server ---------------------------------------------------------------------------


def test_metadata_that_nobody_renews() -> None:
    signed_at = AT - timedelta(hours=3)

    said = server_announcements.not_refreshed("demo", AT, signed_at, signed_at + timedelta(days=1))

    assert said.subject == "NOT RENEWED demo metadata expires 2026-12-02 00:07 UTC"
    assert said.text == (
        "demo, 03:07 UTC, automatic. The signed metadata of demo was last renewed at 2026-12-01 "
        "00:07 UTC and expires at 2026-12-02 00:07 UTC. Then installs believe nothing of what this "
        "server says, not even a pause or a pull. Look at the signer and the controller: serinus "
        "doctor"
    )


@pytest.mark.parametrize(("count", "are"), [(1, "1 message"), (1_200, "1,200 messages")])
def test_messages_that_do_not_arrive(count: int, are: str) -> None:
    said = server_announcements.undelivered("ops", AT, count, AT - timedelta(hours=1), "timed out")

    have = "has" if count == 1 else "have"
    assert said.subject == f"UNDELIVERED ops {are} since 2026-12-01 02:07 UTC"
    assert said.text == (
        f"serinus, 03:07 UTC, automatic. {are} to ops {have} not been delivered since 2026-12-01 "
        "02:07 UTC: timed out. Each is tried for 24 h and then given up; whoever reads there knows "
        "nothing of it. See which they are: serinus notify log"
    )


def test_something_that_is_over() -> None:
    said = server_announcements.resolved(
        "SUSPENDED demo 4.2.0 ring 10%", "demo", "stable", AT, lasted_seconds=5_400, by="Ann"
    )

    assert said.subject == "RESOLVED SUSPENDED demo 4.2.0 ring 10%"
    assert said.text == (
        "demo, stable, 03:07 UTC, by Ann. Resolved after 1.5 h: SUSPENDED demo 4.2.0 ring 10%. "
        "Nothing is left to do about it."
    )


# --- what fits ----------------------------------------------------------------------------


def test_lesser_parts_are_left_out_first_and_then_the_sentences_end() -> None:
    tail = [Part("first", lesser=True), Part("second"), Part("t" * 100, lesser=True)]

    assert compose("h.", "s" * 680, tail[:2]).endswith("s first second")
    assert compose("h.", "s" * 780, tail).endswith("s first second")
    assert compose("h.", "s" * 788, tail).endswith("s second")
    cut = compose("h.", "s" * 900, tail)
    assert (len(cut), cut[-8:]) == (800, "… second")
    assert len(compose("h" * 700, "s" * 900, tail)) == 800


def test_a_long_name_of_an_app_is_cut_before_counts_are() -> None:
    app = "a-very-very-very-long-name-of-an-app"

    told = subject("PAUSED", app, "4.2.0 ring 10%", "44/3,900 crashed")

    assert told == "PAUSED a-very-very-very-long-name-of… 4.2.0 ring 10%: 44/3,900 crashed"
    assert len(told) == 70


def test_half_a_number_is_told_nobody() -> None:
    where = "4.2.0 ring a-ring-with-quite-a-long-name"

    told = subject("PAUSED", "demo", where, "44/3,900 crashed vs 1/2")

    assert told == f"PAUSED demo {where}"


@pytest.mark.parametrize(
    ("metric", "did"),
    [
        ("signature:1f2e", "new crash"),
        ("score:startup_ms", "worse startup_ms"),
        ("crash_loop", "in crash loops"),
        ("healthy_launch", "not healthy"),
    ],
)
def test_subjects_name_what_was_counted(metric: str, did: str) -> None:
    record = a_record(cause_metric=metric, log_e_by_metric={metric: {"needed": 0.0}})

    said = announcements.paused(AUTOMATIC, record)

    assert said.subject.endswith(f"44/3,900 {did} vs 176/35,100")


@pytest.mark.parametrize("name", ["crash_loop", "funnel:download", "history"])
def test_subjects_of_stop_lines_have_one_arm(name: str) -> None:
    line = {"name": name, "failed": 12, "known": 100}
    record = a_record(cause_metric=name, jackknife=None, guards=[line])

    counts = announcements.paused(AUTOMATIC, record).subject.partition(": ")[2]

    assert counts.startswith("12/100 ")
    assert " vs " not in counts


# --- people's text ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand  spaces ", "two lines and spaces"),
        ("left\u202eright", "left[U+202E]right"),
        ("bell\x07", "bell[U+0007]"),
        ("isolate\u2066d", "isolate[U+2066]d"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        ("private\ue000", "private[U+E000]"),
        ("Grüße, 東京 🛑", "Grüße, 東京 🛑"),
        ("x" * 50, "x" * 39 + "…"),
    ],
)
def test_peoples_text_is_shown_for_what_it_is(text: str, shown: str) -> None:
    assert plain(text, 40) == shown


def test_nothing_hidden_gets_into_a_message() -> None:
    evil = "fine\u202e\x1b[2J\r\nX-Header: yes\u2028"
    scene = replace(BY_ANN, by=evil, reason=evil, title=evil)

    for said in (announcements.paused(scene, a_record()), announcements.resumed(scene)):
        assert said.text.isprintable()
        assert said.subject.isprintable()


_TEXT = st.text(max_size=300)


@given(
    app=_TEXT,
    version=st.text(min_size=1, max_size=120),
    ring=st.text(min_size=1, max_size=60),
    reason=_TEXT,
    sentence=_TEXT,
    number=st.integers(min_value=0, max_value=10**9),
)
def test_whatever_people_call_things_every_message_is_short(
    app: str, version: str, ring: str, reason: str, sentence: str, number: int
) -> None:
    scene = replace(
        AUTOMATIC, app=app, version=version, ring=ring, reason=reason, by=reason, running=number
    )
    for said in every_case(scene, sentence):
        assert len(said.subject) <= 70
        assert len(said.text) <= 800


def every_case(scene: Scene, sentence: str) -> list[Said]:
    record: Mapping[str, Any] = {**RECORD, "sentence": sentence}
    return [
        announcements.paused(scene, record, sentence),
        announcements.paused(scene, None),
        announcements.pulled(scene, record, sentence),
        announcements.pulled(replace(scene, back_to=None), None),
        announcements.held(scene, record, scene.app, sentence),
        announcements.advised(scene, record, sentence),
        announcements.suspended(scene, record),
        announcements.no_verdict(scene, record, 2 * HOUR),
        announcements.silent(scene, record),
        announcements.new_signature(scene, NEW),
        announcements.started(scene),
        announcements.promoted(scene, sentence),
        announcements.resumed(scene),
        announcements.completed(scene),
        announcements.superseded(scene),
        announcements.taken_back(scene, "active"),
        server_announcements.not_refreshed(scene.app, AT, AT, AT),
        server_announcements.undelivered(scene.app, AT, scene.running, AT, sentence),
        server_announcements.resolved(sentence, scene.app, "", AT, lasted_seconds=0, by=None),
    ]


RECORD = a_record()


def test_every_message_has_its_head_its_sentence_and_a_tail() -> None:
    for said in every_case(AUTOMATIC, RECORD["sentence"])[:16]:
        beginning = head("Acme Desk", "stable", AT, None)
        assert said.text.startswith(f"{beginning} {said.sentence} ")
        assert len(said.text) > len(beginning) + len(said.sentence) + 10
        assert "!" not in said.text
