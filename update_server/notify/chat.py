"""What chats have in common: JSON to an address that is itself the secret."""

from __future__ import annotations

from typing import Final

from update_server.notify.network import Network
from update_server.notify.secret_files import read_secret
from update_server.notify.settings import TargetSettings

_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "serinus"}


def send(settings: TargetSettings, network: Network, body: bytes) -> int:
    """Post *body* to where the settings say. Raises UndeliveredError."""
    place = network.find(address_of(settings), frozenset({"https", "http"}), settings.allow_private)
    return network.post(place, body, _HEADERS)


def address_of(settings: TargetSettings) -> str:
    """Return the URL of a target: the one in its file, else the one in its settings."""
    return read_secret(settings.url_file) if settings.url_file is not None else settings.url
