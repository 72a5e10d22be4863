"""A virtual screen: what stands on it, and a person's hands on keyboard and mouse."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.examples.example import wait_until

_SIZE = (440, 320)
_ENOUGH_PIXELS = 1_000


@dataclass(frozen=True)
class Screen:
    """An X server without a monitor. Its picture is a file in the format of xwd(1)."""

    display: str
    picture: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"DISPLAY": self.display}

    def places_of(self, colour: str) -> list[tuple[int, int]]:
        """Return where (x, y) a colour such as ``#ffd166`` is on the screen."""
        wanted = _pixel(colour)
        found = []
        for y, row in enumerate(self.rows()):
            at = row.find(wanted)
            while at >= 0:
                if at % 4 == 0:
                    found.append((at // 4, y))
                at = row.find(wanted, at + 1)
        return found

    def shows(self, colour: str) -> bool:
        """Return whether there is a patch of it. Cheap, for it is asked often."""
        return self.picture.read_bytes().count(_pixel(colour)) > _ENOUGH_PIXELS

    def wait_until_it_shows(self, colour: str) -> None:
        wait_until(lambda: self.shows(colour), lambda: f"{colour} is not on the screen")

    def rows(self) -> list[bytes]:
        """Return the picture's rows, four bytes a pixel: blue, green, red and nothing."""
        data = self.picture.read_bytes()
        header = struct.unpack(">25I", data[:100])
        begin, height, stride = header[0] + header[19] * 12, header[5], header[12]
        return [data[begin + y * stride : begin + (y + 1) * stride] for y in range(height)]

    def type(self, text: str) -> None:
        self._do("type", text)
        self._do("key", "Return")

    def click(self, x: int, y: int) -> None:
        self._do("mousemove", str(x), str(y), "click", "1")

    def _do(self, *arguments: str) -> None:
        environment = os.environ | self.environment
        subprocess.run(["xdotool", *arguments], env=environment, check=True, timeout=30)


def _pixel(colour: str) -> bytes:
    return bytes.fromhex(colour[1:])[::-1]  # blue, green, red


@contextlib.contextmanager
def a_screen(folder: Path) -> Iterator[Screen]:
    """Start an X server with its picture in *folder*; stop it at the end."""
    folder.mkdir()
    size = "x".join(map(str, (*_SIZE, 24)))
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", size, "-fbdir", str(folder)]
    with subprocess.Popen(
        # Gone with the tests, however they end.
        ["setpriv", "--pdeathsig", "TERM", *command, "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            display = server.stdout.readline().strip()
            assert display, "the X server did not start"
            yield Screen(display=f":{display}", picture=folder / "Xvfb_screen0")
        finally:
            server.terminate()
