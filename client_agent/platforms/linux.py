"""Linux."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from client_agent.platforms.commands import Run, run
from client_agent.platforms.port import PlatformSignatureError
from client_agent.platforms.posix import Posix, locks_exclude

_FICLONE = 0x40049409  # linux/fs.h
_SYNCFS_TELLS_ERRORS = (5, 8)  # older kernels return 0 after a failed write

# statfs(2) types that are elsewhere, or that do not keep what was synced.
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs"})

_NM_METERED = {1: True, 2: False, 3: True, 4: False}  # NMMetered: yes, no, guesses
_NM = "org.freedesktop.NetworkManager"


def ask_network_manager(run: Run = run) -> int | None:
    """Return NetworkManager's word on what the network costs (NMMetered), if it gives one."""
    place = "/" + _NM.replace(".", "/")
    try:
        said = run(["/usr/bin/busctl", "--system", "get-property", _NM, place, _NM, "Metered"])
    except OSError:
        return None
    found = re.fullmatch(r"u (\d+)", said.strip())
    return int(found[1]) if found else None


class Linux(Posix):
    """The system that the tests run on for real."""

    name = "linux"

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        etc: Path = Path("/etc"),
        power: Path = Path("/sys/class/power_supply"),
        metered_word: Callable[[], int | None] = ask_network_manager,
    ) -> None:
        self._proc = proc
        self._etc = etc
        self._power = power
        self._metered_word = metered_word

    def sync_file_system(self, descriptor: int) -> bool:
        release = re.match(r"(\d+)\.(\d+)", os.uname().release)
        if release is None or (int(release[1]), int(release[2])) < _SYNCFS_TELLS_ERRORS:
            return False
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "syncfs"):
            return False
        if libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return True

    def clone_file(self, source: int, folder: int, name: str) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError:  # most file systems cannot; the caller copies
            os.unlink(name, dir_fd=folder)
            return False
        finally:
            os.close(target)
        return True

    def drop_cache(self, descriptor: int) -> None:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def boot_id(self) -> str:
        try:
            return (self._proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            return ""

    def machine_id(self) -> str | None:
        try:
            return (self._etc / "machine-id").read_text("ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def supports(self, root: Path) -> bool:
        return self._file_system(root) not in _NETWORK and locks_exclude(self, root)

    def online(self) -> bool | None:
        routes = [_lines(self._proc / "net" / name) for name in ("route", "ipv6_route")]
        if routes == [None, None]:
            return None
        ipv4, ipv6 = (found or [] for found in routes)
        # proc(5): destination 0 with mask 0; of IPv6 with a next hop, else it leads to nowhere.
        return any(row[1:2] == ["00000000"] and row[7:8] == ["00000000"] for row in ipv4) or any(
            row[:2] == ["0" * 32, "00"] and row[4:5] not in ([], ["0" * 32]) for row in ipv6
        )

    def metered(self) -> bool | None:
        word = self._metered_word()
        return None if word is None else _NM_METERED.get(word)

    def battery_percent(self) -> int | None:
        supplies = [_read_supply(folder) for folder in self._power.glob("*")]
        if any(supply["online"] == "1" for supply in supplies if supply["type"] != "Battery"):
            return None
        # A mouse has a battery too, of scope Device.
        left = [
            int(supply["capacity"])
            for supply in supplies
            if (supply["type"], supply["status"]) == ("Battery", "Discharging")
            and supply["scope"] != "Device"
            and supply["capacity"].isdecimal()
        ]
        return max(left, default=None)

    def check_signature(
        self,
        program: Path,
        *,
        spki: Sequence[str],  # noqa: ARG002 - the port's name
        teams: Sequence[str],  # noqa: ARG002 - the port's name
    ) -> None:
        raise PlatformSignatureError(program, "Linux has no signatures of programs")

    def _file_system(self, root: Path) -> str:
        """Return the type of the file system under *root*: of the longest mount point."""
        device = root.stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in (self._proc / "self/mountinfo").read_text("utf-8").splitlines():
            before, _, after = line.partition(" - ")
            if before.split(" ")[2] == number:  # proc(5): major:minor of st_dev
                return after.split(" ")[0]
        return ""


def _lines(path: Path) -> list[list[str]] | None:
    """Return the words of each line, or None where there is no such file."""
    try:
        return [line.split() for line in path.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError):
        return None


def _read_supply(folder: Path) -> dict[str, str]:
    """Return what sysfs says of one power supply (the kernel's sysfs-class-power)."""
    found = {}
    for name in ("type", "scope", "status", "online", "capacity"):
        try:
            found[name] = (folder / name).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            found[name] = ""
    return found
