"""What stands in a text for values that differ each time it is said, or that name somebody.

The patterns apply in the order given: a UUID holds hexadecimal numbers, and a URL a path.
"""

from __future__ import annotations

import re
from typing import Final

from update_server.crashes.names import MAX_TEXT

_NAMING: Final = tuple(
    (re.compile(pattern, re.ASCII), placeholder)
    for pattern, placeholder in (
        (
            r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b",
            "<uuid>",
        ),
        (
            r"[0-9A-Za-z_.+-]{1,64}@(?:[0-9A-Za-z-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
            "<email>",
        ),
        (
            r"\b[A-Za-z][0-9A-Za-z+-]{1,15}://(?:<email>|[^\s\"'<>])*",
            "<url>",
        ),
        (
            r"(?:\b[A-Za-z]:[\\/]|\\\\|(?<![0-9A-Za-z_.<>/~])~?/)[^\s\"'<>|*?:,;()\[\]{}]+",
            "<path>",
        ),
    )
)
_COUNTING: Final = tuple(
    (re.compile(pattern, re.ASCII), placeholder)
    for pattern, placeholder in (
        (
            r"\b0[xX][0-9a-fA-F]+\b|\b(?=[0-9]*[a-fA-F])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b",
            "<hex>",
        ),
        (r"(?<![0-9A-Za-z_])[+-]?[0-9]+(?:[.,][0-9]+)*", "<number>"),
    )
)


def with_placeholders(text: str) -> str:
    """Return the first line of *text* with placeholders for values."""
    return _replaced(without_names(text), _COUNTING)


def without_names(text: str) -> str:
    """Return the first line of *text* without what may name people, machines or documents."""
    lines = text[: 2 * MAX_TEXT].strip().splitlines()
    return _replaced(lines[0].strip()[:MAX_TEXT] if lines else "", _NAMING)


def _replaced(text: str, patterns: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, placeholder in patterns:
        text = pattern.sub(placeholder, text)
    return text
