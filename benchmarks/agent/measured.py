"""Work in a process of its own: what it answers, its peak of memory, its processor time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_PEAK = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024"
# What is loaded first is part of no measurement of time, but of memory.
_CHILD = (
    "import json, sys, time; message = json.loads(sys.argv[1]); sys.path[:] = message['path']; "
    "{load}; began = time.process_time(); {body}; "
    "print(json.dumps({{'seconds': time.process_time() - began, 'peak': {peak}}}))"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a child said last, its peak, and the processor time of its body."""

    answer: dict[str, Any]
    peak_bytes: int
    seconds: float


def measured(
    load: str,
    body: str,
    message: Mapping[str, Any],
    *,
    part: Path | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Measured:
    """Run *body*, which finds *message* and prints its answer as JSON, after *load*.

    *part* is its standard input; *meanwhile* is called again and again, the last time at the end.
    """
    code = _CHILD.format(load=load, body=body, peak=_PEAK)
    text = json.dumps({**message, "path": [*sys.path, str(_ROOT)]})
    with (part or Path("/dev/null")).open("rb") as given:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", code, text], stdin=given, stdout=subprocess.PIPE
        )
        while child.poll() is None:
            meanwhile()
            time.sleep(0.01)
        meanwhile()
        out, _ = child.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    if child.returncode or not lines:
        raise RuntimeError(f"the child ended with {child.returncode}: {lines[-1:]}")
    end = lines.pop()
    return Measured(lines[-1] if lines else {}, end["peak"], end["seconds"])


def bare_bytes() -> int:
    """Return the peak of an interpreter that does nothing."""
    return measured("pass", "pass", {}).peak_bytes
