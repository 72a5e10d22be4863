"""Windows. Tested with fakes only: no part of this has met a real Windows yet."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.request import getproxies_environment

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_agent.clock import Clock, SystemClock
from client_agent.platforms.commands import Run, run
from client_agent.platforms.port import Lock, PlatformSignatureError

ERROR_ACCESS_DENIED = 5
ERROR_SHARING_VIOLATION = 32
ERROR_LOCK_VIOLATION = 33
_BUSY = (ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION)

# A virus scanner holds a new file open for a moment (beeware/briefcase#1780).
_MOVES = 10
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 2.0

_DRIVE_REMOTE = 4
_POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"

# Prints the status, and on the next line the signing certificate in base64.
_ASK_SIGNATURE = (
    "$s = Get-AuthenticodeSignature -LiteralPath $args[0]; $s.Status; "
    "if ($s.SignerCertificate) { [Convert]::ToBase64String($s.SignerCertificate.RawData) }"
)


# What the connection to the internet costs, through the system's own types (cost API).
_NETWORK = "Windows.Networking.Connectivity.NetworkInformation"
_ASK_COST = (
    f"$null = [{_NETWORK},Windows,ContentType=WindowsRuntime]; "
    f"$p = [{_NETWORK}]::GetInternetConnectionProfile(); "
    "if ($p) { [string]$p.GetConnectionCost().NetworkCostType }"
)
_COSTS = {"Unrestricted": False, "Fixed": True, "Variable": True}

_OFFLINE = 0
_FULL_PERCENT = 100  # 255: nobody knows


class Kernel(Protocol):
    """The calls of kernel32 and the registry that are needed here. All may raise ``OSError``."""

    def move(self, source: str, target: str, *, replace: bool) -> None:
        """``MoveFileExW`` with ``WRITE_THROUGH``; the error carries ``winerror``."""
        ...

    def lock(self, descriptor: int, *, shared: bool) -> bool:
        """``LockFileEx`` without waiting, on one byte far behind the content."""
        ...

    def contain(self, process: int) -> int:
        """Put a process (by handle) into a job that dies with this process."""
        ...

    def drive_type(self, root: str) -> int:
        """``GetDriveTypeW``."""
        ...

    def registry(self, key: str, name: str) -> str | int | None:
        """Return a value under ``HKEY_LOCAL_MACHINE``, or None."""
        ...

    def internet_setting(self, name: str) -> str | int | None:
        """Return a value of the person's internet settings, or None."""
        ...

    def power(self) -> tuple[int, int]:
        """``GetSystemPowerStatus``: ``ACLineStatus`` and ``BatteryLifePercent``."""
        ...


class Windows:
    """Windows, through *kernel*."""

    name = "windows"
    by_descriptor = False

    def __init__(self, kernel: Kernel, *, clock: Clock | None = None, run: Run = run) -> None:
        self._kernel = kernel
        self._clock = clock or SystemClock()
        self._run = run

    def sync_file(self, descriptor: int) -> None:
        os.fsync(descriptor)  # FlushFileBuffers

    def sync_dir(self, folder: Path) -> None:
        """Do nothing: moves are written through, and folders cannot be flushed."""

    def sync_file_system(self, descriptor: int) -> bool:  # noqa: ARG002 - the port's name
        return False

    def replace(self, source: Path, target: Path) -> None:
        self._move(source, target, replace=True)

    def move_dir(self, source: Path, target: Path) -> None:
        self._move(source, target, replace=False)

    def clone_file(self, source: int, folder: int, name: str) -> bool:  # noqa: ARG002
        return False

    def drop_cache(self, descriptor: int) -> None:
        """Do nothing: the system has no call for it."""

    def seal(self, descriptor: int, *, executable: bool) -> None:
        """Do nothing: a read-only file could not be removed any more."""

    def lock(self, path: Path) -> Lock | None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
        lock = Lock(os.open(path, flags, 0o600))
        try:
            if self._kernel.lock(lock.descriptor, shared=False):
                return lock
        except OSError:
            lock.close()
            raise
        lock.close()
        return None

    def is_locked(self, descriptor: int) -> bool:
        # The lock goes with the descriptor, which whoever asks closes at once.
        return not self._kernel.lock(descriptor, shared=True)

    def boot_id(self) -> str:
        # Counted up by the loader at each start; a boot time would move with the clock.
        key = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"
        found = self._kernel.registry(key + r"\PrefetchParameters", "BootId")
        return "" if found is None else str(found)

    def machine_id(self) -> str | None:
        found = self._kernel.registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid")
        return None if found is None else str(found)

    def free_bytes(self, folder: Path) -> int:
        return shutil.disk_usage(folder).free

    def supports(self, root: Path) -> bool:
        drive = root.resolve().anchor
        if drive.startswith("\\\\") or self._kernel.drive_type(drive) == _DRIVE_REMOTE:
            return False
        probe = root / f".lock-probe-{os.getpid()}"
        try:
            first = self.lock(probe)
            if first is None:
                return False
            with first:
                second = self.lock(probe)
                if second is not None:
                    second.close()
                return second is None
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        process = subprocess.Popen(list(command), env=dict(environment), close_fds=False)
        # The child's handle; without the job it would outlive a launcher that is killed.
        self._kernel.contain(int(getattr(process, "_handle", process.pid)))
        return process.wait()

    def proxies(self) -> Mapping[str, str]:
        return getproxies_environment() or self._system_proxies()

    def online(self) -> bool | None:
        return None

    def metered(self) -> bool | None:
        command = [_POWERSHELL, "-NoProfile", "-NonInteractive", "-Command", _ASK_COST]
        try:
            return _COSTS.get(self._run(command).strip())
        except OSError:
            return None

    def battery_percent(self) -> int | None:
        on_mains, percent = self._kernel.power()
        return percent if on_mains == _OFFLINE and percent <= _FULL_PERCENT else None

    def check_signature(
        self,
        program: Path,
        *,
        spki: Sequence[str],
        teams: Sequence[str],  # noqa: ARG002 - Apple's
    ) -> None:
        command = [_POWERSHELL, "-NoProfile", "-NonInteractive", "-Command"]
        try:
            lines = self._run([*command, f"& {{ {_ASK_SIGNATURE} }}", str(program)]).split()
            status = lines[0] if lines else "no answer"
            if status != "Valid":
                raise PlatformSignatureError(program, status)
            certificate = x509.load_der_x509_certificate(base64.b64decode(lines[1]))
        except (OSError, ValueError, IndexError) as error:
            raise PlatformSignatureError(program, str(error)) from error
        key = certificate.public_key()
        found = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        if found.hexdigest() not in spki:
            raise PlatformSignatureError(program, f"public key {found.hexdigest()}")

    def _system_proxies(self) -> dict[str, str]:
        """Return the proxies of the person's internet settings: one for all, or by scheme."""
        server = self._kernel.internet_setting("ProxyServer")
        if self._kernel.internet_setting("ProxyEnable") != 1 or not isinstance(server, str):
            return {}
        found: dict[str, str] = {}
        for part in filter(None, server.split(";")):
            scheme, equals, place = part.strip().rpartition("=")
            found[scheme.lower() if equals else "all"] = place
        overrides = self._kernel.internet_setting("ProxyOverride")
        if isinstance(overrides, str) and overrides:
            found["no"] = overrides.replace(";", ",")
        return found

    def _move(self, source: Path, target: Path, *, replace: bool) -> None:
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_MOVES - 1):
            try:
                self._kernel.move(str(source), str(target), replace=replace)
            except OSError as error:
                if getattr(error, "winerror", None) not in _BUSY:
                    raise
            else:
                return
            self._clock.wait(threading.Event(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        self._kernel.move(str(source), str(target), replace=replace)
