"""``/audit``: who did what, in parts, of what the visitor may see; and all of it as a file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.admin_world import APP, World
from tests.dashboard.apps.looking import api, open_page
from tests.dashboard.apps.reading import differing
from tests.dashboard.visitors import Visitors
from update_server.service.access import audit as audit_log
from update_server.service.ports import Role
from update_server.web.dashboard.views import audit


@pytest.fixture
def other(world: World) -> None:
    """Another app, and that it was taken in."""
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])


def test_every_record_is_shown_as_the_api_has_it(world: World, visitors: Visitors) -> None:
    rollout = world.start("2.1.0", reason="<script>alert(1)</script>\u202e")

    told = api(world, f"/apps/{APP}/audit?limit=50")["items"]
    page = open_page(visitors.vera, "/audit")

    for each in told:
        assert each["actor"] in page.text
        assert each["action"] in page.text
        assert each["subject"] in page.text
    assert rollout.id in page.text
    assert "<script>alert(1)</script>⟨U+202E⟩" in page.text
    assert not page.named("script")
    assert "version: 2.1.0, channel: stable, state: active" in page.text


def test_the_chain_is_said_to_be_in_order_as_far_as_it_was_checked(
    world: World, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    vera, chain = visitors.vera, api(world, "/audit/chain")
    monkeypatch.setattr(audit_log, "CHECKED_AT_ONCE", 3)
    some = open_page(vera, "/audit")
    monkeypatch.setattr(audit_log, "CHECKED_AT_ONCE", 1_000)
    whole = open_page(vera, "/audit")

    assert some.numbers["/checked_to"] == "3"
    assert "serinus fsck" in some.text
    assert differing(whole, chain) == {}
    assert "the newest" in whole.text


def test_a_broken_chain_is_cried_out(world: World, visitors: Visitors) -> None:
    vera = visitors.vera
    with world.database.transaction() as stores:
        held = stores.audit._state.audit
        held[4] = replace(held[4], reason="rewritten")

    page = open_page(vera, "/audit")

    assert "broken at record 4" in page.text
    assert {"class": "banner stopped", "role": "alert"} in page.named("p")


def test_the_list_goes_on_where_it_ends(
    visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    vera = visitors.vera
    monkeypatch.setattr(audit, "AT_ONCE", 2)
    seen: list[str] = []
    path: str | None = "/audit"

    while path is not None:
        page = open_page(vera, path)
        seen += [each["datetime"] or "" for each in page.named("time")]
        path = next((link for link in page.links if "before=" in link), None)

    assert len(seen) == len(_export(visitors, "/audit.jsonl"))
    assert seen == sorted(seen, reverse=True)


def _export(visitors: Visitors, path: str) -> list[dict[str, object]]:
    answer = visitors.vera.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "application/jsonl")
    return [json.loads(line) for line in answer.data.splitlines()]


@pytest.mark.usefixtures("other")
class TestScope:
    def test_whoever_is_of_one_app_sees_its_records_only(self, visitors: Visitors) -> None:
        assert {each["app"] for each in _export(visitors, "/audit.jsonl")} == {APP}
        assert "other" not in open_page(visitors.ana, "/audit").text
        for path in ("/audit?app=other", "/audit.jsonl?app=other", "/audit?app=none"):
            assert visitors.ana.get(path).status_code == 403

    def test_whoever_is_of_all_apps_chooses_one(self, visitors: Visitors) -> None:
        everything = open_page(visitors.ada, "/audit")
        one = open_page(visitors.ada, "/audit?app=other")

        assert {"name": "app", "id": "app"} in everything.named("select")
        assert "Audit of other" in one.text
        assert "signing.submit" not in one.text
        assert "/audit.jsonl?app=other" in one.links
        assert visitors.ada.get("/audit?app=none").status_code == 404

    def test_nobody_reads_who_is_not_signed_in(self, visitors: Visitors) -> None:
        for path in ("/audit", "/audit.jsonl"):
            assert visitors.browser().get(path).status_code == 303
