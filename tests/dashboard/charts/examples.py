"""One of each chart, as from a release that was paused: what is compared with the golden text."""

from __future__ import annotations

from collections.abc import Mapping

from update_server.web.dashboard.charts import (
    Chart,
    Crashed,
    Day,
    Hour,
    Line,
    Mark,
    Step,
    Waited,
    Weighed,
    arrivals,
    crash_free,
    e_bars,
    e_lines,
    funnel,
    silence,
    sparkline,
    versions,
)

T = 1_795_046_400.0  # 2026-11-19 00:00
HOUR, DAY = 3_600.0, 86_400.0


def crashed(at: float, k: int, n: int, low: float, high: float, epoch: int = 1) -> Crashed:
    return Crashed(at=T + at * HOUR, crashed=k, of=n, low=low, high=high, epoch=epoch)


def examples() -> Mapping[str, Chart]:
    return {
        "crash-free": crash_free(
            "a",
            [
                crashed(0, 0, 12, 0.0, 0.31),
                crashed(1, 4, 900, 0.001, 0.014),
                crashed(2, 0, 0, 0.0, 1.0),
                crashed(3, 30, 2_900, 0.006, 0.017),
                crashed(4, 44, 3_900, 0.0075, 0.0165),
                crashed(5, 0, 50, 0.0, 0.09, epoch=2),
            ],
            [
                crashed(0, 1, 120, 0.0, 0.06),
                crashed(1, 39, 8_100, 0.003, 0.0075),
                crashed(3, 130, 26_100, 0.004, 0.0063),
                crashed(4, 176, 35_100, 0.0041, 0.0061),
                crashed(5, 2, 450, 0.0003, 0.02, epoch=2),
            ],
            marks=[
                Mark(at=T + HOUR, label="10%"),
                Mark(at=T + 4.5 * HOUR, label="paused"),
                Mark(at=T - DAY, label="long before"),
            ],
            gaps=[(T + 1.5 * HOUR, T + 2.5 * HOUR), (T - DAY, T - HOUR)],
        ),
        "few": crash_free("b", [crashed(0, 0, 12, 0.0, 0.31)], [crashed(0, 1, 120, 0.0, 0.06)]),
        "e-bars": e_bars(
            "c",
            [
                Weighed(
                    metric="crash",
                    log_e=7.68,
                    needed=5.809,
                    weight=0.3,
                    gate="0.1 of 20 that it is not 2 times worse",
                ),
                Weighed(metric="silence", log_e=0.34, needed=6.215, weight=0.2),
                Weighed(metric="crash_loop", log_e=-1.2, needed=6.908, weight=0.1),
                Weighed(
                    metric="score:startup_ms", log_e=None, needed=7.6, weight=0.05, advisory=True
                ),
            ],
        ),
        "e-lines": e_lines(
            "d",
            [
                Line(
                    metric="crash",
                    needed=5.809,
                    weight=0.3,
                    points=[(T + n * HOUR, None if n == 3 else n - 0.5) for n in range(9)],
                ),
                Line(
                    metric="silence",
                    needed=6.215,
                    weight=0.2,
                    points=[(T + n * HOUR, -0.1 * n) for n in range(9)],
                ),
                Line(metric="funnel:apply", needed=8.7, weight=0.017, points=[]),
            ],
        ),
        "funnel": funnel(
            "e",
            [
                ("offered", 3_900),
                ("downloaded", 3_655),
                ("applied", 3_480),
                ("healthy", 3_421),
                ("failed", None),
            ],
        ),
        "silence": silence(
            "f",
            [
                Waited(
                    stratum="silence, linux-x86_64",
                    silent=12,
                    matured=3_011,
                    silent_control=103,
                    matured_control=27_240,
                ),
                Waited(
                    stratum="later silence, linux-x86_64",
                    silent=3,
                    matured=11,
                    silent_control=0,
                    matured_control=0,
                ),
            ],
        ),
        "sparkline": sparkline(
            "g",
            [
                Hour(at=T, candidate=1, control=0),
                Hour(at=T + HOUR, candidate=3, control=2),
                Hour(at=T + 2 * HOUR, candidate=None, control=None),
                Hour(at=T + 4 * HOUR, candidate=0, control=1),
            ],
            title="SIGSEGV gpu::Flush | render",
            at_risk=(3_900, 35_100),
        ),
        "versions": versions(
            "h",
            [
                Day(at=T, installs={"2.3.9": 900, "2.3.8": 100}),
                Day(at=T + DAY, installs={"2.3.9": 850, "2.4.0": 60, "2.3.8": 90}),
                Day(at=T + 2 * DAY, installs=None),
                Day(
                    at=T + 3 * DAY,
                    installs={
                        "2.4.0": 500,
                        "2.3.9": 400,
                        "2.3.8": 50,
                        "1.0": 9,
                        "0.9": 8,
                        "0.8": 7,
                    },
                ),
                Day(at=T + 4 * DAY, installs={"2.4.0": 600, "2.3.9": 300, "2.3.8": 50, "0.7": 3}),
            ],
        ),
        "arrivals": arrivals(
            "i",
            [
                Step(at=T, kind="crash", events=7, late_seconds=0.5),
                Step(at=T, kind="session", events=120, rejected=4, late_seconds=1.5),
                Step(at=T + 900, kind="session", events=130, late_seconds=42.0),
                Step(at=T + 3_600, kind="session", events=90, late_seconds=2.0),
            ],
            step_seconds=900,
        ),
    }
