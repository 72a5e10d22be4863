"""The page about telemetry itself, and what becomes of what was set aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import APP, World
from tests.dashboard.apps.looking import api, newest_line, open_page, recounted
from tests.dashboard.apps.reading import Page, differing
from tests.dashboard.visitors import Browser, Visitors
from tests.service.clinic import FLEET, Clinic, a_clinic, key_of
from update_server.service.ports import Event
from update_server.service.telemetry.digest import Digest
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND, note_of
from update_server.web.admin.app import create_app
from update_server.web.dashboard.views.telemetry import PIECES

PAGE = f"/apps/{APP}/telemetry"
API = f"/apps/{APP}/telemetry?hours=3"
HOSTILE = "<script>alert(1)</script><b hx-get='/x'>\u202e/~\x00"


@pytest.fixture
def clinic(world: World) -> Clinic:
    """A rollout whose installs told much, of which not all was taken."""
    clinic = a_clinic(world)
    clinic.check_in(range(60))
    clinic.check_in(clinic.candidates(range(60))[:7], telemetry="off")
    now = world.clock.now()
    spool = clinic.spools.writer("web")
    spool.events(
        [an_event(clinic, number, quarantine="implausible") for number in (1, 2, 2)]
        + [an_event(clinic, number) for number in range(10, 14)]
    )
    spool.events([an_event(clinic, 3, kind="discards", body={"counts": [[HOSTILE, "error", 7]]})])
    spool.note(note_of(APP, REJECTED_KIND, {"too_old": 4}, now))
    spool.note(note_of(APP, CLOCK_KIND, {"0": 3, "60": 1, "-2": 2}, now))
    Digest(world.database, clinic.spools, clock=world.clock).run()
    recounted(world)
    return clinic


def an_event(clinic: Clinic, number: int, **fields: Any) -> Event:
    now = clinic.world.clock.now()
    clinic._events += 1
    known: dict[str, Any] = {
        "app": APP,
        "install_key": key_of(number),
        "id": f"e{clinic._events}",
        "at": now,
        "received_at": now,
        "kind": "session",
        "version": "2.1.0",
        "channel": "stable",
        "platform": "linux-x86_64",
        "body": {"status": "exited", "sid": "s"},
    }
    return Event(**{**known, **fields})


@pytest.mark.usefixtures("clinic")
def test_the_page_has_the_numbers_of_the_api(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    assert page.numbers["/rejected/too_old"] == "4"
    assert {
        "/rollouts/0/arms/0/opted_out",
        "/quarantine/0/installs",
        "/clocks/median_drift_seconds",
        "/clocks/requests_by_drift_seconds/-2",
    } <= {*page.numbers}
    assert differing(page, api(world, API)) == {}


@pytest.mark.usefixtures("clinic")
def test_the_comparison_with_the_api_can_fail(world: World, visitors: Visitors) -> None:
    body = api(world, API)
    body["rejected"]["too_old"] = 5

    assert differing(open_page(visitors.vera, PAGE), body) == {"/rejected/too_old": ("4", 5)}


def test_who_opted_out_is_told_by_arm(clinic: Clinic, visitors: Visitors) -> None:
    text = open_page(visitors.vera, PAGE).text

    candidates = len(clinic.candidates(range(60)))
    assert f"candidate7 of {candidates}{candidates - 7} of {candidates}" in text


def test_the_chart_and_its_table_are_of_what_arrived(
    clinic: Clinic, visitors: Visitors, world: World
) -> None:
    clinic.world.advance(600)
    page = open_page(visitors.vera, PAGE)

    taken = sum(one["events"] for one in api(world, API)["arrivals"])
    assert f"{taken:,} events were taken in, 4 rejected" in page.text
    assert "late at most." in page.text
    assert "check_in" in page.text


@pytest.mark.usefixtures("clinic")
def test_clocks_are_told_in_words(visitors: Visitors) -> None:
    text = open_page(visitors.vera, PAGE).text

    assert "The middle one is off by 0 s: less than 2 s." in text
    assert "behind by 2 s or more" in text
    assert "ahead by 60 s or more" in text


def test_without_telemetry_the_page_calls_nothing_healthy(visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    assert "Nothing arrived in the last 3 h. This is not a sign of health" in page.text
    assert "no data yet" in page.text
    assert "Nothing is rolling out, so there are no arms." in page.text
    assert "✓" not in page.text


def test_before_anybody_counted_it_is_not_known_who_tells_what(
    world: World, visitors: Visitors
) -> None:
    clinic = a_clinic(world)
    clinic.check_in(range(9))
    Digest(world.database, clinic.spools).run()

    assert "not known yet: nobody counted" in open_page(visitors.vera, PAGE).text


def test_an_arm_of_which_nobody_sends_crash_reports_is_told_above_all(
    world: World, visitors: Visitors
) -> None:
    clinic = a_clinic(world)
    clinic.check_in(clinic.candidates(FLEET), telemetry="health")
    clinic.check_in(clinic.controls(FLEET))
    Digest(world.database, clinic.spools).run()
    recounted(world)

    text = open_page(visitors.vera, PAGE).text

    assert "No candidate of 2.1.0 sends crash reports." in text
    assert "No control of 2.1.0 sends" not in text


@pytest.mark.usefixtures("clinic")
def test_what_weakens_the_evidence_stays_on_the_page(world: World) -> None:
    class Passing(Visitors):
        def __init__(self, world: World) -> None:
            super().__init__(world)
            told = replace(world.services(), passed_on_to=lambda app: f"sentry.example.org/{app}")
            self.app = create_app(told)

    clinic_round(world)
    text = open_page(Passing(world).vera, PAGE).text

    assert "passed on to sentry.example.org/demo as they come, not scrubbed" in text
    assert "The age gate of 2.1.0 is off." in text


def clinic_round(world: World) -> None:
    """Let the judge begin its study."""
    (live,) = world.services().report.live(APP)
    Clinic(world=world, rollout=live.rollout).round()


@pytest.mark.usefixtures("clinic")
def test_words_of_sdks_are_text_and_nothing_else(visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    assert "<script>alert(1)</script><b hx-get='/x'>⟨U+202E⟩" in page.text
    assert not {"\u202e", "\x00"} & {*page.source}
    assert page.text.partition("⟨U+202E⟩/~⟨U+0000⟩")[2].startswith("7")
    assert not [each for each in page.named("script") if "src" not in each]
    assert not page.named("b")


@pytest.mark.usefixtures("clinic")
def test_pieces_hold_neither_forms_nor_what_opens(visitors: Visitors) -> None:
    answer = visitors.ana.get(f"{PAGE}?live=1&hours=3")

    page = Page(answer)
    ids = [str(each["id"]) for each in page.named("div") if "hx-swap-oob" in each]
    assert ids == ["age", *PIECES] or set(PIECES) <= set(ids)
    assert not [each for each in ("form", "input", "details", "select") if page.named(each)]
    assert page.numbers["/rejected/too_old"] == "4"


@pytest.mark.usefixtures("clinic")
def test_the_page_is_light(visitors: Visitors) -> None:
    page = open_page(visitors.ana, f"{PAGE}?hours=48")

    assert len(page.source.encode()) < 50_000


@pytest.mark.parametrize("hours", ["0", "49", "x"])
def test_a_time_that_is_not_kept_is_refused(visitors: Visitors, hours: str) -> None:
    assert visitors.vera.get(f"{PAGE}?hours={hours}").status_code == 400


# --- what becomes of what was set aside ------------------------------------------------------


def decide(browser: Browser, fields: dict[str, str] | None = None, **sent_as: Any) -> TestResponse:
    told = {
        "revision": "0",
        "key": "k1",
        "action": "drop",
        "rule": "implausible",
        "version": "",
        "reason": "a test lab",
    }
    return browser.post(f"/apps/{APP}/quarantine", told | (fields or {}), **sent_as)


@pytest.mark.usefixtures("clinic")
def test_the_form_says_how_many_reports_and_installs_it_is_about(visitors: Visitors) -> None:
    text = open_page(visitors.ana, PAGE).text

    _, _, form = text.partition("Decide what becomes of them")
    assert "implausible: " in form
    assert "reports of" in form
    assert "both arms alike" in form


@pytest.mark.parametrize(("action", "taken"), [("accept", 3), ("drop", 0)])
def test_a_decision_is_the_apis(
    clinic: Clinic, world: World, visitors: Visitors, action: str, taken: int
) -> None:
    answer = decide(visitors.ana, {"action": action})

    assert (answer.status_code, answer.location) == (303, f"{PAGE}#h-asides")
    line = newest_line(world)
    assert (line.actor, line.action, line.reason) == ("ana", f"quarantine.{action}", "a test lab")
    assert Digest(world.database, clinic.spools).run().new_events == taken
    assert "None waits for a decision." in open_page(visitors.ana, PAGE).text


@pytest.mark.usefixtures("clinic")
def test_a_decision_that_is_sent_twice_acts_once(visitors: Visitors) -> None:
    assert [decide(visitors.ana).status_code for _ in range(2)] == [303, 303]
    assert decide(visitors.ana, {"reason": "another"}).status_code == 422


@pytest.mark.usefixtures("clinic")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": "  "}, "decided with a reason"),
        ({"rule": "nonsense"}, "rule"),
        ({"action": "destroy"}, "action"),
        ({"reason": "x" * 501}, "500"),
        ({"version": "v" * 129}, "128"),
        ({"else": "1"}, "no field of this form"),
    ],
)
def test_a_decision_that_cannot_be_is_told_and_changes_nothing(
    world: World, visitors: Visitors, fields: dict[str, str], said: str
) -> None:
    answer = decide(visitors.ana, fields)

    assert answer.status_code in {400, 422}
    assert said in answer.text
    waiting = sum(one["kept"] for one in api(world, API)["quarantine"])
    assert waiting == 3


@pytest.mark.usefixtures("clinic")
def test_who_only_looks_decides_nothing(world: World, visitors: Visitors) -> None:
    assert decide(visitors.vera).status_code == 403
    assert decide(visitors.ana, csrf="wrong").status_code == 403
    assert decide(visitors.ana, origin="https://evil.example").status_code == 403
    assert [each["action"] for each in open_page(visitors.vera, PAGE).named("form")] == [
        "/sign-out"
    ]
    assert sum(one["kept"] for one in api(world, API)["quarantine"]) == 3
