"""Microsoft Teams: an Adaptive Card to the URL of a workflow.

Runs of text, for text blocks would read Markdown. Connectors of old are retired.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from update_server.notify.chat import send
from update_server.notify.network import Network
from update_server.notify.settings import TargetSettings
from update_server.service.ports.outbox import Message


class Teams:
    """Sends to one workflow."""

    def __init__(self, settings: TargetSettings, network: Network) -> None:
        self._settings = settings
        self._network = network

    def send(self, message: Message, now: datetime) -> int:
        """Send, and return the workflow's status. Raises UndeliveredError."""
        del now
        return send(self._settings, self._network, render(message))


def render(message: Message) -> bytes:
    """Return *message* as a workflow "when a webhook request is received" takes it."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            _run(message.subject, weight="bolder", size="medium"),
            _run(message.text),
            _run(message.id, isSubtle=True, size="small"),
        ],
    }
    document = {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": card,
            }
        ],
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
