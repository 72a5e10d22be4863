from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from werkzeug.test import TestResponse

from rollout.documents.policies import MAX_STEPS
from rollout.model import Step
from tests.admin_world import World, a_registered_world
from tests.store.crash_values import a_report
from tests.store.values import NOW
from tests.web.admin.conftest import Ask
from update_server.evidence.ladder import settings_to_json
from update_server.evidence.settings import STANDARD
from update_server.service.ports import Contact, Role, UnavailableError
from update_server.service.ports.crashes import Cell, SessionCount
from update_server.web.admin.app import create_app
from update_server.web.wire import render_time

ROLLOUTS = "/v1/admin/apps/demo/rollouts"


def start(ask: Ask, version: str = "2.1.0", **more: object) -> TestResponse:
    return ask("POST", ROLLOUTS, json={"version": version, "channel": "stable", **more})


@pytest.fixture
def started(ask: Ask) -> str:
    """The path of a rollout that has just started."""
    response = start(ask)
    assert response.status_code == 201
    return f"{ROLLOUTS}/{response.json['id']}"  # type: ignore[index]


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


def test_a_started_rollout_is_told_in_full(ask: Ask) -> None:
    response = start(ask, reason="monday")

    assert response.status_code == 201
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Cache-Control"] == "no-store"
    body = body_of(response)
    assert {name: body[name] for name in ("app", "channel", "version", "state", "ring")} == {
        "app": "demo",
        "channel": "stable",
        "version": "2.1.0",
        "state": "active",
        "ring": "internal",
    }
    assert body["rings"] == [
        {"name": "internal", "exposure_bp": 10_000, "state": "open", "installs": 0},
        {"name": "10%", "exposure_bp": 1_000, "state": "waiting", "installs": 0},
        {"name": "all", "exposure_bp": 10_000, "state": "waiting", "installs": 0},
    ]
    assert body["ladder"][0] == {
        "ring": "internal",
        "exposure_bp": None,
        "holdback_bp": 0,
        "soak_seconds": 60,
        "approvals": 0,
    }
    assert body["published"] is True
    assert body["reason"] == "monday"
    assert body["funnel"]["offered"] == {"candidate": 0, "control": 0, "internal": 0}
    assert (body["verdict"], body["no_verdict"]) == (None, "not_judged")


def test_a_single_one_tells_what_lists_tell_and_where_a_pull_would_send_installs(
    ask: Ask, started: str
) -> None:
    one = body_of(ask("GET", started, role=Role.VIEWER))

    listed = body_of(ask("GET", ROLLOUTS, role=Role.VIEWER))["items"][0]
    told: dict[str, Any] = {
        "way_back": "2.0.0",
        "no_replacement": None,
        "outcomes": [],
        "signatures": [],
        "more_signatures": 0,
        "pull_plan": None,
    }
    assert set(one.pop("needs")) == set(one["legal"])
    assert one == listed | told
    assert body_of(ask("GET", "/v1/admin/rollouts", role=Role.VIEWER))["items"] == [listed]


def test_a_single_one_tells_of_crashes_and_sessions(ask: Ask, started: str, world: World) -> None:
    cell = Cell(rollout=started.rpartition("/")[2], ring="internal", arm="internal")
    with world.database.transaction() as stores:
        stores.crashes.note([a_report(cell=cell)])
        stores.sessions.add(
            [
                SessionCount(
                    app="demo",
                    version="2.1.0",
                    cell=cell,
                    source="launch",
                    status=status,
                    hour=NOW,
                    sessions=2,
                )
                for status in ("exited", "crashed")
            ]
        )

    assert body_of(ask("GET", started, role=Role.VIEWER))["outcomes"] == [
        {
            "version": "2.1.0",
            "ring": "internal",
            "arm": "internal",
            "crashed_installs": 1,
            "sessions": {
                "launch": {"ok": 0, "exited": 2, "errored": 0, "abnormal": 0, "crashed": 2},
                "sdk": {"ok": 0, "exited": 0, "errored": 0, "abnormal": 0, "crashed": 0},
            },
            "crash_free_sessions": {"launch": 0.5, "sdk": None},
        }
    ]


def test_live_rollouts_of_other_apps_are_not_told(ask: Ask, started: str, world: World) -> None:
    assert started
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])

    assert body_of(ask("GET", "/v1/admin/rollouts", app="other"))["items"] == []


def test_the_four_verbs(ask: Ask, started: str, world: World) -> None:
    world.advance(60)

    promoted = ask("POST", f"{started}/promote", json={"reason": "fine"})
    paused = ask("POST", f"{started}/pause", json={"reason": "hm"})
    resumed = ask("POST", f"{started}/resume")
    pulled = ask("POST", f"{started}/pull", json={"reason": "bad", "replacement": "2.0.0"})

    states = [(r.status_code, body_of(r)["state"]) for r in (promoted, paused, resumed, pulled)]
    assert states == [(200, "active"), (200, "paused"), (200, "active"), (200, "pulled")]
    assert [r.headers["ETag"] for r in (promoted, pulled)] == ['"2"', '"5"']
    assert body_of(promoted)["exposure_bp"] == 1_000
    assert body_of(paused)["paused_by"] == "person"
    assert (body_of(pulled)["replacement"], body_of(pulled)["no_replacement"]) == ("2.0.0", None)
    assert body_of(ask("GET", started))["way_back"] == "2.0.0"


def test_what_was_done_to_one_is_told_newest_first_and_in_pages(ask: Ask, started: str) -> None:
    ask("POST", f"{started}/pause", json={"reason": "hm"})
    ask("POST", f"{started}/resume", json={"reason": "fine"})

    whole = body_of(ask("GET", f"{started}/history", role=Role.VIEWER))
    first = body_of(ask("GET", f"{started}/history?limit=2"))
    rest = body_of(ask("GET", f"{started}/history?limit=2&cursor={first['next_cursor']}"))

    told = [(each["action"], each["reason"]) for each in whole["items"]]
    assert told == [("rollout.resume", "fine"), ("rollout.pause", "hm"), ("rollout.start", "")]
    assert whole["next_cursor"] is None
    assert first["items"] + rest["items"] == whole["items"]


def test_the_versions_that_a_pull_may_send_installs_to_are_those_of_signed_edges(
    ask: Ask, started: str, world: World
) -> None:
    assert body_of(ask("GET", f"{started}/ways-back", role=Role.VIEWER)) == {"items": ["2.0.0"]}

    world.change_policy(floor=Version("2.1.0"))

    assert body_of(ask("GET", f"{started}/ways-back")) == {"items": []}


def test_how_far_to_trust_its_installs_is_told_of_one(ask: Ask, started: str) -> None:
    body = body_of(ask("GET", f"{started}/telemetry", role=Role.VIEWER))

    [listed] = body_of(ask("GET", "/v1/admin/apps/demo/telemetry"))["rollouts"]
    assert body == listed | {"passed_on_to": None}
    assert (body["age_gate"], body["set_aside"]) == (True, [])


@pytest.mark.parametrize("what", ["history", "telemetry", "ways-back"])
def test_a_rollout_that_is_not_there_has_no(ask: Ask, what: str) -> None:
    assert ask("GET", f"{ROLLOUTS}/ro_none/{what}").status_code == 404


def test_a_pull_without_a_way_back_says_so(ask: Ask, world: World) -> None:
    world.publish("2.2.0")
    path = f"{ROLLOUTS}/{body_of(start(ask, '2.2.0'))['id']}"

    body = body_of(ask("POST", f"{path}/pull", json={}))

    assert (body["replacement"], body["way_back"]) == (None, None)
    assert "no completed version" in body["no_replacement"]


def test_a_pulled_rollout_tells_what_becomes_of_its_installs(
    ask: Ask, started: str, world: World
) -> None:
    last = Contact(
        app="demo",
        install_key=b"1",
        at=world.clock.now(),
        channel="stable",
        platform="linux-x86_64",
        version="2.1.0",
        action="stay",
        reason="up_to_date",
    )
    contacts = [last, replace(last, install_key=b"2", at=last.at + timedelta(hours=1))]
    with world.database.transaction() as stores:
        stores.telemetry.absorb(contacts, [])
    world.advance(60)
    ask("POST", f"{started}/pull", json={"reason": "bad", "replacement": "2.0.0"})
    uncounted = body_of(ask("GET", started, role=Role.VIEWER))["pull_plan"]
    world.recount()

    plan = body_of(ask("GET", started, role=Role.VIEWER))["pull_plan"]

    assert {uncounted[name] for name in plan.keys() - {"replacement"}} == {None}
    assert plan == {
        "replacement": "2.0.0",
        "counted_at": render_time(world.clock.now()),
        "offered": 2,
        "downloaded": 2,
        "installed": 2,
        "replaced": 0,
        "rolled_back": 0,
        "still_on": 1,
        "unreachable": 1,
    }


def test_a_mended_release_is_offered_first_to_installs_on_the_bad_one(
    ask: Ask, started: str, world: World
) -> None:
    world.publish("2.2.0")
    ask("POST", f"{started}/pause", json={"reason": "crashes"})

    wrong = start(ask, "2.2.0", first_for="2.0.0", reason="mends it")
    odd = start(ask, "2.2.0", first_for="two", reason="mends it")
    done = start(ask, "2.2.0", first_for="2.1.0", reason="mends it")

    assert [response.status_code for response in (wrong, odd, done)] == [422, 400, 201]
    assert {body_of(wrong)["field"], body_of(odd)["field"]} == {"first_for"}
    assert body_of(done)["first_for"] == "2.1.0"


def test_an_illegal_verb_is_told_the_legal_ones(ask: Ask, started: str) -> None:
    response = ask("POST", f"{started}/resume")
    assert response.status_code == 200  # it is active already

    ask("POST", f"{started}/pull", json={})
    response = ask("POST", f"{started}/promote")

    body = body_of(response)
    assert response.status_code == 409
    assert body["type"] == "about:blank#illegal_transition"
    assert (body["legal"], body["rollout"]["state"]) == ([], "pulled")


def test_a_revision_that_is_not_the_newest_fails_the_precondition(
    ask: Ask, started: str, world: World
) -> None:
    world.advance(60)

    for etag in ('"7"', "7", 'W/"1"', '"x"'):
        response = ask("POST", f"{started}/promote", headers={"If-Match": etag}, json={})
        body = body_of(response)
        assert (response.status_code, body["current"]) == (412, 1)
        assert body["rollout"]["revision"] == 1
    assert ask("POST", f"{started}/promote", headers={"If-Match": '"1"'}).status_code == 200
    assert ask("POST", f"{started}/resume", headers={"If-Match": "*"}).status_code == 200


def test_a_pause_looks_at_no_revision(ask: Ask, started: str) -> None:
    response = ask("POST", f"{started}/pause", headers={"If-Match": '"7"'}, json={})

    assert response.status_code == 200


def test_a_conflict_bears_the_current_rollout(ask: Ask, started: str) -> None:
    response = start(ask)

    body = body_of(response)
    assert (response.status_code, body["type"]) == (409, "about:blank#not_newer")
    assert started.endswith(body["rollout"]["id"])


def test_what_leaves_the_ramp_needs_an_override(ask: Ask, started: str) -> None:
    refused = ask("POST", f"{started}/promote", json={"reason": "hurry"})
    meant = ask("POST", f"{started}/promote", json={"reason": "hurry", "override": True})

    assert refused.status_code == 403
    assert body_of(refused)["type"] == "about:blank#approvals_missing"
    assert body_of(refused)["needed"] == 1
    assert meant.status_code == 200


def test_an_override_without_a_reason_names_the_field(ask: Ask, started: str) -> None:
    response = ask("POST", f"{started}/promote", json={"override": True})

    assert (response.status_code, body_of(response)["field"]) == (422, "reason")


def test_a_ladder_of_ones_own(ask: Ask) -> None:
    ladder = [{"ring": "half", "exposure_bp": 5_000}, {"ring": "all", "exposure_bp": 10_000}]

    response = start(ask, ladder=ladder, start_ring="half", reason="a hotfix")

    assert body_of(response)["exposure_bp"] == 5_000


def test_a_ladder_may_have_as_many_steps_as_a_policy(ask: Ask) -> None:
    ladder = [{"ring": "all", "exposure_bp": 100 * step} for step in range(1, MAX_STEPS + 1)]

    assert start(ask, ladder=ladder, reason="slowly").status_code == 201


def test_a_start_takes_what_the_rollout_is_judged_by(ask: Ask) -> None:
    whole = settings_to_json(replace(STANDARD, alpha=0.005))

    assert start(ask, terms=whole).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "stable"}, "version"),
        ({"version": "2.1.0"}, "channel"),
        ({"version": "two", "channel": "stable"}, "version"),
        ({"version": "2.1.0", "channel": "../x"}, "channel"),
        ({"version": "2.1.0", "channel": "stable", "ladder": []}, "ladder"),
        ({"version": "2.1.0", "channel": "stable", "ladder": [{}]}, "ladder[0].ring"),
        (
            {"version": "2.1.0", "channel": "stable", "ladder": [{"ring": "\N{SNOWMAN}"}]},
            "ladder[0].ring",
        ),
        (
            {
                "version": "2.1.0",
                "channel": "stable",
                "ladder": [{"ring": "a", "exposure_bp": 10}, {"ring": "b", "exposure_bp": 9}],
            },
            "ladder",
        ),
        ({"version": "2.1.0", "channel": "stable", "reason": "a\u0000b"}, "reason"),
        ({"version": "2.1.0", "channel": "stable", "start_ring": 5}, "start_ring"),
        ({"version": "2.1.0", "channel": "stable", "terms": []}, "terms"),
        ({"version": "2.1.0", "channel": "stable", "terms": {"alpha": 1}}, "terms.alpha"),
        ({"version": "2.1.0", "channel": "stable", "terms": {"alhpa": 0.01}}, "terms.alhpa"),
        (
            {"version": "2.1.0", "channel": "stable", "terms": {"ceilings": {"silent": 1}}},
            "terms.ceilings.silent",
        ),
    ],
)
def test_a_bad_field_of_a_start_names_itself(body: Any, field: str, ask: Ask) -> None:
    response = ask("POST", ROLLOUTS, json=body)

    assert (response.status_code, body_of(response)["field"]) == (400, field)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"version": "9.9.9", "channel": "stable"}, 422, "not_released"),
        ({"version": "2.1.0", "channel": "beta"}, 422, "unknown_channel"),
        ({"version": "2.0.0", "channel": "stable"}, 409, "not_newer"),
        (
            {"version": "2.1.0", "channel": "stable", "start_ring": "moon", "reason": "x"},
            422,
            "bad_value",
        ),
    ],
)
def test_a_start_that_is_not_possible(body: Any, status: int, code: str, ask: Ask) -> None:
    response = ask("POST", ROLLOUTS, json=body)

    assert (response.status_code, body_of(response)["type"]) == (status, f"about:blank#{code}")


def test_unknown_rollouts_are_not_found(ask: Ask) -> None:
    for method, path in (
        ("GET", f"{ROLLOUTS}/ro_none"),
        ("POST", f"{ROLLOUTS}/ro_none/pause"),
        ("GET", f"{ROLLOUTS}/%00"),
        ("POST", f"{ROLLOUTS}/ro_none/explode"),
    ):
        response = ask(method, path)
        assert response.status_code == 404
        assert response.content_type == "application/problem+json"


def test_a_pull_to_an_unsigned_version_is_never_done(ask: Ask, started: str) -> None:
    response = ask("POST", f"{started}/pull", json={"replacement": "1.0.0"})

    body = body_of(response)
    assert (response.status_code, body["type"]) == (409, "about:blank#never")
    assert body["why"] == ["2.1.0 to 1.0.0: no signed edge"]
    assert ask("POST", f"{started}/pull", json={"replacement": "one"}).status_code == 400


def test_a_pause_that_cannot_be_signed_now_says_when_to_come_again(world: World) -> None:
    class Down:
        def __getattr__(self, name: str) -> object:
            raise UnavailableError("/var/lib/serinus/signer.sock does not answer")

    rollout = world.start("2.1.0")
    client = create_app(world.services(signer=Down())).test_client()  # type: ignore[arg-type]

    response = client.post(
        f"{ROLLOUTS}/{rollout.id}/pause",
        headers={"Authorization": f"Bearer {world.caller().secret}"},
    )

    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert b"signer.sock" not in response.data


def test_a_step_for_two_people_is_told(tmp_path: Path) -> None:
    ladder = (Step(ring="1%", exposure_bp=100), Step(ring="all", exposure_bp=10_000, approvals=2))
    world = a_registered_world(tmp_path / "two", ramp=ladder)
    world.publish("2.0.0")
    rollout = world.start("2.0.0")

    response = (
        create_app(world.services())
        .test_client()
        .post(
            f"{ROLLOUTS}/{rollout.id}/promote",
            headers={"Authorization": f"Bearer {world.caller().secret}"},
            json={"override": True, "reason": "hurry"},
        )
    )

    assert response.status_code == 202
    assert body_of(response)["pending"]["needs"] == 2


def test_a_list_may_tell_only_how_rollouts_stand(ask: Ask, world: World) -> None:
    world.start("2.1.0")
    path = "/v1/admin/apps/demo/rollouts"

    whole, brief = (body_of(ask("GET", f"{path}{more}")) for more in ("", "?brief=true"))

    assert [each["id"] for each in brief["items"]] == [each["id"] for each in whole["items"]]
    for one, other in zip(brief["items"], whole["items"], strict=True):
        assert one == {name: other[name] for name in one}
    assert "funnel" not in brief["items"][0]
    assert ask("GET", f"{path}?brief=perhaps").status_code == 400
