"""A publisher and a server in memory: a signed repository whose every part a test can bend.

Keys, documents and metadata are real; only time and storage are the test's. What honest servers
do is ``commit``; attacks take single steps of it apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from packaging.version import Version
from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from client_agent.config import AppSettings
from rollout.documents import path_of_policy, path_of_release, path_of_rollout
from rollout.strict_json import render_canonical
from tests.agent.agent_fakes import START
from tests.agent.web_server import Asked, Reply, WebServer

APP, CHANNEL, PLATFORM = "demo", "stable", "linux-x86_64"
RELEASES = f"releases.{CHANNEL}.{PLATFORM}"
ROLLOUT = f"rollout.{CHANNEL}"
ONLINE = ("rollout", "snapshot", "timestamp")
BASE = f"/v1/apps/{APP}"


def zulu(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class SignedWorld:
    """One app's repository. ``files`` is what a server or a CDN has, by path below the app."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.keys = {
            name: CryptoSigner.generate_ed25519()
            for name in ("root", "targets", "policy", "releases", *ONLINE)
        }
        self.files: dict[str, bytes] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.root = Root(version=1, expires=now + timedelta(days=365))
        self.targets = Targets(version=1, expires=now + timedelta(days=365))
        self.roles = {
            "policy": Targets(version=1, expires=now + timedelta(days=90)),
            RELEASES: Targets(version=1, expires=now + timedelta(days=365)),
            ROLLOUT: Targets(version=1, expires=now + timedelta(hours=72)),
        }
        self.snapshot = Snapshot(version=1, expires=now + timedelta(days=7))
        self.timestamp = Timestamp(version=1, expires=now + timedelta(hours=24))
        for name in ("root", "targets", "snapshot", "timestamp"):
            self.give_key(name, self.keys[name])
        self.delegate()
        self.root_metadata = self.put_root()
        self.set_policy()
        self.put("targets", self.targets)

    # --- keys and delegations --------------------------------------------------------

    def give_key(self, role: str, *signers: CryptoSigner, threshold: int = 1) -> None:
        """Let root name these keys for a top-level role; takes effect with ``put_root``."""
        keys = [signer.public_key for signer in signers]
        self.root.roles[role] = Role([key.keyid for key in keys], threshold)
        self.root.keys |= {key.keyid: key for key in keys}

    def delegate(self, **thresholds: int) -> None:
        """Let targets name keys and paths for policy, releases and rollout."""
        paths = {
            "policy": [path_of_policy(APP, CHANNEL)],
            RELEASES: [f"{APP}/releases/{CHANNEL}/{PLATFORM}/*/*"],
            ROLLOUT: [path_of_rollout(APP, CHANNEL)],
        }
        roles: dict[str, DelegatedRole] = {}
        keys: dict[str, Key] = {}
        for name, patterns in paths.items():
            kind = name.partition(".")[0]
            key = self.keys[kind].public_key
            keys[key.keyid] = key
            roles[name] = DelegatedRole(
                name, [key.keyid], thresholds.get(kind, 1), terminating=True, paths=patterns
            )
        self.targets.delegations = Delegations(keys, roles)

    def signer_of(self, role: str) -> CryptoSigner:
        return self.keys[role.partition(".")[0]]

    # --- documents -------------------------------------------------------------------

    def set_policy(self, **fields: Any) -> None:
        document = {
            "schema": 1,
            "app": APP,
            "channel": CHANNEL,
            "issued": zulu(self.now),
            "floor": "0",
            "revoked": [],
            "must_reach": [],
            "ceiling": [],
            "internal_groups": ["staff"],
            "ramp": [{"ring": "all", "exposure_bp": 10_000, "soak_seconds": 0}],
            "auto": {"pause": True, "pull": True, "rollback": True, "max_rollbacks_per_day": 2},
            "approvals": {"outside_ramp": 1, "resume_after_auto_pause": 1},
            "link_hosts": ["status.example.org"],
            "custom_keys": [],
            "require_provenance": False,
        } | fields
        self.inline("policy", path_of_policy(APP, CHANNEL), document)

    def set_rollout(self, *entries: Mapping[str, Any], **fields: Any) -> None:
        document = {
            "schema": 1,
            "app": APP,
            "channel": CHANNEL,
            "issued": zulu(self.now),
            "next_check_in_seconds": 3_600,
            "entries": list(entries),
        } | fields
        self.inline(ROLLOUT, path_of_rollout(APP, CHANNEL), document)

    def add_release(self, version: str, payload: bytes = b"payload", /, **fields: Any) -> str:
        """Sign a release, store its payload, and return the payload's target path."""
        parsed = Version(version)
        document_path = path_of_release(APP, CHANNEL, PLATFORM, parsed)
        path = f"{document_path.rpartition('/')[0]}/{APP}-{version}.srn"
        artifact = {
            "path": path,
            "format": "serinus-1",
            "manifest_sha256": hashlib.sha256(version.encode()).hexdigest(),
            "tree_bytes": len(payload),
            "files": 1,
        } | fields.pop("artifact", {})
        document = {
            "schema": 1,
            "app": APP,
            "channel": CHANNEL,
            "platform": PLATFORM,
            "version": version,
            "salt": hashlib.sha256(version.encode()).hexdigest(),
            "released_at": zulu(self.now),
            "rollback_to": [],
            "security": False,
            "artifact": artifact,
            "others": [],
            "deltas": [],
            "platform_sig": {"authenticode_spki": [], "apple_team_id": []},
            "provenance": None,
        } | fields
        self.inline(RELEASES, document_path, document)
        self.add_file(path, payload)
        return path

    def add_file(self, path: str, data: bytes) -> None:
        """Sign a file of a release, and store it."""
        self.roles[RELEASES].targets[path] = TargetFile.from_data(path, data, ["sha256"])
        self.files[stored(path, data)] = data

    def inline(self, role: str, path: str, document: dict[str, Any]) -> None:
        data = render_canonical(document)
        digest = hashlib.sha256(data).hexdigest()
        custom = {"custom": json.loads(data)}
        self.roles[role].targets[path] = TargetFile(len(data), {"sha256": digest}, path, custom)
        self.documents[path] = document

    # --- signing and storing ---------------------------------------------------------

    def signed(self, part: Signed, *signers: CryptoSigner) -> bytes:
        metadata: Metadata[Any] = Metadata(part)
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def put(self, role: str, part: Signed, *signers: CryptoSigner) -> bytes:
        """Sign and store one role's file, and note its version for the next snapshot."""
        data = self.signed(part, *(signers or (self.signer_of(role),)))
        prefix = "" if role == "timestamp" else f"{part.version}."
        self.files[f"tuf/{prefix}{role}.json"] = data
        if role not in {"root", "snapshot", "timestamp"}:
            self.snapshot.meta[f"{role}.json"] = MetaFile(version=part.version)
        return data

    def put_root(self, *signers: CryptoSigner) -> bytes:
        return self.put("root", self.root, *(signers or (self.keys["root"],)))

    def commit(self, *roles: str, now: datetime | None = None) -> None:
        """Sign *roles* (all delegated ones when none is named), snapshot and timestamp."""
        self.now = now or self.now
        for role in roles or tuple(self.roles):
            part = self.roles[role]
            if f"tuf/{part.version}.{role}.json" in self.files:
                part.version += 1
            self.put(role, part)
        self.publish()

    def publish(self) -> None:
        """Sign a new snapshot and a new timestamp over whatever was put."""
        while f"tuf/{self.snapshot.version}.snapshot.json" in self.files:
            self.snapshot.version += 1
        self.snapshot.expires = self.now + timedelta(days=7)
        self.put("snapshot", self.snapshot)
        self.stamp()

    def stamp(self) -> None:
        """Sign a new timestamp over the snapshot."""
        if "tuf/timestamp.json" in self.files:
            self.timestamp.version += 1
        self.timestamp.expires = self.now + timedelta(hours=24)
        self.timestamp.snapshot_meta = MetaFile(version=self.snapshot.version)
        self.put("timestamp", self.timestamp)

    def rotate(self, role: str) -> None:
        """Give a top-level role a new key by a new root."""
        self.keys[role] = CryptoSigner.generate_ed25519()
        self.root.version += 1
        self.give_key(role, self.keys[role])
        self.put_root()

    # --- serving ---------------------------------------------------------------------

    def serve(self, server: WebServer, base: str = BASE) -> None:
        """Answer for every file under *base*, with ranges and strong entity tags."""

        def answer(asked: Asked) -> Reply:
            data = self.files.get(asked.path.removeprefix(f"{base}/"))
            if not asked.path.startswith(f"{base}/") or data is None:
                return Reply(status=404)
            return ranged(asked, data)

        server.default = answer

    def settings(self, server: str) -> AppSettings:
        return AppSettings(
            app=APP,
            channel=CHANNEL,
            platform=PLATFORM,
            server=server,
            root_metadata=self.root_metadata,
        )


def an_entry(version: str, **fields: Any) -> dict[str, Any]:
    """Return a rollout entry open to everybody."""
    return {
        "version": version,
        "rollout": "ro_7k2m",
        "state": "active",
        "exposure_bp": 10_000,
        "holdback_bp": 0,
        "rings": [{"name": "all", "exposure_bp": 10_000, "audience": {}}],
        "holds": [],
    } | fields


def a_rollback(version: str, *from_versions: str) -> dict[str, Any]:
    """Return an entry that leads installs on *from_versions* back to *version*."""
    return {
        "version": version,
        "rollout": "ro_back",
        "state": "active",
        "exposure_bp": 10_000,
        "rollback": True,
        "from": list(from_versions),
    }


def stored(path: str, data: bytes) -> str:
    """Return where a target lies, below the app."""
    folder, _, name = path.rpartition("/")
    return f"targets/{folder}/{hashlib.sha256(data).hexdigest()}.{name}"


def ranged(asked: Asked, data: bytes) -> Reply:
    """Answer as a decent file server does: one range, strong tags, If-Range, 416."""
    etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    wanted = asked.headers.get("range", "")
    if not wanted or asked.headers.get("if-range", etag) != etag:
        return Reply(body=data, headers={"ETag": etag})
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(data):
        return Reply(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    content_range = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return Reply(
        status=206, body=data[start:], headers={"ETag": etag, "Content-Range": content_range}
    )
