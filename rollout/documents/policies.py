"""The policy: what bounds every decision on one channel. Signed offline."""

from __future__ import annotations

import re
from typing import Any

from rollout.documents.fields import Fields, check_schema, check_unique, render_time
from rollout.errors import DocumentError
from rollout.model import Approvals, Automatic, MustReach, Policy, Step
from rollout.names import check_app, check_channel, check_group
from rollout.strict_json import parse_strict, render_canonical
from rollout.versions import parse_canonical_version, render_version

MAX_REVOKED = 1_000
MAX_MUST_REACH = 16
MAX_STEPS = 64
MAX_APPROVALS = 16
MAX_NAMES = 64

_RING = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._%+-]{0,31}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_CUSTOM_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")


def parse_policy(data: bytes) -> Policy:
    """Return the policy in *data*. Every field must be there: a misspelt bound is no bound.

    Raises:
        DocumentError: It is not a policy that this code understands in full.
    """
    fields = Fields(parse_strict(data))
    check_schema(fields)
    if fields.boolean("require_provenance"):
        raise fields.refuse("require_provenance", "not supported yet")
    return Policy(
        app=fields.checked("app", check_app),
        channel=fields.checked("channel", check_channel),
        issued=fields.time("issued"),
        floor=None if fields.raw("floor") is None else fields.version("floor"),
        revoked=frozenset(fields.texts("revoked", parse_canonical_version, at_most=MAX_REVOKED)),
        must_reach=fields.objects("must_reach", _must_reach, at_most=MAX_MUST_REACH),
        ceiling=_ceiling(fields),
        internal_groups=fields.texts("internal_groups", check_group, at_most=MAX_NAMES),
        ramp=_steps(fields, "ramp"),
        automatic=_automatic(fields.object("auto")),
        approvals=_approvals(fields.object("approvals")),
        link_hosts=fields.texts("link_hosts", _host, at_most=MAX_NAMES),
        custom_keys=fields.texts("custom_keys", _custom_key, at_most=MAX_NAMES),
    )


def render_policy(policy: Policy) -> bytes:
    """Return the canonical bytes of *policy*."""
    return render_canonical(
        {
            "schema": 1,
            "app": policy.app,
            "channel": policy.channel,
            "issued": render_time(policy.issued),
            "floor": None if policy.floor is None else render_version(policy.floor),
            "revoked": [render_version(version) for version in sorted(policy.revoked)],
            "must_reach": [
                {"version": render_version(rule.version), "after": render_time(rule.after)}
                for rule in policy.must_reach
            ],
            "ceiling": [list(row) for row in policy.ceiling],
            "internal_groups": list(policy.internal_groups),
            "ramp": render_ladder(policy.ramp),
            "auto": {
                "pause": policy.automatic.pause,
                "pull": policy.automatic.pull,
                "rollback": policy.automatic.rollback,
                "max_rollbacks_per_day": policy.automatic.max_rollbacks_per_day,
            },
            "approvals": {
                "outside_ramp": policy.approvals.outside_ramp,
                "resume_after_auto_pause": policy.approvals.resume_after_auto_pause,
            },
            "link_hosts": list(policy.link_hosts),
            "custom_keys": list(policy.custom_keys),
            "require_provenance": False,
        }
    )


def parse_ladder(value: Any, where: str = "ladder") -> tuple[Step, ...]:
    """Return the ladder that a JSON value says; raise DocumentError if it says none.

    Unlike a policy's ramp it cannot be empty: a rollout has a first step.
    """
    fields = Fields({where: value})
    steps = _steps(fields, where)
    if not steps:
        raise fields.refuse(where, "empty")
    return steps


def render_ladder(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """Return a ladder as JSON objects."""
    return [
        {
            "ring": step.ring,
            "holdback_bp": step.holdback_bp,
            "soak_seconds": step.soak_seconds,
            "approvals": step.approvals,
        }
        | ({} if step.exposure_bp is None else {"exposure_bp": step.exposure_bp})
        for step in steps
    ]


def _steps(fields: Fields, name: str) -> tuple[Step, ...]:
    """Return the ladder in a field: steps of growing exposure, internal ones anywhere.

    Raises:
        DocumentError: A step is wrong, or exposes less than the one before it.
    """
    steps = fields.objects(name, _step, at_most=MAX_STEPS)
    shares = [step.exposure_bp for step in steps if step.exposure_bp is not None]
    if shares != sorted(shares):
        raise fields.refuse(name, "exposure falls")
    return steps


def check_ring(name: str) -> str:
    """Return *name* if it may name a ring; raise ValueError otherwise."""
    if _RING.fullmatch(name) is None:
        raise ValueError("not a ring's name")
    return name


def _step(fields: Fields) -> Step:
    internal = "exposure_bp" not in fields.names()
    return Step(
        ring=fields.checked("ring", check_ring),
        exposure_bp=None if internal else fields.basis_points("exposure_bp"),
        holdback_bp=fields.basis_points("holdback_bp") if fields.has("holdback_bp") else 0,
        soak_seconds=fields.integer("soak_seconds"),
        approvals=fields.integer("approvals", highest=MAX_APPROVALS)
        if fields.has("approvals")
        else 0,
    )


def _must_reach(fields: Fields) -> MustReach:
    return MustReach(version=fields.version("version"), after=fields.time("after"))


def _ceiling(fields: Fields) -> tuple[tuple[int, int], ...]:
    rows = []
    for where, item in fields.items("ceiling", at_most=MAX_STEPS):
        if not isinstance(item, list) or len(item) != 2:  # noqa: PLR2004 - (age, exposure)
            raise DocumentError("not a pair", where)
        pair = Fields({"age": item[0], "exposure_bp": item[1]}, where)
        rows.append((pair.integer("age"), pair.basis_points("exposure_bp")))
    check_unique(fields, "ceiling", tuple(age for age, _ in rows))
    if rows != sorted(rows) or [share for _, share in rows] != sorted(share for _, share in rows):
        raise fields.refuse("ceiling", "not ascending")
    return tuple(rows)


def _automatic(fields: Fields) -> Automatic:
    return Automatic(
        pause=fields.boolean("pause"),
        pull=fields.boolean("pull"),
        rollback=fields.boolean("rollback"),
        max_rollbacks_per_day=fields.integer("max_rollbacks_per_day"),
    )


def _approvals(fields: Fields) -> Approvals:
    return Approvals(
        outside_ramp=fields.integer("outside_ramp", highest=MAX_APPROVALS),
        resume_after_auto_pause=fields.integer("resume_after_auto_pause", highest=MAX_APPROVALS),
    )


def _host(text: str) -> str:
    if _HOST.fullmatch(text) is None:
        raise ValueError("not a host's name in lower case")
    return text


def _custom_key(text: str) -> str:
    if _CUSTOM_KEY.fullmatch(text) is None:
        raise ValueError("not a key: lower-case letters, digits and _")
    return text
