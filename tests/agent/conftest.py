"""What holds for all tests of the agent."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for the disk: what was synced matters only to a machine that stops.

    Ten thousand times it would be. What is synced, and in which order, tests see by the calls
    themselves; programs that are started, such as those under strace, sync for real.
    """
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, os.fstat)  # fails, as they do, for what is not open
