"""What operators send about crashes: JSON to values."""

from __future__ import annotations

from typing import Final

import msgspec

from update_server.web.wire import decode
from update_server.web.wire_admin import Reason, Signature


class SameAs(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/crashes/{signature}/same-as``: the signature that it is the same bug as."""

    signature: Signature
    reason: Reason = ""


_SAME_AS: Final = msgspec.json.Decoder(SameAs)


def parse_same_as(data: bytes) -> SameAs:
    """Return which signature *data* names. Raises MalformedError or BadFieldError."""
    return decode(data, _SAME_AS)
