from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.service.clinic import Clinic, a_clinic, key_of
from tests.web.admin.conftest import Ask
from update_server.service.ports import Event, Role
from update_server.service.telemetry.digest import Digest

QUARANTINE = "/v1/admin/apps/demo/quarantine"
DROP = {"action": "drop", "rule": "implausible", "reason": "a test lab"}


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


@pytest.fixture
def clinic(world: World) -> Clinic:
    """A clinic whose installs 0 to 4 reported what cannot be."""
    clinic = a_clinic(world)
    clinic.check_in(range(20))
    now = world.clock.now()
    clinic.spools.writer("web").events(
        [
            Event(
                app="demo",
                install_key=key_of(number),
                id=f"e{number}",
                at=now,
                received_at=now,
                kind="session",
                version="2.1.0",
                channel="stable",
                platform="linux-x86_64",
                quarantine="implausible",
                body={"status": "exited", "sid": "\x1b[31m"},
            )
            for number in range(5)
        ]
    )
    digest(clinic)
    return clinic


def digest(clinic: Clinic) -> int:
    return Digest(clinic.world.database, clinic.spools).run().new_events


def counts(ask: Ask) -> dict[str, tuple[int, int]]:
    found = body_of(ask("GET", QUARANTINE))["counts"]
    return {each["arm"]: (each["reports"], each["kept"]) for each in found}


def test_it_is_shown_by_rule_and_arm_with_each_report(ask: Ask, clinic: Clinic) -> None:
    arms = [str(clinic.contact(number).arm) for number in range(5)]

    shown = body_of(ask("GET", f"{QUARANTINE}?limit=3", role=Role.VIEWER))

    assert shown["counts"] == [
        {"rule": "implausible", "arm": arm, "reports": n, "kept": n, "installs": n}
        for arm in ("candidate", "control")
        if (n := arms.count(arm))
    ]
    assert [item["arm"] for item in shown["items"]] == arms[:1:-1]
    assert shown["items"][0] == {
        "id": shown["items"][0]["id"],
        "rule": "implausible",
        "arm": arms[4],
        "kind": "session",
        "version": "2.1.0",
        "channel": "stable",
        "platform": "linux-x86_64",
        "source": "agent",
        "at": shown["items"][0]["at"],
        "received_at": shown["items"][0]["at"],
    }


@pytest.mark.usefixtures("clinic")
def test_a_page_goes_on_where_the_last_one_ended(ask: Ask) -> None:
    first = body_of(ask("GET", f"{QUARANTINE}?limit=3"))
    last = body_of(ask("GET", f"{QUARANTINE}?limit=3&cursor={first['next_cursor']}"))

    assert (len(first["items"]), len(last["items"]), last["next_cursor"]) == (3, 2, None)


@pytest.mark.usefixtures("clinic")
def test_it_may_be_of_one_rule(ask: Ask) -> None:
    assert body_of(ask("GET", f"{QUARANTINE}?rule=unknown_version"))["items"] == []
    assert body_of(ask("GET", f"{QUARANTINE}?rule=nonsense"))["field"] == "rule"


def test_what_is_dropped_is_gone_in_both_arms_and_stays_counted(ask: Ask, clinic: Clinic) -> None:
    before = counts(ask)

    done = ask("POST", QUARANTINE, json=DROP)

    wanted = {"action": "drop", "rule": "implausible", "reports": 5}
    assert (done.status_code, body_of(done)) == (200, wanted)
    assert counts(ask) == {arm: (reports, 0) for arm, (reports, _) in before.items()}
    assert body_of(ask("GET", QUARANTINE))["items"] == []
    assert digest(clinic) == 0


def test_what_is_accepted_is_digested(ask: Ask, clinic: Clinic) -> None:
    done = ask("POST", QUARANTINE, json={**DROP, "action": "accept", "version": "2.1.0"})

    assert body_of(done)["reports"] == 5
    assert digest(clinic) == 5
    record = body_of(ask("GET", "/v1/admin/apps/demo/audit?limit=1"))["items"][0]
    assert (record["action"], record["reason"]) == ("quarantine.accept", "a test lab")


@pytest.mark.usefixtures("clinic")
def test_a_request_that_is_sent_again_is_answered_as_before(ask: Ask) -> None:
    headers = {"Idempotency-Key": "once"}

    first = ask("POST", QUARANTINE, json=DROP, headers=headers)
    again = ask("POST", QUARANTINE, json=DROP, headers=headers)

    assert body_of(first) == body_of(again)


@pytest.mark.usefixtures("clinic")
def test_only_operators_decide(ask: Ask) -> None:
    before = counts(ask)

    assert ask("POST", QUARANTINE, json=DROP, role=Role.PUBLISHER).status_code == 403
    assert counts(ask) == before


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"action": "keep"}, 400, "action"),
        ({"rule": "arm"}, 400, "rule"),
        ({"reason": " "}, 422, "reason"),
        ({"version": "\x00"}, 400, "version"),
        ({"ids": [1]}, 400, "body"),  # whoever chose single reports could choose an arm
    ],
)
@pytest.mark.usefixtures("clinic")
def test_what_is_no_decision_is_told_by_its_field(
    ask: Ask, change: dict[str, Any], status: int, field: str
) -> None:
    response = ask("POST", QUARANTINE, json={**DROP, **change})

    assert (response.status_code, body_of(response)["field"]) == (status, field)


def test_an_app_that_is_not_there_has_no_quarantine(ask: Ask) -> None:
    path = "/v1/admin/apps/nope/quarantine"

    assert ask("GET", path, app=None).status_code == 404
    assert ask("POST", path, app=None, json=DROP).status_code == 404
