"""What the plots of a rehearsal show: lines in a plane, and marks on them. Drawn by ``svg``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from update_server.evidence.settings import Settings
from update_server.rehearsal.outcome import Outcome

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points, in order of x. ``dashed`` ones are limits, not measurements."""

    name: str
    points: tuple[Point, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at one x."""

    name: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One plot. Lines share both axes; ``marks`` stand over the whole height."""

    title: str
    x_name: str
    y_name: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()

    def span(self) -> tuple[Point, Point]:
        """Return the least and the largest x and y, not equal to each other; y begins at 0."""
        xs = [x for line in self.lines for x, _ in line.points] + [m.x for m in self.marks] + [0.0]
        ys = [y for line in self.lines for _, y in line.points] + [0.0]
        return (min(xs), min(ys)), (max(*xs, min(xs) + 1), max(*ys, min(ys) + 1))


def exposure(story: Outcome) -> Chart:
    """Return how many installs took the release, and crashed on it, over time."""
    return Chart(
        title="Installs on the release",
        x_name="days",
        y_name="installs",
        lines=(
            Line(name="on it", points=tuple((s.hours / 24, s.exposed) for s in story.samples)),
            Line(name="crashed", points=tuple((s.hours / 24, s.crashed) for s in story.samples)),
        ),
        marks=_marks(story),
    )


def evidence(story: Outcome, settings: Settings) -> dict[str, Chart]:
    """Return the evidence against the release over time, a chart for each metric."""
    metrics = sorted({metric for sample in story.samples for metric in sample.log_e})
    charts = {}
    for metric in metrics:
        points = tuple((s.hours / 24, s.log_e[metric]) for s in story.samples if metric in s.log_e)
        lines = [Line(name=metric.replace("_", " "), points=points)]
        weight = settings.weights.get(metric, 0.0)
        if weight:
            needed = log(1 / (settings.alpha * weight))
            ends = ((points[0][0], needed), (points[-1][0], needed))
            lines.append(Line(name="pauses", points=ends, dashed=True))
        charts[metric] = Chart(
            title=f"Evidence of harm: {metric.replace('_', ' ')}",
            x_name="days",
            y_name="log e-value",
            lines=tuple(lines),
            marks=_marks(story),
        )
    return charts


def distribution(named: Iterable[tuple[str, Sequence[float], int]]) -> Chart:
    """Return the share of runs that were stopped by when.

    *named* are a name, the sorted hours of those that were, and how many runs there were.
    """
    lines = []
    for name, hours, runs in named:
        points: list[Point] = [(0.0, 0.0)]
        for number, hour in enumerate(hours, start=1):
            points += [(hour / 24, (number - 1) / runs), (hour / 24, number / runs)]
        lines.append(Line(name=name, points=tuple(points)))
    longest = max((x for line in lines for x, _ in line.points), default=0.0)
    # Who was stopped stays so: lines go on to the end.
    drawn = tuple(
        Line(name=each.name, points=(*each.points, (longest, each.points[-1][1]))) for each in lines
    )
    return Chart(title="Time to a stop", x_name="days", y_name="share of runs", lines=drawn)


def _marks(story: Outcome) -> tuple[Mark, ...]:
    return tuple(Mark(name=moment.verdict, x=moment.hours / 24) for moment in story.moments)
