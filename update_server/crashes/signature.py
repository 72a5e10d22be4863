"""The signature of a crash: two crashes with the same one are counted as the same bug.

Algorithm v1. Its steps are in docs/crashes.md; ``lists`` holds the functions that say little.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from update_server.crashes.lists import PREFIX, SKIP
from update_server.crashes.names import MAX_TEXT, UNKNOWN, function_name, module_name
from update_server.crashes.placeholders import with_placeholders, without_names
from update_server.crashes.report import CrashReport, Frame, Kind

ALGORITHM: Final = "v1"
MAX_FRAMES: Final = 256
_EXACT_FRAMES: Final = 4
_FAMILY_FRAMES: Final = 2
_MAX_FINGERPRINT: Final = 16
_MAX_TITLE: Final = 160
_DEFAULT: Final = re.compile(r"\{\{ *default *\}\}")
_KEY_DIGITS: Final = 16
_MESSAGE_KEY: Final = re.compile(rf"[0-9a-f]{{{2 * _KEY_DIGITS}}}")
_UNTOLD: Final = "<message>"
"""Stands in ``parts`` for a message of which only the hash is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Under which name a crash is counted. Keys are 16 hex digits.

    ``key`` is the exact one, ``family`` the wider one. ``comparable`` is that of the two which
    is the same in the next build: ``key`` if ``exact``, else ``family``. ``parts`` is what
    ``key`` was made of (but for a message that was not kept), and ``title`` says it to people;
    neither names anybody.
    """

    key: str
    family: str
    comparable: str
    title: str
    parts: tuple[str, ...]
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """A frame that the key is made of."""

    module: str
    function: str  # "" where it has no name
    place: str  # the key of the frame
    counts: bool


def signature_of(report: CrashReport) -> Signature:
    """Return the signature of *report*. Any report has one."""
    error = with_placeholders(report.last.type)
    used = _used(report)
    exact = all(frame.function for frame in used)
    untold = not used and _MESSAGE_KEY.fullmatch(report.message_key)
    if used:
        parts = (error, *_first(used, _EXACT_FRAMES))
        narrow = _first(used, _FAMILY_FRAMES)
        family = (error, *(_modules(used) if _is_opaque(report.kind, used) else narrow))
    else:
        message = _UNTOLD if untold else with_placeholders(report.last.message)
        parts = family = (error, message) if message else (error,)
    if report.fingerprint:
        exact = exact or not any(map(is_default, report.fingerprint))
        parts, family = (_fingerprint(report.fingerprint, default) for default in (parts, family))
    key, wide = _hash("exact", parts), _hash("family", family)
    if untold:
        key, wide = report.message_key[:_KEY_DIGITS], report.message_key[_KEY_DIGITS:]
    return Signature(
        key=key,
        family=wide,
        comparable=key if exact else wide,
        title=_title(error, used),
        parts=parts,
        exact=exact,
    )


def is_default(fingerprint: str) -> bool:
    """Return whether a part of a fingerprint stands for what would be there without one."""
    return _DEFAULT.fullmatch(fingerprint) is not None


def message_key(told: CrashReport, silent: CrashReport) -> str:
    """Return what stands in *silent* for the messages of *told*; ``""`` where none counted."""
    signature = signature_of(told)
    return "" if signature_of(silent).key == signature.key else signature.key + signature.family


def _used(report: CrashReport) -> list[_Used]:
    """Return the frames that say something, innermost first, without repeats in a row."""
    skip, prefix = SKIP[report.kind], PREFIX[report.kind]
    used: list[_Used] = []
    for frame in _selected(report.frames[:MAX_FRAMES]):
        function = function_name(frame.function, report.kind)
        if function in skip:
            continue
        module = module_name(frame, report.kind)
        place = f"{module}:{function}" if function else _place(frame, module)
        if used and used[-1].place == place:
            continue
        counts = function not in prefix
        used.append(_Used(module=module, function=function, place=place, counts=counts))
    last = len(used)
    counted = 0
    for index, one in enumerate(used):
        counted += one.counts
        if counted == _EXACT_FRAMES:
            last = index + 1
            break
    return used[:last]


def _selected(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return the app's own frames; else those that may be its own; else all."""
    own = [frame for frame in frames if frame.in_app]
    return own or [frame for frame in frames if frame.in_app is None] or frames


def _place(frame: Frame, module: str) -> str:
    if frame.offset is None:
        return f"{module}:{UNKNOWN}"
    return f"{module}+{frame.offset:#x}@{frame.debug_id[:MAX_TEXT].lower()}"


def _is_opaque(kind: Kind, used: Sequence[_Used]) -> bool:
    return kind is Kind.NATIVE and not all(frame.function for frame in used)


def _first(used: Sequence[_Used], count: int) -> Iterator[str]:
    """Yield the keys of the first frames until *count* of them counted."""
    for frame in used:
        yield frame.place
        count -= frame.counts
        if count == 0:
            return


def _modules(used: Sequence[_Used]) -> list[str]:
    """Return the first two modules, without repeats in a row."""
    modules: list[str] = []
    for frame in used:
        if not modules or modules[-1] != frame.module:
            modules.append(frame.module)
    return modules[:_FAMILY_FRAMES]


def _fingerprint(fingerprint: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    parts: list[str] = []
    for one in fingerprint[:_MAX_FINGERPRINT]:
        if is_default(one):
            parts.extend(default)
        else:
            parts.append(one[:MAX_TEXT])
    return tuple(parts)


def _hash(kind: str, parts: Sequence[str]) -> str:
    text = json.dumps([ALGORITHM, kind, *parts], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def _title(error: str, used: Sequence[_Used]) -> str:
    """Return the exception's type and the innermost frame that counts."""
    told = error or "crash"
    if used:
        top = next((frame for frame in used if frame.counts), used[0])
        place = top.place if top.function else top.module  # an offset says nothing to people
        told = f"{told} in {without_names(place) or UNKNOWN}"
    return told[:_MAX_TITLE]
