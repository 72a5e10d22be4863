"""The agent's state machine: ``step(state, event) -> (state, effects)``.

Not here: performing effects (``client_agent.agent``), any clock or I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import Version

from rollout.model import Action, Reason, Release, RolloutId


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInfo:
    """A file of the signed repository: its path and what its bytes must be."""

    path: str
    sha256: str
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The version that the signed documents give this install, and where its bytes are.

    ``action`` is never ``stay``. Two goals are the same when ``version``, ``manifest_sha256``
    and ``action`` are.
    """

    version: Version
    manifest_sha256: str
    rollout: RolloutId | None
    reason: Reason
    action: Action
    release: Release
    target: TargetInfo
