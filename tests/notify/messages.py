"""Messages, valid in all their fields."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from update_server.service.ports.outbox import Level, Message

AT = datetime(2026, 12, 1, 3, 7, tzinfo=UTC)


def a_message(**changes: Any) -> Message:
    message = Message(
        id="msg_1",
        at=AT,
        type="serinus.rollout.paused",
        level=Level.PAGES,
        subject="PAUSED demo 2.4.0 ring 10%: 44/3,900 crashed vs 176/35,100",
        text="demo, stable, 03:07 UTC, automatic. Paused 2.4.0 at ring 10 %. It stays paused.",
        sentence="Paused 2.4.0 at ring 10 %.",
        app="demo",
        channel="stable",
        rollout="ro_1",
        version="2.4.0",
        ring="10%",
        state="paused",
        actor="serinus",
        decision={"id": "de_1", "alpha": 0.01},
        alert="al_1",
    )
    return replace(message, **changes)
