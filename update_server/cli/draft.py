"""Draft a release for one platform: its payload, its other files, and the document to sign."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from packaging.version import Version

from rollout.documents import parse_release, release_folder, render_release
from rollout.errors import RolloutError
from rollout.model import Artifact, Delta, Release, SideFile
from rollout.names import check_file_name, check_platform
from rollout.pieces import PIECES_ABOVE_BYTES, pieces_path, render_pieces
from signing import drafts
from update_server.cli.errors import CliError, UsageError
from update_server.cli.payload import PayloadError, make_payload

_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the publisher says of a version, for all platforms."""

    app: str
    channel: str
    version: Version
    entry_point: str | None
    notes: Path | None
    min_version: Version | None
    rollback_to: tuple[Version, ...]
    not_before: datetime | None
    min_os: str | None
    security: bool
    data_schema: int | None
    reads_schema_max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A file to upload."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One platform's release, ready to be signed once its files are uploaded.

    ``local`` says where the files are whose paths the release names.
    """

    release: Release
    local: Mapping[str, Path]

    @property
    def platform(self) -> str:
        """The platform that the release is for."""
        return self.release.platform

    @property
    def payload(self) -> Path:
        """The file that holds the payload."""
        return self.local[self.release.artifact.path]

    @cached_property
    def files(self) -> Mapping[str, LocalFile]:
        """All files by path; large ones have a file of pieces beside them."""
        paths = dict(self.local)
        for path, file in self.local.items():
            if file.stat().st_size > PIECES_ABOVE_BYTES:
                pieces = self.payload.parent / pieces_path(file.name)
                pieces.write_bytes(render_pieces(_chunks(file)))
                paths[pieces_path(path)] = pieces
        return {path: LocalFile(path=file, sha256=_sha256(file)) for path, file in paths.items()}

    @property
    def to_sign(self) -> drafts.Draft:
        """What a key signs."""
        named = {path: (file.sha256, file.path.stat().st_size) for path, file in self.files.items()}
        return drafts.Draft(document=render_release(self.release), files=named)

    def with_deltas(self, deltas: Mapping[Delta, Path]) -> Draft:
        """Return the draft with *deltas*, and the files that hold them."""
        files = {delta.path: file for delta, file in deltas.items()}
        release = replace(self.release, deltas=tuple(deltas))
        return Draft(release=release, local={**self.local, **files})


def draft_release(
    source: Source, platform: str, tree: Path, *, folder: Path, now: datetime
) -> Draft:
    """Make the payload of *tree* in *folder*, and the document that describes it.

    Raises:
        CliError: The tree holds what agents would refuse; the text names it.
        UsageError: A name, version or field breaks a rule.
    """
    try:
        check_platform(platform)
        where = release_folder(source.app, source.channel, platform, source.version)
        payload = folder / platform / f"{source.app}-{source.version}.srn"
        payload.parent.mkdir()
        made = make_payload(
            tree,
            payload,
            app=source.app,
            platform=platform,
            version=source.version,
            entry_point=source.entry_point,
        )
        others = [] if source.notes is None else [_notes(where, source.notes)]
        release = Release(
            app=source.app,
            channel=source.channel,
            platform=platform,
            version=source.version,
            salt=secrets.token_bytes(32),
            released_at=now.replace(microsecond=0),
            artifact=Artifact(
                path=f"{where}/{check_file_name(payload.name)}",
                format="serinus-1",
                manifest_sha256=made.manifest_sha256,
                tree_bytes=made.tree_bytes,
                files=made.files,
            ),
            not_before=source.not_before,
            min_version=source.min_version,
            min_os=source.min_os,
            rollback_to=source.rollback_to,
            security=source.security,
            others=tuple(others),
            data_schema=source.data_schema,
            reads_schema_max=source.reads_schema_max,
        )
        parse_release(render_release(release))  # what an agent would refuse is refused here
    except RolloutError as error:
        raise UsageError("bad_release", str(error)) from error
    except PayloadError as error:
        raise CliError("bad_payload", f"{tree}: {error}") from error
    local = {release.artifact.path: payload}
    if source.notes is not None:
        local |= {other.path: source.notes for other in others}
    return Draft(release=release, local=local)


def _notes(where: str, notes: Path) -> SideFile:
    return SideFile(path=f"{where}/{check_file_name(notes.name)}", kind="notes")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while chunk := handle.read(_READ_BYTES):
            yield chunk
