"""The signer as a process of its own."""

from __future__ import annotations

import threading

from update_server import config as configs
from update_server import wiring
from update_server.signer import link


def serve(config: configs.Config, stop: threading.Event) -> int:
    """Run the signer until *stop* is set."""
    link.serve(config.signer_socket, wiring.signer(config), stop, wiring.log("signer"))
    return 0
