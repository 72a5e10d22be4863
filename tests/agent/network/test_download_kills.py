from __future__ import annotations

from pathlib import Path

from tests.agent.kills import kill_downloads

MIB = 1024 * 1024


def test_a_kill_at_any_byte_costs_next_to_nothing(tmp_path: Path) -> None:
    (parts := tmp_path / "parts").mkdir()

    killed = kill_downloads(parts, kills=3, seed=5, size_bytes=12 * MIB)

    assert killed.per_kill_bytes <= MIB / 8


def test_without_the_journal_the_same_kills_cost_all_that_came(tmp_path: Path) -> None:
    """The control: what is measured is that the agent goes on, not luck."""
    (parts := tmp_path / "parts").mkdir()

    killed = kill_downloads(parts, kills=3, seed=5, size_bytes=12 * MIB, after_kill=without_journal)

    assert killed.per_kill_bytes > MIB


def without_journal(parts: Path) -> None:
    for path in parts.glob("*.json"):
        path.unlink()
