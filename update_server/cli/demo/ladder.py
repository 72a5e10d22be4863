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

# Stop lines ask for no control group. They are high here, to show the comparison with one.
_CEILINGS = "\n[ceilings]\ncrashed = 0.9\nunhealthy = 0.9\ncrash_loop = 0.9\nsilent = 0.9\n"
_HOUR = 'outcome = "1 h"\nsilence_minimum = "1 h"\ncohort = "20 min"\n'
_TICK_SECONDS = 600

RINGS = (INTERNAL, *(name for name, _ in GENERAL))
"""All rings, in the order in which they open."""


BY_HAND = 'automatic = ["pause", "pull"]\n'
"""The ladder file of rollouts that a person promotes: so few installs cannot prove health."""


def policy() -> dict[str, Any]:
    """Return the policy's fields that differ from the standard ones (``serinus init --policy``)."""
    ramp: list[dict[str, Any]] = [{"ring": INTERNAL, "soak_seconds": 0}]
    for name, share in GENERAL:
        ramp.append({"ring": name, "exposure_bp": share, "soak_seconds": 0})
    return {"ceiling": [], "internal_groups": [GROUP], "ramp": ramp}


def hurried(*, check_in_seconds: float, offers_per_minute: int = 0) -> str:
    """Return a ladder file (docs/ladder.md) without an internal ring, judged in fast time.

    The judge ticks every ten minutes of its time. Here that is a little more than these agents'
    check-in period, so that a tick's entrants, who are compared with one another, are many.
    Whoever is well has checked in many times before its hour is over.
    """
    steps = "".join(
        f'\n[[step]]\nring = "{name}"\nexposure_bp = {share}\nsoak = "1 h"\n'
        for name, share in GENERAL
    )
    return (
        f"unsafe_speed = {max(1, round(_TICK_SECONDS / (1.5 * check_in_seconds)))}\n"
        'minimum_age = "10 s"\n'
        f"{_HOUR}offers_per_minute = {offers_per_minute}\n{_CEILINGS}{steps}"
    )


def title(ring: str) -> str:
    """Return the ring's name with the share that it has here."""
    share = dict(GENERAL).get(ring)
    return ring if share in {None, FULL_EXPOSURE_BP} else f"{ring} (here {share / 100:g} %)"
