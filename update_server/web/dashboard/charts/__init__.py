"""Charts as SVG text, and the same numbers as rows of a table. Pure: values in, text out.

Each chart is a file; ``frame`` has what they share. They take what the API answers, in values of
their own, and have no colours: pages style their classes (``static/charts.css``).
"""

from update_server.web.dashboard.charts.arrivals import Step, arrivals
from update_server.web.dashboard.charts.crash_free import Crashed, Mark, crash_free
from update_server.web.dashboard.charts.evidence import Line, Weighed, e_bars, e_lines
from update_server.web.dashboard.charts.frame import Chart, Size
from update_server.web.dashboard.charts.funnel import funnel
from update_server.web.dashboard.charts.silence import Waited, silence
from update_server.web.dashboard.charts.sparkline import Hour, sparkline
from update_server.web.dashboard.charts.versions import Day, versions

__all__ = [
    "Chart",
    "Crashed",
    "Day",
    "Hour",
    "Line",
    "Mark",
    "Size",
    "Step",
    "Waited",
    "Weighed",
    "arrivals",
    "crash_free",
    "e_bars",
    "e_lines",
    "funnel",
    "silence",
    "sparkline",
    "versions",
]
