"""The table and the lines that tell the same."""

from __future__ import annotations

from collections import Counter

import pytest
from packaging.version import Version
from rich.console import Console as RichConsole

from tests.fakes import FakeClock
from update_server.cli.console import Console
from update_server.cli.demo.screen import Counts, Screen

V1, V2 = Version("1.0.0"), Version("1.1.0")


def some_counts(newer: int = 3) -> Counts:
    rings: dict[str, Counter[Version | None]] = {
        "internal": Counter({V2: newer, V1: 1}),
        "all": Counter({V1: 5, None: 2}),
    }
    return Counts(versions=(V1, V2), rings=rings)


def test_the_table_has_a_row_for_each_ring_and_a_column_for_each_version() -> None:
    console = RichConsole(width=80)

    with console.capture() as captured:
        console.print(some_counts().table())

    lines = [line.split() for line in captured.get().splitlines()]
    assert lines == [
        ["ring", "installs", "none", "1.0.0", "1.1.0"],
        ["internal", "4", "0", "1", "3"],
        ["all", "7", "2", "5", "0"],
    ]


def test_a_line_leaves_out_what_nobody_is_on() -> None:
    counts = Counts(versions=(V1,), rings={"internal": Counter({V1: 4}), "1%": Counter()})

    assert counts.line() == "internal: 4 on 1.0.0 | 1%: nobody"
    assert some_counts().line() == "internal: 1 on 1.0.0, 3 on 1.1.0 | all: 2 on none, 5 on 1.0.0"


def test_a_log_gets_changed_counts_at_most_every_two_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = FakeClock()
    screen = Screen(Console(), clock.monotonic)

    with screen.open(live=False):
        for newer in (0, 0, 1, 2):
            screen.show(some_counts(newer))
        clock.sleep(3)
        screen.show(some_counts(2))

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "0 on 1.1.0" not in lines[0]
    assert "2 on 1.1.0" in lines[1]


def test_the_last_counts_of_an_act_are_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(Console(), FakeClock().monotonic)

    screen.show(some_counts(1))
    screen.show(some_counts(4), last=True)

    assert "4 on 1.1.0" in capsys.readouterr().err


def test_a_live_table_takes_the_place_of_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(Console(), FakeClock().monotonic)

    with screen.open(live=True):
        screen.show(some_counts())

    assert "on 1.1.0" not in capsys.readouterr().err
    screen.show(some_counts())
    assert "on 1.1.0" in capsys.readouterr().err
