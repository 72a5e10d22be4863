from __future__ import annotations

import hashlib
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest
from flask.testing import FlaskClient
from packaging.version import Version

from rollout.model import Audience, OpenRing, Release, RolloutState
from tests.public_world import (
    APP,
    HIGH_BUCKET,
    LEASE_SECONDS,
    V2,
    World,
    a_completed_entry,
    a_rollout,
    add_app,
    an_entry,
    empty_world,
)
from update_server.web.public.app import create_app
from update_server.web.public.services import Offload

DATA = bytes(range(256)) * 4
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
IMMUTABLE = "public, max-age=31536000, immutable"
V3 = Version("2.2.0")


@pytest.fixture
def release(world: World) -> Release:
    release = world.put_release(V3, data=DATA)
    world.refresh()
    return release


@pytest.fixture
def url(world: World, release: Release) -> str:
    return f"/v1/apps/demo/targets/{world.place(release, DATA)}"


@pytest.fixture
def private_url(world: World, release: Release) -> str:
    return f"/v1/apps/demo/targets/{world.place(release, DATA, private=True)}"


def code_of(response: Any) -> str:
    return str(response.json["type"].removeprefix("about:blank#"))


class TestMetadata:
    def test_the_timestamp_may_be_a_minute_old(self, client: FlaskClient, world: World) -> None:
        world.blobs.create("apps/demo/tuf/timestamp.json", b"{}")

        response = client.get("/v1/apps/demo/tuf/timestamp.json")

        assert (response.status_code, response.data) == (200, b"{}")
        assert response.headers["Cache-Control"] == "public, max-age=60"
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["ETag"] == f'"{hashlib.sha256(b"{}").hexdigest()}"'

    def test_a_versioned_file_never_changes(self, client: FlaskClient, world: World) -> None:
        world.blobs.create("apps/demo/tuf/7.releases.stable.linux-x86_64.json", b"{}")

        response = client.get("/v1/apps/demo/tuf/7.releases.stable.linux-x86_64.json")

        assert response.headers["Cache-Control"] == IMMUTABLE

    def test_who_has_it_already_gets_no_bytes(self, client: FlaskClient, world: World) -> None:
        world.blobs.create("apps/demo/tuf/timestamp.json", b"{}")
        etag = client.get("/v1/apps/demo/tuf/timestamp.json").headers["ETag"]

        response = client.get(
            "/v1/apps/demo/tuf/timestamp.json", headers={"If-None-Match": f'"x", W/{etag}'}
        )

        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == etag
        assert response.headers["Cache-Control"] == "public, max-age=60"

    def test_head_tells_the_length_and_sends_nothing(
        self, client: FlaskClient, world: World
    ) -> None:
        world.blobs.create("apps/demo/tuf/timestamp.json", b"{}")

        response = client.head("/v1/apps/demo/tuf/timestamp.json")

        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Content-Length"] == "2"

    def test_the_missing_next_root_may_be_remembered_for_a_minute(
        self, client: FlaskClient
    ) -> None:
        response = client.get("/v1/apps/demo/tuf/2.root.json")

        assert (response.status_code, code_of(response)) == (404, "not_found")
        assert response.headers["Cache-Control"] == "public, max-age=60"

    @pytest.mark.parametrize(
        "name",
        [
            "7.snapshot.json",
            "snapshot.json",
            "0.root.json",
            "timestamp.json.tmp",
            "1.%2e%2e.json",
            "1.ROOT.json",
            "%2e%2e",
            "..%2Fx.json",
        ],
    )
    def test_no_other_missing_file_is_remembered(self, client: FlaskClient, name: str) -> None:
        response = client.get(f"/v1/apps/demo/tuf/{name}")

        assert response.status_code == 404
        assert response.headers["Cache-Control"] == "no-store"

    def test_an_unknown_app_is_named(self, client: FlaskClient) -> None:
        assert code_of(client.get("/v1/apps/nope/tuf/timestamp.json")) == "unknown_app"

    def test_it_is_served_before_the_database_was_ever_read(self) -> None:
        world = empty_world()
        world.blobs.create("apps/demo/tuf/timestamp.json", b"{}")
        client = create_app(world.services).test_client()

        assert client.get("/v1/apps/demo/tuf/timestamp.json").data == b"{}"
        assert code_of(client.get("/v1/apps/D/tuf/timestamp.json")) == "unknown_app"
        assert client.get("/v1/apps/demo/targets/x").status_code == 503


class TestWholeFiles:
    def test_an_artifact_is_sent_as_it_is(self, client: FlaskClient, url: str) -> None:
        response = client.get(url, headers={"Accept-Encoding": "gzip, br"})

        assert (response.status_code, response.data) == (200, DATA)
        assert response.headers["Content-Length"] == str(len(DATA))
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["ETag"] == ETAG
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["Cache-Control"] == IMMUTABLE
        assert "Content-Encoding" not in response.headers

    def test_its_plain_name_leads_to_it_too(
        self,
        client: FlaskClient,
        url: str,
        release: Release,
    ) -> None:
        assert client.get(url).data == DATA

        response = client.get(f"/v1/apps/demo/targets/{release.artifact.path}")

        assert response.data == DATA

    def test_head_tells_everything_and_sends_nothing(self, client: FlaskClient, url: str) -> None:
        response = client.head(url, headers={"Range": "bytes=0-1"})

        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Content-Length"] == str(len(DATA))
        assert response.headers["ETag"] == ETAG

    @pytest.mark.parametrize("tags", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*"])
    def test_who_has_it_already_gets_no_bytes(
        self, client: FlaskClient, url: str, tags: str
    ) -> None:
        response = client.get(url, headers={"If-None-Match": tags, "Range": "bytes=0-1"})

        assert (response.status_code, response.data) == (304, b"")

    def test_who_has_another_one_gets_it(self, client: FlaskClient, url: str) -> None:
        assert client.get(url, headers={"If-None-Match": '"x"'}).data == DATA

    def test_a_signed_document_is_served_by_its_hashed_name(
        self, client: FlaskClient, world: World
    ) -> None:
        name = f"demo/rollout/{'a' * 64}.stable.json"
        world.blobs.create(f"apps/demo/targets/{name}", b"{}")

        response = client.get(f"/v1/apps/demo/targets/{name}")

        assert (response.status_code, response.data) == (200, b"{}")
        assert response.headers["ETag"] == f'"{"a" * 64}"'

    def test_a_name_that_does_not_bear_its_hash_is_never_served(
        self, client: FlaskClient, world: World
    ) -> None:
        world.blobs.create("apps/demo/targets/demo/rollout/stable.json", b"{}")

        assert client.get("/v1/apps/demo/targets/demo/rollout/stable.json").status_code == 404

    @pytest.mark.parametrize(
        "path",
        [
            "demo/rollout/stable.json",
            f"demo/rollout/{'b' * 64}.stable.json",
            f"demo/../{'a' * 64}.x",
            f"demo/%2e%2e/{'a' * 64}.x",
            f"../tuf/{'a' * 64}.x",
            f"demo//{'a' * 64}.x",
            f"demo\\{'a' * 64}.x",
            f"demo/x%00/{'a' * 64}.x",
            "",
        ],
    )
    def test_nothing_else_is_there(self, client: FlaskClient, path: str) -> None:
        response = client.get(f"/v1/apps/demo/targets/{path}")

        assert (response.status_code, code_of(response)) == (404, "not_found")
        assert response.headers["Cache-Control"] == "no-store"

    def test_an_unknown_app_is_named(self, client: FlaskClient, url: str) -> None:
        assert code_of(client.get(url.replace("/demo/", "/nope/", 1))) == "unknown_app"

    def test_a_file_that_went_meanwhile_is_gone(
        self,
        client: FlaskClient,
        world: World,
        url: str,
    ) -> None:
        opened = world.blobs.open
        world.blobs.open = lambda key: opened(key + "x")  # type: ignore[method-assign]

        assert client.get(url).status_code == 404


class TestRanges:
    def test_one_range_is_sent_by_itself(self, client: FlaskClient, url: str) -> None:
        response = client.get(url, headers={"Range": "bytes=100-199"})

        assert (response.status_code, response.data) == (206, DATA[100:200])
        assert response.headers["Content-Range"] == "bytes 100-199/1024"
        assert response.headers["Content-Length"] == "100"
        assert response.headers["ETag"] == ETAG
        assert "Content-Encoding" not in response.headers

    def test_a_download_goes_on_where_it_stopped(self, client: FlaskClient, url: str) -> None:
        response = client.get(url, headers={"Range": "bytes=1000-", "If-Range": ETAG})

        assert (response.status_code, response.data) == (206, DATA[1000:])

    @pytest.mark.parametrize(
        "if_range", ['"another"', f"W/{ETAG}", "Sun, 22 Nov 2026 03:07:00 GMT"]
    )
    def test_another_file_than_the_one_begun_is_sent_whole(
        self, client: FlaskClient, url: str, if_range: str
    ) -> None:
        response = client.get(url, headers={"Range": "bytes=1000-", "If-Range": if_range})

        assert (response.status_code, response.data) == (200, DATA)

    def test_several_ranges_come_in_parts(self, client: FlaskClient, url: str) -> None:
        response = client.get(url, headers={"Range": "bytes=0-9,500-509,-3"})

        assert response.status_code == 206
        assert response.headers["Content-Length"] == str(len(response.data))
        assert response.data.startswith(b"\r\n--")
        head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + response.data).get_payload()
        assert isinstance(parts, list)
        assert [part.get("Content-Range") for part in parts if isinstance(part, Message)] == [
            "bytes 0-9/1024",
            "bytes 500-509/1024",
            "bytes 1021-1023/1024",
        ]
        assert DATA[500:510] in response.data

    def test_a_range_beyond_the_file_cannot_be_satisfied(
        self, client: FlaskClient, url: str
    ) -> None:
        response = client.get(url, headers={"Range": "bytes=1024-"})

        assert response.status_code == 416
        assert response.headers["Content-Range"] == "bytes */1024"
        assert code_of(response) == "range_not_satisfiable"

    def test_a_range_that_is_none_means_the_whole_file(self, client: FlaskClient, url: str) -> None:
        assert client.get(url, headers={"Range": "lines=1-2"}).data == DATA


class TestPulled:
    def test_the_files_of_a_pulled_release_are_gone(
        self, client: FlaskClient, world: World, url: str
    ) -> None:
        world.put_db_rollout(a_rollout(version=V3, state=RolloutState.PULLED))
        world.refresh()

        response = client.get(url)

        assert (response.status_code, code_of(response)) == (410, "pulled")
        assert response.json is not None
        assert response.json["version"] == "2.2.0"
        assert response.headers["Cache-Control"] == "no-store"

    def test_those_of_its_neighbours_stay(
        self, client: FlaskClient, world: World, url: str
    ) -> None:
        world.put_db_rollout(a_rollout(version=V2, state=RolloutState.PULLED))
        world.refresh()

        assert client.get(url).status_code == 200

    def test_an_outsider_does_not_learn_of_an_internal_release_that_was_pulled(
        self, client: FlaskClient, world: World, private_url: str
    ) -> None:
        world.put_db_rollout(a_rollout(version=V3, state=RolloutState.PULLED))
        world.refresh()

        assert client.get(private_url).status_code == 404


class TestGroupOnlyFiles:
    def get(self, client: FlaskClient, url: str, credential: str) -> Any:
        return client.get(url, headers={"Authorization": f"Bearer {credential}"})

    def test_without_a_credential_there_is_no_such_file(
        self, client: FlaskClient, private_url: str
    ) -> None:
        response = client.get(private_url)

        assert (response.status_code, code_of(response)) == (404, "not_found")

    def test_a_member_of_an_internal_group_gets_it_and_no_cache_does(
        self, client: FlaskClient, world: World, private_url: str
    ) -> None:
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()

        response = self.get(client, private_url, credential)

        assert (response.status_code, response.data) == (200, DATA)
        assert response.headers["Cache-Control"] == "no-store"

    def test_an_invented_credential_opens_nothing(
        self, client: FlaskClient, private_url: str
    ) -> None:
        assert self.get(client, private_url, "enr_guess").status_code == 404

    @pytest.mark.parametrize("value", ["Basic dTpw", "Bearer", "Bearer ", "x", 'Bearer a="b"'])
    def test_another_kind_of_authorization_opens_nothing(
        self, client: FlaskClient, private_url: str, value: str
    ) -> None:
        assert client.get(private_url, headers={"Authorization": value}).status_code == 404

    def test_a_revoked_credential_opens_nothing(
        self, client: FlaskClient, world: World, private_url: str
    ) -> None:
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()
        with world.database.transaction() as stores:
            stores.access.remove_group(APP, "staff", world.clock.now())
            stores.apps.bump(APP)
        world.refresh()

        assert self.get(client, private_url, credential).status_code == 404

    def test_a_member_of_another_group_gets_nothing(
        self, client: FlaskClient, world: World, private_url: str
    ) -> None:
        credential = world.enrol(HIGH_BUCKET, group="beta-testers")
        world.refresh()

        assert self.get(client, private_url, credential).status_code == 404

    def test_an_open_ring_of_a_group_lets_its_members_fetch(
        self, client: FlaskClient, world: World, private_url: str
    ) -> None:
        credential = world.enrol(HIGH_BUCKET, group="beta-testers")
        ring = OpenRing(
            name="beta", exposure_bp=10_000, audience=Audience(groups=("beta-testers",))
        )
        world.put_rollout(an_entry(version=V3, exposure_bp=0, rings=(ring,)), a_completed_entry())
        world.refresh()

        assert self.get(client, private_url, credential).status_code == 200

    def test_a_credential_that_cannot_be_checked_now_is_not_believed(
        self, client: FlaskClient, world: World, private_url: str
    ) -> None:
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()
        world.advance(LEASE_SECONDS)

        assert self.get(client, private_url, credential).status_code == 503

    def test_a_release_whose_bytes_are_nowhere_is_not_there_for_members_either(
        self, client: FlaskClient, world: World, release: Release
    ) -> None:
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()
        url = f"/v1/apps/demo/targets/{release.artifact.path}"

        assert self.get(client, url, credential).status_code == 404

    def test_on_a_channel_without_policy_nobody_is_a_member(self) -> None:
        world = empty_world()
        add_app(world)
        release = world.put_release(V3, data=DATA)
        url = f"/v1/apps/demo/targets/{world.place(release, DATA, private=True)}"
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()
        client = create_app(world.services).test_client()

        assert self.get(client, url, credential).status_code == 404

    def test_a_general_ring_makes_it_public(
        self, client: FlaskClient, world: World, private_url: str, release: Release
    ) -> None:
        assert client.get(private_url).status_code == 404
        world.place(release, DATA)

        response = client.get(private_url)

        assert response.status_code == 200
        assert response.headers["Cache-Control"] == IMMUTABLE


class TestOffload:
    @pytest.mark.parametrize(
        ("offload", "value"),
        [
            (Offload(header="X-Accel-Redirect", prefix="/_files/"), "/_files/apps/demo/targets/"),
            (Offload(header="X-Sendfile", prefix="/srv/blobs/"), "/srv/blobs/apps/demo/targets/"),
        ],
    )
    def test_the_proxy_in_front_sends_the_file(
        self, world: World, url: str, offload: Offload, value: str
    ) -> None:
        client = create_app(world.make_services(offload)).test_client()

        response = client.get(url, headers={"Range": "bytes=0-1"})

        path = url.removeprefix("/v1/apps/demo/targets/")
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers[offload.header] == value + path
        assert response.headers["ETag"] == ETAG
        assert "Content-Range" not in response.headers

    def test_what_is_refused_is_not_handed_over(self, world: World, private_url: str) -> None:
        offload = Offload(header="X-Accel-Redirect", prefix="/_files/")
        client = create_app(world.make_services(offload)).test_client()

        response = client.get(private_url)

        assert response.status_code == 404
        assert "X-Accel-Redirect" not in response.headers
