"""The processes of a server: what each one runs, and how they are started and kept alive.

``python -m update_server.processes NAME`` is one process; ``Supervisor`` starts several of
them and starts those again that die. Each child holds the read end of a pipe as its
standard input: when its parent goes away, however it does, the pipe closes and the child
stops by itself, so that no orphan goes on answering.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from update_server import config as configs
from update_server.clock import SystemClock

CONFIG_VARIABLE = "SERINUS_CONFIG"
PARENT_VARIABLE = "SERINUS_WEB_PARENT"

ROLES: dict[str, tuple[str, ...]] = {
    "all": ("signer", "controller", "public", "admin"),
    "web": ("public", "admin"),
    "controller": ("controller",),
    "signer": ("signer",),
}
"""What ``serinus serve --role`` runs, in order of start."""

_STOP_SECONDS = 10.0  # a web worker may be sending a large file
_RESTART_SECONDS = (0.2, 1.0, 5.0)  # after a first, a second and every further quick death
_QUICK_DEATH_SECONDS = 10.0
_POLL_SECONDS = 0.1
_SIGNER_SECONDS = 20.0
# Requests that one web worker handles at once. A client that sends or reads slowly holds one
# all the while, so there are many; a proxy in front that buffers is the real cure.
_BLOCKING_THREADS = 64
# What is larger is given straight back to the system. Left alone, glibc learns from the first large
# report to keep such memory, and that for each of the threads.
_KEPT_BYTES = 1 << 20
_M_MMAP_THRESHOLD = -3  # malloc.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process by its name until it is told to stop."""
    name = (sys.argv[1:] if arguments is None else list(arguments))[0]
    try:
        config = configs.load(Path(os.environ[CONFIG_VARIABLE]))
        stop_with_parent()
        return PROCESSES[name](config)
    except Exception as error:
        if os.environ.get("SERINUS_DEBUG"):
            raise
        sys.stderr.write(f"serinus {name}: {type(error).__name__}: {error}\n")
        return 1


def _signer(config: configs.Config) -> int:
    from update_server import wiring  # noqa: PLC0415 - each process loads only its own
    from update_server.signer import link  # noqa: PLC0415 - as above

    link.serve(config.signer_socket, wiring.signer(config), _stop_event(), wiring.log("signer"))
    return 0


def _controller(config: configs.Config) -> int:
    from update_server import wiring  # noqa: PLC0415 - as above

    stop, clock = _stop_event(), SystemClock()
    # Both were started at once: a signer that is about to answer is nothing to complain of.
    until = clock.monotonic() + _SIGNER_SECONDS
    while not wiring.signer_answers(config) and clock.monotonic() < until:
        if stop.wait(_POLL_SECONDS):
            return 0
    wiring.controller(config).run(stop)
    return 0


def _public(config: configs.Config) -> int:
    return _web("update_server.web_entry:public", config.public_address, config.workers)


def _admin(config: configs.Config) -> int:
    return _web("update_server.web_entry:admin", config.admin_address, 1)


PROCESSES: dict[str, Callable[[configs.Config], int]] = {
    "signer": _signer,
    "controller": _controller,
    "public": _public,
    "admin": _admin,
}


def _web(target: str, address: tuple[str, int], workers: int) -> int:
    from granian import Granian  # noqa: PLC0415 - only web processes load the web server
    from granian.constants import Interfaces  # noqa: PLC0415 - as above
    from granian.log import LogLevels  # noqa: PLC0415 - as above

    os.environ[PARENT_VARIABLE] = str(os.getpid())
    _give_memory_back()  # workers are forked from this process
    host, port = address
    Granian(
        target,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=_BLOCKING_THREADS,
        factory=True,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=5,
    ).serve()
    return 0


def _give_memory_back() -> None:
    """Have the C library give large blocks back when they are freed, where it is glibc."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)


def _stop_event() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def stop_with_parent() -> None:
    """Send this process SIGTERM when the pipe on its standard input closes."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def command_of(name: str) -> Sequence[str]:
    """Return the command that runs the process *name*."""
    return (sys.executable, "-m", "update_server.processes", name)


class _Child:
    """One process that is started again when it dies."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Callable[[str], None],
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._deaths = 0
        self._started_at = 0.0
        self._start_after = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def tend(self, now: float) -> None:
        """Start the process if it does not run and its pause after a death is over."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._bury(self._process, now)
        if now >= self._start_after:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                env=self._environment,
                # Ctrl-C goes to a whole group. Who stops when is the supervisor's to say, and a
                # web server that is interrupted and terminated at once waits for its workers.
                process_group=0,
            )
            self._started_at = now

    def _bury(self, process: subprocess.Popen[bytes], now: float) -> None:
        _close_pipe(process)
        self._process = None
        self._deaths = self._deaths + 1 if now - self._started_at < _QUICK_DEATH_SECONDS else 1
        pause = _RESTART_SECONDS[min(self._deaths, len(_RESTART_SECONDS)) - 1]
        self._start_after = now + pause
        self._log(f"{self.name} {_end(process.returncode)}; starting it again in {pause:g} s")

    def terminate(self) -> None:
        """Ask the process to stop."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until the process is gone; kill it when it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._log(f"{self.name} did not stop within {_STOP_SECONDS:g} s and was killed")
            self._process.kill()
            self._process.wait()
        _close_pipe(self._process)


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _end(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"stopped with exit code {code}"


class Supervisor:
    """Runs the processes of a role, and those again that die, until told to stop.

    ``command`` says how a process is run; tests run smaller ones.
    """

    def __init__(
        self,
        config: Path,
        role: str,
        *,
        log: Callable[[str], None],
        command: Callable[[str], Sequence[str]] = command_of,
    ) -> None:
        self._clock = SystemClock()
        environment = os.environ | {CONFIG_VARIABLE: str(config)}
        self._children = [_Child(name, command(name), environment, log) for name in ROLES[role]]

    def run(self, stop: threading.Event) -> None:
        """Tend the children until *stop* is set; then stop them, the signer last."""
        try:
            while not stop.is_set():
                for child in self._children:
                    child.tend(self._clock.monotonic())
                stop.wait(_POLL_SECONDS)
        finally:
            # What asks the signer for something is to get its answer.
            _stop([child for child in self._children if child.name != "signer"])
            _stop([child for child in self._children if child.name == "signer"])


def _stop(children: Sequence[_Child]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
