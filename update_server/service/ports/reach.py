"""How many installs a rollout is about, whether or not it reached them, and how fresh that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Installs as they were when they last checked in.

    ``eligible`` are those of the rollout's channel, on platforms that its version was released
    for; ``running`` are those of them on this version. ``heard_at`` is when anything of any
    install of the app was received last.
    """

    eligible: int = 0
    running: int = 0
    heard_at: datetime | None = None
