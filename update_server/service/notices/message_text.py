"""How a message is put together: head, the decision record's sentence word for word, and a tail.

The head says what it is about, when, and who did it. What does not fit is left out: of the tail its
lesser parts, and at last the end of the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from update_server.service.notices.plain_text import cut, plain

MOST_CHARACTERS: Final = 800
MOST_OF_NAME: Final = 60
MOST_OF_REASON: Final = 200
_LONGEST_CHARACTER: Final = 10  # as a code point


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message's words."""

    subject: str
    text: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a tail. Lesser ones are left out where there is no room."""

    text: str
    lesser: bool = False


def head(app: str, channel: str, at: datetime, by: str | None) -> str:
    """Return how every message begins."""
    who = "automatic" if by is None else f"by {plain(by, MOST_OF_NAME)}"
    about = ", ".join(plain(each, MOST_OF_NAME) for each in (app, channel) if each)
    return f"{about}, {at:%H:%M} UTC, {who}."


def compose(beginning: str, sentence: str, tail: Sequence[Part]) -> str:
    """Return a message's text of at most 800 characters."""
    sentence = plain(sentence, len(sentence) * _LONGEST_CHARACTER)
    parts = list(tail)
    while True:
        text = " ".join(filter(None, (beginning, sentence, *(part.text for part in parts))))
        lesser = [number for number, part in enumerate(parts) if part.lesser]
        if len(text) <= MOST_CHARACTERS:
            return text
        if lesser:
            del parts[lesser[-1]]
            continue
        rest = " ".join([beginning, "", *(part.text for part in parts)])
        room = MOST_CHARACTERS - len(rest)
        if room < len(sentence) // 2:
            return cut(text, MOST_CHARACTERS)
        return compose(beginning, cut(sentence, room), parts)


def minute(at: datetime) -> str:
    """Return an instant as people read it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
