from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role
from update_server.web.wire import render_time

WAIVERS = "/v1/admin/apps/demo/waivers"
SIGNATURE = "1f2e3d4c5b6a7988"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


@pytest.fixture
def wanted(world: World) -> dict[str, str]:
    at = world.clock.now().replace(microsecond=0) + timedelta(days=1)
    return {
        "channel": "stable",
        "version": "2.1.0",
        "signature": SIGNATURE,
        "expires_at": render_time(at),
        "reason": "mended in 2.1.1",
    }


def test_waivers_come_and_go(ask: Ask, wanted: dict[str, str]) -> None:
    made = ask("POST", WAIVERS, json=wanted)

    body = body_of(made)
    assert made.status_code == 201
    assert {name: body[name] for name in wanted} == wanted
    assert body_of(ask("GET", WAIVERS, role=Role.VIEWER))["items"] == [body]
    assert ask("DELETE", f"{WAIVERS}/{body['id']}?reason=mended").status_code == 204
    assert ask("DELETE", f"{WAIVERS}/{body['id']}").status_code == 404
    assert body_of(ask("GET", WAIVERS))["items"] == []


def test_only_operators_waive(ask: Ask, wanted: dict[str, str]) -> None:
    assert ask("POST", WAIVERS, json=wanted, role=Role.PUBLISHER).status_code == 403
    assert ask("DELETE", f"{WAIVERS}/wv_1", role=Role.PUBLISHER).status_code == 403


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("signature", "ABC", 400),
        ("signature", SIGNATURE + "\n", 400),
        ("version", "two", 400),
        ("expires_at", "tomorrow", 400),
        ("expires_at", "2026-11-22T03:07:00", 400),
        ("expires_at", "0001-01-01T00:00:00+14:00", 400),
        ("expires_at", "9999-01-01T00:00:00Z", 422),
        ("reason", "", 422),
        ("reason", "\u0007", 400),
    ],
)
def test_what_is_no_waiver_is_told_by_its_field(
    ask: Ask, wanted: dict[str, str], field: str, value: str, status: int
) -> None:
    response = ask("POST", WAIVERS, json={**wanted, field: value})

    assert (response.status_code, body_of(response)["field"]) == (status, field)


def test_a_resume_waives_signatures_only(ask: Ask, world: World) -> None:
    rollout = world.start("2.1.0")
    path = f"/v1/admin/apps/demo/rollouts/{rollout.id}"
    ask("POST", f"{path}/pause", json={"reason": "crashes"})

    odd = ask("POST", f"{path}/resume", json={"reason": "known", "waive": ["all"]})
    done = ask("POST", f"{path}/resume", json={"reason": "known", "waive": [SIGNATURE]})

    assert (odd.status_code, done.status_code) == (400, 200)
    (waiver,) = body_of(ask("GET", WAIVERS))["items"]
    assert (waiver["signature"], waiver["reason"]) == (SIGNATURE, "known")
