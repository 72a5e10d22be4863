"""The processes that the demo starts: none of them outlives it.

A child asks the kernel to be told when its parent is gone, so even a killed demo leaves
nothing behind. Start children from the main thread: the kernel means the thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from update_server.cli.errors import CliError

_STOP_SECONDS = 15.0  # the server itself gives its web workers ten
_TAIL_BYTES = 2_000

# Becomes the command that its other arguments are. 1: PR_SET_PDEATHSIG. A parent that died
# before the call is noticed by its number. Programs made to crash leave no core files.
_WRAPPER = """\
import ctypes, os, resource, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.nice(int(sys.argv[2]))
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process, its name in messages, and the file that has what it says."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Return the end of what it said."""
        data = self.log.read_bytes()[-_TAIL_BYTES:] if self.log.exists() else b""
        return data.decode(errors="replace").strip()


class Children:
    """All processes that the demo started and has not stopped."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        cwd: Path,
        log: Path,
        environment: Mapping[str, str],
        nice: int = 0,
    ) -> Child:
        """Start *command*, whose first word is a path; it writes to *log*."""
        wrapped = (sys.executable, "-I", "-S", "-c", _WRAPPER, str(os.getpid()), str(nice))
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*wrapped, *command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                # A Ctrl-C reaches the demo alone, which then stops all in order.
                start_new_session=True,
            )
        child = Child(name=name, log=log, process=process)
        self._children.append(child)
        return child

    def check(self, *, mortal: bool = False) -> None:
        """Return if all still run; if *mortal*, those that were killed are for ``bury``.

        Raises:
            CliError: One has ended; says which, and its last words.
        """
        for child in self._children:
            status = child.process.poll()
            if status is not None and not (mortal and status == -signal.SIGKILL):
                words = child.last_words() or "it said nothing"
                raise CliError("child_ended", f"{child.name} ended with {status}: {words}")

    def bury(self) -> list[Child]:
        """Return the children that were killed, and watch them no more."""
        killed = [child for child in self._children if child.process.poll() == -signal.SIGKILL]
        self._children = [child for child in self._children if child not in killed]
        return killed

    def stop(self, children: Sequence[Child] | None = None) -> None:
        """Ask these children (else all) to stop, together; kill those that do not."""
        stopping = list(self._children if children is None else children)
        for child in stopping:
            if child.runs:
                child.process.terminate()
        for child in stopping:
            try:
                child.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._children = [child for child in self._children if child not in stopping]
