"""The fleet of a running server, as a rehearsal wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log
from typing import Any

from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.errors import UsageError
from update_server.rehearsal.fleet import Fleet

# Where the normal distribution has 90 % below it.
_NORMAL_90 = 1.2815515655446004
_SPREADS = (0.1, 3.0)
# A fleet of which no crash is known is not one that never crashes.
_LEAST_CRASHES_A_DAY = 1e-5


def live_fleet(session: Session) -> Fleet:
    """Return the installs of the app as its server knows them.

    Raises:
        UsageError: The server knows of too few.
    """
    found = session.api.get(app_path(session.app, "fleet"))
    installs = found["installs"]
    if installs < 2:  # noqa: PLR2004 - two arms
        raise UsageError(
            "no_fleet", f"the server knows of {installs} installs", hint="--fleet NUMBER"
        )
    return fleet_from(found)


def fleet_from(found: Mapping[str, Any]) -> Fleet:
    """Return what the server answered as a fleet; what it does not know yet is as usual."""
    fleet = Fleet(installs=found["installs"], internal=0)
    total = sum(found["platforms"].values())
    changes: dict[str, Any] = {}
    if total:
        platforms = sorted(found["platforms"].items())
        changes["platforms"] = tuple((name, count / total) for name, count in platforms)
    if found["sampled"] and found["aged"]:
        changes["aged_share"] = found["aged"] / found["sampled"]
    gaps = found["gap_seconds"]
    if gaps is not None and gaps["p50"] > 0:
        spread = log(max(gaps["p90"], gaps["p50"]) / gaps["p50"]) / _NORMAL_90
        changes["median_gap_seconds"] = gaps["p50"]
        changes["gap_spread"] = min(_SPREADS[1], max(_SPREADS[0], spread))
    if found["crash_a_day"] is not None:
        changes["crash_a_day"] = max(_LEAST_CRASHES_A_DAY, found["crash_a_day"])
    return replace(fleet, **changes)
