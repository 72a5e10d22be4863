"""What became of the installs and sessions of a rollout: what was counted, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rollout.model import RolloutId
from update_server.service.ports import Stores
from update_server.service.ports.crashes import Tally


def outcomes_of(stores: Stores, rollout: RolloutId) -> Sequence[Tally]:
    """Return crashed installs and sessions by version, ring and arm of those who take part.

    A candidate is one also while it still runs the version before, so each arm may have several
    versions. All of it is shown only: the judge counts for itself.
    """
    found = {(one.version, one.ring, one.arm): one for one in stores.crashes.crashed_of(rollout)}
    for one in stores.sessions.of_rollout(rollout):
        place = (one.version, one.ring, one.arm)
        known = found.get(place, one)
        found[place] = replace(known, sessions=one.sessions)
    return [found[place] for place in sorted(found)]


def crash_free(sessions: Mapping[str, int]) -> float | None:
    """Return the share of one source's *sessions* that did not crash; None if there were none."""
    total = sum(sessions.values())
    return 1 - sessions.get("crashed", 0) / total if total else None
