"""The verbs as forms: who may press what, what is asked before, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from rollout.model import Approvals, Automatic, RolloutState
from tests.admin_world import APP
from tests.dashboard.releases import clinics
from tests.dashboard.releases.clinics import path_of
from tests.dashboard.releases.elements import fields_of, main_of
from tests.dashboard.visitors import PASSWORD, Browser, Visitors
from tests.service.clinic import Clinic
from update_server.service.ports import AuditRecord, UnavailableError
from update_server.service.repository.reconcile import Reconciler
from update_server.service.rollouts.control import Control


def press(browser: Browser, clinic: Clinic, verb: str, **fields: str) -> TestResponse:
    """Open the form of a verb, fill it in, and send it."""
    path = path_of(clinic)
    shown = browser.get(path if verb == "pause" else f"{path}/{verb}")
    hidden = fields_of(shown, f"{path}/{verb}") if shown.status_code == 200 else {}
    return browser.post(f"{path}/{verb}", {**hidden, **fields})


def audited(clinic: Clinic) -> list[AuditRecord]:
    """What is on record about the rollout, newest first."""
    with clinic.world.database.reading() as stores:
        page = stores.audit.page(app=APP, before_seq=None, limit=100)
    return [each for each in page if each.subject == clinic.rollout.id]


def seen(clinic: Clinic, **more: str) -> dict[str, str]:
    """Hidden fields as a page has them that shows how things are."""
    return {"revision": str(clinic.now.revision), "key": "a-key", **more}


# --- pause -------------------------------------------------------------------------------


def test_pause_is_one_press_and_comes_back_to_the_page(rolling: Clinic, going: Visitors) -> None:
    answer = press(going.ana, rolling, "pause")

    assert (answer.status_code, answer.location) == (303, path_of(rolling))
    assert rolling.state is RolloutState.PAUSED
    newest = audited(rolling)[0]
    assert (newest.actor, newest.action) == ("ana", "rollout.pause")
    assert newest.reason == "paused from the dashboard"


def test_pause_is_one_press_from_the_first_page(rolling: Clinic, going: Visitors) -> None:
    path = f"{path_of(rolling)}/pause"

    answer = going.ana.post(path, fields_of(going.ana.get("/"), path))

    assert (answer.status_code, answer.location) == (303, path_of(rolling))
    assert rolling.state is RolloutState.PAUSED
    assert not main_of(going.vera.get("/")).all("form")


def test_pause_goes_by_whatever_was_seen(rolling: Clinic, going: Visitors) -> None:
    stale = seen(rolling, revision="999")

    answer = going.ana.post(f"{path_of(rolling)}/pause", stale)

    assert answer.status_code == 303
    assert rolling.state is RolloutState.PAUSED


def test_two_pauses_are_one(rolling: Clinic, going: Visitors) -> None:
    path = f"{path_of(rolling)}/pause"
    both = [seen(rolling, key="one"), seen(rolling, key="two")]

    answers = [going.ana.post(path, both[0]), going.ben.post(path, both[1])]

    assert [each.status_code for each in answers] == [303, 303]
    assert [each.action for each in audited(rolling)].count("rollout.pause") == 1
    assert rolling.now.revision == rolling.rollout.revision + 1


def test_keep_paused_acknowledges_the_alert_and_changes_nothing(
    paused: Clinic, visitors: Visitors
) -> None:
    before = paused.now

    answer = press(visitors.ana, paused, "pause", reason="looking into it")

    assert answer.status_code == 303
    assert paused.now == before
    newest = audited(paused)[0]
    assert (newest.actor, newest.action) == ("ana", "alert.acknowledge")
    assert newest.reason == "looking into it"


def test_the_reason_of_a_pause_may_follow(rolling: Clinic, going: Visitors) -> None:
    press(going.ana, rolling, "pause")

    answer = press(going.ana, rolling, "pause", reason="crashes at start")

    assert answer.status_code == 303
    newest = audited(rolling)[0]
    assert (newest.action, newest.reason) == ("rollout.pause", "crashes at start")
    assert newest.before == newest.after


def test_who_keeps_a_release_paused_is_on_record_also_without_a_word(
    rolling: Clinic, going: Visitors
) -> None:
    press(going.ana, rolling, "pause")

    press(going.ben, rolling, "pause")

    newest = audited(rolling)[0]
    assert (newest.actor, newest.reason) == ("ben", "kept paused from the dashboard")


# --- pull --------------------------------------------------------------------------------


def test_pull_takes_the_version_and_no_more(paused: Clinic, visitors: Visitors) -> None:
    answer = press(visitors.ana, paused, "pull", confirm="2.1.0")

    assert (answer.status_code, answer.location) == (303, path_of(paused))
    assert paused.state is RolloutState.PULLED
    assert str(paused.now.replacement) == "2.0.0"
    assert audited(paused)[0].reason == "paused by the server: crash"


def test_a_pull_without_a_reason_is_asked_for_one(paused: Clinic, visitors: Visitors) -> None:
    answer = press(visitors.ana, paused, "pull", confirm="2.1.0", reason=" ")

    assert answer.status_code == 400
    assert "say why" in main_of(answer).text.casefold()
    assert paused.state is RolloutState.PAUSED


@pytest.mark.parametrize("typed", ["", "2.0.0", "2.1"])
def test_another_version_pulls_nothing_and_what_was_typed_stays(
    typed: str, paused: Clinic, visitors: Visitors
) -> None:
    answer = press(visitors.ana, paused, "pull", confirm=typed, reason="it hurts")

    page = main_of(answer)
    assert answer.status_code == 400
    assert paused.state is RolloutState.PAUSED
    assert page.one("textarea").text == "it hurts"
    wrong = page.one("input", name="confirm")
    assert "autofocus" in wrong.attributes
    assert page.one(id=wrong.attributes["aria-describedby"]).text.endswith(".")


def test_a_replacement_that_no_edge_leads_to_is_refused(paused: Clinic, visitors: Visitors) -> None:
    answer = press(visitors.ana, paused, "pull", confirm="2.1.0", replacement="1.0.0")

    assert answer.status_code == 409
    assert "no signed edge" in main_of(answer).text
    assert paused.state is RolloutState.PAUSED


def test_a_pull_with_a_password_is_a_persons_and_no_limit_of_the_servers_binds_it(
    tmp_path: Path,
) -> None:
    spent = Automatic(max_rollbacks_per_day=0)
    clinic = clinics.paused(clinics.rolling(tmp_path / "signer", automatic=spent))
    other = clinic.fork(tmp_path / "other")

    without, person = Visitors(clinic.world), Visitors(other.world)
    unseen = press(without.ana, clinic, "pull", confirm="2.1.0")
    seen_to_ask = press(person.ana, other, "pull", confirm="2.1.0", password=PASSWORD)

    # Nobody was seen to ask, so installs stay on it: the page says so.
    assert (unseen.status_code, clinic.state, clinic.now.replacement) == (
        303,
        RolloutState.PULLED,
        None,
    )
    assert "rollbacks a day" in without.ana.get(path_of(clinic)).text
    assert (seen_to_ask.status_code, other.state) == (303, RolloutState.PULLED)
    assert str(other.now.replacement) == "2.0.0"


def test_a_pull_with_a_wrong_password_says_so_and_pulls_nothing(
    paused: Clinic, visitors: Visitors
) -> None:
    answer = press(visitors.ana, paused, "pull", confirm="2.1.0", password="not the password")

    assert answer.status_code == 403
    assert "autofocus" in main_of(answer).one("input", name="password").attributes
    assert paused.state is RolloutState.PAUSED


def test_where_no_way_back_is_taken_by_itself_nobody_is_sent_back_unasked(
    paused: Clinic, visitors: Visitors
) -> None:
    with paused.world.database.transaction() as stores:
        for each in stores.rollouts.of_app(APP):
            if str(each.version) == "2.0.0":  # signed, and not completed any more
                superseded = replace(
                    each, state=RolloutState.SUPERSEDED, revision=each.revision + 1
                )
                stores.rollouts.replace(each, superseded)
    page = main_of(visitors.ana.get(f"{path_of(paused)}/pull"))

    press(visitors.ana, paused, "pull", confirm="2.1.0", replacement="")

    chosen = page.one("select", name="replacement").all("option")
    assert [each.attributes["value"] for each in chosen] == ["", "2.0.0"]
    assert "left on 2.1.0, unless you say otherwise" in page.text
    assert paused.now.replacement is None


def test_the_form_says_what_comes_of_it_before_it_is_pressed(
    paused: Clinic, visitors: Visitors
) -> None:
    page = main_of(visitors.ana.get(f"{path_of(paused)}/pull"))

    assert "given 2.0.0" in page.text
    assert "It can't be undone: a fix needs a higher version." in page.text
    assert paused.decisions[-1].record["sentence"] in page.text


# --- resume ------------------------------------------------------------------------------


def test_a_resume_after_an_automatic_pause_takes_two_people(
    paused: Clinic, visitors: Visitors
) -> None:
    fields = {"reason": "a test farm's", "password": PASSWORD}

    alone = press(visitors.ana, paused, "resume", **fields)
    again = press(visitors.ana, paused, "resume", **fields)

    waiting = str(paused.state)
    with_ben = press(visitors.ben, paused, "resume", **fields)

    assert [each.status_code for each in (alone, again, with_ben)] == [303, 303, 303]
    assert [waiting, str(paused.state)] == ["paused", "active"]
    told = [each.action for each in audited(paused)]
    assert told.count("pending.ask") == 1
    assert told.count("pending.complete") == 1


def test_what_waits_for_a_second_person_is_on_the_page(paused: Clinic, visitors: Visitors) -> None:
    press(visitors.ana, paused, "resume", reason="a test farm's", password=PASSWORD)

    mine, bens = (main_of(each.get(path_of(paused))) for each in (visitors.ana, visitors.ben))

    assert "ana asks to resume 2.1.0" in mine.text
    assert "needs a second person: you asked" in mine.text
    assert "ana asked for it: you would be the second" in bens.text


def test_an_ask_is_withdrawn_by_a_button(paused: Clinic, visitors: Visitors) -> None:
    press(visitors.ana, paused, "resume", reason="a test farm's", password=PASSWORD)
    path = path_of(paused)
    shown = visitors.ben.get(path)
    [form] = [
        each for each in main_of(shown).all("form") if "/withdraw/" in each.attributes["action"]
    ]
    action = form.attributes["action"]

    answer = visitors.ben.post(action, fields_of(shown, action))

    assert (answer.status_code, answer.location) == (303, path)
    assert "it waits until" not in main_of(visitors.ana.get(path)).text


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [("reason", " ", 400), ("password", "", 400), ("password", "not mine at all", 403)],
)
def test_a_resume_without_what_it_needs_is_shown_again(
    field: str, value: str, status: int, paused: Clinic, visitors: Visitors
) -> None:
    fields: dict[str, Any] = {"reason": "fine", "password": PASSWORD, "waive_days": "5"}

    answer = press(visitors.ana, paused, "resume", **{**fields, field: value})

    page = main_of(answer)
    assert answer.status_code == status
    assert paused.state is RolloutState.PAUSED
    [wrong] = page.with_attribute("aria-invalid")
    assert wrong.attributes["name"] == field
    assert PASSWORD not in answer.get_data(as_text=True)


def test_who_resumes_alone_types_the_version(tmp_path: Path) -> None:
    alone = Approvals(resume_after_auto_pause=1)
    clinic = clinics.paused(clinics.rolling(tmp_path / "signer", approvals=alone))
    visitors = Visitors(clinic.world)
    fields = {"reason": "a test farm's", "password": PASSWORD}

    without = press(visitors.ana, clinic, "resume", **fields)
    still = str(clinic.state)
    typed = press(visitors.ana, clinic, "resume", confirm="2.1.0", **fields)

    assert (without.status_code, typed.status_code) == (400, 303)
    assert [still, str(clinic.state)] == ["paused", "active"]


def test_a_persons_own_pause_is_resumed_by_one(rolling: Clinic, going: Visitors) -> None:
    press(going.ana, rolling, "pause")

    answer = press(going.ben, rolling, "resume", reason="all is well", password=PASSWORD)

    assert answer.status_code == 303
    assert rolling.state is RolloutState.ACTIVE


def test_known_crashes_are_waived_for_so_many_days(paused: Clinic, visitors: Visitors) -> None:
    signature = "a" * 16
    fields = {"reason": "known", "password": PASSWORD, "waive": signature, "waive_days": "2"}

    for who in (visitors.ana, visitors.ben):
        press(who, paused, "resume", **fields)

    [waiver] = paused.world.services().waivers.all(APP)
    assert (waiver.signature, waiver.created_by) == (signature, "ben")
    assert waiver.expires_at - waiver.created_at == timedelta(days=2)


@pytest.mark.parametrize(
    ("field", "value"), [("waive_days", "15"), ("waive_days", "x"), ("waive", "no-signature")]
)
def test_a_waiver_that_cannot_be_is_none(
    field: str, value: str, paused: Clinic, visitors: Visitors
) -> None:
    fields = {"reason": "known", "password": PASSWORD, "waive": "a" * 16, "waive_days": "2"}

    answer = press(visitors.ana, paused, "resume", **{**fields, field: value})

    assert answer.status_code == 400
    assert not paused.world.services().waivers.all(APP)


# --- promote -----------------------------------------------------------------------------


def test_promote_goes_on_to_the_next_ring(rolling: Clinic, going: Visitors) -> None:
    rolling.world.advance(120)

    answer = press(going.ana, rolling, "promote", reason="all is well")

    assert answer.status_code == 303
    assert rolling.now.step.ring == "half"
    assert audited(rolling)[0].reason == "all is well"


def test_a_step_that_needs_two_people_is_asked_for_and_carried_out(
    rolling: Clinic, going: Visitors
) -> None:
    rolling.world.advance(120)
    press(going.ana, rolling, "promote", reason="all is well")
    rolling.world.advance(10_000)
    fields = {"reason": "everybody", "password": PASSWORD}

    asked = press(going.ana, rolling, "promote", **fields)
    waiting = rolling.now.step.ring
    done = press(going.ben, rolling, "promote", **fields)

    assert (asked.status_code, done.status_code) == (303, 303)
    assert (waiting, rolling.now.step.ring) == ("half", "all")


def test_before_its_time_a_step_takes_an_override_and_says_why(
    rolling: Clinic, going: Visitors
) -> None:
    press(going.ana, rolling, "pause")
    press(going.ana, rolling, "resume", reason="fine", password=PASSWORD)
    page = main_of(going.ana.get(f"{path_of(rolling)}/promote"))
    fields = {"reason": "now", "password": PASSWORD, "confirm": "2.1.0"}

    without = press(going.ana, rolling, "promote", **fields)
    with_it = press(going.ana, rolling, "promote", override="yes", **fields)

    assert "Outside the signed ramp" in page.text
    assert (without.status_code, with_it.status_code) == (403, 303)
    assert rolling.now.step.ring == "half"


def test_what_leaves_the_ramp_is_shown_again_with_the_override(
    rolling: Clinic, going: Visitors
) -> None:
    with rolling.world.database.transaction() as stores:
        fresh = replace(rolling.now, position_reached_at=rolling.world.clock.now(), revision=2)
        stores.rollouts.replace(rolling.now, fresh)

    answer = press(going.ana, rolling, "promote", reason="now", password=PASSWORD, confirm="2.1.0")

    page = main_of(answer)
    assert answer.status_code == 403
    assert "this goes beyond the signed ramp" in page.text.lower()
    assert page.one("input", name="override").attributes["aria-invalid"] == "true"
    assert rolling.now.step.ring == "10%"


# --- what all of them have ---------------------------------------------------------------


@pytest.mark.parametrize("verb", ["pause", "resume", "pull", "promote"])
def test_a_viewer_presses_nothing(verb: str, paused: Clinic, visitors: Visitors) -> None:
    before = paused.now

    answer = visitors.vera.post(f"{path_of(paused)}/{verb}", seen(paused))

    assert answer.status_code == 403
    assert paused.now == before


@pytest.mark.parametrize("verb", ["resume", "pull", "promote"])
def test_forms_are_for_operators(verb: str, paused: Clinic, visitors: Visitors) -> None:
    assert visitors.vera.get(f"{path_of(paused)}/{verb}").status_code == 403


@pytest.mark.parametrize("verb", ["pause", "resume", "pull", "promote"])
def test_nothing_changes_by_looking(verb: str, paused: Clinic, visitors: Visitors) -> None:
    before = paused.now

    visitors.ana.get(f"{path_of(paused)}/{verb}?confirm=2.1.0&reason=x")

    assert paused.now == before


def test_a_form_of_what_does_not_fit_says_how_it_is(rolling: Clinic, going: Visitors) -> None:
    answer = going.ana.get(f"{path_of(rolling)}/resume")

    assert answer.status_code == 409
    assert "there is nothing to resume" in main_of(answer).text


def test_whoever_is_too_late_is_told_who_did_what(paused: Clinic, visitors: Visitors) -> None:
    path = path_of(paused)
    hidden = fields_of(visitors.ana.get(f"{path}/resume"), f"{path}/resume")
    press(visitors.ben, paused, "pull", confirm="2.1.0", reason="it hurts")
    paused.world.advance(40)
    after = paused.now

    answer = visitors.ana.post(f"{path}/resume", {**hidden, "reason": "ok", "password": PASSWORD})

    page = main_of(answer)
    assert answer.status_code == 412
    assert paused.now == after
    assert "Nothing was done" in page.text
    assert "ben pulled 2.1.0 43 s ago" in page.text
    assert "ok" in [each.text for each in page.all("p")]
    assert page.all("a", href=path)


def test_a_form_that_is_sent_twice_acts_once(paused: Clinic, visitors: Visitors) -> None:
    path = f"{path_of(paused)}/pull"
    form = {**fields_of(visitors.ana.get(path), path), "confirm": "2.1.0"}

    answers = [visitors.ana.post(path, form) for _ in range(2)]

    assert [each.status_code for each in answers] == [303, 303]
    assert [each.action for each in audited(paused)].count("rollout.pull") == 1


def test_a_second_press_that_overtook_the_first_is_no_surprise(
    paused: Clinic, visitors: Visitors
) -> None:
    path = f"{path_of(paused)}/pull"
    form = {**fields_of(visitors.ana.get(path), path), "confirm": "2.1.0"}
    visitors.ana.post(path, form)

    answer = visitors.ana.post(path, {**form, "key": "not-remembered-yet"})

    assert (answer.status_code, answer.location) == (303, path_of(paused))


@pytest.mark.parametrize(
    "bad",
    [
        {"extra": "1"},
        {"revision": "one"},
        {"revision": ""},
        {"key": ""},
        {"key": "a b"},
        {"reason": "x" * 501},
        {"reason": "bell \x07"},
    ],
)
def test_a_form_takes_its_own_fields_only(
    bad: dict[str, str], rolling: Clinic, going: Visitors
) -> None:
    answer = going.ana.post(f"{path_of(rolling)}/pause", {**seen(rolling), **bad})

    assert answer.status_code == 400
    assert rolling.state is RolloutState.ACTIVE


def test_a_form_that_is_too_large_is_not_read(rolling: Clinic, going: Visitors) -> None:
    answer = going.ana.post(f"{path_of(rolling)}/pause", seen(rolling, reason="x" * 70_000))

    assert answer.status_code == 413
    assert rolling.state is RolloutState.ACTIVE


def test_lines_of_a_reason_end_as_the_api_has_them(rolling: Clinic, going: Visitors) -> None:
    press(going.ana, rolling, "pause", reason="first\r\nsecond")

    assert audited(rolling)[0].reason == "first\nsecond"


@pytest.mark.parametrize("verb", ["pause", "pull", "resume", "promote"])
def test_what_is_not_there_is_not_found(verb: str, paused: Clinic, visitors: Visitors) -> None:
    answer = visitors.ana.post(f"/apps/{APP}/rollouts/ro_nope/{verb}", seen(paused))

    assert answer.status_code == 404


# --- what goes wrong ---------------------------------------------------------------------


def test_a_pause_that_is_wanted_but_not_in_force_is_told_as_that(
    rolling: Clinic, going: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object) -> None:
        raise UnavailableError

    monkeypatch.setattr(Reconciler, "narrow", no_answer)

    answer = press(going.ana, rolling, "pause")

    assert (answer.status_code, answer.location) == (303, path_of(rolling))
    assert rolling.state is RolloutState.PAUSED
    assert "Not in force yet" in main_of(going.ana.get(path_of(rolling))).one(id="standing").text


def test_what_the_server_cannot_do_now_is_shown_again_as_it_was_typed(
    paused: Clinic, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object, **__: object) -> None:
        raise UnavailableError

    monkeypatch.setattr(Control, "resume", no_answer)

    answer = press(visitors.ana, paused, "resume", reason="a test farm's", password=PASSWORD)

    page = main_of(answer)
    assert answer.status_code == 503
    assert "Nothing was done. The server cannot do this now: try again." in page.text
    assert page.one("textarea").text == "a test farm's"
    assert page.one("form").one("input", name="key").attributes["value"]


def test_what_nobody_may_do_is_not_offered(rolling: Clinic, going: Visitors) -> None:
    rolling.world.change_policy(ramp=clinics.LADDER, ceiling=((0, 1_000), (86_400, 10_000)))

    page = main_of(going.ana.get(path_of(rolling)))

    [button] = [each for each in page.all("button") if each.text == "Promote to half"]
    assert "disabled" in button.attributes
    assert page.one(id=button.attributes["aria-describedby"]).text
