"""Downloads that are killed at any byte, and what of them has to be sent again.

The downloader runs in a process of its own, which dies by SIGKILL. The server sends the next chunk
when that process has taken the one before: what lies in the buffers of a network is not the agent's
to save.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from client_agent.chance import SystemChance
from client_agent.clock import SystemClock
from client_agent.config import NetworkSettings
from client_agent.machine.values import TargetInfo
from client_agent.network.download import Downloader, Source, Ways
from client_agent.network.mirrors import Mirrors
from client_agent.network.transport import Transport
from client_agent.platforms import current
from client_agent.schedule import Schedule
from tests.agent.signed_world import ranged
from tests.agent.web_server import Asked, Reply, WebServer

PATH = "demo/releases/stable/linux-x86_64/2.1.0/demo-2.1.0.srn"
_CHUNK_BYTES = 64 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_CHILD = "import sys; from tests.agent.kills import download; download(*sys.argv[1:])"


@dataclass(frozen=True, kw_only=True)
class Kills:
    """How often a download was killed, and how many bytes had to be sent again for it."""

    count: int
    sent_again_bytes: int

    @property
    def per_kill_bytes(self) -> float:
        return self.sent_again_bytes / self.count


def kill_downloads(
    folder: Path,
    *,
    kills: int,
    seed: int,
    size_bytes: int = 8 * 1024**2,
    after_kill: Callable[[Path], None] = lambda _: None,
) -> Kills:
    """Kill the download of one file *kills* times at random bytes, then let it end.

    *after_kill* may tamper with the folder of parts.

    Raises:
        AssertionError: What came at last is not the file.
    """
    data = random.Random(seed).randbytes(size_bytes)
    dice = random.Random(seed + 1)
    sent = 0
    with WebServer() as server:
        for number in range(kills + 1):
            killed = number < kills
            run = _Run(data, dice.randrange(size_bytes // kills) if killed else None)
            server.default = run.answer
            sent += run.run(folder, server.url)
            if killed:
                after_kill(folder)
    part = folder / f"{hashlib.sha256(data).hexdigest()}.part"
    assert part.read_bytes() == data
    return Kills(count=kills, sent_again_bytes=sent - size_bytes)


class _Run:
    """One process that downloads, and the server's side of it."""

    def __init__(self, data: bytes, kill_after: int | None) -> None:
        self._data = data
        self._kill_after = kill_after
        self._sent = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()

    def run(self, folder: Path, url: str) -> int:
        """Download until the end or the kill; return how many bytes were sent."""
        digest = hashlib.sha256(self._data).hexdigest()
        command = [sys.executable, "-c", _CHILD, str(folder), url, digest, str(len(self._data))]
        with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as child:
            self._child = child
            self._started.set()
            status = child.wait(60)
        assert status == (0 if self._kill_after is None else -signal.SIGKILL)
        return self._sent

    def answer(self, asked: Asked) -> Reply:
        reply = ranged(asked, self._data)
        assert isinstance(reply.body, bytes)
        headers = {**reply.headers, "Content-Length": str(len(reply.body))}
        return Reply(status=reply.status, headers=headers, body=self._chunks(reply.body))

    def _chunks(self, body: bytes) -> Iterator[bytes]:
        self._started.wait(60)
        child = self._child
        assert child is not None
        assert child.stdout is not None
        for at in range(0, len(body), _CHUNK_BYTES):
            chunk = body[at : at + _CHUNK_BYTES]
            if self._kill_after is not None and self._sent + len(chunk) > self._kill_after:
                chunk = chunk[: self._kill_after - self._sent]
                self._sent += len(chunk)
                yield chunk
                child.kill()
                return
            self._sent += len(chunk)
            yield chunk
            _wait_for(child.stdout, len(chunk))


def _wait_for(told: IO[bytes], count: int) -> None:
    """Return when the process has taken *count* more bytes."""
    while count > 0:
        line = told.readline()
        if not line:
            return
        count -= int(line)


def download(folder: str, url: str, sha256: str, length_bytes: str) -> None:
    """Download in this process, and say on standard output how many bytes came each time."""
    clock, place = SystemClock(), Path(folder)
    transport = Transport(url, NetworkSettings(), clock)
    mirrors = Mirrors(place.parent, clock)
    downloader = Downloader(place, current(), clock, SystemChance(), Schedule(), mirrors)
    target = TargetInfo(path=PATH, sha256=sha256, length_bytes=int(length_bytes))
    ways = Ways(sources=[Source(base=url)], transport=transport, stop=threading.Event())
    told = 0

    def progress(_done: int, _total: int) -> None:
        nonlocal told
        os.write(1, b"%d\n" % (downloader.received_bytes - told))
        told = downloader.received_bytes

    downloader.fetch(target, ways, progress).close()
