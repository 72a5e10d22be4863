"""Texts without what names a person or a machine, or opens anything.

``scrubbed`` is for sentences, of which little may be left. ``plain_name`` is for names of types,
functions and modules: signatures are made of these, so it changes only what can be no part of one.
No list of such rules is complete; who can't afford a miss keeps no messages, which is the default.

Texts are cut before they are looked at, so none takes long.
"""

from __future__ import annotations

import re
from typing import Final

from update_server.crashes.names import MAX_TEXT
from update_server.crashes.placeholders import without_names

MAX_MESSAGE: Final = 200
_READ: Final = 512
# At the end of a longer text: what was cut there may not be known for what it is.
_UNSURE: Final = 64

_KEYWORDS: Final = (
    r"pass(?:word|wd|phrase)|pwd|secret|token|auth|api[_ -]?key|bearer|credentials?"
    r"|private[_ -]?key|session[_ -]?id|cookie"
)
_NEXT: Final = rf"['\"]?[\w-]{{0,32}}(?:{_KEYWORDS})"  # it may name a secret itself
_RUN: Final = rf"[^\s,;&|/]*(?:[,;&|/](?!{_NEXT})[^\s,;&|/]*)*"
_VALUE: Final = (
    r"(?:\\\"(?:(?!\\\").)*(?:\\\")?|\"(?:\\.|[^\"\\])*\"?"  # JSON within JSON, JSON
    rf"|'(?:\\.|[^'\\])*'?|(?=\S){_RUN})"
)
# What stands before the keyword stays anyhow; and taking back what follows it would find nothing.
_NAMED: Final = rf"(?:{_KEYWORDS})[\w-]{{0,32}}+\\?['\"]?"
_IS: Final = r"(?:\s{1,4}(?:is|was|of|for))?"
_UNLIKELY_WORD: Final = rf"(?:(?=\\?['\"]){_VALUE}|(?=\S{{0,80}}\d){_RUN})"
_SCHEME_WORD: Final = r"(?:(?:bearer|basic|digest|negotiate|ntlm|token)\s{1,4})?"
_SEGMENT: Final = r"[^\\/\s'\"<>|,;:()\[\]{}]+"
_FOLDERS: Final = r"(?:[^\\/:'\"<>|\r\n]{1,64}[\\/]{1,4}){0,32}"  # they may have spaces
_DRIVE: Final = r"(?<![a-z0-9])[a-z]:"
_ROOT: Final = rf"(?:{_DRIVE}[\\/]{{1,4}}|/{{1,4}}|(?<!\w)\\{{1,4}})"  # PHP has \Users\, too
_HOMES: Final = r"(?:users|home|documents and settings|usuarios|benutzer)"

_EMAIL: Final = (
    r"[\w.+%-]{1,64}(?:@|%40)(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])",
    "<email>",
)
_WINDOWS: Final = (
    rf"(?:{_DRIVE}[\\/]{{1,4}}|(?<!\w)\\\\){_FOLDERS}(?:{_SEGMENT})?",
    "<path>",
)
_TOKEN: Final = (r"(?<![a-z0-9])[a-z2-7]{58}(?![a-z0-9])", "<token>")
_IPV4: Final = (r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)", "<ip>")
_CARD: Final = (r"(?<!\w)\d(?:[ -]?\d){12,18}(?!\w)", "<number>")

# In this order: a URL may hold an address, and a secret may look like a number.
_SENTENCES: Final = (
    (r"-----BEGIN [A-Z ]{0,40}KEY-----.*", "<key>"),
    (r"(?<![a-z0-9])([a-z][a-z0-9+.-]{0,30}://)[^\s/?#@'\"]*@", r"\1<user>@"),
    (rf"(://(?:<user>@)?[^\s?#'\"<>]*)[?#]{_RUN}", r"\1?<query>"),
    (rf"({_NAMED}\s{{0,4}}(?:=>|[:=]|%3d)\s{{0,4}}){_SCHEME_WORD}{_VALUE}", r"\1<secret>"),
    (r"\b(bearer|basic|negotiate|ntlm)\s{1,4}[\w.~+/=-]{4,}", r"\1 <secret>"),
    # Behind a space only what is hardly a word of the sentence: quoted, or with a digit in it.
    (rf"((?:{_KEYWORDS})s?{_IS})\s{{1,4}}{_UNLIKELY_WORD}", r"\1 <secret>"),
    (r"\beyj[\w-]{8,}(?:\.[\w-]+){1,2}", "<token>"),
    (r"\bsrn_[\w-]+", "<token>"),
    _TOKEN,
    (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<uuid>"),
    (r"(?<![\w+/=.-])(?=[a-z_+/=-]*\d)[\w+/-]{40,}={0,2}", "<token>"),
    (r"(?<![\w-])(?=[a-z_-]*\d)[\w-]{32,}", "<token>"),
    (r"(?<![\w:])[\w.%+-]{1,64}:[^\s:@/'\"<>]{1,128}@(?=[\w\[])", "<user>@"),  # a proxy, say
    _EMAIL,
    (r"[\w.+%-]{1,64}@[\w-]{1,63}(?!\w|\.?\w)", "<email>"),  # at a machine
    # A path in quotes may have spaces; so may a home, and folders on Windows.
    (r"(['\"])(?:[a-z]:[\\/]|\\\\|~?/)[^'\"]*(\1|$)", r"\1<path>\2"),
    (rf"{_ROOT}{_HOMES}[\\/]{{1,4}}{_FOLDERS}(?:{_SEGMENT})?", "<path>"),
    _WINDOWS,
    (rf"(?<![\w.<>/~:-])~?(?:/{_SEGMENT}){{1,32}}/?", "<path>"),
    _IPV4,
    (r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", "<ip>"),
    _CARD,
    (r"\b0x[0-9a-f]{7,}\b|\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8,}\b", "<hex>"),
    (r"\d{7,}", "<number>"),
)
_NAMES: Final = (
    (
        rf"((?:{_KEYWORDS})(?:\\?['\"]\s?[:=]|\s?=(?!=)|:\s)\s?){_SCHEME_WORD}{_VALUE}",
        r"\1<secret>",
    ),
    (r"\bbearer\s{1,4}[\w.~+/=-]{4,}", "<secret>"),
    (r"(?<![a-z0-9])([a-z][a-z0-9+.-]{0,30}://)[^\s/?#@'\"]{0,512}@\S*", "<url>"),
    _WINDOWS,
    _EMAIL,
    _TOKEN,
    _IPV4,
    _CARD,
)


def _compiled(rules: tuple[tuple[str, str], ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(rule, re.IGNORECASE | re.DOTALL), word) for rule, word in rules)


_SENTENCE_RULES: Final = _compiled(_SENTENCES)
_NAME_RULES: Final = _compiled(_NAMES)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def scrubbed(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return *text* as it may be kept: on one line, and at most *limit* characters."""
    kept = text[:_READ]
    for pattern, word in _SENTENCE_RULES:
        kept = pattern.sub(word, kept)
    if len(text) > _READ:
        kept = kept[:-_UNSURE]
    return _CONTROL.sub(" ", kept).strip()[:limit]


def plain_name(text: str, limit: int = MAX_TEXT) -> str:
    """Return the name of a type, function or module, at most *limit* characters of it."""
    kept = _CONTROL.sub("", text[: 2 * MAX_TEXT])
    for pattern, word in _NAME_RULES:
        kept = pattern.sub(word, kept)
    return without_names(kept)[:limit]
