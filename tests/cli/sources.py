"""What publishers hand in: the same small tree as a folder, a zip, a tar."""

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from packaging.version import Version

from update_server.cli.payload import MadePayload, make_payload

APP = b"#!/bin/sh\necho started\n"
TREE: dict[str, bytes | str | None] = {
    "bin/tool": APP,
    "data/deep/file": b"data" * 1000,
    "data/nothing": b"",
    "empty": None,
    "link": "-> data/deep/file",
    "run": APP,
}


def make(source: Path, payload: Path | None = None, **more: Any) -> MadePayload:
    fields = {"app": "demo", "platform": "linux-x86_64", "version": Version("2.1.0"), **more}
    return make_payload(source, payload or source.parent / "made.srn", **fields)


def a_folder(path: Path, tree: dict[str, bytes | str | None] | None = None) -> Path:
    for name, content in (TREE if tree is None else tree).items():
        at = path / name
        at.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            at.mkdir()
        elif isinstance(content, str):
            at.symlink_to(content.removeprefix("-> "))
        else:
            at.write_bytes(content)
            at.chmod(0o755 if content == APP else 0o644)
    return path


def a_zip(path: Path, tree: dict[str, bytes | str | None] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if tree is None:
            archive.mkdir("data/")
        for name, content in (TREE if tree is None else tree).items():
            info = zipfile.ZipInfo(name if content is not None else f"{name}/")
            mode = stat.S_IFREG | (0o755 if content == APP else 0o644)
            data = content
            if isinstance(content, str):
                mode = stat.S_IFLNK | 0o777
                data = content.removeprefix("-> ")
            info.external_attr = (mode if content is not None else stat.S_IFDIR) << 16
            archive.writestr(info, data or b"")
    return path


def tar_bytes(tree: dict[str, bytes | str | None] | None = None, prefix: str = "./") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(a_member(prefix or "x/", None))
        if tree is None:
            archive.addfile(a_member(f"{prefix}data", None))
        for name, content in (TREE if tree is None else tree).items():
            member = a_member(f"{prefix}{name}", content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def a_member(name: str, content: bytes | str | None) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    if content is None:
        member.type = tarfile.DIRTYPE
    elif isinstance(content, str):
        member.type = tarfile.SYMTYPE
        member.linkname = content.removeprefix("-> ")
    else:
        member.size = len(content)
        member.mode = 0o755 if content == APP else 0o600
    return member


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": lambda data: data,
    "tar.gz": gzip.compress,
    "tar.xz": lzma.compress,
    "tar.zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
