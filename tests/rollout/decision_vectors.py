"""Reads tests/vectors/decide.json: documents in, assignment out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.documents import parse_policy, parse_release, parse_rollout
from rollout.model import Assignment, Documents, Failure, Install, Reason
from rollout.names import check_install_id
from rollout.strict_json import render_canonical
from rollout.versions import parse_version
from tests.builders import an_install

VECTORS = Path(__file__).parents[1] / "vectors" / "decide.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionVector:
    name: str
    documents: Documents
    install: Install
    now: datetime
    expected: dict[str, Any]


def decision_vectors() -> list[DecisionVector]:
    """Return every vector of the file, its documents parsed as an agent would."""
    content = json.loads(VECTORS.read_text())
    return [_vector(content["base"], vector) for vector in content["vectors"]]


def told(assignment: Assignment) -> dict[str, Any]:
    """Return what *assignment* says, in the words of the vectors."""
    said = {
        "action": assignment.action,
        "reason": assignment.reason,
        "version": None if assignment.version is None else str(assignment.version),
        "ring": assignment.ring,
        "rollout": assignment.rollout,
        "bucket": assignment.bucket,
        "detail": assignment.detail,
        "hold": None if assignment.hold is None else assignment.hold.id,
    }
    return {key: value for key, value in said.items() if value is not None}


def merged(base: Any, patch: Any) -> Any:
    """Apply a JSON merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _vector(base: dict[str, Any], vector: dict[str, Any]) -> DecisionVector:
    case = merged(base, vector["patch"])
    rollout = case.get("rollout")
    releases = [parse_release(render_canonical(release)) for release in case["releases"].values()]
    numbers = [parse_version(version) for version in case["releases"]]
    return DecisionVector(
        name=vector["name"],
        documents=Documents(
            policy=parse_policy(render_canonical(case["policy"])),
            rollout=None if rollout is None else parse_rollout(render_canonical(rollout)),
            rollout_missing=Reason(case["rollout_missing"]),
            releases=dict(zip(numbers, releases, strict=True)),
        ),
        install=_install(case["install"]),
        now=_time(case["now"]),
        expected=vector["expect"],
    )


def _install(fields: dict[str, Any]) -> Install:
    return an_install(
        id=check_install_id(fields["id"]),
        version=fields.get("version"),
        high_water=fields.get("high_water"),
        sticky_floor=fields.get("sticky_floor"),
        groups=fields["groups"],
        attributes=fields["attributes"],
        channel=fields["channel"],
        platform=fields["platform"],
        failures=[
            Failure(version=parse_version(f["version"]), retry_at=_time(f["retry_at"]))
            for f in fields["failures"]
        ],
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
