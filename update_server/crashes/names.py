"""Names as they are compared: the same for every build, machine and run.

Every text is cut first and read once from left to right, so no name takes long. Only ASCII is
folded and matched, so that no newer Unicode changes a signature.
"""

from __future__ import annotations

import re
from typing import Final

from update_server.crashes.report import Frame, Kind

MAX_TEXT: Final = 256
"""Characters that are looked at of any one text."""

UNKNOWN: Final = "?"
"""Stands for a function without a name."""

# --- functions ---------------------------------------------------------------------------

_NO_NAME: Final = re.compile(r"(?:0[xX][0-9a-fA-F]*|\?*|<unknown>|\(null\))", re.ASCII)
_RUST_HASH: Final = re.compile(r"(?:::h[0-9a-f]{16}|(?<=17h)[0-9a-f]{16}E)$", re.ASCII)
_OFFSET: Final = re.compile(r"\+0x[0-9a-f]+$", re.ASCII)
_CLONE: Final = re.compile(r" ?\[clone [^\[\]]*\]")
_COMPILED: Final = re.compile(
    r"\.(?:cold|isra|part|constprop|lto_priv|llvm)(?:\.[0-9]+)*(?![0-9A-Za-z_])", re.ASCII
)
_OPERATOR: Final = re.compile(r"\boperator *(?:\(\)|->\*?|<=>|<<=?|>>=?|[<>]=?)", re.ASCII)
_QUALIFIER: Final = re.compile(
    r"(?: *(?:&&?|(?:const|volatile|noexcept)(?![0-9A-Za-z_])))+", re.ASCII
)
_ANONYMOUS: Final = "(anonymous namespace)"
_CLOSES: Final = {"<": ">", "(": ")"}

_AS: Final = re.compile(r" ?\[as [^\[\]]*\]")
_ASYNC: Final = re.compile(r"^(?:async|new) ")

_LAMBDA: Final = re.compile(
    r"\$\$Lambda[$/.0-9A-Za-z_]*"  # the JVM's own classes
    r"|lambda\$[$0-9A-Za-z_]*"  # Java
    r"|\$lambda[-$][0-9]+"  # Kotlin
    r"|<[^<>]*>b__[0-9A-Za-z_|]*"  # C#
    r"|\bfunc[0-9]+(?:\.[0-9]+)*(?![0-9A-Za-z_])"  # Go
    r"|\{closure[^{}]*\}"  # PHP
    r"|<anonymous closure>|<fn>",  # Dart
    re.ASCII,
)


def function_name(function: str, kind: Kind) -> str:
    """Return the name of a function without what differs between builds; ``""`` for no name."""
    name = function[:MAX_TEXT].strip()
    if _NO_NAME.fullmatch(name):
        return ""
    match kind:
        case Kind.NATIVE:
            return _native(name)
        case Kind.JAVASCRIPT | Kind.NODE:
            return _javascript(name)
        case Kind.PYTHON:
            return name
        case _:
            return _LAMBDA.sub("<lambda>", name)


def _native(name: str) -> str:
    name = _COMPILED.sub("", _CLONE.sub("", name))
    name = _RUST_HASH.sub("", _OFFSET.sub("", name))
    return " ".join(_without_arguments(name).split())


def _without_arguments(name: str) -> str:
    """Return *name* with ``<T>`` for template arguments, and without those of functions.

    ``operator<``, ``operator()`` and ``->`` are not brackets. A name that was cut off inside
    of brackets ends where these begin.
    """
    kept: list[str] = []
    open_brackets: list[str] = []
    at = 0
    while at < len(name):
        end = _unit(name, at)
        unit = name[at:end]
        at = end
        if unit in _CLOSES:
            if unit == "<" and not open_brackets:
                kept.append("<T>")
            open_brackets.append(_CLOSES[unit])
        elif unit in open_brackets:
            while open_brackets.pop() != unit:
                pass
            if unit == ")" and not open_brackets and (found := _QUALIFIER.match(name, at)):
                at = found.end()
        elif not open_brackets:
            kept.append(unit)
    return "".join(kept)


def _unit(name: str, at: int) -> int:
    """Return where what stands at *at* ends: an operator's name, an arrow, or one character."""
    if found := _OPERATOR.match(name, at):
        return found.end()
    for literal in (_ANONYMOUS, "->"):
        if name.startswith(literal, at):
            return at + len(literal)
    return at + 1


def _javascript(name: str) -> str:
    plain = _ASYNC.sub("", _AS.sub("", name)).strip()
    parts = [part for part in plain.split(".") if part]
    return parts[-1] if parts else ""


# --- modules -----------------------------------------------------------------------------

_ELSEWHERE: Final = re.compile(r"[A-Za-z][0-9A-Za-z+.-]*:[\\/]|[\\/~]", re.ASCII)
"""How a path begins that depends on the machine: with a scheme, a drive, or at the root."""


_BUILD: Final = re.compile(
    r"(?<![0-9a-z])(?:(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}|[0-9]+(?:\.[0-9]+)+)(?![0-9a-z])"
)
"""What in a file's name is new with every build: a hash, or the version."""


def is_elsewhere(path: str) -> bool:
    """Return whether *path* is one of a machine, and not within the app."""
    return _ELSEWHERE.match(path) is not None


def module_name(frame: Frame, kind: Kind) -> str:
    """Return where a frame's function stands: its module, else the base name of its file.

    Native modules are files. An absolute path names people and machines, so of it, too, only the
    base name counts.
    """
    module = frame.module[:MAX_TEXT].strip()
    if module and kind is not Kind.NATIVE and not is_elsewhere(module):
        return module
    return base_name(module or frame.file)


def base_name(path: str) -> str:
    """Return the last part of *path*, in lower case, without the hash or version of its build."""
    name = path[-MAX_TEXT:].replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    lower = "".join(c.lower() if c.isascii() else c for c in name)
    return _BUILD.sub("<build>", lower)
