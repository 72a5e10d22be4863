"""Policies and releases on their way to be signed: documents become targets.

Only what is written canonically can be signed: agents compare the canonical rendering with
the target's hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tuf.api.metadata import TargetFile, Targets

from rollout.documents import parse_policy, parse_release, path_of_policy, path_of_release
from rollout.errors import RolloutError
from rollout.model import Policy, Release
from rollout.strict_json import parse_strict, render_canonical
from signing.contents import contents_of
from signing.errors import CeremonyError, TrustError
from signing.metadata import inline_target
from signing.roles import POLICY, RoleKind, RoleName


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A release to sign: its document, and (sha256, length) by path of its other files."""

    document: bytes
    files: Mapping[str, tuple[str, int]]


def policy_targets(app: str, policies: Mapping[str, bytes]) -> dict[str, TargetFile]:
    """Return the targets of policy documents, given by channel; raises CeremonyError."""
    targets: dict[str, TargetFile] = {}
    for channel, document in policies.items():
        policy = _document(parse_policy, document, POLICY)
        if (policy.app, policy.channel) != (app, channel):
            raise CeremonyError("bad_document", f"it is no policy of {app}/{channel}", POLICY)
        path = path_of_policy(app, channel)
        targets[path] = inline_target(path, document)
    return targets


def release_targets(app: str, draft: Draft) -> tuple[RoleName, dict[str, TargetFile]]:
    """Return the role that signs *draft*, and the targets it adds; raises CeremonyError."""
    release = _document(parse_release, draft.document, RoleKind.RELEASES)
    if release.app != app:
        raise CeremonyError("bad_document", f"it is a release of {release.app}", RoleKind.RELEASES)
    path = path_of_release(app, release.channel, release.platform, release.version)
    targets = {
        path: TargetFile(length_bytes, {"sha256": sha256}, path)
        for path, (sha256, length_bytes) in draft.files.items()
    }
    targets[path] = inline_target(path, draft.document)
    role = RoleName(kind=RoleKind.RELEASES, channel=release.channel, platform=release.platform)
    return role, targets


def check_contents(app: str, role: RoleName, part: Targets) -> None:
    """Return if *part* is what *role* may sign; raises CeremonyError ``bad_document``."""
    try:
        contents_of(app, role, part)
    except TrustError as error:
        raise CeremonyError("bad_document", str(error), str(role)) from error


_D = TypeVar("_D", Policy, Release)


def _document(parse: Callable[[bytes], _D], document: bytes, role: str) -> _D:
    """Return the parsed document, if it is written canonically: only that can be signed."""
    try:
        if render_canonical(parse_strict(document)) == document:
            return parse(document)
    except RolloutError as error:
        raise CeremonyError("bad_document", str(error), role) from error
    raise CeremonyError("bad_document", "it is not written canonically", role)
