"""Valid values for tests of the agent's state machine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from packaging.version import Version

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.values import DeltaInfo, Fault, Goal, TargetInfo
from rollout.model import Action, Artifact, Assignment, Delta, Reason, Release, RolloutId

NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
BROKEN = Fault(category="payload", code="bad_payload")


def a_goal(
    version: str = "2.1.0",
    *,
    manifest: str = "ab" * 32,
    rollout: str = "ro_7k2m",
    length_bytes: int = 500,
    deltas: Iterable[DeltaInfo] = (),
) -> Goal:
    folder = f"demo/releases/stable/linux-x86_64/{version}"
    path = f"{folder}/demo-{version}.srn"
    artifact = Artifact(
        path=path, format="serinus-1", manifest_sha256=manifest, tree_bytes=1000, files=2
    )
    release = Release(
        app="demo",
        channel="stable",
        platform="linux-x86_64",
        version=Version(version),
        salt=bytes(32),
        released_at=NOW - timedelta(days=1),
        artifact=artifact,
    )
    return Goal(
        version=Version(version),
        manifest_sha256=manifest,
        rollout=RolloutId(rollout),
        reason=Reason.IN_RING,
        action=Action.UPDATE,
        release=release,
        target=TargetInfo(path=path, sha256="ef" * 32, length_bytes=length_bytes),
        deltas=tuple(deltas),
    )


def a_delta(from_manifest: str = "cd" * 32, *, length_bytes: int = 50) -> DeltaInfo:
    path = f"demo/releases/stable/linux-x86_64/2.1.0/from-{from_manifest[:4]}.delta"
    signed = Delta(
        path=path,
        from_version=Version("2.0.0"),
        from_manifest=from_manifest,
        algo="pb1",
        output_bytes=1000,
        max_file_bytes=900,
    )
    target = TargetInfo(path=path, sha256=from_manifest, length_bytes=length_bytes)
    return DeltaInfo(signed=signed, target=target)


def decided(
    goal: Goal, *, reason: Reason = Reason.IN_RING, not_after: datetime | None = None
) -> on.Decided:
    assignment = Assignment(action=goal.action, reason=reason, version=goal.version)
    until = not_after or NOW + timedelta(hours=24)
    return on.Decided(assignment=assignment, goal=goal, at=NOW, not_after=until)


def stay(reason: Reason = Reason.UP_TO_DATE) -> on.Decided:
    assignment = Assignment(action=Action.STAY, reason=reason)
    return on.Decided(assignment=assignment, goal=None, at=NOW, not_after=NOW + timedelta(hours=24))


def kinds(effects: Iterable[do.Effect]) -> list[type[do.Effect]]:
    return [type(effect) for effect in effects]
