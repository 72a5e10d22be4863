"""A publisher, a server's keys, storage and unmodified TUF clients, all in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.version import Version
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from rollout.documents import render_policy, render_release, render_rollout
from rollout.model import (
    Artifact,
    Entry,
    OpenRing,
    Policy,
    Release,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from signing.admit import Admission, check_submission
from signing.ceremony import first_repository, sign_release
from signing.publish import publish
from signing.repository import OnlineSigners, Plan, plan, sign_rollout
from signing.roles import Layout
from signing.state import RepositoryState

# Clients read the real clock, so the story starts a little before now.
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
APP = "demo"
LINUX = "linux-x86_64"
PREFIX = f"apps/{APP}/"
KEY_NAMES = (
    "root", "backup", "publisher", "second", "third", "fourth",
    "rollout", "snapshot", "timestamp", "standby", "new-rollout", "new-snapshot", "new-timestamp",
)  # fmt: skip
KEYS = {name: CryptoSigner.generate_ed25519() for name in KEY_NAMES}


def key(name: str) -> CryptoSigner:
    return KEYS[name]


ONLINE_KEYS = {
    "rollout": KEYS["rollout"].public_key,
    "snapshot": KEYS["snapshot"].public_key,
    "timestamp": KEYS["timestamp"].public_key,
    "timestamp-standby": KEYS["standby"].public_key,
}
ONLINE = OnlineSigners(
    rollout=(KEYS["rollout"],), snapshot=(KEYS["snapshot"],), timestamp=(KEYS["timestamp"],)
)
SOLO = {
    "root": [KEYS["root"]],
    "targets": [KEYS["publisher"]],
    "policy": [KEYS["publisher"]],
    "releases": [KEYS["publisher"]],
}
PUBLISHER = [KEYS["publisher"]]


def a_policy(channel: str = "stable", **changes: object) -> bytes:
    values: dict[str, object] = {"app": APP, "channel": channel, "issued": NOW, **changes}
    return render_policy(Policy(**values))  # type: ignore[arg-type]


def salt_of(*parts: str) -> bytes:
    return hashlib.sha256("|".join(parts).encode()).digest()


def a_release(version: str = "1.0", platform: str = LINUX, **changes: object) -> Release:
    channel = str(changes.get("channel", "stable"))
    text = str(Version(version))
    values: dict[str, object] = {
        "app": APP,
        "channel": channel,
        "platform": platform,
        "version": Version(version),
        "salt": salt_of(channel, platform, version),
        "released_at": NOW,
        "artifact": Artifact(
            path=f"{APP}/releases/{channel}/{platform}/{text}/demo-{text}.srn",
            format="serinus-1",
            manifest_sha256="ab" * 32,
            tree_bytes=1,
            files=1,
        ),
        **changes,
    }
    return Release(**values)  # type: ignore[arg-type]


def artifact_bytes(release: Release) -> bytes:
    return f"payload of {release.platform} {release.version}".encode()


def files_of(release: Release) -> dict[str, tuple[str, int]]:
    data = artifact_bytes(release)
    return {release.artifact.path: (hashlib.sha256(data).hexdigest(), len(data))}


def a_rollout(
    version: str | None = "1.0", channel: str = "stable", exposure_bp: int = 100
) -> bytes:
    entry = Entry(
        version=Version(version or "0"),
        state=RolloutState.ACTIVE,
        exposure_bp=exposure_bp,
        rollout=RolloutId("ro_test"),
        rings=(OpenRing(name="1%", exposure_bp=exposure_bp),),
    )
    return render_rollout(
        RolloutDocument(
            app=APP,
            channel=channel,
            issued=NOW,
            next_check_in_seconds=600,
            entries=(entry,) if version else (),
        )
    )


@dataclass
class MemoryBlobs:
    """Storage. ``stop_after`` writes it fails; ``tear`` leaves the beginning of that write."""

    files: dict[str, bytes] = field(default_factory=dict)
    stop_after: int | None = None
    tear: bool = False
    writes: list[str] = field(default_factory=list)

    def create(self, key: str, data: bytes) -> None:
        assert key not in self.files
        self._write(key, data)

    def swap(self, key: str, data: bytes, expected: bytes | None) -> None:
        assert self.files.get(key) == expected
        self._write(key, data)

    def read(self, key: str) -> bytes | None:
        return self.files.get(key)

    def _write(self, key: str, data: bytes) -> None:
        if self.stop_after is not None and len(self.writes) == self.stop_after:
            if self.tear:  # adapters write beside the file, and rename
                self.files[f"{key}.tmp"] = data[: len(data) // 2]
            raise PowerCutError
        self.writes.append(key)
        self.files[key] = data


class PowerCutError(Exception):
    pass


class MemoryFetcher(FetcherInterface):
    def __init__(self, blobs: MemoryBlobs, app: str = APP) -> None:
        self.blobs, self.app = blobs, app
        self.asked: list[str] = []

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = url.removeprefix("https://example.org/")
        self.asked.append(path)
        data = self.blobs.files.get(f"apps/{self.app}/{path}")
        if data is None:
            raise DownloadHTTPError("no such file", 404)
        yield data


def an_agent(folder: Path, blobs: MemoryBlobs, root: bytes) -> Updater:
    """Return an unmodified client; one that was here before goes on from what it knows."""
    folder.mkdir(parents=True, exist_ok=True)
    return Updater(
        str(folder),
        "https://example.org/tuf/",
        target_dir=str(folder),
        target_base_url="https://example.org/targets/",
        fetcher=MemoryFetcher(blobs),
        bootstrap=root,
    )


@dataclass
class World:
    """One app: its signed state, its storage, and what it knows."""

    state: RepositoryState = field(default_factory=lambda: RepositoryState(app=APP))
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    known: dict[str, str] = field(default_factory=dict)
    placed: dict[str, tuple[str, int]] = field(default_factory=dict)
    online: OnlineSigners = ONLINE
    now: datetime = NOW
    first_root: bytes = b""

    def place(self, release: Release) -> None:
        data = artifact_bytes(release)
        for path, (sha256, length) in files_of(release).items():
            folder, _, name = path.rpartition("/")
            self.blobs.files[f"{PREFIX}targets/{folder}/{sha256}.{name}"] = data
            self.placed[path] = (sha256, length)

    def check(self, submitted: Mapping[str, bytes]) -> Admission:
        return check_submission(
            self.state,
            submitted,
            lambda path, sha256, length: self.placed.get(path) == (sha256, length),
            self.now,
            known=self.known,
        )

    def plan(self, changed: Mapping[str, bytes]) -> Plan:
        return plan(self.state, changed, self.placed, self.online, self.now)

    def take_in(self, changed: Mapping[str, bytes]) -> Plan:
        """Plan *changed*, publish it, and go on from there."""
        planned = self.plan(changed)
        publish(planned.journal, self.blobs, PREFIX)
        self.state = planned.state
        return planned

    def submit(self, submitted: Mapping[str, bytes]) -> Admission:
        admission = self.check(submitted)
        self.take_in(admission.changed)
        self.known |= admission.digests
        if not self.first_root:
            self.first_root = self.state.metadata["root"]
        return admission

    def release(self, release: Release) -> Admission:
        self.place(release)
        return self.submit(
            sign_release(
                self.state, render_release(release), files_of(release), PUBLISHER, self.now
            )
        )

    def roll_out(self, document: bytes) -> Plan:
        return self.take_in(sign_rollout(self.state, document, self.online, self.now))

    def agent(self, folder: Path) -> Updater:
        return an_agent(folder, self.blobs, self.first_root)


def a_layout(**changes: object) -> Layout:
    values: dict[str, object] = {
        "app": APP, "channels": ("stable",), "platforms": (LINUX,), **changes
    }  # fmt: skip
    return Layout(**values)  # type: ignore[arg-type]


def first_submission(layout: Layout | None = None) -> dict[str, bytes]:
    layout = layout or a_layout()
    return first_repository(
        layout,
        SOLO,
        ONLINE_KEYS,
        {channel: a_policy(channel) for channel in layout.channels},
        NOW,
        spare_keys={"root": [KEYS["backup"].public_key]},
    )


def a_world(*releases: Release, layout: Layout | None = None) -> World:
    """Return a registered app with *releases* published."""
    world = World()
    world.submit(first_submission(layout))
    for release in releases:
        world.release(release)
    return world


def forged(data: bytes, edit: Callable[[dict[str, Any]], object], *signers: CryptoSigner) -> bytes:
    """Return metadata whose signed part went through *edit*, signed by *signers*."""
    fields = json.loads(data)
    edit(fields["signed"])
    payload = str(encode_canonical(fields["signed"])).encode()
    fields["signatures"] = [signer.sign(payload).to_dict() for signer in signers]
    return json.dumps(fields, separators=(",", ":")).encode()


def edited(data: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """Return metadata changed outside its signatures, which stay as they are."""
    fields = json.loads(data)
    edit(fields)
    return json.dumps(fields, separators=(",", ":")).encode()


def next_version(signed: dict[str, Any]) -> None:
    signed["version"] += 1
