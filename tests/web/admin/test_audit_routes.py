from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.service.access import audit as audit_log
from update_server.service.ports import Role

CHAIN = "/v1/admin/audit/chain"


def lines(ask: Ask, path: str, **more: Any) -> list[dict[str, Any]]:
    response = ask("GET", path, **more)
    assert (response.status_code, response.mimetype) == (200, "application/jsonl")
    return [json.loads(line) for line in response.data.splitlines()]


def test_the_export_has_every_record_as_lists_show_it(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "_PAGE", 2)

    told = lines(ask, "/v1/admin/audit.jsonl", app=None)

    listed = ask("GET", "/v1/admin/audit?limit=500", app=None).json
    assert listed is not None
    assert told == listed["items"]
    assert len(told) > 4


def test_the_export_holds_nothing_of_another_app(ask: Ask, world: World) -> None:
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])

    assert {each["app"] for each in lines(ask, "/v1/admin/audit.jsonl")} == {"demo"}
    assert {each["app"] for each in lines(ask, "/v1/admin/apps/demo/audit.jsonl")} == {"demo"}
    assert ask("GET", "/v1/admin/apps/other/audit.jsonl").status_code == 403
    assert ask("GET", "/v1/admin/apps/none/audit.jsonl", app=None).status_code == 404


def test_the_chain_is_checked_a_part_at_each_question(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "CHECKED_AT_ONCE", 3)

    told = [ask("GET", CHAIN).json for _ in range(9)]

    assert told[0] is not None
    assert told[1] is not None
    assert told[-1] is not None
    assert (told[0]["checked_to"], told[1]["checked_to"]) == (3, 6)
    assert told[-1]["checked_to"] == told[-1]["newest"] > 6
    assert told[-1]["broken_at"] is None


def test_a_record_that_was_changed_is_named(ask: Ask, world: World) -> None:
    with world.database.transaction() as stores:
        held = stores.audit._state.audit
        held[4] = replace(held[4], actor="somebody else")

    told = ask("GET", CHAIN).json

    assert told is not None
    assert told["broken_at"] == 4


def test_nobody_reads_without_a_token(client: FlaskClient) -> None:
    for path in (CHAIN, "/v1/admin/audit.jsonl", "/v1/admin/apps/demo/audit.jsonl"):
        assert client.get(path).status_code == 401
