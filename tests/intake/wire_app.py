"""The public app as a web server's worker gets it, over fakes but for spool and dumps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.public_world import APP, World, a_world
from update_server.service.ports.settings import AppSettings
from update_server.spool import DumpFolder, FileSpool
from update_server.web.public.app import create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

FOLDER: Final = "SERINUS_TEST_SPOOL"
APP_KEY: Final = "0123456789abcdef" * 2


def a_wire_world() -> World:
    """Return the same world in each process: a token of one is good in all."""
    world = a_world()
    with world.database.transaction() as stores:
        stores.settings.put(APP, AppSettings(app_keys=(APP_KEY,)))
        stores.apps.bump(APP)
    world.refresh()
    return world


def make() -> WSGIApplication:
    """Return the app (a factory for the web server)."""
    world = a_wire_world()
    folder = Path(os.environ[FOLDER])
    world.spool = FileSpool(folder, f"web-{os.getpid()}")  # type: ignore[assignment]
    world.dumps = DumpFolder(folder / "dumps")  # type: ignore[assignment]
    return create_app(world.make_services())
