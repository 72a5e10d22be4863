"""The table and the lines that tell the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from packaging.version import Version
from rich.console import Console as RichConsole

from tests.fakes import FakeClock
from update_server.cli.console import Console
from update_server.cli.demo.screen import Counts, RingCounts, Screen

V1, V2 = Version("1.0.0"), Version("1.1.0")


def a_ring(
    on: Mapping[Version | None, int],
    *,
    trying: Sequence[Version] = (),
    barred: Sequence[Version] = (),
) -> RingCounts:
    return RingCounts(on=Counter(on), trying=Counter(trying), barred=Counter(barred))


def some_counts(newer: int = 3) -> Counts:
    rings = {"internal": a_ring({V2: newer, V1: 1}), "all": a_ring({V1: 5, None: 2})}
    return Counts(versions=(V1, V2), rings=rings)


def test_installs_are_counted_by_what_they_run_try_and_bar() -> None:
    ring = RingCounts()

    ring.add(V1, V2, ())
    ring.add(V1, None, [V2])
    ring.add(None, None, ())

    assert ring == a_ring({V1: 2, None: 1}, trying=[V2], barred=[V2])


def test_the_table_has_a_row_for_each_ring_and_a_column_for_each_version() -> None:
    rings = {
        "internal": a_ring({V1: 4}, trying=[V2, V2], barred=[V2]),
        "all": a_ring({V2: 5, None: 2}),
    }
    console = RichConsole(width=80)

    with console.capture() as captured:
        console.print(Counts(versions=(V1, V2), rings=rings).table())

    lines = [line.split() for line in captured.get().splitlines()]
    assert lines == [
        ["ring", "installs", "none", "1.0.0", "1.1.0", "on", "trial", "barred"],
        ["internal", "4", "0", "4", "0", "1.1.0", "(2)", "1.1.0", "(1)"],
        ["all", "7", "2", "0", "5"],
    ]


def test_a_line_leaves_out_what_nobody_is_on() -> None:
    rings = {"internal": a_ring({V1: 4}, trying=[V2, V2], barred=[V2]), "1%": RingCounts()}
    counts = Counts(versions=(V1,), rings=rings)

    assert counts.line() == "internal: 4 on 1.0.0, 2 try 1.1.0, 1 bar 1.1.0 | 1%: nobody"
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
