"""Run something in a process of its own, with so much memory and for so long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The child gets our search path by argument: -I keeps the environment and the folder out.
_START = (
    "import json, sys; message = json.loads(sys.argv[1]); sys.path[:] = message['path']; "
    "from update_server.cli.child import limit_growth; "
)
_STATM = Path("/proc/self/statm")


def ask_child(
    body: str, message: Mapping[str, Any], *, seconds: float, part: Path | None = None
) -> dict[str, Any]:
    """Return the last line of JSON that *body* prints; ``{"died": why}`` when there is none.

    Args:
        body: Statements of Python that find *message* under that name, and ``limit_growth``.
        message: What JSON can hold.
        seconds: When these are over, the child is killed.
        part: The file on its standard input.
    """
    search = [entry for entry in sys.path if Path(entry).is_absolute()]
    own = {"path": [*search, str(Path(__file__).resolve().parents[2])]}
    with Path(part or os.devnull).open("rb") as given:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _START + body, json.dumps({**message, **own})],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"died": f"it took longer than {seconds / 60:g} minutes"}
    lines = [line for line in done.stdout.splitlines(keepends=True) if line.endswith(b"\n")]
    if done.returncode or not lines:
        return {"died": f"it ended with status {done.returncode}"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def limit_growth(most_bytes: int) -> None:
    """Let this process take *most_bytes* more of address space, where the system can say so."""
    try:
        import resource  # noqa: PLC0415 - POSIX only

        pages = int(_STATM.read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):  # pragma: no cover - needs a system other than Linux
        return
    most = pages * resource.getpagesize() + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
