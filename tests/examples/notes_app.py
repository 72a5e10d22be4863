"""``examples/notes`` as its tests know it: its colours, and how it is published and installed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.examples.example import Example

HEAD_1_0, HEAD_1_1, READY = "#2a6f97", "#2d6a4f", "#ffd166"


def publish_notes(notes: Example, version: str, *how: str, schema: int) -> None:
    notes.script("build.sh", version, str(notes.root_json), notes.url, *how)
    numbers = ("--data-schema", str(schema), "--reads-schema-max", str(schema))
    notes.publish(version, "--entry", "notes", *numbers)


def install_notes(notes: Example, version: str, data: Path, *, schema: int) -> list[str | Path]:
    """Publish and install *version*; return the command that starts it with its file *data*."""
    publish_notes(notes, version, schema=schema)
    notes.script("install.sh", str(notes.root), str(notes.root_json), notes.url)
    notes.hurry()
    return [sys.executable, "-I", notes.root / "launcher.py", data]
