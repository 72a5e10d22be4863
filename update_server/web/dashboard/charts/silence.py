"""Of the installs whose window has passed, how many did not come back: both arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from update_server.web.dashboard.charts.frame import (
    FEW,
    Chart,
    Scale,
    Size,
    drawing,
    patterns,
    rect,
    text,
)
from update_server.web.dashboard.words import of, share, visible

_ROW, _BAR = 50, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """In one stratum, of so many installs whose window has passed so many stayed silent."""

    stratum: str
    silent: int
    matured: int
    silent_control: int
    matured_control: int


def silence(
    chart_id: str,
    strata: Sequence[Waited],
    *,
    size: Size = Size(),  # noqa: B008 - frozen
) -> Chart:
    """Draw the silent share of both arms, by stratum. The box is as high as the bars need."""
    box = Size(width=size.width, height=max(1, len(strata)) * _ROW + 4)
    shares = [_part(*arm) for each in strata for arm in _arms(each)]
    x = Scale(low=0.0, high=max([0.01, *shares]), start=8, end=size.width - 128)
    parts = [patterns(chart_id, "candidate", "gap")]
    if not strata:
        parts.append(text(8, 16, "No install's window has passed yet."))
    for n, each in enumerate(strata):
        parts.append(text(x.start, n * _ROW + 13, each.stratum, room=size.width - 16))
        for m, (name, arm) in enumerate(zip(("candidate", "control"), _arms(each), strict=True)):
            parts += _bar(chart_id, name, arm, x, n * _ROW + 18 + m * (_BAR + 5))
    return Chart(
        svg=drawing(
            "silence",
            chart_id,
            box,
            title="Installs that did not come back, of those whose window has passed",
            desc=" ".join(_said(each) for each in strata),
            parts=parts,
        ),
        columns=("stratum", "arm", "matured", "silent", "share"),
        rows=tuple(row for each in strata for row in _rows(each)),
    )


def _arms(each: Waited) -> tuple[tuple[int, int], tuple[int, int]]:
    return (each.silent, each.matured), (each.silent_control, each.matured_control)


def _part(silent: int, matured: int) -> float:
    return min(max(silent / matured, 0.0), 1.0) if matured > 0 else 0.0


def _bar(chart_id: str, name: str, arm: tuple[int, int], x: Scale, y: float) -> Iterator[str]:
    silent, matured = arm
    yield rect(x.start, y, x.end, y + _BAR, "track")
    if matured <= 0:
        yield rect(x.start, y, x.end, y + _BAR, "gap", pattern=f"{chart_id}-gap")
    else:
        look = name if matured >= FEW else "few"
        hatch = f"{chart_id}-candidate" if look == "candidate" else ""
        yield rect(x.start, y, x.at(_part(*arm)), y + _BAR, f"bar {look}", pattern=hatch)
    yield text(x.end + 6, y + _BAR, of(silent, matured), f"name {name}", room=120)


def _said(each: Waited) -> str:
    candidate, control = (of(*arm) for arm in _arms(each))
    return f"{each.stratum}: {candidate} candidates, {control} controls."


def _rows(each: Waited) -> Iterator[tuple[str, ...]]:
    for name, (silent, matured) in zip(("candidate", "control"), _arms(each), strict=True):
        told = (
            share(silent, matured) if matured >= FEW else f"{of(silent, matured)}: too few to say"
        )
        yield visible(each.stratum), name, f"{matured:,}", f"{silent:,}", told
