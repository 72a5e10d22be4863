"""PURE: which way to a goal costs the fewest bytes."""

from __future__ import annotations

from collections.abc import Callable, Container

from client_agent.machine.values import Goal, Plan, TargetInfo
from rollout.delta_format import MAX_DELTA_BYTES


def cheapest(
    goal: Goal,
    *,
    installed: Container[str],
    barred: Container[tuple[str, str]],
    missing_bytes: Callable[[TargetInfo], int],
) -> Plan:
    """Return the plan that needs the fewest bytes; the full payload where none needs fewer.

    *installed*: digests of manifests of trees that are here. *barred*: pairs of such digests, from
    and to, between which a delta has failed. *missing_bytes*: what of a file is not here yet.
    """
    deltas = [
        Plan(delta=delta)
        for delta in goal.deltas
        if delta.signed.from_manifest in installed
        and (delta.signed.from_manifest, goal.manifest_sha256) not in barred
        and delta.target.length_bytes <= MAX_DELTA_BYTES  # no agent reads a longer one
    ]
    return min([Plan(), *deltas], key=lambda plan: missing_bytes(plan.target_of(goal)))
