"""A crash event of ours, as a report. Its body holds the kept fields only (``web.wire_events``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from update_server.crashes.names import base_name
from update_server.crashes.report import CrashReport, Frame, Kind, Raised

_KINDS_BY_ENDING: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("py", "pyc", "pyx"), Kind.PYTHON),
    **dict.fromkeys(("js", "mjs", "cjs", "ts", "mts", "cts", "jsx", "tsx"), Kind.NODE),
    **dict.fromkeys(("c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "inl"), Kind.NATIVE),
    **dict.fromkeys(("m", "mm", "rs", "swift", "zig", "s", "asm"), Kind.NATIVE),
    **dict.fromkeys(("exe", "dll", "so", "dylib", "node"), Kind.NATIVE),
    **dict.fromkeys(("java", "kt", "scala", "cs", "vb", "fs", "go", "rb", "php"), Kind.OTHER),
    **dict.fromkeys(("dart", "lua", "pl", "ex", "erl"), Kind.OTHER),
}
_NATIVE_ERRORS: Final = ("SIG", "EXC_", "EXCEPTION_", "STATUS_", "0x")


def report_of(body: Mapping[str, Any]) -> CrashReport | None:
    """Return the report in the *body* of a crash event; None when it says nothing at all."""
    raised = body.get("exception")
    error = _text(raised, "type") if isinstance(raised, Mapping) else ""
    told = body.get("frames")
    frames = (
        tuple(_frame(one) for one in told if isinstance(one, Mapping))
        if isinstance(told, Sequence)
        else ()
    )
    if not error and not frames:
        return None
    chain = (Raised(type=error, frames=frames),)
    return CrashReport(kind=kind_of(error, frames), exceptions=chain)


def kind_of(error: str, frames: Sequence[Frame]) -> Kind:
    """Return what wrote *frames*: most of their files' endings say it, else the error does."""
    counts: dict[Kind, int] = {}
    for frame in frames:
        for path in (frame.file, frame.module):
            kind = _KINDS_BY_ENDING.get(base_name(path).rpartition(".")[2])
            if kind is not None:
                counts[kind] = counts.get(kind, 0) + 1
                break
    if counts:
        return max(sorted(counts), key=lambda kind: counts[kind])
    return Kind.NATIVE if error.startswith(_NATIVE_ERRORS) else Kind.OTHER


def _frame(told: Mapping[str, Any]) -> Frame:
    in_app = told.get("in_app")
    return Frame(
        module=_text(told, "module"),
        function=_text(told, "function"),
        file=_text(told, "file"),
        in_app=in_app if isinstance(in_app, bool) else None,
    )


def _text(told: Mapping[str, Any], name: str) -> str:
    text = told.get(name)
    return text if isinstance(text, str) else ""
