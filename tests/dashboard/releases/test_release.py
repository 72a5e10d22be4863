"""The page of one release: its words and numbers are the API's, and what is missing is said."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.model import RolloutState
from tests.admin_world import APP
from tests.dashboard.releases.clinics import path_of
from tests.dashboard.releases.elements import Element, main_of, parsed
from tests.dashboard.releases.test_verbs import press
from tests.dashboard.visitors import PASSWORD, Visitors
from tests.service.clinic import Clinic
from tests.store.crash_values import a_report
from update_server.service.ports import Role
from update_server.service.ports.crashes import Cell
from update_server.web.admin.app import create_app
from update_server.web.dashboard.numbers import at
from update_server.web.dashboard.words import count


def told(clinic: Clinic, path: str = "") -> dict[str, Any]:
    """Return what the API answers about the rollout, to a token."""
    caller = clinic.world.caller(Role.VIEWER)
    client = create_app(clinic.world.services()).test_client()
    answer = client.get(
        f"/v1/admin{path_of(clinic)}{path}", headers={"Authorization": f"Bearer {caller.secret}"}
    )
    assert answer.status_code == 200, answer.json
    body: dict[str, Any] = answer.json or {}
    return body


def crashes(clinic: Clinic, signature: str, arm: str, installs: int) -> None:
    """Let installs of one arm report a crash."""
    now = clinic.world.clock.now()
    with clinic.world.database.transaction() as stores:
        stores.crashes.note(
            [
                a_report(
                    report_key=f"{signature}{arm}{n}".encode(),
                    signature=signature,
                    at=now,
                    cell=Cell(rollout=clinic.rollout.id, ring="10%", arm=arm),
                )
                for n in range(installs)
            ]
        )


def text_of(page: Element, block: str) -> str:
    return page.one(id=block).text


# --- words and numbers -------------------------------------------------------------------


def test_the_sentence_is_the_stored_one(paused: Clinic, visitors: Visitors) -> None:
    page = main_of(visitors.vera.get(path_of(paused)))

    assert page.one(id="sentence").text == told(paused)["sentence"]
    assert page.one(id="sentence").text == paused.decisions[-1].record["sentence"]


def test_state_says_who_when_and_where(paused: Clinic, visitors: Visitors) -> None:
    standing = text_of(main_of(visitors.vera.get(path_of(paused))), "standing")

    assert standing.startswith("■ paused automatically at 03:26:30 UTC, ring 10%")
    assert "Paused. Last possible offer 03:26:32 UTC." in standing


def test_every_number_is_the_apis(paused: Clinic, visitors: Visitors) -> None:
    crashes(paused, "a" * 16, "candidate", 9)
    crashes(paused, "a" * 16, "control", 2)
    press(visitors.ben, paused, "pull", confirm="2.1.0")

    page = main_of(visitors.vera.get(path_of(paused)))

    bodies = [told(paused), told(paused, "/study"), told(paused, "/telemetry")]
    shown = page.with_attribute("data-number")
    assert len(shown) > 12
    for each in shown:
        pointer = each.attributes["data-number"]
        values = [count(at(body, pointer)) for body in bodies if at(body, pointer) is not None]
        assert each.text in (values or [count(None)]), pointer


def test_charts_and_their_tables_have_the_apis_numbers(paused: Clinic, visitors: Visitors) -> None:
    page = main_of(visitors.vera.get(path_of(paused)))

    points = told(paused, "/series")["points"]
    rows = [
        [cell.text for cell in row.all("td")] for row in page.one(id="crash_free_table").all("tr")
    ]
    drawn = {(row[1], row[2], row[3]) for row in rows if row}
    for arm in ("candidate", "control"):
        last = points[-1][arm]
        assert (arm, count(last["crashed"]), count(last["installs"])) in drawn
    judged = told(paused)["judged"]["log_e_by_metric"]
    metrics = [row.all("td")[0].text for row in page.one(id="against_table").all("tr")[1:]]
    assert {each.replace("_", " ") for each in judged if judged[each]["needed"]} == {
        each.removesuffix(" (advisory)") for each in metrics
    }


def test_signatures_have_both_arms_with_of_how_many(paused: Clinic, visitors: Visitors) -> None:
    crashes(paused, "a" * 16, "candidate", 9)

    table = text_of(main_of(visitors.vera.get(path_of(paused))), "signatures")

    assert "a" * 16 + " NEW 9 of 95 0 of 805" in table


# --- what stays live ---------------------------------------------------------------------


def test_pieces_hold_nothing_that_is_pressed_typed_or_opened(
    paused: Clinic, visitors: Visitors
) -> None:
    answer = visitors.ana.get(f"{path_of(paused)}?live=1")

    pieces = parsed(answer)
    assert answer.status_code == 200
    assert {each.attributes["id"] for each in pieces.children if isinstance(each, Element)} >= {
        "age",
        "standing",
        "signatures",
        "history",
    }
    for tag in ("form", "input", "textarea", "details"):
        assert not pieces.all(tag)
    assert all("disabled" in each.attributes for each in pieces.all("button"))


def test_each_piece_is_what_stands_in_the_page(paused: Clinic, visitors: Visitors) -> None:
    page = parsed(visitors.ana.get(path_of(paused)))
    pieces = parsed(visitors.ana.get(f"{path_of(paused)}?live=1"))

    for piece in pieces.children:
        if isinstance(piece, Element):
            assert piece.text == page.one(id=piece.attributes["id"]).text


def test_a_page_that_was_overtaken_says_so(paused: Clinic, visitors: Visitors) -> None:
    page = visitors.ana.get(path_of(paused)).get_data(as_text=True)
    [asked] = re.findall(r'hx-get="([^"]+)"', page)
    polled = asked.replace("&amp;", "&")
    before = parsed(visitors.ana.get(polled))
    press(visitors.ben, paused, "pull", confirm="2.1.0")

    after = parsed(visitors.ana.get(polled))

    assert before.one(id="changed").text == ""
    assert "This page changed. Reload it" in after.one(id="changed").text


# --- buttons -----------------------------------------------------------------------------


def test_what_can_be_pressed_follows_the_state_of_a_page_that_is_open(
    rolling: Clinic, going: Visitors
) -> None:
    path = path_of(rolling)
    before = parsed(going.ana.get(path)).one(id="choices")
    press(going.ben, rolling, "pause")

    after = parsed(going.ana.get(f"{path}?live=1")).one(id="choices")

    assert not [each for each in before.all("a") if each.text.startswith("Resume")]
    assert [each for each in after.all("a") if each.text.startswith("Resume")]
    assert not after.all("form")


def test_a_viewer_sees_every_button_and_why_it_is_not_for_them(
    paused: Clinic, visitors: Visitors
) -> None:
    page = main_of(visitors.vera.get(path_of(paused)))

    [bar] = [each for each in page.all("div") if "brakes" in each.attributes.get("class", "")]
    assert not bar.all("form")
    assert not bar.all("a")
    assert [each.text for each in bar.all("button")] == [
        "Keep paused",
        "Pull to 2.0.0",
        "Resume",
        "Promote to half",
    ]
    assert all("disabled" in each.attributes for each in bar.all("button"))
    assert bar.text.count("needs the role operator") == 3


def test_what_cannot_be_pressed_says_why(paused: Clinic, visitors: Visitors) -> None:
    page = main_of(visitors.ana.get(path_of(paused)))

    [button] = [each for each in page.all("button") if each.text == "Promote to half"]
    assert page.one(id=button.attributes["aria-describedby"]).text == (
        "it is paused: first resume it"
    )


def test_the_same_can_be_done_by_commands(paused: Clinic, visitors: Visitors) -> None:
    page = main_of(visitors.ana.get(path_of(paused)))

    assert "serinus rollout pull 2.1.0 --app demo --confirm 2.1.0" in page.text


# --- empty, missing, broken --------------------------------------------------------------


def test_no_verdict_is_no_sign_of_health(rolling: Clinic, going: Visitors) -> None:
    answer = going.ana.get(path_of(rolling))

    page = main_of(answer)
    assert "? No verdict" in page.text
    assert "This is not a sign of health." in page.text
    assert "✓" not in page.text
    assert not [
        each for each in page.with_attribute("class") if "good" in each.attributes["class"].split()
    ]
    assert "none" in page.one(id="standing").all("div")[0].attributes["class"]


def test_what_was_completed_without_a_verdict_has_no_tick(rolling: Clinic, going: Visitors) -> None:
    now = rolling.now
    done = replace(now, state=RolloutState.COMPLETED, revision=now.revision + 1)
    with rolling.world.database.transaction() as stores:
        stores.rollouts.replace(now, done)

    page = main_of(going.ana.get(path_of(rolling)))

    head = page.one(id="standing").all("p")[0]
    assert head.text.startswith("completed")
    assert "? No verdict" in page.text
    assert "✓" not in page.text
    assert not [
        each for each in page.with_attribute("class") if "good" in each.attributes["class"].split()
    ]


def test_what_is_not_counted_yet_is_no_zero(rolling: Clinic, going: Visitors) -> None:
    page = main_of(going.ana.get(path_of(rolling)))

    assert told(rolling)["counted_at"] is None
    assert "Silent: not counted yet" in page.text
    assert "not counted yet" in text_of(page, "trust")


@pytest.mark.parametrize(
    ("later", "says"),
    [(10, "data"), (300, "late"), (1_200, "No data since")],
)
def test_the_age_of_the_data_is_always_there(
    later: int, says: str, rolling: Clinic, going: Visitors
) -> None:
    rolling.world.advance(later)

    page = parsed(going.ana.get(path_of(rolling)))

    age = page.one(id="age")
    classes = " ".join(each.attributes["class"] for each in age.with_attribute("class"))
    assert says in age.text + classes


def test_a_suspension_names_its_rule_both_arms_and_who_may_end_it(
    rolling: Clinic, going: Visitors
) -> None:
    record = {
        **rolling.decisions[-1].record,
        "verdict": "suspend",
        "no_verdict": None,
        "suspended_by": "sample_ratio",
        "sentence": "Stopped judging 2.1.0: 212 of 1,000 entrants are candidates.",
    }
    add_decision(rolling, record)

    page = main_of(going.ana.get(path_of(rolling)))

    standing = page.one(id="standing")
    assert "doubt" in standing.all("div")[0].attributes["class"]
    assert "Judging is suspended for the arms are not as they were drawn" in standing.text
    arms = [told(rolling)["judged"][arm] for arm in ("candidate", "control")]
    offered, held = (f"{count(arm['events'])} of {count(arm['installs'])}" for arm in arms)
    assert f"Offered it {offered} crashed, held back {held}." in standing.text
    assert "Look for what treats the arms unlike each other" in standing.text
    assert "An operator may end it" in standing.text
    assert [each for each in page.all("a") if each.text == "Judge again…"]


def test_an_arm_of_which_nothing_is_heard_is_told(rolling: Clinic, going: Visitors) -> None:
    last = rolling.decisions[-1].record
    arms = {"control": {**last["control"], "entered": 0}}
    add_decision(rolling, {**last, "no_verdict": "one_arm_empty", "verdict": None, **arms})

    page = main_of(going.ana.get(path_of(rolling)))

    entered = count(last["candidate"]["entered"])
    assert (
        f"Telemetry of one arm is missing: {entered} that were offered it and 0 that are held back"
    ) in text_of(page, "standing")
    assert page.one(id="crash_free").all("svg")


def test_a_contested_pause_tells_both_numbers_and_stays(paused: Clinic, visitors: Visitors) -> None:
    record = {**paused.decisions[-1].record, "contested": True, "sentence": "It stands no more."}
    add_decision(paused, record)

    standing = text_of(main_of(visitors.ana.get(path_of(paused))), "standing")

    assert "Contested" in standing
    assert "It stays paused until someone resumes it." in standing
    assert paused.now.reason in standing
    assert "It stands no more." in standing


def test_what_is_not_in_force_yet_says_so(paused: Clinic, visitors: Visitors) -> None:
    world = paused.world
    with world.database.transaction() as stores:
        now = replace(paused.now, state=RolloutState.PULLED, revision=paused.now.revision + 1)
        stores.rollouts.replace(paused.now, now)

    standing = text_of(main_of(visitors.ana.get(path_of(paused))), "standing")

    assert "Not in force yet" in standing
    assert "Last possible offer" not in standing


def test_an_age_gate_that_is_off_is_a_permanent_line(paused: Clinic, visitors: Visitors) -> None:
    assert "The age gate is off" in text_of(main_of(visitors.ana.get(path_of(paused))), "trust")


def test_a_release_that_is_not_there_is_a_page_with_a_way_back(visitors: Visitors) -> None:
    answer = visitors.ana.get(f"/apps/{APP}/rollouts/ro_nope")

    assert answer.status_code == 404
    assert "unknown_rollout" in main_of(answer).text
    assert main_of(answer).all("a", href="/")


def test_history_comes_in_parts(paused: Clinic, visitors: Visitors) -> None:
    for n in range(60):
        with paused.world.database.transaction() as stores:
            stores.audit.append(
                at=paused.world.clock.now(),
                actor="ana",
                action="rollout.pause",
                app=APP,
                subject=paused.rollout.id,
                reason=f"reason {n}.",
            )

    newest = main_of(visitors.ana.get(path_of(paused)))
    [older] = [each for each in newest.all("a") if each.text == "Older"]
    oldest = main_of(visitors.ana.get(older.attributes["href"]))

    assert "reason 59." in text_of(newest, "history")
    assert "reason 5." not in text_of(newest, "history")
    assert "reason 5." in text_of(oldest, "history")
    assert "started it at ring 10%" in text_of(oldest, "history")
    assert text_of(oldest, "standing").startswith("■ paused automatically")


def test_after_a_pull_it_says_what_becomes_of_the_installs(
    paused: Clinic, visitors: Visitors
) -> None:
    press(visitors.ana, paused, "pull", confirm="2.1.0", reason="it hurts")

    page = main_of(visitors.ana.get(path_of(paused)))

    assert "pulled by ana" in text_of(page, "standing")
    assert "it hurts" in text_of(page, "standing")
    assert "Since the pull" in page.text
    assert "it was pulled: a fix needs a higher version" in page.text


# --- strangers' text, and size -----------------------------------------------------------

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)>" hx-get="/x" \u202egnp.exe'


def test_hostile_text_stays_text(paused: Clinic, visitors: Visitors) -> None:
    press(visitors.ben, paused, "pause", reason=HOSTILE)
    press(visitors.ben, paused, "resume", reason=HOSTILE, password=PASSWORD)

    for path in ("", "/pull", "/resume"):
        answer = visitors.ana.get(path_of(paused) + path)
        page = main_of(answer)  # which looks for styles and scripts
        text = answer.get_data(as_text=True)
        assert not page.all("img")
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_a_page_is_small(paused: Clinic, visitors: Visitors) -> None:
    for n in range(20):
        crashes(paused, f"{n:016x}", "candidate", 1)

    assert len(visitors.ana.get(path_of(paused)).data) < 50_000


def test_shares_never_stand_alone(paused: Clinic, visitors: Visitors) -> None:
    page = main_of(visitors.ana.get(path_of(paused)))

    for cell in page.one(id="funnel_table").all("td"):
        if "%" in cell.text:
            assert re.search(r"\d of \d", cell.text)


def add_decision(clinic: Clinic, record: dict[str, Any]) -> None:
    """Put another decision on record, the newest one."""
    last = clinic.decisions[-1]
    with clinic.world.database.transaction() as stores:
        stores.decisions.add(
            replace(
                last,
                id=f"{last.id}x",
                at=last.at + timedelta(seconds=1),
                verdict=record["verdict"] or "",
                record=record,
            )
        )
