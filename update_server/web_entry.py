"""What the web server calls in each of its workers to get an app (WSGI factories)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from update_server import config as configs
from update_server import wiring
from update_server.processes import CONFIG_VARIABLE, PARENT_VARIABLE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_PARENT_CHECK_SECONDS = 1.0


def public() -> WSGIApplication:
    """Return the public app, and keep its tables fresh in the background."""
    _leave_with_parent()
    return wiring.public_app(_config())


def admin() -> WSGIApplication:
    """Return the admin app."""
    _leave_with_parent()
    return wiring.admin_app(_config())


def _config() -> configs.Config:
    return configs.load(Path(os.environ[CONFIG_VARIABLE]))


def _leave_with_parent() -> None:
    """End this worker when the web server's main process was killed.

    An orphaned worker would keep the port and answer from a table nobody looks after.
    """
    parent = int(os.environ.get(PARENT_VARIABLE, "0"))
    if not parent:
        return

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(_PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
