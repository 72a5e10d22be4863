"""A chart as SVG: lines, axes and words, in one file that any browser shows."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import floor, log10

from update_server.rehearsal.charts import Chart, Line, Mark, Point

WIDTH, HEIGHT = 720, 360

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 120, 36, 44
# Told apart also by those who do not see red and green (Okabe, Ito 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_TICKS = 6
_NICE = (1, 2, 5, 10)


def render_svg(chart: Chart) -> str:
    """Return *chart* as an SVG document."""
    body = "\n".join((*_frame(chart), *_lines(chart), *_marks(chart)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12" fill="none">\n'
        f"<title>{escape(chart.title)}</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def place(chart: Chart, point: Point) -> Point:
    """Return where a point of *chart* is drawn, in pixels from the upper left."""
    (x0, y0), (x1, y1) = chart.span()
    x = _LEFT + (point[0] - x0) / (x1 - x0) * (WIDTH - _LEFT - _RIGHT)
    y = HEIGHT - _BOTTOM - (point[1] - y0) / (y1 - y0) * (HEIGHT - _TOP - _BOTTOM)
    return x, y


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers from *low* to *high*, about half a dozen."""
    rough = (high - low) / _TICKS
    unit = 10.0 ** floor(log10(rough))
    step = unit * next(nice for nice in _NICE if nice * unit >= rough)
    first = floor(low / step)
    found = [round(number * step, 10) for number in range(first, first + 4 * _TICKS)]
    return [each for each in found if low <= each <= high]


def _frame(chart: Chart) -> Iterator[str]:
    (x0, y0), (x1, y1) = chart.span()
    yield _text((_LEFT, 20), chart.title, size=14)
    for tick in ticks(x0, x1):
        x, y = place(chart, (tick, y0))
        yield _segment((x, y), (x, y + 4), "#000")
        yield _text((x, y + 17), f"{tick:g}", anchor="middle")
    for tick in ticks(y0, y1):
        x, y = place(chart, (x0, tick))
        yield _segment((x, y), (WIDTH - _RIGHT, y), "#ddd")
        yield _text((x - 6, y + 4), f"{tick:,g}", anchor="end")
    yield _segment(place(chart, (x0, y0)), place(chart, (x1, y0)), "#000")
    yield _segment(place(chart, (x0, y0)), place(chart, (x0, y1)), "#000")
    yield _text((WIDTH - _RIGHT, HEIGHT - 8), chart.x_name, anchor="end")
    yield _text((8, _TOP - 6), chart.y_name)


def _lines(chart: Chart) -> Iterator[str]:
    for number, line in enumerate(chart.lines):
        colour = _COLOURS[number % len(_COLOURS)]
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _drawn(chart, line))
        if points:
            yield f'<polyline points="{points}" stroke="{colour}" stroke-width="2"{dashes}/>'
        at = (WIDTH - _RIGHT + 10, _TOP + 16 * (number + 1))
        yield _text(at, line.name, fill=colour)


def _drawn(chart: Chart, line: Line) -> list[Point]:
    return [place(chart, point) for point in line.points]


def _marks(chart: Chart) -> Iterator[str]:
    (_, y0), (_, y1) = chart.span()
    for number, mark in enumerate(chart.marks):
        low, high = place(chart, (mark.x, y0)), place(chart, (mark.x, y1))
        yield _segment(low, high, "#888", dashes="2 3")
        # Names of neighbours would lie on each other.
        yield _mark_name(mark, (high[0] + 3, high[1] + 10 + 12 * (number % 4)))


def _mark_name(mark: Mark, at: Point) -> str:
    return _text(at, mark.name, fill="#555", size=10)


def _segment(start: Point, end: Point, colour: str, dashes: str = "") -> str:
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line {ends} stroke="{colour}"{dashed}/>'


def _text(
    at: Point, text: str, *, anchor: str = "start", fill: str = "#000", size: int = 12
) -> str:
    return (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
