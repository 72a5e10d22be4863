"""macOS. Tested with fakes only: no part of this has met a real Mac yet."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from client_agent.platforms.commands import Run, run
from client_agent.platforms.port import PlatformSignatureError
from client_agent.platforms.posix import Posix, locks_exclude

_F_FULLFSYNC = 51  # sys/fcntl.h; fsync(2) alone leaves the bytes in the drive's cache
_CLONE_NOFOLLOW = 1  # sys/clonefile.h

CloneFile = Callable[[int, int, bytes, int], int]
"""``fclonefileat(source, folder, name, flags)``: 0, or -1."""


def _clone_file(source: int, folder: int, name: bytes, flags: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fclonefileat"):
        return -1
    return int(libc.fclonefileat(source, folder, name, flags))  # pragma: no cover - needs macOS


class MacOS(Posix):
    """macOS, by its own programs where Python has no call."""

    name = "macos"

    def __init__(
        self,
        *,
        run: Run = run,
        clone: CloneFile = _clone_file,
        full_sync: Callable[[int, int], int] = fcntl.fcntl,
    ) -> None:
        self._run = run
        self._clone = clone
        self._full_sync = full_sync

    def sync_file(self, descriptor: int) -> None:
        self._full_sync(descriptor, _F_FULLFSYNC)

    def clone_file(self, source: int, folder: int, name: str) -> bool:
        return self._clone(source, folder, os.fsencode(name), _CLONE_NOFOLLOW) == 0

    def boot_id(self) -> str:
        try:
            return self._run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]).strip()
        except OSError:  # a sandbox
            return ""

    def machine_id(self) -> str | None:
        command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
        try:
            found = re.search(r'"IOPlatformUUID" = "([^"]+)"', self._run(command))
        except OSError:
            return None
        return found[1] if found else None

    def supports(self, root: Path) -> bool:
        return self._is_local(root.resolve()) and locks_exclude(self, root)

    def proxies(self) -> Mapping[str, str]:
        """Return the environment's proxies, else those of the system's settings."""
        return super().proxies() or self._system_proxies()

    def online(self) -> bool | None:
        return None

    def metered(self) -> bool | None:
        return None

    def battery_percent(self) -> int | None:
        try:
            said = self._run(["/usr/bin/pmset", "-g", "batt"])
        except OSError:
            return None
        found = re.search(r"\t(\d{1,3})%; discharging", said)
        return int(found[1]) if "'Battery Power'" in said and found else None

    def check_signature(
        self,
        program: Path,
        *,
        spki: Sequence[str],  # noqa: ARG002 - Authenticode's
        teams: Sequence[str],
    ) -> None:
        bundle = next((up for up in program.parents if up.suffix == ".app"), program)
        try:
            self._run(["/usr/bin/codesign", "--verify", "--deep", "--strict", str(bundle)])
            shown = self._run(["/usr/bin/codesign", "--display", "--verbose=2", str(bundle)])
        except OSError as error:
            raise PlatformSignatureError(program, error.strerror or "codesign failed") from error
        found = re.search(r"^TeamIdentifier=(\S+)$", shown, re.MULTILINE)
        if found is None or found[1] not in teams:
            raise PlatformSignatureError(program, f"team {found[1] if found else 'unknown'}")

    def _is_local(self, root: Path) -> bool:
        """Return whether the longest mount point over *root* is marked ``local``."""
        words = ""
        longest = -1
        for line in self._run(["/sbin/mount"]).splitlines():
            found = re.fullmatch(r".+? on (/.*) \(([^)]*)\)", line)
            if found and root.is_relative_to(found[1]) and len(found[1]) > longest:
                longest, words = len(found[1]), found[2]
        return "local" in words.split(", ")

    def _system_proxies(self) -> dict[str, str]:
        try:
            text = self._run(["/usr/sbin/scutil", "--proxy"])
        except OSError:
            return {}
        rows = dict(re.findall(r"^\s*(\w+) : (\S+)$", text, re.MULTILINE))
        proxies = {
            scheme: f"http://{rows[f'{prefix}Proxy']}:{rows[f'{prefix}Port']}"
            for scheme, prefix in (("http", "HTTP"), ("https", "HTTPS"))
            if rows.get(f"{prefix}Enable") == "1"
            and {f"{prefix}Proxy", f"{prefix}Port"} <= rows.keys()
        }
        exceptions = [value for name, value in rows.items() if name.isdecimal()]  # an array's
        if rows.get("ExcludeSimpleHostnames") == "1":
            exceptions.append("<local>")
        return {**proxies, "no": ",".join(exceptions)} if proxies and exceptions else proxies
