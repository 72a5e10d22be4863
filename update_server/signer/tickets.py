"""Tickets: that one operator approved one change, for whoever of the others comes next.

A ticket is what the signer itself said, under a key that never leaves its folder. It names
the token that was shown, and one entry of one rollout document, to the letter; with the
state that this entry was to follow. So it approves that step and nothing else, and whoever
reads it in the database, or makes one up, has nothing (docs/adr/0013).

Not here: which tickets count (``signer.approvals``).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rollout.documents.fields import Fields, render_time
from rollout.errors import RolloutError
from rollout.model import RolloutId
from rollout.names import check_app, check_channel, check_rollout_id
from rollout.strict_json import parse_strict, render_canonical

PREFIX: Final = "srt_"
MAX_CHARACTERS: Final = 2_048

_FORMAT: Final = "serinus-ticket-1"
_FILE: Final = "tickets.key"
_KEY_BYTES: Final = 32
_MAC: Final = hashlib.sha256
_NAMES: Final = frozenset(
    {"format", "id", "app", "channel", "rollout", "entry", "mark", "token", "expires"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One operator's approval of one entry.

    ``entry`` is the digest of what the document is to say of the rollout, ``mark`` the
    version of the state that changed it last, 0 if none did; ``token_id`` whose approval it is.
    """

    id: str
    app: str
    channel: str
    rollout: RolloutId
    entry: str
    mark: int
    token_id: str
    expires_at: datetime

    @property
    def sha256(self) -> str:
        """The name that withdrawn tickets are remembered by."""
        return hashlib.sha256(_payload(self)).hexdigest()


def issue(key: bytes, ticket: Ticket) -> str:
    """Return *ticket* as text."""
    payload = _payload(ticket)
    return f"{PREFIX}{_text(payload)}.{_text(hmac.new(key, payload, _MAC).digest())}"


def read(key: bytes, text: str) -> Ticket | None:
    """Return the ticket that *text* is; None if it was not issued under *key*."""
    if len(text) > MAX_CHARACTERS or not text.startswith(PREFIX):
        return None
    body, _, mac = text.removeprefix(PREFIX).partition(".")
    try:
        payload, given = _bytes(body), _bytes(mac)
    except ValueError:  # also where it is not ASCII
        return None
    # One ticket has one spelling, also where Base64 would have more.
    if (_text(payload), _text(given)) != (body, mac):
        return None
    if not hmac.compare_digest(hmac.new(key, payload, _MAC).digest(), given):
        return None
    try:
        return _parse(payload)
    except RolloutError:  # of another version of this program
        return None


def new_id() -> str:
    """Return a name that no other ticket has."""
    return secrets.token_hex(16)


def key_in(folder: Path) -> bytes:
    """Return the key in *folder*, which is made at first. Losing it voids what is waiting.

    Raises:
        OSError: It can be neither read nor made.
    """
    path = folder / _FILE
    with contextlib.suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise OSError(f"{path} is no key: remove it, and let people ask again")
        return key
    temporary = folder / f"{_FILE}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        key = secrets.token_bytes(_KEY_BYTES)
        handle.write(key)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
    return key


def _payload(ticket: Ticket) -> bytes:
    value: dict[str, Any] = {
        "format": _FORMAT,
        "id": ticket.id,
        "app": ticket.app,
        "channel": ticket.channel,
        "rollout": ticket.rollout,
        "entry": ticket.entry,
        "mark": ticket.mark,
        "token": ticket.token_id,
        "expires": render_time(ticket.expires_at),
    }
    return render_canonical(value)


def _parse(payload: bytes) -> Ticket:
    fields = Fields(parse_strict(payload))
    if fields.text("format") != _FORMAT or set(fields.names()) != _NAMES:
        raise fields.refuse("format", "of another version")
    return Ticket(
        id=fields.text("id"),
        app=fields.checked("app", check_app),
        channel=fields.checked("channel", check_channel),
        rollout=fields.checked("rollout", check_rollout_id),
        entry=fields.digest("entry"),
        mark=fields.integer("mark"),
        token_id=fields.text("token"),
        expires_at=fields.time("expires"),
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
