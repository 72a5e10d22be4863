from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import APP, World
from tests.notify.messages import a_message
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role
from update_server.service.ports.outbox import Alert, Attempt, DeliveryState
from update_server.web.wire import render_time

LOG, ALERTS = "/v1/admin/notifications", "/v1/admin/alerts"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


@pytest.fixture
def told(world: World) -> World:
    """A world in which two messages were sent, one of them in vain, and an alert is open."""
    now = world.clock.now()
    with world.database.transaction() as stores:
        for message in stores.outbox.unrouted(1_000):
            stores.outbox.route(message.id, [], now)
        for alert in stores.alerts.unresolved():
            stores.alerts.resolve(alert.id, now)
        stores.outbox.add(a_message(id="msg_a", app=APP, at=now))
        stores.outbox.add(a_message(id="msg_b", app="", rollout="", version="", at=now))
        stores.outbox.route("msg_a", ["ops"], now)
        stores.outbox.route("msg_b", ["ops"], now)
        [first, _] = stores.outbox.due("ops", now, 10)
        failed = Attempt(number=1, at=now, status=503, error="it answered 503")
        stores.outbox.note(first, failed, DeliveryState.PENDING, now + timedelta(seconds=5))
        for name, app in (("al_a", APP), ("al_b", "")):
            stores.alerts.open(
                Alert(
                    id=name,
                    app=app,
                    rollout="",
                    ring="",
                    reason="undelivered:ops",
                    message="msg_a" if app else "msg_gone",
                    opened_at=now,
                )
            )
        stores.alerts.acknowledge("al_a", "Ann", now)
        stores.alerts.escalate("al_a", now)
    return world


@pytest.mark.usefixtures("told")
def test_the_log_tells_what_went_where_and_each_try(ask: Ask) -> None:
    items = body_of(ask("GET", LOG, role=Role.VIEWER, app=None))["items"]

    assert [(each["message"]["id"], each["state"]) for each in items] == [
        ("msg_b", "pending"),
        ("msg_a", "pending"),
    ]
    server, ours = items
    assert server["attempts"] == []
    assert (server["message"]["app"], server["message"]["rollout"]) == (None, None)
    [attempt] = ours["attempts"]
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 503, "it answered 503")
    assert ours["message"]["subject"].startswith("PAUSED demo 2.4.0")


@pytest.mark.usefixtures("told")
def test_a_token_of_one_app_sees_what_is_about_that_app(ask: Ask) -> None:
    assert [each["message"]["id"] for each in body_of(ask("GET", LOG))["items"]] == ["msg_a"]
    assert [each["id"] for each in body_of(ask("GET", ALERTS))["items"]] == ["al_a"]


@pytest.mark.usefixtures("told")
def test_the_log_is_paged(ask: Ask) -> None:
    first = body_of(ask("GET", f"{LOG}?limit=1", app=None))
    second = body_of(ask("GET", f"{LOG}?limit=1&cursor={first['next_cursor']}", app=None))

    assert [each["message"]["id"] for each in first["items"] + second["items"]] == [
        "msg_b",
        "msg_a",
    ]
    assert second["next_cursor"] is None


@pytest.mark.usefixtures("told")
def test_alerts_tell_who_knows_of_them(ask: Ask) -> None:
    ours, server = body_of(ask("GET", ALERTS, role=Role.VIEWER, app=None))["items"]

    assert (ours["acknowledged_by"], ours["reason"]) == ("Ann", "undelivered:ops")
    assert ours["subject"].startswith("PAUSED demo 2.4.0")
    assert ours["escalated_at"] == ours["acknowledged_at"]
    assert (server["acknowledged_by"], server["escalated_at"], server["app"]) == (None, None, None)
    assert server["subject"] == "undelivered:ops"  # its message has expired


@pytest.mark.parametrize("path", [LOG, ALERTS])
def test_nobody_reads_them_without_a_token(ask: Ask, path: str) -> None:
    assert ask("GET", path, headers={"Authorization": "Bearer srn_wrong"}).status_code == 401


def test_whom_messages_do_not_reach_is_told_to_those_who_see_all(ask: Ask, told: World) -> None:
    since = told.clock.now()
    told.advance(60)
    soon = body_of(ask("GET", f"{LOG}/undelivered", role=Role.VIEWER, app=None))
    told.advance(300)

    late = body_of(ask("GET", f"{LOG}/undelivered", role=Role.VIEWER, app=None))
    of_one_app = body_of(ask("GET", f"{LOG}/undelivered", role=Role.VIEWER))

    assert soon["items"] == of_one_app["items"] == []
    assert late["items"] == [
        {
            "target": "ops",
            "messages": 1,
            "since": render_time(since),
            "error": "it answered 503",
        }
    ]
