"""The page of what a message is about, where it was told how people reach the pages.

A message is stored with the command that shows the same: who brings it knows the address.
"""

from __future__ import annotations

from dataclasses import replace

from update_server.service.ports.outbox import Message


def linked(message: Message, url: str) -> Message:
    """Return *message* with the address of its rollout's page, below *url*, in its text.

    It stands in place of the command that shows the rollout, else at the end. Without *url*, or
    without a rollout, nothing changes.
    """
    if not url or not message.rollout:
        return message
    page = f"{url}/apps/{message.app}/rollouts/{message.rollout}"
    before, command, after = message.text.rpartition(f"serinus rollout show {message.version}")
    text = f"{before}{page}{after}" if command else f"{message.text} {page}"
    return replace(message, text=text)
