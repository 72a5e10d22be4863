from __future__ import annotations

from pathlib import Path

import pytest

from signing.metadata import parse_timestamp
from tests.admin_world import APP, STABLE, World, a_world
from update_server.service.ports import LeaseLostError, Role, SignerRefusedError


def expires(world: World) -> object:
    data = world.blobs.blobs["apps/demo/tuf/timestamp.json"]
    return parse_timestamp(data).signed.expires


def test_a_timestamp_is_renewed_each_hour(released: World) -> None:
    renewer = released.services().renewer
    before = expires(released)
    assert not renewer.is_due(APP)

    released.advance(3_600)
    assert renewer.is_due(APP)
    renewer.renew(APP)

    assert not renewer.is_due(APP)
    assert expires(released) > before  # type: ignore[operator]


def test_rollout_documents_are_renewed_each_day(released: World) -> None:
    released.start("2.1.0")
    with released.database.reading() as stores:
        (before,) = [d for d in stores.releases.documents(APP) if d.kind == "rollout"]
    released.advance(86_400)

    released.services().renewer.renew(APP)

    with released.database.reading() as stores:
        (after,) = [d for d in stores.releases.documents(APP) if d.kind == "rollout"]
    assert after.version == before.version + 1
    assert after.expires_at > before.expires_at
    assert after.document == before.document


def test_an_app_on_its_way_is_not_due(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, [STABLE], ["linux-x86_64"])

    assert not world.services().renewer.is_due(APP)
    with pytest.raises(SignerRefusedError):
        world.services().renewer.renew(APP)


def test_a_registered_app_without_a_journal_is_due(released: World) -> None:
    released.database._state.journal.clear()

    assert released.services().renewer.is_due(APP)


def test_who_publishes_renews_anyway(released: World) -> None:
    with released.database.transaction() as stores:
        stores.apps.take_lease(APP, "a publisher", released.clock.now(), 60)

    with pytest.raises(LeaseLostError):
        released.services().renewer.renew(APP)
