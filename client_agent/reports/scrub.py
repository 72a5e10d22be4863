"""PURE: texts without what names a person, a place or a secret.

Messages of errors hold whatever the app was busy with. They leave the machine only where the app
asks for that, and then like this: cut at 200 characters, with words in the place of what looks
like a secret, an address, a path of a home or a long number. No list of such rules is complete;
who cannot afford a miss leaves messages off, which is the default.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 200
_READ_CHARACTERS = 4_096
"""What comes behind is not even looked at: patterns cost time, and the result is short."""

_SECRETS = (
    "password|passwd|secret|token|auth|authorization|api_?key|bearer|credentials?|private_?key"
)

_NAMED_SECRET = (
    rf"(?<![a-z0-9])([\w-]{{0,40}}(?:{_SECRETS})[\w-]{{0,40}}['\"]?\s*[:=]\s*)"
    r"(?:(?:bearer|basic|token|negotiate|ntlm|digest)\s+)?(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&)\]}]+)"
)

# Errors of files show paths as Python writes them, each backslash twice. A name may have spaces:
# where the path goes on, it ends at the next separator.
_HOME = (
    r"((?:[a-z]:)?[\\/]+(?:users|home|documents and settings)[\\/]+)"
    r"(?:[^\\/:'\"\r\n]{1,64}(?=[\\/])|[^\\/\s:'\"]+)"
)

# In this order: a URL may hold an address, and a secret may look like a number.
_RULES = (
    (r"-----BEGIN [^-]*KEY-----.*?(?:-----END [^-]*KEY-----|\Z)", "<key>"),
    (r"(?<![a-z0-9])([a-z][a-z0-9+.-]{0,30}://)[^\s/?#@]*@", r"\1<user>@"),
    (r"(://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1?<query>"),
    (_NAMED_SECRET, r"\1<secret>"),
    (r"\b(bearer|basic|negotiate|ntlm)\s+[\w.~+/=-]{4,}", r"\1 <secret>"),
    # Beside it and no more: a word with a digit is hardly one of the sentence.
    (rf"\b({_SECRETS})\s+(?=[^\s\d]{{0,80}}\d)\S+", r"\1 <secret>"),
    (r"\bsrn_[\w-]+", "<token>"),
    (r"(?<![a-z0-9])[a-z2-7]{58}(?![a-z0-9])", "<token>"),
    (r"(?<![\w:])[\w.%+-]{1,64}:[^\s:@/'\"]{1,128}@(?=[\w\[])", "<user>@"),  # a proxy, say
    (r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", "<email>"),
    (_HOME, r"\1<user>"),
    (r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])", "<ip>"),
    (r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", "<ip>"),
    (r"(?<!\w)\d(?:[ -]?\d){11,18}(?!\w)", "<number>"),
    (r"\d{7,}", "<number>"),
)
_COMPILED = tuple((re.compile(rule, re.IGNORECASE | re.DOTALL), word) for rule, word in _RULES)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def scrubbed(text: str, *, homes: tuple[str, ...] = ()) -> str:
    """Return *text* as it may leave the machine; *homes* are the folders of the person's own."""
    text = text[:_READ_CHARACTERS]
    for home in homes:
        if len(home) > 1:
            text = text.replace(home, "~").replace(home.replace("\\", "\\\\"), "~")
    for pattern, word in _COMPILED:
        text = pattern.sub(word, text)
    return _CONTROL.sub(" ", text).strip()[:MAX_CHARACTERS]
