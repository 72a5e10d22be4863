"""What was done to a release, line by line of its history, in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

SERVER: Final = "serinus"
"""Who acts for the server itself, in the audit log."""

# What is told of each action; ``after`` and ``before`` are as the audit log has them.
_SAID: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rollout.start": "started it at ring {ring}",
        "rollout.promote": "promoted it from ring {was} to {ring}",
        "rollout.pause": "paused it at ring {ring}",
        "rollout.resume": "resumed it at ring {ring}",
        "rollout.pull": "pulled it at ring {ring}{back}",
        "rollout.supersede": "superseded it",
        "rollout.complete": "completed it",
        "rollout.unsuspend": "had it judged again",
        "alert.acknowledge": "has seen the alert: it stays as it is",
        "pending.ask": "asks to {verb} it: others have to agree",
        "pending.join": "agrees to {verb} it: more people have to",
        "pending.complete": "agreed to {verb} it: that was enough",
        "pending.withdraw": "withdrew what was asked: to {verb} it",
    }
)
_SAME: Final = "said why it stays {state}"


def who(actor: str) -> str:
    """Return who did something, as people say it."""
    return "the server" if actor == SERVER else actor


def said(record: Mapping[str, Any]) -> str:
    """Return what *record* of the audit log says was done, without who did it, and why."""
    before, after = record["before"] or {}, record["after"] or {}
    action = str(record["action"])
    if before and before == after:
        return _SAME.format(state=after.get("state", "as it is"))
    back = after.get("replacement")
    words = _SAID.get(action, action.replace(".", " ").replace("_", " "))
    return words.format_map(
        _Known(
            ring=after.get("ring") or before.get("ring") or "?",
            was=before.get("ring") or "?",
            verb=after.get("verb") or "change",
            back=f", to {back}" if back else "",
        )
    )


class _Known(dict[str, str]):
    """What may stand in a line; what it does not know stays as it is."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"
