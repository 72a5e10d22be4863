"""The policy a new channel begins with, and how a person's own one is read.

What it means is ``rollout.model.Policy``; what it may say is checked by its strict parser.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.documents import parse_policy, render_ladder, render_policy
from rollout.errors import RolloutError
from rollout.strict_json import render_canonical
from update_server.cli.errors import UsageError
from update_server.evidence.ladder import TermsError, spread_ramp

_DAY = 86_400

STANDARD: Mapping[str, Any] = {
    "schema": 1,
    "floor": None,
    "revoked": [],
    "must_reach": [],
    # Whoever steals the online keys an hour after a release reaches 1 % with it.
    "ceiling": [[0, 100], [7_200, 1_000], [_DAY, 10_000]],
    "internal_groups": ["staff"],
    "ramp": [
        {"ring": "internal", "soak_seconds": _DAY},
        {"ring": "1%", "exposure_bp": 100, "soak_seconds": _DAY},
        {"ring": "10%", "exposure_bp": 1_000, "soak_seconds": 3 * _DAY},
        {"ring": "all", "exposure_bp": 5_000, "soak_seconds": 3 * _DAY},
        {"ring": "all", "exposure_bp": 9_800, "holdback_bp": 200, "soak_seconds": 14 * _DAY},
        {"ring": "all", "exposure_bp": 10_000, "soak_seconds": 0},
    ],
    "auto": {"pause": True, "pull": True, "rollback": True, "max_rollbacks_per_day": 2},
    "approvals": {"outside_ramp": 1, "resume_after_auto_pause": 1},
    "link_hosts": [],
    "custom_keys": [],
    "require_provenance": False,
}
"""The standard ladder, for one person (``--solo``): every approval is at most one."""


def policy_document(app: str, channel: str, now: datetime, overrides: Mapping[str, Any]) -> bytes:
    """Return the canonical policy of a channel: the standard one with *overrides*.

    One's own ramp is written as the steps of a ladder file are, but without gates.

    Raises:
        UsageError: It breaks a rule of the document; the text names field and rule.
    """
    issued = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {**STANDARD, **overrides, "app": app, "channel": channel, "issued": issued}
    try:
        if ramp := overrides.get("ramp"):
            fields["ramp"] = render_ladder(spread_ramp(ramp))
    except TermsError as error:
        told = f"{error.where.replace('step', 'ramp', 1)}: {error.problem}"
        raise UsageError("bad_policy", f"the policy of {channel}: {told}") from error
    try:
        return render_policy(parse_policy(render_canonical(fields)))
    except RolloutError as error:
        raise UsageError("bad_policy", f"the policy of {channel}: {error}") from error


def read_overrides(path: Path | None) -> Mapping[str, Any]:
    """Return the fields in a TOML or JSON file; none without a file."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise UsageError("bad_policy", f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise UsageError("bad_policy", f"{path} is no table")
    return document
