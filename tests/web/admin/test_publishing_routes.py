from __future__ import annotations

import errno
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.admin_world import PLATFORMS, World, a_world
from tests.fakes import FakeBlobs
from tests.web.admin.conftest import Ask
from update_server.blobs import LocalBlobs
from update_server.service.ports import Role, UnavailableError
from update_server.web.admin.app import create_app
from update_server.web.admin.blobs import MAX_UPLOAD_BYTES
from update_server.web.wire_admin import MAX_SIGNING_BODY_BYTES

SIGNING = "/v1/admin/apps/demo/signing"
DATA = b"0123456789" * 1_000
SHA256 = hashlib.sha256(DATA).hexdigest()
BLOB = f"/v1/admin/apps/demo/blobs/{SHA256}"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


def put(ask: Ask, data: bytes, offset: object = 0, length: object = len(DATA)) -> TestResponse:
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(length)}
    return ask("PUT", BLOB, role=Role.PUBLISHER, headers=headers, data=data)


# --- blobs -------------------------------------------------------------------------------


def test_an_upload_can_be_taken_up_where_it_broke_off(ask: Ask) -> None:
    head = ask("HEAD", BLOB, role=Role.PUBLISHER)
    assert (head.status_code, head.headers["Upload-Offset"]) == (200, "0")
    assert head.headers["Upload-Complete"] == "?0"

    part = put(ask, DATA[:4_000])
    assert (part.status_code, part.headers["Upload-Offset"]) == (204, "4000")
    assert ask("HEAD", BLOB, role=Role.PUBLISHER).headers["Upload-Offset"] == "4000"
    rest = put(ask, DATA[4_000:], 4_000)

    assert rest.status_code == 201
    assert rest.headers["Upload-Complete"] == "?1"
    assert ask("HEAD", BLOB, role=Role.PUBLISHER).headers["Upload-Offset"] == str(len(DATA))


def test_what_was_uploaded_can_be_fetched_in_pieces(ask: Ask) -> None:
    assert ask("GET", BLOB, role=Role.PUBLISHER).status_code == 404
    put(ask, DATA[:4_000])
    assert ask("GET", BLOB, role=Role.PUBLISHER).status_code == 404  # not whole yet
    put(ask, DATA[4_000:], 4_000)

    whole = ask("GET", BLOB, role=Role.PUBLISHER)
    piece = ask("GET", BLOB, role=Role.PUBLISHER, headers={"Range": "bytes=10-19"})

    assert (whole.status_code, whole.data) == (200, DATA)
    assert (piece.status_code, piece.data) == (206, DATA[10:20])
    assert ask("GET", BLOB, role=Role.VIEWER).status_code == 403
    head = ask("HEAD", BLOB, role=Role.PUBLISHER)
    assert head.headers["Upload-Complete"] == "?1"


def test_a_hole_is_refused_with_the_offset_to_go_on_from(ask: Ask) -> None:
    put(ask, DATA[:100])

    response = put(ask, DATA[200:], 200)

    body = body_of(response)
    assert (response.status_code, body["offset"]) == (409, 100)
    assert body["type"] == "about:blank#offset_mismatch"


def test_other_bytes_than_announced_are_refused(ask: Ask) -> None:
    response = put(ask, DATA[::-1])

    assert (response.status_code, body_of(response)["type"]) == (
        422,
        "about:blank#digest_mismatch",
    )
    assert ask("HEAD", BLOB, role=Role.PUBLISHER).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(
    ("offset", "length", "field"),
    [
        ("x", 10, "Upload-Offset"),
        ("-1", 10, "Upload-Offset"),
        ("\N{SUPERSCRIPT TWO}", 10, "Upload-Offset"),
        ("9" * 40, 10, "Upload-Offset"),
        (0, "", "Upload-Length"),
        (11, 10, "Upload-Length"),
        (0, MAX_UPLOAD_BYTES + 1, "Upload-Length"),
        (0, 1, "Content-Length"),
    ],
)
def test_a_bad_number_names_itself(offset: object, length: object, field: str, ask: Ask) -> None:
    response = put(ask, b"xy", offset, length)

    assert (response.status_code, body_of(response)["field"]) == (400, field)


@pytest.mark.parametrize("name", ["A" * 64, "0" * 63, "0" * 65, "..%2f" + "0" * 60])
def test_what_is_no_digest_is_not_found(name: str, ask: Ask) -> None:
    response = ask("HEAD", f"/v1/admin/apps/demo/blobs/{name}", role=Role.PUBLISHER)

    assert response.status_code == 404


class FullBlobs(FakeBlobs):
    """Blobs on a disk that has no room, or that does not answer."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self._number = number

    def append(self, *_: object) -> int:
        cause = None if self._number is None else OSError(self._number, "no")
        raise UnavailableError("/srv/files: the disk is full") from cause


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (errno.ENOSPC, 507, "insufficient_storage"),
        (errno.EDQUOT, 507, "insufficient_storage"),
        (errno.EIO, 503, "unavailable"),
        (None, 503, "unavailable"),
    ],
)
def test_a_disk_without_room_is_told(
    number: int | None, status: int, code: str, world: World
) -> None:
    client = create_app(world.services(blobs=FullBlobs(number))).test_client()

    response = client.put(
        BLOB,
        data=DATA,
        headers={
            "Authorization": f"Bearer {world.caller(Role.PUBLISHER).secret}",
            "Upload-Offset": "0",
            "Upload-Length": str(len(DATA)),
        },
    )

    assert (response.status_code, body_of(response)["type"]) == (status, f"about:blank#{code}")
    assert b"/srv" not in response.data


def test_two_who_send_the_same_file_at_once_are_told_so(world: World, tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    client = create_app(world.services(blobs=blobs)).test_client()
    headers = {
        "Authorization": f"Bearer {world.caller(Role.PUBLISHER).secret}",
        "Upload-Offset": "0",
        "Upload-Length": str(len(DATA)),
    }

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            answers.append(client.put(BLOB, data=DATA, headers=headers))
            return super().read(size)

    answers: list[TestResponse] = []
    blobs.append("demo", SHA256, 0, len(DATA), Slow(DATA))

    (answer,) = answers
    assert (answer.status_code, body_of(answer)["type"]) == (503, "about:blank#busy")
    assert answer.headers["Retry-After"] == "2"


# --- signing -----------------------------------------------------------------------------


def test_what_is_signed_is_told_byte_for_byte(ask: Ask, world: World) -> None:
    body = body_of(ask("GET", SIGNING, role=Role.PUBLISHER))

    assert body["registered"] is True
    assert body["versions"]["root"] == 1
    assert body["channels"] == ["stable"]
    assert body["platforms"] == list(PLATFORMS)
    assert {role: text.encode() for role, text in body["metadata"].items()} == dict(
        world.state().metadata
    )
    assert set(body["online_keys"]) >= {"rollout", "snapshot", "timestamp"}


@pytest.mark.parametrize("route", [SIGNING, "/v1/admin/apps/demo"])
def test_a_read_makes_no_keys(route: str, ask: Ask, world: World) -> None:
    lost = world.folder / "demo" / "snapshot.pem"
    lost.unlink()

    response = ask("GET", route, role=Role.PUBLISHER)

    assert (response.status_code, body_of(response)["type"]) == (409, "about:blank#no_key")
    assert not lost.exists()


def test_a_release_is_submitted_and_listed(ask: Ask, world: World) -> None:
    metadata = world.signed_release("2.2.0")
    request = {
        "metadata": {role: data.decode() for role, data in metadata.items()},
        "base": dict.fromkeys(metadata, 3),
    }

    response = ask("POST", SIGNING, role=Role.PUBLISHER, json=request)

    body = body_of(response)
    assert response.status_code == 200
    assert body["admitted"] == sorted(metadata)
    assert {"version": "2.2.0", "channel": "stable", "platform": PLATFORMS[0]} in body["releases"]
    assert body["versions"][body["admitted"][0]] == 4
    releases = body_of(ask("GET", "/v1/admin/apps/demo/releases", role=Role.VIEWER))["items"]
    assert releases[0]["version"] == "2.2.0"
    assert releases[0]["state"] == "admitted"
    artifact = releases[0]["platforms"][0]["artifact"]
    assert artifact["length_bytes"] > 0
    assert len(artifact["sha256"]) == 64


def test_a_stale_base_is_told_the_new_one(ask: Ask, world: World) -> None:
    late = world.signed_release("2.3.0")
    world.publish("2.2.0")

    response = ask(
        "POST",
        SIGNING,
        role=Role.PUBLISHER,
        json={"metadata": {role: data.decode() for role, data in late.items()}},
    )

    body = body_of(response)
    assert (response.status_code, body["type"]) == (409, "about:blank#stale_base")
    assert body["versions"]["releases.stable.linux-x86_64"] == 4


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"root": "{}"}, "bad_document"),
        ({"timestamp": "{}"}, "path_scope"),
        ({"releases.stable.linux-x86_64": '{"signed": {}, "signed": {}}'}, "bad_document"),
        ({"targets": '{"signed": {"version": 1.5}, "signatures": []}'}, "bad_document"),
    ],
)
def test_bad_metadata_is_refused_with_its_code(
    metadata: dict[str, str], code: str, ask: Ask, world: World
) -> None:
    before = dict(world.blobs.blobs)

    response = ask("POST", SIGNING, role=Role.PUBLISHER, json={"metadata": metadata})

    assert (response.status_code, body_of(response)["type"]) == (422, f"about:blank#{code}")
    assert world.blobs.blobs == before


def test_a_submission_over_the_limit_is_not_read(ask: Ask) -> None:
    text = "x" * MAX_SIGNING_BODY_BYTES

    response = ask("POST", SIGNING, role=Role.PUBLISHER, json={"metadata": {"root": text}})

    assert (response.status_code, body_of(response)["type"]) == (413, "about:blank#too_large")


def test_other_bodies_are_small(ask: Ask) -> None:
    response = ask("POST", "/v1/admin/apps/demo/groups", data=b" " * (1 << 20) + b"{}")

    assert response.status_code == 413


def test_broken_storage_is_told_without_its_inside(ask: Ask, world: World) -> None:
    metadata = world.signed_release("2.2.0")
    world.blobs.create("apps/demo/tuf/4.releases.stable.linux-x86_64.json", b"{}")

    response = ask(
        "POST",
        SIGNING,
        role=Role.PUBLISHER,
        json={"metadata": {role: data.decode() for role, data in metadata.items()}},
    )

    assert (response.status_code, body_of(response)["type"]) == (500, "about:blank#broken_state")
    assert b"apps/" not in response.data


def test_one_release_is_shown(ask: Ask) -> None:
    path = "/v1/admin/apps/demo/releases/2.0.0"

    body = body_of(ask("GET", path, role=Role.VIEWER))

    assert (body["version"], body["state"], body["security"]) == ("2.0.0", "completed", False)
    assert body == body_of(ask("GET", f"{path}?channel=stable", role=Role.VIEWER))
    assert ask("GET", f"{path}?channel=beta").status_code == 404
    assert ask("GET", f"{path}?channel=../x").status_code == 400
    assert ask("GET", "/v1/admin/apps/demo/releases/7.0").status_code == 404
    assert ask("GET", "/v1/admin/apps/demo/releases/seven").status_code == 400


# --- apps --------------------------------------------------------------------------------


def admin_of(world: World) -> tuple[FlaskClient, dict[str, str]]:
    headers = {"Authorization": f"Bearer {world.caller(Role.ADMIN, None).secret}"}
    return create_app(world.services()).test_client(), headers


def test_an_app_is_taken_in_once(tmp_path: Path) -> None:
    client, headers = admin_of(a_world(tmp_path / "signer"))
    request = {"app": "demo", "channels": ["stable"], "platforms": ["linux-x86_64"]}

    first = client.post("/v1/admin/apps", headers=headers, json=request)
    again = client.post("/v1/admin/apps", headers=headers, json=request)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert body_of(first)["online_keys"]["timestamp"]["keyid"]
    assert body_of(client.get("/v1/admin/apps/demo", headers=headers)) == first.json
    listed = body_of(client.get("/v1/admin/apps", headers=headers))["items"]
    assert [(item["app"], item["registered"]) for item in listed] == [("demo", False)]
    signing = body_of(client.get(SIGNING, headers=headers))
    assert (signing["versions"], signing["metadata"]) == ({}, {})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"app": "De Mo"}, "app"),
        ({"channels": []}, "channels"),
        ({"channels": ["omaha"]}, "channels[0]"),
        ({"platforms": ["linux-x86_64", "Linux"]}, "platforms[1]"),
        ({"platforms": "linux-x86_64"}, "platforms"),
    ],
)
def test_a_bad_name_is_refused(change: dict[str, Any], field: str, tmp_path: Path) -> None:
    client, headers = admin_of(a_world(tmp_path / "signer"))
    request = {"app": "demo", "channels": ["stable"], "platforms": ["linux-x86_64"]} | change

    response = client.post("/v1/admin/apps", headers=headers, json=request)

    assert (response.status_code, json.loads(response.data)["field"]) == (400, field)
