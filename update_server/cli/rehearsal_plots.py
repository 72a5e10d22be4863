"""The plots of a rehearsal, written to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from update_server.cli.console import Console
from update_server.cli.rehearsal_report import harm_name
from update_server.rehearsal.charts import Chart, distribution, evidence, exposure
from update_server.rehearsal.svg import render_svg
from update_server.rehearsal.whole import Rehearsal


def draw(console: Console, rehearsal: Rehearsal, folder: Path) -> None:
    """Write the plots of *rehearsal*; without runs there is nothing to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for name, chart in _charts(rehearsal):
        (folder / f"{name}.svg").write_text(render_svg(chart), encoding="utf-8")
        written += 1
    console.say(f"wrote {written} plots to {folder}")


def _charts(rehearsal: Rehearsal) -> Iterator[tuple[str, Chart]]:
    if rehearsal.story is not None:
        yield "exposure", exposure(rehearsal.story)
        for metric, chart in evidence(rehearsal.story, rehearsal.plan.settings).items():
            yield f"evidence-{metric.replace('_', '-').replace(':', '-')}", chart
    if rehearsal.trials:
        named = [(harm_name(each.harm), each.hours, each.runs) for each in rehearsal.trials]
        yield "time-to-stop", distribution(named)
