"""The policy of the demo: the rings' usual names, with shares that suit a small fleet.

At 1 % of forty installs the first ring would mostly be empty, so the rings here are wider;
the screen says so. There is no ceiling by age and no soak, since nobody wants to wait days.
"""

from __future__ import annotations

from typing import Any

from rollout.model import FULL_EXPOSURE_BP
from update_server.cli.demo.fleet import GROUP

INTERNAL = "internal"
GENERAL: tuple[tuple[str, int], ...] = (("1%", 2_500), ("10%", 6_000), ("all", FULL_EXPOSURE_BP))
"""The general rings in order, with their share of buckets in basis points."""

RINGS = (INTERNAL, *(name for name, _ in GENERAL))
"""All rings, in the order in which they open."""


def policy() -> dict[str, Any]:
    """Return the policy's fields that differ from the standard ones (``serinus init --policy``)."""
    ramp: list[dict[str, Any]] = [{"ring": INTERNAL, "soak_seconds": 0}]
    for name, share in GENERAL:
        ramp.append({"ring": name, "exposure_bp": share, "soak_seconds": 0})
    return {"ceiling": [], "internal_groups": [GROUP], "ramp": ramp}


def title(ring: str) -> str:
    """Return the ring's name with the share that it has here."""
    share = dict(GENERAL).get(ring)
    return ring if share in {None, FULL_EXPOSURE_BP} else f"{ring} (here {share / 100:g} %)"
