"""Contract of settings_ports.SettingsStore."""

from __future__ import annotations

import pytest

from tests.store.values import an_app
from update_server.service.ports import Database, NotFoundError, ReadOnlyError
from update_server.service.ports.settings import AppSettings

SET = AppSettings(
    crash_messages=True, tags=("gpu", "window manager"), app_keys=("0" * 32,), atom=True
)


def test_what_nobody_set_is_as_by_default(database: Database) -> None:
    with database.reading() as stores:
        assert stores.settings.get("demo") == AppSettings()


def test_settings_come_back_as_they_went(database: Database) -> None:
    with database.transaction() as stores:
        stores.settings.put("demo", SET)

    with database.reading() as stores:
        assert stores.settings.get("demo") == SET


def test_new_settings_take_the_place_of_those_before(database: Database) -> None:
    with database.transaction() as stores:
        stores.settings.put("demo", SET)
        stores.settings.put("demo", AppSettings(tags=("gpu",)))
        assert stores.settings.get("demo") == AppSettings(tags=("gpu",))


def test_settings_are_of_one_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.settings.put("demo", SET)
        assert stores.settings.get("other") == AppSettings()


def test_settings_need_an_app(database: Database) -> None:
    with pytest.raises(NotFoundError), database.transaction() as stores:
        stores.settings.put("nope", SET)


def test_settings_are_not_stored_while_reading(database: Database) -> None:
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.settings.put("demo", SET)
