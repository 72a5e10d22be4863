"""From an install's request to an operator's decision, over HTTP on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.fakes.passwords import QUICK_PASSWORDS
from tests.public_world import ELSEWHERE, HIGH_BUCKET, NOW, World, a_rollout, a_world
from update_server.service.access.caller import Caller
from update_server.service.ports import Role
from update_server.service.rollouts.recount import Recounter
from update_server.service.telemetry.digest import Digest
from update_server.signer.online import OnlineSigner
from update_server.web.admin.app import create_app as create_admin_app
from update_server.web.admin.services import AdminServices, admin_services
from update_server.web.public.app import create_app as create_public_app
from update_server.web.public.proxies import Proxies
from update_server.web.wire import render_time

QUARANTINE = "/v1/admin/apps/demo/quarantine"
TELEMETRY = "/v1/admin/apps/demo/telemetry?hours=1"


@pytest.fixture
def world() -> World:
    world = a_world()
    world.put_db_rollout(a_rollout())
    world.put_release_elsewhere()
    return world


@pytest.fixture
def public(world: World) -> FlaskClient:
    return create_public_app(world.services).test_client()


@pytest.fixture
def admin(world: World, tmp_path: Path) -> FlaskClient:
    services = _services(world, tmp_path)
    client = create_admin_app(services).test_client()
    root = Caller(name="test", token_id="")
    _, secret = services.tokens.issue(root, "ann", Role.OPERATOR, "demo", None)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return client


def _services(world: World, folder: Path) -> AdminServices:
    return admin_services(
        database=world.database,
        blobs=world.blobs,
        signer=OnlineSigner(folder, world.database, world.clock, QUICK_PASSWORDS),
        clock=world.clock,
        ids=world.ids,
        spools=world.spools,
        dumps=world.dumps,
        passwords=QUICK_PASSWORDS,
        wait=world.clock.sleep,
        lease_seconds=2,
        next_check_in_seconds=14_400,
        proxies=Proxies(),
    )


def tell(public: FlaskClient, world: World, number: int, version: str) -> Any:
    """Let an install that is held back on 2.0.0 tell of a session on *version*."""
    event = {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "at": render_time(NOW),
        "kind": "session",
        "version": version,
        "sid": f"s{number}",
        "status": "exited",
    }
    body = {
        "install_id": HIGH_BUCKET,
        "token": world.check_in(HIGH_BUCKET).token,
        "sent_at": render_time(NOW),
        "events": [event],
    }
    return public.post("/v1/apps/demo/events", json=body).json


def digest(world: World) -> int:
    return Digest(world.database, world.spools, clock=world.clock).run().new_events


def sessions(world: World) -> int:
    """Return how many sessions count."""
    return len(world.database._inner._state.sessions)


def test_what_cannot_be_is_acknowledged_kept_apart_and_shown(
    world: World, public: FlaskClient, admin: FlaskClient
) -> None:
    answers = [tell(public, world, 1, "2.0.0"), tell(public, world, 2, str(ELSEWHERE))]
    digest(world)

    assert answers == [{"accepted": 1, "rejected": []}] * 2
    assert sessions(world) == 1
    shown = admin.get(QUARANTINE).json
    assert shown is not None
    assert shown["counts"] == [
        {"rule": "version_not_in_token", "arm": "control", "reports": 1, "kept": 1, "installs": 1}
    ]
    assert (shown["items"][0]["version"], shown["items"][0]["kind"]) == (str(ELSEWHERE), "session")


@pytest.mark.parametrize(("action", "counted"), [("accept", 2), ("drop", 1)])
def test_what_an_operator_decides_is_done_once(
    world: World, public: FlaskClient, admin: FlaskClient, action: str, counted: int
) -> None:
    tell(public, world, 1, "2.0.0")
    tell(public, world, 2, str(ELSEWHERE))
    digest(world)

    decision = {"action": action, "rule": "version_not_in_token", "reason": "a lab"}
    done = admin.post(QUARANTINE, json=decision)
    tell(public, world, 2, str(ELSEWHERE))  # sent again, for want of an answer
    digest(world)

    assert done.json == {"action": action, "rule": "version_not_in_token", "reports": 1}
    assert sessions(world) == counted
    assert admin.get(QUARANTINE).json == {
        "counts": [
            {
                "rule": "version_not_in_token",
                "arm": "control",
                "reports": 1,
                "kept": 0,
                "installs": 0,
            }
        ],
        "items": [],
        "next_cursor": None,
    }


def test_what_arrived_and_what_did_not_is_in_one_document(
    world: World, public: FlaskClient, admin: FlaskClient
) -> None:
    tell(public, world, 1, "2.0.0")
    tell(public, world, 2, str(ELSEWHERE))
    body = {"install_id": HIGH_BUCKET, "token": "A" * 58, "events": [{}, {}]}
    refused = public.post("/v1/apps/demo/events", json=body)
    digest(world)
    Recounter(world.database, world.clock, next_check_in_seconds=14_400).step()

    shown = admin.get(TELEMETRY).json
    assert shown is not None
    assert refused.status_code == 403
    assert shown["rejected"] == {"bad_token": 2}
    rows = {row["kind"]: (row["events"], row["set_aside"]) for row in shown["arrivals"]}
    assert rows["session"] == (1, 1)
    assert rows["check_in"] == (2, 0)
    (rollout,) = shown["rollouts"]
    assert rollout["levels"] == [{"arm": "control", "level": "crash", "installs": 1}]


def test_an_app_key_that_the_server_makes_is_known_to_web_processes(
    world: World, admin: FlaskClient
) -> None:
    made = admin.patch("/v1/admin/apps/demo/settings", json={"new_app_key": True}).json
    assert made is not None

    world.refresh()

    assert list(world.tables.of("demo").table.settings.app_keys) == made["app_keys"]
