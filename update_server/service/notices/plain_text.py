"""Text of people's making, as it may stand in a message: short, on one line, with nothing hidden.

A reason, a name or a crash's title could else break lines, turn the direction of the text around
it, or be so long that what the server has to say is cut off.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_SHOWN_AS_CODE_POINT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def plain(text: str, most: int) -> str:
    """Return *text* in at most so many characters.

    White space of any kind becomes one space; control, formatting and bidirectional characters,
    and those that Unicode does not know, become code points: ``[U+202E]``.
    """
    return cut("".join(map(_shown, " ".join(text.split()))), most)


def cut(text: str, most: int) -> str:
    """Return *text*, its end replaced by "…" where it has more than *most* characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _shown(character: str) -> str:
    if unicodedata.category(character) in _SHOWN_AS_CODE_POINT:
        return f"[U+{ord(character):04X}]"
    return character
