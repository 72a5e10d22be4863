"""The body of ``state.json``: values to JSON and back. The launcher reads the same fields.

Fields that this agent does not know stay where they are: after a fall-back, an older agent
writes what a newer one wrote before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from client_agent.values import (
    Ban,
    DeltaFailure,
    InstalledVersion,
    LastResult,
    Outcome,
    Pending,
    State,
    VersionFailure,
)
from rollout.errors import InvalidVersionError
from rollout.versions import parse_version, render_version

CONFIRMED = "confirmed"
"""The file of a version's ``.serinus`` that its first confirmation writes."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"

Body = dict[str, Any]


class BadBodyError(Exception):
    """These bytes are no state: torn, damaged, or written by somebody else."""


def render_state(state: State, kept: Mapping[str, Any]) -> bytes:
    """Return the line of ``state.json``, with the fields of *kept* that are not ours.

    ``{"sum": "<SHA-256 of the body's bytes>", "body": {…}}``
    """
    body = {
        **kept,
        "seq": state.seq,
        "current": _render_installed(state.current),
        "previous": _render_installed(state.previous),
        "pending": _render_pending(state.pending, kept.get("pending")),
        "bans": [_render_ban(ban) for ban in state.bans],
        "failures": [_render_failure(failure) for failure in state.failures],
        "delta_failures": [_render_delta_failure(failure) for failure in state.delta_failures],
        "data_schema": state.data_schema,
        "last_result": _render_result(state.last_result),
        "tokens": dict(state.tokens),
        "project": state.project,
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return b'{"sum": "%s", "body": %s}\n' % (hashlib.sha256(text).hexdigest().encode(), text)


def parse_state(data: bytes) -> tuple[State, Body]:
    """Return the state that *data* spells, and the whole body.

    Raises:
        BadBodyError: the sum does not fit, or the fields do not.
    """
    try:
        body = json.loads(data)["body"]
        text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        line = b'{"sum": "%s", "body": %s}\n' % (hashlib.sha256(text).hexdigest().encode(), text)
        if line != data:
            raise BadBodyError
        return _parse_body(body), body
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        InvalidVersionError,
    ) as error:
        raise BadBodyError from error


def render_confirmed(installed: InstalledVersion, seq: int, now: datetime) -> bytes:
    """Return the content of a version's ``.serinus/confirmed``."""
    body = {**(_render_installed(installed) or {}), "seq": seq, "at": render_time(now)}
    return json.dumps(body, sort_keys=True).encode() + b"\n"


def parse_confirmed(data: bytes, directory: str) -> tuple[int, InstalledVersion]:
    """Return the sequence number and the version of a ``confirmed`` in *directory*.

    Raises:
        BadBodyError: it is none.
    """
    try:
        body = json.loads(data)
        return int(body["seq"]), _parse_installed({**body, "dir": directory})
    except (ValueError, LookupError, TypeError, InvalidVersionError) as error:
        raise BadBodyError from error


def confirmed_at(data: bytes) -> datetime:
    """Return when the version of this ``confirmed`` proved itself.

    Raises:
        BadBodyError: it does not say so.
    """
    try:
        return parse_time(json.loads(data)["at"])
    except (ValueError, LookupError, TypeError) as error:
        raise BadBodyError from error


def render_time(at: datetime) -> str:
    """Return *at* in whole seconds; such texts sort by time, on which the launcher relies."""
    return at.astimezone(UTC).strftime(_TIME)


def parse_time(text: str) -> datetime:
    """Return the instant; raise ``ValueError`` when it is spelled otherwise."""
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def _parse_tokens(tokens: dict[str, str]) -> dict[str, str]:
    """Return them by version: the file spells names in the order of texts, 2.9 after 2.10."""
    return dict(sorted(tokens.items(), key=lambda item: parse_version(item[0])))


def _parse_body(body: Body) -> State:
    pending = body.get("pending")
    return State(
        seq=int(body["seq"]),
        current=_parse_optional(body.get("current")),
        previous=_parse_optional(body.get("previous")),
        pending=None if pending is None else _parse_pending(pending),
        bans=_parse_bans(body.get("bans", [])),
        failures=_parse_failures(body.get("failures", [])),
        delta_failures=tuple(map(_parse_delta_failure, body.get("delta_failures", []))),
        data_schema=body.get("data_schema"),
        last_result=_parse_result(body.get("last_result")),
        tokens=MappingProxyType(_parse_tokens(body.get("tokens", {}))),
        project=body.get("project"),
    )


def _render_installed(installed: InstalledVersion | None) -> Body | None:
    if installed is None:
        return None
    return {
        "dir": installed.directory,
        "version": render_version(installed.version),
        "digest": installed.manifest_sha256,
        "rollout": installed.rollout,
        "data_schema": installed.data_schema,
        "reads_schema_max": installed.reads_schema_max,
    }


def _parse_optional(body: Body | None) -> InstalledVersion | None:
    return None if body is None else _parse_installed(body)


def _parse_installed(body: Body) -> InstalledVersion:
    directory = body["dir"]
    # Joined to a path by whoever reads it.
    if not isinstance(directory, str) or "/" in directory or directory in {"", ".", ".."}:
        raise ValueError(directory)
    return InstalledVersion(
        version=parse_version(body["version"]),
        manifest_sha256=str(body["digest"]),
        directory=directory,
        rollout=body.get("rollout"),
        data_schema=body.get("data_schema"),
        reads_schema_max=body.get("reads_schema_max"),
    )


def _render_pending(pending: Pending | None, kept: Body | None) -> Body | None:
    if pending is None:
        return None
    same = kept is not None and kept.get("dir") == pending.installed.directory
    return {
        **(kept if kept is not None and same else {}),
        **(_render_installed(pending.installed) or {}),
        "tries_left": pending.tries_left,
        "refunds": pending.refunds,
        "armed_at": render_time(pending.armed_at),
        "not_after": render_time(pending.not_after),
        "boot_id": pending.boot_id,
        "launch_id": pending.launch_id,
        "launch_boot_id": pending.launch_boot_id,
    }


def _parse_pending(body: Body) -> Pending:
    return Pending(
        installed=_parse_installed(body),
        tries_left=int(body["tries_left"]),
        refunds=int(body["refunds"]),
        armed_at=parse_time(body["armed_at"]),
        not_after=parse_time(body["not_after"]),
        boot_id=body["boot_id"],
        launch_id=body.get("launch_id"),
        launch_boot_id=body.get("launch_boot_id"),
    )


def _render_ban(ban: Ban) -> Body:
    return {
        "version": render_version(ban.version),
        "digest": ban.manifest_sha256,
        "rollout": ban.rollout,
        "reason": ban.reason,
        "at": render_time(ban.at),
        "count": ban.count,
    }


def _parse_bans(bodies: list[Body]) -> tuple[Ban, ...]:
    """Return one ban for each digest: the launcher only adds to the list, without counting."""
    found: dict[str, Ban] = {}
    for body in bodies:
        before = found.pop(body["digest"], None)
        found[body["digest"]] = Ban(
            version=parse_version(body["version"]),
            manifest_sha256=body["digest"],
            rollout=body.get("rollout"),
            reason=body["reason"],
            at=parse_time(body["at"]),
            count=int(body.get("count", 1)) + (before.count if before else 0),
        )
    return tuple(found.values())


def _render_failure(failure: VersionFailure) -> Body:
    return {
        "version": render_version(failure.version),
        "digest": failure.manifest_sha256,
        "code": failure.code,
        "count": failure.count,
        "retry_at": render_time(failure.retry_at),
        "tries_left": failure.tries_left,
        "refunds": failure.refunds,
        "needed_bytes": failure.needed_bytes,
    }


def _parse_failures(bodies: list[Body]) -> tuple[VersionFailure, ...]:
    """Return one failure for each edition: the launcher only adds the tries that are left."""
    found: dict[tuple[Version, str], VersionFailure] = {}
    for failure in map(_parse_failure, bodies):
        first = found.setdefault((failure.version, failure.manifest_sha256), failure)
        tries = [one.tries_left for one in (first, failure) if one.tries_left is not None]
        refunds = max(first.refunds, failure.refunds)
        merged = replace(first, tries_left=min(tries, default=None), refunds=refunds)
        found[failure.version, failure.manifest_sha256] = merged
    return tuple(found.values())


def _parse_failure(body: Body) -> VersionFailure:
    return VersionFailure(
        version=parse_version(body["version"]),
        manifest_sha256=body["digest"],
        code=body["code"],
        count=int(body["count"]),
        retry_at=parse_time(body["retry_at"]),
        tries_left=body.get("tries_left"),
        refunds=int(body.get("refunds", 0)),
        needed_bytes=body.get("needed_bytes"),
    )


def _render_delta_failure(failure: DeltaFailure) -> Body:
    return {"from": failure.from_manifest, "to": failure.to_manifest, "code": failure.code}


def _parse_delta_failure(body: Body) -> DeltaFailure:
    return DeltaFailure(
        from_manifest=str(body["from"]), to_manifest=str(body["to"]), code=str(body["code"])
    )


def _render_result(result: LastResult | None) -> Body | None:
    if result is None:
        return None
    return {
        "outcome": result.outcome,
        "version": render_version(result.version),
        "rollout": result.rollout,
        "at": render_time(result.at),
        "left": None if result.left is None else render_version(result.left),
    }


def _parse_result(body: Body | None) -> LastResult | None:
    if body is None or body["outcome"] not in list(Outcome):  # one of a newer agent's
        return None
    left = body.get("left")
    return LastResult(
        outcome=Outcome(body["outcome"]),
        version=parse_version(body["version"]),
        rollout=body.get("rollout"),
        at=parse_time(body["at"]),
        left=None if left is None else parse_version(left),
    )
