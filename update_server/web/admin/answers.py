"""Values to JSON objects, as the admin app shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from rollout.documents import render_audience, render_policy
from update_server.service.access.apps import KnownApp
from update_server.service.ports import (
    ApiToken,
    App,
    AuditRecord,
    EnrolmentCode,
    Group,
    StoredHold,
    StoredTarget,
)
from update_server.service.repository.publish import SigningView, Submitted
from update_server.service.rollouts.released import PlatformView, ReleaseView
from update_server.service.rollouts.report import (
    PolicyView,
)
from update_server.web.wire import render_time

JsonObject = dict[str, Any]


def app(value: App) -> JsonObject:
    """Return a registered app."""
    return {
        "app": value.name,
        "number": value.number,
        "created_at": render_time(value.created_at),
        "channels": list(value.channels),
        "platforms": list(value.platforms),
        "registered": value.registered,
    }


def known_app(value: KnownApp) -> JsonObject:
    """Return an app with the public halves of its online keys."""
    return {**app(value.app), "online_keys": value.online_keys}


def signing(value: SigningView) -> JsonObject:
    """Return what a publisher builds upon; metadata as text, byte for byte."""
    return {
        "app": value.app.name,
        "registered": value.app.registered,
        "online_keys": value.online_keys,
        "channels": list(value.app.channels),
        "platforms": list(value.app.platforms),
        "versions": value.versions,
        "metadata": {role: data.decode() for role, data in value.metadata.items()},
    }


def submitted(value: Submitted) -> JsonObject:
    """Return what a submission brought."""
    return {
        "versions": value.versions,
        "admitted": list(value.admitted),
        "releases": [
            {
                "version": str(release.version),
                "channel": release.channel,
                "platform": release.platform,
            }
            for release in value.releases
        ],
        "timestamp_version": value.timestamp_version,
    }


def release(value: ReleaseView) -> JsonObject:
    """Return a version with what it is made of on each platform."""
    return {
        "version": str(value.version),
        "channel": value.channel,
        "platforms": [_platform(platform) for platform in value.platforms],
        "admitted_at": time(min(each.admitted_at for each in value.platforms)),
        "security": any(each.release.security for each in value.platforms),
        "state": value.state,
    }


def hold(value: StoredHold) -> JsonObject:
    """Return a hold."""
    return {
        "id": value.hold.id,
        "channel": value.channel,
        "rollout": value.rollout,
        "title": value.hold.title,
        "link": value.hold.link,
        "audience": render_audience(value.hold.audience),
        "reason": value.reason,
        "created_at": time(value.created_at),
        "created_by": value.created_by,
        "lifted_at": time(value.lifted_at),
    }


def group(value: Group) -> JsonObject:
    """Return a group of installs."""
    return {
        "name": value.name,
        "members": value.members,
        "created_at": time(value.created_at),
    }


def enrolment(value: EnrolmentCode) -> JsonObject:
    """Return an enrolment code, without the code."""
    return {
        "id": value.id,
        "group": value.group,
        "uses_left": value.uses_left,
        "created_at": time(value.created_at),
        "expires_at": time(value.expires_at),
        "revoked_at": time(value.revoked_at),
    }


def token(value: ApiToken) -> JsonObject:
    """Return an API token, without its secret and without its hash."""
    return {
        "id": value.id,
        "name": value.name,
        "role": value.role.value,
        "app": value.app,
        "created_at": time(value.created_at),
        "expires_at": time(value.expires_at),
        "revoked_at": time(value.revoked_at),
    }


def version(value: tuple[str, str, str, int]) -> JsonObject:
    """Return how many installs run a version."""
    channel, platform, running, installs = value
    return {"channel": channel, "platform": platform, "version": running, "installs": installs}


def policy(value: PolicyView) -> JsonObject:
    """Return a policy in force, as it was signed."""
    return {
        "channel": value.policy.channel,
        "policy": msgspec.json.decode(render_policy(value.policy)),
        "version": value.version,
        "expires_at": time(value.expires_at),
    }


def audit(value: AuditRecord) -> JsonObject:
    """Return a line of the audit log."""
    return {
        "seq": value.seq,
        "at": time(value.at),
        "actor": value.actor,
        "action": value.action,
        "app": value.app,
        "subject": value.subject,
        "reason": value.reason,
        "before": value.before,
        "after": value.after,
        "previous_hash": value.previous_hash,
        "hash": value.hash,
    }


def _platform(value: PlatformView) -> JsonObject:
    it = value.release
    artifact = {
        "format": it.artifact.format,
        "manifest_sha256": it.artifact.manifest_sha256,
        "tree_bytes": it.artifact.tree_bytes,
        "files": it.artifact.files,
    }
    return {
        "platform": it.platform,
        "number": value.number,
        "artifact": _file(it.artifact.path, value.files) | artifact,
        "deltas": [
            _file(delta.path, value.files) | {"from": str(delta.from_version), "algo": delta.algo}
            for delta in it.deltas
        ],
        "others": [_file(other.path, value.files) | {"kind": other.kind} for other in it.others],
        "released_at": time(it.released_at),
        "not_before": time(it.not_before),
        "min_version": None if it.min_version is None else str(it.min_version),
        "rollback_to": [str(each) for each in it.rollback_to],
        "submitted_by": value.submitted_by,
    }


def _file(path: str, files: Mapping[str, StoredTarget]) -> JsonObject:
    target = files.get(path)
    return {
        "path": path,
        "sha256": target.sha256 if target else None,
        "length_bytes": target.length_bytes if target else None,
    }


def time(at: datetime | None) -> str | None:
    """Return an instant, if there is one, as text."""
    return None if at is None else render_time(at)
