"""Versions of releases, and versions of operating systems.

Releases are ordered by PEP 440, as ``packaging`` implements it. The SemVer spelling of a
pre-release (``1.2.3-beta.1``) is accepted and rendered canonically (``1.2.3b1``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import zip_longest

from packaging.version import InvalidVersion, Version

from rollout.errors import InvalidVersionError

MAX_VERSION_CHARACTERS = 64

# SemVer puts 1.2.3-1 before 1.2.3, PEP 440 after it: whoever wrote it means one of the two.
_AMBIGUOUS = re.compile(r"-[0-9]+(\+.*)?$")
_OS_VERSION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,7})(?![0-9A-Za-z.])", re.ASCII)
_COMPARISON = re.compile(r"(>=|<=|==|>|<)(.+)", re.DOTALL)


@lru_cache(maxsize=1_024)  # the same few come with every check-in and every event
def parse_version(text: str) -> Version:
    """Return the version that *text* spells.

    Raises:
        InvalidVersionError: It spells none, an epoch, an ambiguous ``1.2.3-1``, or is too long.
    """
    if len(text) > MAX_VERSION_CHARACTERS:
        raise InvalidVersionError(text, f"over {MAX_VERSION_CHARACTERS} characters")
    if not text.isascii() or text.strip() != text:
        raise InvalidVersionError(text, "only ASCII, without space around it")
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise InvalidVersionError(text, "neither PEP 440 nor its SemVer spelling") from error
    if version.epoch:
        raise InvalidVersionError(text, "an epoch is not supported")
    if version.post is not None and _AMBIGUOUS.search(text):
        raise InvalidVersionError(text, "write .postN or a pre-release instead of -N")
    return version


def parse_canonical_version(text: str) -> Version:
    """Return the version that *text* spells canonically; raise InvalidVersionError otherwise."""
    version = parse_version(text)
    if render_version(version) != text:
        raise InvalidVersionError(text, f"the canonical spelling is {version}")
    return version


def render_version(version: Version) -> str:
    """Return the canonical spelling, which file paths and documents use."""
    return str(version)


def parse_os_version(text: str) -> tuple[int, ...]:
    """Return the numbers that *text* begins with: ``10.0.17763``, ``6.8.0-45-generic``.

    Raises:
        InvalidVersionError: It begins with no dotted number, or letters touch the number.
    """
    match = _OS_VERSION.match(text)
    if match is None:
        raise InvalidVersionError(text, "no dotted numbers")
    return tuple(int(part) for part in match[1].split("."))


def check_os_comparison(text: str) -> str:
    """Return *text* if it is a comparison such as ``>=12``; raise InvalidVersionError otherwise."""
    _comparison(text)
    return text


def os_version_fits(found: tuple[int, ...], comparison: str) -> bool:
    """Whether the system version *found* satisfies a comparison such as ``>=12`` or ``<13.1``.

    Missing parts count as zero: 12 equals 12.0.
    """
    operator, wanted = _comparison(comparison)
    pairs = tuple(zip_longest(found, wanted, fillvalue=0))
    left, right = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    return {
        ">=": left >= right,
        "<=": left <= right,
        "==": left == right,
        ">": left > right,
        "<": left < right,
    }[operator]


def _comparison(text: str) -> tuple[str, tuple[int, ...]]:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise InvalidVersionError(text, "begin with one of >= <= == > <")
    return match[1], parse_os_version(match[2])
