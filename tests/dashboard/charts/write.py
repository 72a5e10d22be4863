"""``python -m tests.dashboard.charts.write``: the golden text anew. Look at it first."""

from __future__ import annotations

from pathlib import Path

from tests.dashboard.charts.examples import examples

for name, chart in examples().items():
    (Path(__file__).parent / "golden" / f"{name}.svg").write_text(chart.svg + "\n")
