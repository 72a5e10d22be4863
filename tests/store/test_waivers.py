"""Contract of waiver_ports.WaiverStore."""

from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.version import Version

from tests.store.values import HOUR, NOW, an_app
from update_server.service.ports import Database, ExistsError, NotFoundError, ReadOnlyError
from update_server.service.ports.waivers import Waiver

FIRST = Waiver(
    id="wv_1",
    app="demo",
    channel="stable",
    version=Version("2.1.0rc1"),
    signature="1f2e3d4c5b6a7988",
    expires_at=NOW + HOUR,
    reason="mended in 2.1.1",
    created_at=NOW,
    created_by="ann",
)
LATER = replace(FIRST, id="wv_0", created_at=NOW + HOUR, expires_at=NOW + 2 * HOUR)


@pytest.fixture
def kept(database: Database) -> Database:
    with database.transaction() as stores:
        stores.waivers.add(LATER)
        stores.waivers.add(FIRST)
    return database


def test_waivers_come_back_as_they_went_oldest_first(kept: Database) -> None:
    with kept.reading() as stores:
        assert stores.waivers.of_app("demo") == [FIRST, LATER]


def test_a_waiver_id_is_taken_once(kept: Database) -> None:
    with pytest.raises(ExistsError), kept.transaction() as stores:
        stores.waivers.add(replace(FIRST, signature="0" * 16))


def test_a_waiver_needs_an_app(database: Database) -> None:
    with pytest.raises(NotFoundError), database.transaction() as stores:
        stores.waivers.add(replace(FIRST, app="nope"))


def test_a_removed_waiver_is_gone(kept: Database) -> None:
    with kept.transaction() as stores:
        stores.waivers.remove("demo", FIRST.id)
        assert stores.waivers.of_app("demo") == [LATER]
        with pytest.raises(NotFoundError) as missing:
            stores.waivers.remove("demo", FIRST.id)
    assert (missing.value.kind, missing.value.key) == ("waiver", FIRST.id)


def test_what_has_expired_is_cleared_away(kept: Database) -> None:
    with kept.transaction() as stores:
        stores.waivers.expire("demo", FIRST.expires_at)

    with kept.reading() as stores:
        assert stores.waivers.of_app("demo") == [LATER]


def test_waivers_of_another_app_are_left_alone(kept: Database) -> None:
    with kept.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.waivers.expire("other", NOW + 9 * HOUR)
        assert stores.waivers.of_app("other") == []
        with pytest.raises(NotFoundError):
            stores.waivers.remove("other", FIRST.id)
        assert stores.waivers.of_app("demo") == [FIRST, LATER]


def test_a_waiver_is_not_stored_while_reading(database: Database) -> None:
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.waivers.add(FIRST)
