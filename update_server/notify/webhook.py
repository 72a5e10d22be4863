"""Webhooks: CloudEvents 1.0 in JSON, signed as Standard Webhooks has it.

Receivers verify that the bytes are ours and young, and drop an id that they have seen:
docs/notifications.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from update_server.notify.chat import address_of
from update_server.notify.network import Network
from update_server.notify.secret_files import read_secret
from update_server.notify.settings import TargetSettings
from update_server.service.ports.outbox import Message, UndeliveredError

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
_PREFIX: Final = "whsec_"
_SECRET_BYTES = range(24, 65)  # Standard Webhooks 1.0.0: 24 to 64


class Webhook:
    """Sends to one URL."""

    def __init__(self, settings: TargetSettings, network: Network) -> None:
        self._settings = settings
        self._network = network

    def send(self, message: Message, now: datetime) -> int:
        """Send, and return the receiver's status. Raises UndeliveredError."""
        settings = self._settings
        keys = [key_of(read_secret(path), path.name) for path in settings.secret_files]
        place = self._network.find(
            address_of(settings), frozenset({"https", "http"}), settings.allow_private
        )
        body, at = render(message), int(now.timestamp())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "serinus",
            "webhook-id": message.id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(message.id, at, body, keys),
        }
        return self._network.post(place, body, headers)


def render(message: Message) -> bytes:
    """Return *message* as a CloudEvent, the same bytes each time."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": message.id,
        "source": f"/apps/{message.app}" if message.app else "/server",
        "type": message.type,
        "subject": "/".join(filter(None, (message.app, message.version))) or "server",
        "time": message.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            "subject": message.subject,
            "text": message.text,
            "sentence": message.sentence,
            "level": message.level.value,
            "actor": message.actor,
            "alert": message.alert or None,
            "resolves": list(message.resolves),
            "rollout": _rollout(message),
            "decision": message.decision,
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def sign(message_id: str, at: int, body: bytes, keys: Sequence[bytes]) -> str:
    """Return the signatures of *body*, one by each key, as the header has them.

    *at* is Unix seconds. Standard Webhooks 1.0.0, "Signature scheme".
    """
    signed = b".".join((message_id.encode(), str(at).encode(), body))
    digests = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def key_of(secret: str, name: str) -> bytes:
    """Return the key that *secret* (``whsec_`` and base64) spells. Errors tell its *name* only.

    Raises:
        UndeliveredError: It spells none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndeliveredError(f"{name} is not whsec_ and base64") from error
    if len(key) not in _SECRET_BYTES:
        raise UndeliveredError(f"{name} must spell 24 to 64 bytes")
    return key


def _rollout(message: Message) -> dict[str, str] | None:
    if not message.rollout:
        return None
    return {
        "id": message.rollout,
        "app": message.app,
        "channel": message.channel,
        "version": message.version,
        "ring": message.ring,
        "state": message.state,
    }
