from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.service.clinic import a_clinic
from tests.store.crash_values import a_group, a_report, a_sample
from tests.store.values import NOW
from tests.web.admin.conftest import Ask
from update_server.service.crashes.groups import MOST_COUNTS
from update_server.service.ports import Role
from update_server.service.telemetry.digest import Digest
from update_server.web.wire import render_time

MINUTE = timedelta(minutes=1)
CRASHES = "/v1/admin/apps/demo/crashes"
ONE, TWO = "1f2e3d4c5b6a7988", "00112233445566ff"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


@pytest.fixture(autouse=True)
def crashes(world: World) -> None:
    with world.database.transaction() as stores:
        stores.crashes.note(
            [
                a_report("1", signature=ONE),
                a_report("2", signature=ONE),
                a_report("2", signature=TWO, version="2.0.0", channel="beta"),
                a_report("3", signature="none"),
            ]
        )
        stores.crashes.note_groups([a_group(ONE), a_group(TWO)])
        body = {"frames": [{"function": "save"}]}
        stores.crashes.add_samples([a_sample(signature=ONE, body=body)])


def test_crashes_are_listed_by_signature(ask: Ask) -> None:
    body = body_of(ask("GET", CRASHES, role=Role.VIEWER))

    assert [item["signature"] for item in body["items"]] == [ONE, TWO, "none"]
    at = render_time(NOW)
    assert body["items"][0] == {
        "signature": ONE,
        "title": "ValueError in notes:save",
        "kind": "python",
        "parts": ["ValueError", "notes:save"],
        "installs": 2,
        "reports": 2,
        "errors": 0,
        "first_at": at,
        "last_at": at,
        "counts": [
            {
                "version": "2.1.0",
                "arm": "candidate",
                "handled": False,
                "installs": 2,
                "reports": 2,
                "first_at": at,
                "last_at": at,
            }
        ],
        "more_counts": 0,
    }
    assert body["crashed_installs"] == [
        {"version": "2.0.0", "arm": "candidate", "installs": 1, "with_signature": 1},
        {"version": "2.1.0", "arm": "candidate", "installs": 3, "with_signature": 2},
    ]
    assert body["reporting"] == []


def test_of_a_crash_in_the_list_the_counts_that_were_seen_last_are_told(
    ask: Ask, world: World
) -> None:
    later = [
        a_report("9", signature=ONE, version=f"3.{number}.0", at=NOW + number * MINUTE)
        for number in range(1, MOST_COUNTS + 1)
    ]
    with world.database.transaction() as stores:
        stores.crashes.note(later)

    listed = body_of(ask("GET", CRASHES))["items"][0]
    shown = body_of(ask("GET", f"{CRASHES}/{ONE}"))

    assert {one["version"] for one in listed["counts"]} == {one.version for one in later}
    assert (listed["more_counts"], shown["more_counts"]) == (1, 0)
    assert len(shown["counts"]) == MOST_COUNTS + 1
    for name in ("installs", "reports", "errors", "first_at", "last_at"):
        assert listed[name] == shown[name]


def test_the_list_says_who_would_have_told_of_a_crash(ask: Ask, world: World) -> None:
    clinic = a_clinic(world)
    clinic.check_in(range(8))
    clinic.check_in(clinic.candidates(range(8))[:1], telemetry="health")
    Digest(world.database, clinic.spools).run()
    (uncounted,) = body_of(ask("GET", f"{CRASHES}?version=2.1.0"))["reporting"]
    world.recount()

    (told,) = body_of(ask("GET", f"{CRASHES}?version=2.1.0"))["reporting"]

    assert (uncounted["counted_at"], uncounted["arms"]) == (None, [])
    assert told["counted_at"] == render_time(world.clock.now())

    candidates, controls = len(clinic.candidates(range(8))), len(clinic.controls(range(8)))
    assert (told["rollout"], told["version"]) == (clinic.rollout.id, "2.1.0")
    assert [(one["installs"], one["send_crashes"]) for one in told["arms"]] == [
        (candidates, candidates - 1),
        (controls, controls),
    ]
    assert body_of(ask("GET", f"{CRASHES}?version=2.0.0"))["reporting"] == []


def test_the_list_goes_on_page_by_page(ask: Ask) -> None:
    first = body_of(ask("GET", f"{CRASHES}?limit=2"))
    second = body_of(ask("GET", f"{CRASHES}?limit=2&cursor={first['next_cursor']}"))

    assert [item["signature"] for item in first["items"]] == [ONE, TWO]
    assert [item["signature"] for item in second["items"]] == ["none"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("query", ["version=2.0", "channel=beta", "version=2.0.0&channel=beta"])
def test_the_list_may_be_of_one_version_or_channel(ask: Ask, query: str) -> None:
    body = body_of(ask("GET", f"{CRASHES}?{query}"))

    assert [item["signature"] for item in body["items"]] == [TWO]


@pytest.mark.parametrize("query", ["version=two", "channel=NO", "limit=0"])
def test_what_cannot_be_asked_is_refused(ask: Ask, query: str) -> None:
    assert ask("GET", f"{CRASHES}?{query}").status_code == 400


def test_a_crash_is_shown_with_its_stack(ask: Ask) -> None:
    body = body_of(ask("GET", f"{CRASHES}/{ONE}", role=Role.VIEWER))

    assert body["stack"] == [{"function": "save"}]
    assert body["family"] == "ff"
    assert [(each["platform"], each["os"]) for each in body["counts"]] == [
        ("linux-x86_64", "Linux 6.1")
    ]
    assert body["new_on"] == [{"channel": "stable", "version": "2.1.0", "new": True}]
    assert [each["id"] for each in body["samples"]] == ["e1"]
    assert body["samples"][0]["report"] == {"frames": [{"function": "save"}]}
    assert (body["same"], body["waivers"]) == ([], [])


def test_a_crash_is_told_with_how_far_it_has_spread(ask: Ask) -> None:
    body = body_of(ask("GET", f"{CRASHES}/{TWO}"))

    (rollout,) = body["rollouts"]
    assert (rollout["version"], rollout["state"]) == ("2.0.0", "completed")
    assert rollout["candidate"] == rollout["control"] == {"installs": 0, "of": 0}
    assert body["first_seen_in"] == {"version": "2.0.0", "at": render_time(NOW)}
    assert [
        (one["channel"], one["version"], one["installs"], one["running"], one["first_at"])
        for one in body["versions"]
    ] == [("stable", "2.1.0", 0, 0, None), ("stable", "2.0.0", 1, 0, render_time(NOW))]


def test_what_nobody_named_is_shown_too(ask: Ask) -> None:
    body = body_of(ask("GET", f"{CRASHES}/none"))

    assert (body["kind"], body["key"], body["installs"]) == (None, None, 1)


def test_a_crash_that_was_never_seen_is_not_found(ask: Ask) -> None:
    response = ask("GET", f"{CRASHES}/{'0' * 16}")

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["type"].endswith("unknown_signature")


def test_operators_say_which_are_the_same(ask: Ask) -> None:
    wanted = {"signature": ONE, "reason": "one bug"}
    path = f"{CRASHES}/{TWO}/same-as"

    assert ask("POST", path, json=wanted, role=Role.PUBLISHER).status_code == 403
    body = body_of(ask("POST", path, json=wanted))

    assert (body["signature"], body["same"]) == (ONE, [TWO])
    assert len(body_of(ask("GET", CRASHES))["items"]) == 2
    assert ask("POST", f"{CRASHES}/{ONE}/same-as", json={"signature": TWO}).status_code == 422


def test_an_answer_that_is_kept_for_replays_holds_nothing_that_an_install_sent(
    ask: Ask, world: World
) -> None:
    """The install may be forgotten before the answer is."""
    headers = {"Idempotency-Key": "k1"}
    ask("POST", f"{CRASHES}/{TWO}/same-as", json={"signature": ONE}, headers=headers)
    with world.database.transaction() as stores:
        stores.crashes.forget("demo", {a_sample().report_key})

    again = ask("POST", f"{CRASHES}/{TWO}/same-as", json={"signature": ONE}, headers=headers)

    assert body_of(again)["same"] == [TWO]
    assert "e1" not in again.text
    assert "frames" not in again.text


@pytest.mark.parametrize("signature", ["", "x", ONE.upper(), ONE + "\n", 7])
def test_only_a_signature_can_be_the_same(ask: Ask, signature: object) -> None:
    response = ask("POST", f"{CRASHES}/{TWO}/same-as", json={"signature": signature})

    assert response.status_code == 400
