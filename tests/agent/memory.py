"""How much memory building a version takes, over a bare interpreter: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from client_agent.versions.build import BuildOrder

# VmHWM starts anew with each program; ru_maxrss would begin with what its parent had.
_PEAK = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024"
_BARE = f"print({_PEAK})"
_BUILD = (
    "import json, sys; message = json.loads(sys.argv[1]); sys.path[:] = message['path']; "
    "from client_agent.versions.build import child_main; child_main(message); "
    f"print(json.dumps({{'peak': {_PEAK}}}))"
)
_ROOT = Path(__file__).resolve().parents[2]


def bare_bytes() -> int:
    """Return the peak of an interpreter that does nothing."""
    return int(_output([sys.executable, "-I", "-c", _BARE]))


def over_bare_bytes() -> int:
    """Return this process's own peak over that of a bare interpreter."""
    own = Path("/proc/self/status").read_text("ascii").split("VmHWM:")[1].split()[0]
    return int(own) * 1024 - bare_bytes()


def build_peak_bytes(part: Path, order: BuildOrder, folder: Path) -> int:
    """Build *order* from *part* in the empty *folder*, as the agent's child process does.

    Return what that took over the bare interpreter. Raises RuntimeError when it was refused.
    """
    message = {"path": [*sys.path, str(_ROOT)], "folder": str(folder), "order": asdict(order)}
    with part.open("rb") as file:
        command = [sys.executable, "-I", "-c", _BUILD, json.dumps(message)]
        lines = _output(command, stdin=file.fileno()).splitlines()
    answer, peak = (json.loads(line) for line in lines[-2:])
    if not answer.get("done"):
        raise RuntimeError(answer)
    return int(peak["peak"]) - bare_bytes()


def _output(command: list[str], stdin: int | None = None) -> str:
    return subprocess.run(
        command, stdin=stdin, stdout=subprocess.PIPE, check=True, text=True
    ).stdout
