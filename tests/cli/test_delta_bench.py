"""A small part of ``make bench-agent``: no network, seconds instead of minutes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.agent import deltas, faults, large
from benchmarks.agent.pairs import Pair
from tests.cli.delta_trees import Content, noise
from tests.cli.sources import APP, a_folder

PAIR = Pair("made-up", "1.0.0", "1.1.0", "noise")
OLD: Content = {"app": APP, "data": noise(1, 200_000), "text": b"the same line\n" * 5_000}
NEW: Content = {**OLD, "data": noise(1, 200_000)[:-900] + noise(2, 900)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> deltas.Found:
    folder = tmp_path_factory.mktemp("pair")
    old, new = a_folder(folder / "1.0.0", OLD), a_folder(folder / "1.1.0", NEW)
    return deltas.find_between(PAIR, (old, new), folder)


def test_a_pair_is_measured_against_the_full_payload_and_the_rival(found: deltas.Found) -> None:
    told = {line.name: line for line in deltas.lines([found])}

    assert 900 < found.rival_bytes < 3_000
    assert 900 < found.delta_bytes < 3_000 < found.full_bytes
    assert told["delta_vs_full_median"].ok
    assert told["peak_disk_vs_tree"].ok
    assert told["peak_disk_vs_tree"].value > 0.5  # it was looked at while it grew
    assert len(deltas.lines_of(found)) == 7
    assert found.apply_peak_bytes > 1_000_000
    assert found.make_seconds > 0


def test_a_delta_longer_than_the_rivals_misses_its_limit(found: deltas.Found) -> None:
    longer = replace(found, delta_bytes=2 * found.rival_bytes)

    missed = {line.name for line in deltas.lines([longer]) if not line.ok}

    assert missed == {"delta_vs_best_median", "delta_vs_best_worst"}


def test_large_trees_have_goals_of_their_own(found: deltas.Found) -> None:
    hungry = replace(found, tree_bytes=deltas.LARGE_TREE_BYTES, make_peak_bytes=10**9)

    told = {line.name: line for line in deltas.lines([hungry])}

    assert not told["delta_make_rss_vs_tree"].ok
    assert "delta_apply_cpu_vs_full" in told


def test_memory_is_measured_where_a_file_is_large() -> None:
    delta, full = large.lines(file_bytes=4_000_000)

    assert (delta.name, delta.ok) == ("delta_apply_rss_bytes", True)
    assert (full.name, full.ok) == ("full_unpack_rss_bytes", True)
    assert full.value > 8_000_000  # the content, in the decoder's dictionary


def test_the_launcher_is_timed() -> None:
    (line,) = faults.launched(3)

    assert line.name == "launcher_overhead_vs_interpreter"
    assert line.value > 0.5
