"""Slack: blocks of plain text, so that nothing in a message is taken for a mention or a link."""

from __future__ import annotations

import json
from datetime import datetime

from update_server.notify.chat import send
from update_server.notify.network import Network
from update_server.notify.settings import TargetSettings
from update_server.service.ports.outbox import Message


class Slack:
    """Sends to one incoming webhook."""

    def __init__(self, settings: TargetSettings, network: Network) -> None:
        self._settings = settings
        self._network = network

    def send(self, message: Message, now: datetime) -> int:
        """Send, and return Slack's status. Raises UndeliveredError."""
        del now
        return send(self._settings, self._network, render(message))


def render(message: Message) -> bytes:
    """Return *message* as Slack takes it."""
    document = {
        # What notifications show. Here, and only here, Slack looks for its own marks.
        "text": _escaped(message.subject),
        "blocks": [
            {"type": "header", "text": _plain(message.subject)},
            {"type": "section", "text": _plain(message.text)},
            {"type": "context", "elements": [_plain(message.id)]},
        ],
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _plain(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
