from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.service.clinic import FLEET, Clinic, a_clinic, key_of
from tests.web.admin.conftest import Ask
from update_server.service.ports import Event, Role
from update_server.service.telemetry.digest import Digest
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND, note_of
from update_server.web.admin.app import create_app
from update_server.web.wire import render_time

TELEMETRY = "/v1/admin/apps/demo/telemetry"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


@pytest.fixture
def clinic(world: World) -> Clinic:
    return a_clinic(world)


def digest(clinic: Clinic) -> None:
    Digest(clinic.world.database, clinic.spools, clock=clinic.world.clock).run()


def an_event(clinic: Clinic, number: int, **fields: Any) -> Event:
    now = clinic.world.clock.now()
    known: dict[str, Any] = {
        "app": "demo",
        "install_key": key_of(number),
        "id": f"{number}",
        "at": now,
        "received_at": now,
        "kind": "session",
        "version": "2.1.0",
        "channel": "stable",
    }
    return Event(**{**known, **fields})


def rows(ask: Ask, query: str = "") -> list[tuple[str, int, int, int]]:
    found = body_of(ask("GET", TELEMETRY + query))["arrivals"]
    return [(row["kind"], row["events"], row["set_aside"], row["rejected"]) for row in found]


def test_without_telemetry_there_is_nothing_to_show(ask: Ask) -> None:
    assert body_of(ask("GET", TELEMETRY, role=Role.VIEWER)) == {
        "hours": 48,
        "step_seconds": 900,
        "newest_at": None,
        "arrivals": [],
        "rejected": {},
        "sdk_discards": {},
        "clocks": {"median_drift_seconds": None, "requests_by_drift_seconds": {}},
        "quarantine": [],
        "rollouts": [],
        "passed_on_to": None,
    }


def test_arrivals_are_shown_by_kind_with_what_was_not_taken_and_the_lag(
    ask: Ask, clinic: Clinic
) -> None:
    now = clinic.world.clock.now()
    clinic.check_in(range(3))
    spool = clinic.spools.writer("web")
    spool.events([an_event(clinic, 1), an_event(clinic, 2, quarantine="implausible")])
    spool.events([an_event(clinic, 3, kind="discards", body={"counts": [["x", "error", 7]]})])
    spool.note(note_of("demo", REJECTED_KIND, {"too_old": 4}, now))
    spool.note(note_of("demo", CLOCK_KIND, {"0": 3, "60": 1, "-2": 2}, now))
    clinic.world.advance(12)
    digest(clinic)

    shown = body_of(ask("GET", f"{TELEMETRY}?hours=1"))

    assert rows(ask) == [("check_in", 3, 0, 0), ("rejected", 0, 0, 4), ("session", 1, 1, 0)]
    assert {row["at"] for row in shown["arrivals"]} == {render_time(now)}
    assert shown["arrivals"][0]["late_seconds"] == 12.03
    assert shown["rejected"] == {"too_old": 4}
    assert shown["sdk_discards"] == {"x": 7}
    assert shown["clocks"] == {
        "median_drift_seconds": 0,
        "requests_by_drift_seconds": {"-2": 2, "0": 3, "60": 1},
    }
    assert [each["reports"] for each in shown["quarantine"]] == [1]


def test_the_last_hours_are_shown_minute_by_minute_and_longer_times_in_quarters(
    ask: Ask, clinic: Clinic
) -> None:
    for _ in range(4):
        clinic.check_in([1])
        digest(clinic)
        clinic.world.advance(300)

    assert len(rows(ask, "?hours=3")) == 4
    assert len(rows(ask, "?hours=4")) == 2
    clinic.world.advance(timedelta(hours=1).total_seconds())
    assert rows(ask, "?hours=1") == []


def test_what_is_older_than_two_days_is_not_shown(ask: Ask, clinic: Clinic) -> None:
    clinic.check_in([1])
    digest(clinic)
    clinic.world.advance(timedelta(hours=49).total_seconds())

    assert rows(ask) == []


def test_levels_of_telemetry_are_shown_by_arm_of_live_rollouts(ask: Ask, clinic: Clinic) -> None:
    clinic.check_in(FLEET)
    clinic.check_in(clinic.candidates(FLEET)[:7], telemetry="off")
    digest(clinic)
    (uncounted,) = body_of(ask("GET", TELEMETRY))["rollouts"]
    clinic.world.recount()

    (shown,) = body_of(ask("GET", TELEMETRY))["rollouts"]

    assert (uncounted["counted_at"], uncounted["levels"]) == (None, [])
    assert shown["counted_at"] == render_time(clinic.world.clock.now())

    candidates, controls = len(clinic.candidates(FLEET)), len(clinic.controls(FLEET))
    assert (shown["rollout"], shown["version"]) == (clinic.rollout.id, "2.1.0")
    assert shown["levels"] == [
        {"arm": "candidate", "level": "crash", "installs": candidates - 7},
        {"arm": "candidate", "level": "off", "installs": 7},
        {"arm": "control", "level": "crash", "installs": controls},
    ]
    assert shown["arms"] == [
        {
            "arm": "candidate",
            "installs": candidates,
            "opted_out": 7,
            "send_crashes": candidates - 7,
        },
        {"arm": "control", "installs": controls, "opted_out": 0, "send_crashes": controls},
    ]


def test_people_see_when_the_last_arrived_and_whether_new_installs_are_evidence(
    ask: Ask, clinic: Clinic
) -> None:
    clinic.check_in([1])
    clinic.round()

    shown = body_of(ask("GET", TELEMETRY))

    assert shown["newest_at"] == render_time(clinic.world.clock.now().replace(second=0))
    assert shown["rollouts"][0]["age_gate"] is False


def test_rules_that_set_aside_are_shown_with_what_is_due_in_each_arm(
    ask: Ask, clinic: Clinic
) -> None:
    clinic.check_in(FLEET)
    clinic.world.advance(10)
    installs = [*clinic.candidates(FLEET)[:3], *clinic.controls(FLEET)[:1]]
    events = [an_event(clinic, number, quarantine="implausible") for number in installs]
    clinic.spools.writer("web").events(events)
    clinic.round()
    clinic.world.advance(700)
    clinic.round()

    (shown,) = body_of(ask("GET", TELEMETRY))["rollouts"]

    (rule,) = shown["set_aside"]
    assert (rule["rule"], rule["candidate"], rule["control"]) == ("implausible", 3, 1)
    assert (rule["candidates_due"], round(rule["needed"], 3)) == (2.0, 8.517)
    assert rule["log_e"] < rule["needed"]


@pytest.mark.parametrize("hours", ["0", "49", "soon", "-1"])
def test_a_time_that_is_not_kept_is_refused(ask: Ask, hours: str) -> None:
    response = ask("GET", f"{TELEMETRY}?hours={hours}")

    assert (response.status_code, body_of(response)["field"]) == (400, "hours")


def test_an_app_that_is_not_there_has_no_telemetry(ask: Ask) -> None:
    assert ask("GET", "/v1/admin/apps/nope/telemetry", app=None).status_code == 404


def test_people_see_to_whom_reports_are_passed_on(world: World) -> None:
    services = replace(world.services(), passed_on_to=lambda app: f"sentry.example.org/{app}")
    headers = {"Authorization": f"Bearer {world.caller(Role.VIEWER, 'demo').secret}"}

    told = create_app(services).test_client().get(TELEMETRY, headers=headers)

    assert body_of(told)["passed_on_to"] == "sentry.example.org/demo"
