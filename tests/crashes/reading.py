"""Reports as JSON spells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from update_server.crashes.report import CrashReport, Frame, Kind, Raised


def report_from(told: Mapping[str, Any]) -> CrashReport:
    return CrashReport(
        kind=Kind(told["kind"]),
        exceptions=tuple(
            Raised(
                type=one.get("type", ""),
                message=one.get("message", ""),
                frames=_frames(one.get("frames", ())),
            )
            for one in told["exceptions"]
        ),
        crashed_thread=_frames(told.get("crashed_thread", ())),
        fingerprint=tuple(told.get("fingerprint", ())),
    )


def _frames(told: Sequence[Mapping[str, Any]]) -> tuple[Frame, ...]:
    return tuple(Frame(**one) for one in told)
