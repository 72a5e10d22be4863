"""What people are told of the server itself, and that something is over."""

from __future__ import annotations

from datetime import datetime

from update_server.evidence.words import count, noun, span
from update_server.service.notices.message_text import (
    MOST_OF_NAME,
    MOST_OF_REASON,
    Part,
    Said,
    compose,
    head,
    minute,
)
from update_server.service.notices.plain_text import cut, plain
from update_server.service.notices.subjects import MOST_CHARACTERS, subject
from update_server.service.ports.outbox import Level, Message


def not_refreshed(app: str, at: datetime, signed_at: datetime, expires_at: datetime) -> Said:
    """Return what is said of signed metadata that nobody signs again."""
    told = (
        f"The signed metadata of {plain(app, MOST_OF_NAME)} was last renewed at "
        f"{minute(signed_at)} and expires at {minute(expires_at)}."
    )
    parts = [
        Part("Then installs believe nothing of what this server says, not even a pause or a pull."),
        Part("Look at the signer and the controller: serinus doctor"),
    ]
    told_in = subject("NOT RENEWED", app, f"metadata expires {minute(expires_at)}")
    return Said(subject=told_in, text=compose(head(app, "", at, None), told, parts), sentence=told)


def undelivered(target: str, at: datetime, messages: int, since: datetime, error: str) -> Said:
    """Return what is said, to others, of a target that messages do not reach."""
    have = "has" if messages == 1 else "have"
    counted = f"{count(messages)} {noun(messages, 'message')}"
    told = (
        f"{counted} to {plain(target, MOST_OF_NAME)} {have} not been delivered since "
        f"{minute(since)}: {plain(error, MOST_OF_REASON)}."
    )
    parts = [
        Part("Each is tried for 24 h and then given up; whoever reads there knows nothing of it."),
        Part("See which they are: serinus notify log"),
    ]
    since_then = f"{counted} since {minute(since)}"
    return Said(
        subject=subject("UNDELIVERED", plain(target, MOST_OF_NAME), since_then),
        text=compose(head("serinus", "", at, None), told, parts),
        sentence=told,
    )


def trial_message(message_id: str, target: str, at: datetime) -> Message:
    """Return a message that tells of nothing, to see whether one arrives."""
    told = f"This is a test of {plain(target, MOST_OF_NAME)}."
    parts = [Part("Whoever reads it will read of pauses and pulls here as well.")]
    return Message(
        id=message_id,
        at=at,
        type="serinus.test",
        level=Level.INFORMS,
        subject=subject("TEST", "serinus", f"to {plain(target, MOST_OF_NAME)}"),
        text=compose(head("serinus", "", at, None), told, parts),
        sentence=told,
        actor="serinus",
    )


def resolved(
    opening: str, app: str, channel: str, at: datetime, *, lasted_seconds: float, by: str | None
) -> Said:
    """Return what is said when what the subject line *opening* told of is over."""
    told = f"Resolved after {span(max(lasted_seconds, 1.0))}: {opening}."
    return Said(
        subject=cut(f"RESOLVED {opening}", MOST_CHARACTERS),
        text=compose(head(app, channel, at, by), told, [Part("Nothing is left to do about it.")]),
        sentence=told,
    )
