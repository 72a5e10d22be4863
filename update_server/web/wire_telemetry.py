"""What operators send about telemetry: JSON to values.

Unknown fields are refused: a setting that is misspelt must not silently be none.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from update_server.evidence.facts import Rule
from update_server.service.telemetry.quarantine import Action
from update_server.web.wire import decode
from update_server.web.wire_admin import Reason, Word

# What SDKs take for the name of a tag, and how many of them.
Tag = Annotated[str, msgspec.Meta(max_length=32, pattern=r"^[A-Za-z0-9_.:-]{1,32}$(?!\n)")]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=50)]
AppKey = Annotated[str, msgspec.Meta(max_length=32, pattern=r"^[0-9a-f]{32}$(?!\n)")]


class ChangeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``PATCH …/settings``: what is not named stays as it is. The server makes the keys."""

    crash_messages: bool | None = None
    tags: Tags | None = None
    new_app_key: bool = False
    remove_app_key: AppKey | None = None
    atom: bool | None = None
    reason: Reason = ""


class DecideQuarantine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST …/quarantine``: about all that *rule* set aside, in both arms alike.

    ``version`` None: of all versions.
    """

    action: Action
    rule: Rule
    reason: Reason
    version: Word | None = None


_SETTINGS: Final = msgspec.json.Decoder(ChangeSettings)
_DECISION: Final = msgspec.json.Decoder(DecideQuarantine)


def parse_settings(data: bytes) -> ChangeSettings:
    """Return what *data* would set. Raises MalformedError or BadFieldError."""
    return decode(data, _SETTINGS)


def parse_decision(data: bytes) -> DecideQuarantine:
    """Return what *data* decides. Raises MalformedError or BadFieldError."""
    return decode(data, _DECISION)
