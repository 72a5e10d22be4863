from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from tuf.api.metadata import Metadata, Targets

from rollout.documents import render_policy, render_release
from rollout.model import Audience
from signing.ceremony import sign_policy, sign_releases
from signing.drafts import Draft
from signing.errors import StaleBaseError, SubmissionError
from tests.admin_world import (
    APP,
    PLATFORMS,
    PUBLISHER,
    STABLE,
    World,
    a_registered_world,
    a_world,
)
from tests.builders import a_policy, a_release
from update_server.service.ports import (
    DigestMismatchError,
    NotFoundError,
    OffsetMismatchError,
    Role,
    SignerRefusedError,
)


@pytest.fixture
def registered(tmp_path: Path) -> World:
    return a_registered_world(tmp_path / "signer")


def assert_nothing_changed(world: World, before: Mapping[str, bytes]) -> None:
    assert world.state().metadata == before
    with world.database.reading() as stores:
        assert not stores.journal.unpublished()


# --- the first submission ----------------------------------------------------------------


def test_the_first_submission_registers_the_app(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")

    world.register(channels=("stable", "beta"))

    with world.database.reading() as stores:
        app = stores.apps.get(APP)
        kinds = {(d.channel, d.kind) for d in stores.releases.documents(APP)}
    assert (app.registered, app.channels) == (True, ("stable", "beta"))
    assert kinds == {(c, k) for c in ("stable", "beta") for k in ("policy", "rollout")}
    assert "apps/demo/tuf/1.root.json" in world.blobs.blobs
    assert "apps/demo/tuf/timestamp.json" in world.blobs.blobs


def test_an_app_that_was_not_taken_in_cannot_be_registered(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    publisher = world.caller(Role.PUBLISHER, None)

    with pytest.raises(NotFoundError):
        world.services().publisher.submit(publisher, "ghost", {"root": b"{}"}, {})
    with pytest.raises(NotFoundError):
        world.services().publisher.view("ghost")


def test_before_the_first_submission_there_is_nothing_to_build_upon(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, [STABLE], PLATFORMS)

    view = world.services().publisher.view(APP)

    assert (view.versions, view.metadata) == ({}, {})
    assert set(view.online_keys) >= {"rollout", "snapshot", "timestamp"}


# --- releases ----------------------------------------------------------------------------


def test_a_release_is_admitted_with_its_files_out_of_public_sight(registered: World) -> None:
    submitted = registered.publish("2.0.0")

    assert {str(release.version) for release in submitted.releases} == {"2.0.0"}
    assert submitted.versions["releases.stable.linux-x86_64"] == 2
    with registered.database.reading() as stores:
        assert len(stores.releases.get(APP, STABLE, Version("2.0.0"))) == 2
        targets = stores.releases.targets(APP)
    assert {target.path.rpartition(".")[2] for target in targets} == {"json", "srn"}
    artifacts = [key for key in registered.blobs.blobs if key.endswith(".srn")]
    assert artifacts
    assert all(key.startswith("private/demo/targets/") for key in artifacts)


def test_the_same_submission_again_is_admitted_already(registered: World) -> None:
    metadata = registered.signed_release("2.0.0")
    first = registered.submit(metadata)

    again = registered.submit(metadata)

    assert again.admitted == ()
    assert again.timestamp_version == first.timestamp_version


def test_a_submission_upon_an_old_base_is_told_the_new_one(registered: World) -> None:
    late = registered.signed_release("2.0.1")
    registered.publish("2.0.0")
    before = registered.state().metadata

    with pytest.raises(StaleBaseError) as raised:
        registered.submit(late)

    assert raised.value.current["releases.stable.linux-x86_64"] == 2
    assert_nothing_changed(registered, before)


def test_a_base_that_is_not_the_newest_is_stale_whatever_the_versions(registered: World) -> None:
    metadata = registered.signed_release("2.0.0")
    publisher = registered.caller(Role.PUBLISHER)

    with pytest.raises(StaleBaseError):
        registered.services().publisher.submit(
            publisher, APP, metadata, {"releases.stable.linux-x86_64": 7}
        )


def test_a_submission_without_its_bytes_is_refused(registered: World) -> None:
    release = a_release(version="2.0.0", released_at=registered.clock.now())

    files = {release.artifact.path: ("a" * 64, 10)}
    draft = Draft(document=render_release(release), files=files)
    metadata = sign_releases(registered.state(), [draft], [PUBLISHER], registered.clock.now())
    before = registered.state().metadata

    with pytest.raises(SubmissionError) as raised:
        registered.submit(metadata)

    assert raised.value.code == "missing_file"
    assert_nothing_changed(registered, before)


def test_a_submission_without_a_signature_is_refused(registered: World) -> None:
    (role, data), *_ = registered.signed_release("2.0.0", platforms=[PLATFORMS[0]]).items()
    unsigned = json.loads(data) | {"signatures": []}
    before = registered.state().metadata

    with pytest.raises(SubmissionError) as raised:
        registered.submit({role: json.dumps(unsigned).encode()})

    assert raised.value.code == "unsigned"
    assert_nothing_changed(registered, before)


def test_a_submission_that_names_a_path_of_another_role_is_refused(registered: World) -> None:
    linux, windows = (f"releases.stable.{platform}" for platform in PLATFORMS)
    signed = registered.signed_release("2.0.0")

    def of(data: bytes) -> Metadata[Targets]:
        return Metadata[Targets].from_bytes(data)

    mixed = of(signed[linux])
    mixed.signed.targets |= of(signed[windows]).signed.targets
    mixed.sign(PUBLISHER)
    before = registered.state().metadata

    with pytest.raises(SubmissionError) as raised:
        registered.submit({linux: mixed.to_bytes()})

    assert raised.value.code == "path_scope"
    assert_nothing_changed(registered, before)


@pytest.mark.parametrize("role", ["rollout.stable", "snapshot", "timestamp", "../root", "x"])
def test_a_role_that_people_do_not_sign_is_refused(role: str, registered: World) -> None:
    with pytest.raises(SubmissionError) as raised:
        registered.submit({role: b"{}"})

    assert raised.value.code == "path_scope"


def test_a_release_never_changes_though_it_left_the_metadata(registered: World) -> None:
    registered.publish("2.0.0")
    role = "releases.stable.linux-x86_64"
    pruned = Metadata[Targets].from_bytes(registered.state().metadata[role])
    pruned.signed.targets = {}
    pruned.signed.version += 1
    pruned.sign(PUBLISHER)
    registered.submit({role: pruned.to_bytes()})
    another = registered.signed_release("2.0.0", platforms=[PLATFORMS[0]], rollback_to=["1.0.0"])

    with pytest.raises(SubmissionError) as raised:
        registered.submit(another)

    assert raised.value.code == "not_immutable"


def test_what_the_signer_alone_refuses_stores_nothing(registered: World) -> None:
    class Suspicious:
        def __init__(self, inner: Any) -> None:
            self.status, self.online_keys = inner.status, inner.online_keys

        def admit(self, *_: object) -> object:
            raise SignerRefusedError("unsigned", "not by me")

    before = registered.state().metadata
    metadata = registered.signed_release("2.0.0")
    services = registered.services(signer=Suspicious(registered.signer))  # type: ignore[arg-type]

    with pytest.raises(SignerRefusedError):
        registered.submit(metadata, services)

    assert_nothing_changed(registered, before)
    # Nothing stands in the way of the next one, which finds the files placed already.
    for key in [key for key in registered.blobs.blobs if key.startswith("blobs/")]:
        registered.blobs.delete(key)
    assert registered.submit(metadata).admitted


# --- policies ----------------------------------------------------------------------------


def test_a_new_policy_is_in_force_at_once(registered: World) -> None:
    registered.change_policy(floor="1.0.0")

    policy = registered.services().report.policy(APP, STABLE)
    assert (policy.policy.floor, policy.version) == (Version("1.0.0"), 2)


def test_a_policy_that_forbids_what_is_in_force_is_refused(released: World) -> None:
    released.start("2.1.0")
    released.services().holds.add(
        released.caller(),
        APP,
        STABLE,
        title="Driver",
        link="https://status.example.org/h1",
        audience=Audience(),
    )
    policy = a_policy(issued=released.clock.now(), link_hosts=("elsewhere.example.org",))
    metadata = sign_policy(
        released.state(), {STABLE: render_policy(policy)}, [PUBLISHER], released.clock.now()
    )

    with pytest.raises(SubmissionError) as raised:
        released.submit(metadata)

    assert raised.value.code == "bad_document"


def test_a_new_channel_comes_with_its_policy(registered: World) -> None:
    registered.change_policy("beta")

    with registered.database.reading() as stores:
        assert stores.apps.get(APP).channels == ("stable", "beta")


# --- uploads -----------------------------------------------------------------------------

SHA_OF_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_an_upload_goes_on_where_it_broke_off(registered: World) -> None:
    uploads, publisher = registered.services().uploads, registered.caller(Role.PUBLISHER)

    assert uploads.progress(APP, SHA_OF_HELLO) == (0, False)
    assert uploads.append(publisher, APP, SHA_OF_HELLO, 0, 5, io.BytesIO(b"he")) == (2, False)
    with pytest.raises(OffsetMismatchError) as raised:
        uploads.append(publisher, APP, SHA_OF_HELLO, 0, 5, io.BytesIO(b"hello"))
    assert raised.value.expected_bytes == 2
    assert uploads.append(publisher, APP, SHA_OF_HELLO, 2, 5, io.BytesIO(b"llo")) == (5, True)
    assert uploads.progress(APP, SHA_OF_HELLO) == (5, True)


def test_other_bytes_than_announced_are_gone(registered: World) -> None:
    uploads, publisher = registered.services().uploads, registered.caller(Role.PUBLISHER)

    with pytest.raises(DigestMismatchError):
        uploads.append(publisher, APP, SHA_OF_HELLO, 0, 5, io.BytesIO(b"howdy"))

    assert uploads.progress(APP, SHA_OF_HELLO) == (0, False)


def test_an_unknown_app_takes_no_bytes(registered: World) -> None:
    uploads, publisher = registered.services().uploads, registered.caller(Role.PUBLISHER)

    with pytest.raises(NotFoundError):
        uploads.progress("ghost", SHA_OF_HELLO)
    with pytest.raises(NotFoundError):
        uploads.append(publisher, "ghost", SHA_OF_HELLO, 0, 5, io.BytesIO(b"hello"))


def test_the_audit_log_says_once_who_uploaded_what(registered: World) -> None:
    uploads, publisher = registered.services().uploads, registered.caller(Role.PUBLISHER)

    uploads.append(publisher, APP, SHA_OF_HELLO, 0, 5, io.BytesIO(b"he"))
    uploads.append(publisher, APP, SHA_OF_HELLO, 2, 5, io.BytesIO(b"llo"))
    uploads.append(publisher, APP, SHA_OF_HELLO, 5, 5, io.BytesIO())

    page, _ = registered.services().audit.page(APP, before_seq=None, limit=50)
    (line,) = [record for record in page if record.action == "blob.upload"]
    assert (line.actor, line.subject) == (publisher.name, SHA_OF_HELLO)
    assert line.after == {"length_bytes": 5}
