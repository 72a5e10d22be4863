"""The fields that the bodies of agents are made of, and what they become."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from packaging.version import Version

from rollout.errors import BadNameError, InvalidVersionError
from rollout.model import InstallId
from rollout.names import check_install_id
from rollout.versions import parse_version
from update_server.web.errors import BadFieldError

# Alone, "$" also matches before a line feed at the end.
_END: Final = r"$(?!\n)"
# No control characters: what is stored and shown is text.
_PLAIN: Final = rf"^[^\x00-\x1f\x7f]*{_END}"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PLAIN)]
Text = Annotated[str, msgspec.Meta(max_length=256, pattern=_PLAIN)]
Uuid = Annotated[
    str,
    msgspec.Meta(
        min_length=36,
        max_length=36,
        pattern="^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
    ),
]
InstallText = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"format": "uuid"})]
VersionText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Sha256 = Annotated[str, msgspec.Meta(max_length=64, pattern=rf"^([0-9a-f]{{64}})?{_END}")]


def install_id_of(text: str) -> InstallId:
    """Return the install ID that *text* spells, in whichever case; else raise BadFieldError."""
    try:
        return check_install_id(text.lower())
    except BadNameError as error:
        raise BadFieldError("install_id", error.rule) from error


def version_of(field: str, text: str) -> Version:
    """Return the version that *text* spells, else raise BadFieldError for *field*."""
    try:
        return parse_version(text)
    except InvalidVersionError as error:
        raise BadFieldError(field, error.rule) from error
