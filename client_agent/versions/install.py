"""ROOT: the versions on disk, how a new one comes there, and what goes when it is not needed.

The running version's folder never disappears: a new version gets a folder of its own, a finished
folder is never written to again, and one small file (``state``) says which one starts.

Not here: what may be installed (``trust``), fetching it (``download``), starting it
(``launcher``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from packaging.version import Version

from client_agent.clock import Clock
from client_agent.disk.os_errors import disk_error, disk_errors
from client_agent.errors import Code, DeltaError, DiskError, PayloadError, StateError
from client_agent.platforms import Lock, Platform, current
from client_agent.state.launches import CRASH_EXIT_CODES, Launches
from client_agent.state.state_body import CONFIRMED, BadBodyError, confirmed_at, parse_confirmed
from client_agent.state.state_file import Source, StateFile
from client_agent.values import Goal, InstalledVersion, Marker, MarkerStatus, State
from client_agent.versions.build import Base, build_apart, build_here, can_build_apart, order_for
from client_agent.versions.tree import verify_tree
from client_agent.versions.tree_writer import Progress
from rollout.model import Delta
from rollout.names import RESERVED_ROOT
from rollout.versions import render_version

_LAUNCHER = Path(__file__).parents[1] / "launcher.py"
_FROZEN_LAUNCHER = "launcher.exe" if sys.platform == "win32" else "launcher"
_PRIVATE = ("staging", "parts", "trust", "launches", "spool")
_DIGEST_CHARACTERS = 8  # of a version's folder name; the rest is in its manifest


class Installation:
    """The installation in *root*. One agent at a time changes it: see ``lock``.

    *in_process*: unpack in this process instead of a child of low priority.
    *hard_links*: see ``TreeWriter``.
    """

    def __init__(
        self,
        root: Path,
        platform: Platform,
        clock: Clock,
        *,
        in_process: bool = False,
        hard_links: bool = False,
        crash_exit_codes: Container[int] = CRASH_EXIT_CODES,
    ) -> None:
        self._root = root
        self._platform = platform
        self._clock = clock
        self._in_process = in_process or not can_build_apart()
        self._hard_links = hard_links
        self._launches = Launches(root / "launches", platform, crash_exit_codes)
        self._state = StateFile(root, platform, clock, recover=self._recovered)
        self.recovered: Source | None = None
        """From where ``prepare`` took the state because ``state.json`` was damaged."""

    @classmethod
    def create_root(cls, root: Path) -> None:
        """Lay out an empty ROOT: the folders and the launcher. What is there already stays.

        Raises:
            DiskError: it cannot be made here.
        """
        with _said_early():
            root.mkdir(mode=0o755, parents=True, exist_ok=True)
            _make_folders(root)
            if not _has_launcher(root):
                if not _LAUNCHER.exists():
                    raise DiskError(Code.IO, f"{root}: no launcher; a frozen app brings none")
                _put_launcher(root, _LAUNCHER.read_bytes(), current())

    @property
    def root(self) -> Path:
        return self._root

    @property
    def versions(self) -> Path:
        return self._root / "versions"

    @property
    def staging(self) -> Path:
        return self._root / "staging"

    @property
    def parts(self) -> Path:
        return self._root / "parts"

    @property
    def spool(self) -> Path:
        return self._root / "spool"

    @property
    def trust(self) -> Path:
        return self._root / "trust"

    @property
    def launches(self) -> Path:
        return self._root / "launches"

    @property
    def state(self) -> StateFile:
        return self._state

    def prepare(self) -> None:
        """Make the folders; find out whether ROOT can be written and locked.

        Raises:
            DiskError: ``needs_elevation``, ``not_writable`` or ``unsupported_filesystem``.
        """
        with _said_early():
            _make_folders(self._root)
            probe = self.staging / f"probe-{secrets.token_hex(8)}"
            probe.touch()
            probe.unlink()
            if not self._platform.supports(self._root):
                raise DiskError(Code.UNSUPPORTED_FILESYSTEM)
        source = self._state.source()
        if source in {Source.LAST, Source.FOLDERS}:
            self._state.update(lambda state: state)  # so that the next reader need not search
            self.recovered = source

    def lock(self) -> Lock:
        """Take ``ROOT/lock`` without waiting, for a whole visit.

        Raises:
            StateError: ``busy``: another agent has it.
        """
        with disk_errors():
            lock = self._platform.lock(self._root / "lock")
        if lock is None:
            who = _holder_of(self._root / "lock")
            hint = "let it end, or end it"
            raise StateError(Code.BUSY, f"another agent{who} is at work here: {hint}")
        _sign(lock)
        return lock

    def current(self) -> InstalledVersion | None:
        """Return the version that starts, if one was ever confirmed here."""
        return self._state.read().current

    def changed_at(self) -> datetime | None:
        """Return when a new version last proved itself here, or was given up."""
        state = self._state.read()
        times = [ban.at for ban in state.bans]
        if state.current is not None:
            path = self.path_of(state.current) / RESERVED_ROOT / CONFIRMED
            with contextlib.suppress(OSError, BadBodyError):
                times.append(confirmed_at(path.read_bytes()))
        return max(times, default=None)

    def previous(self) -> InstalledVersion | None:
        """Return the version that was current before."""
        return self._state.read().previous

    def pending(self) -> InstalledVersion | None:
        """Return the version that the next start tries."""
        pending = self._state.read().pending
        return None if pending is None else pending.installed

    def path_of(self, installed: InstalledVersion) -> Path:
        """Return the folder of that version."""
        return self.versions / installed.directory

    def launcher_command(self, arguments: Sequence[str] = (), *, wait: bool = False) -> list[str]:
        """Return the command that starts the app through the launcher.

        An installer may have put a frozen one there; else this Python runs it.
        """
        frozen = self._root / _FROZEN_LAUNCHER
        python = [sys.executable, "-I", "-S", str(self._root / "launcher.py")]
        launcher = [str(frozen)] if frozen.is_file() else python
        return [*launcher, *(["--wait"] if wait else []), *arguments]

    def has_launcher(self) -> bool:
        """Return whether there is one to start the app by."""
        return _has_launcher(self._root)

    def preflight(self, needed_bytes: int) -> None:
        """Return if that much fits.

        Raises:
            DiskError: ``no_space``.
        """
        with disk_errors():
            free = self._platform.free_bytes(self._root)
        if free < needed_bytes:
            raise DiskError(Code.NO_SPACE, f"{free} bytes free, {needed_bytes} needed")

    def find_built(self, goal: Goal) -> InstalledVersion | None:
        """Return the goal's directory if it is there and verifies in full."""
        for name in self._names_for(goal):
            installed = _installed(goal, name)
            try:
                self.verify(installed)
            except PayloadError:
                continue
            return installed
        return None

    def verify(self, installed: InstalledVersion) -> None:
        """Hash the whole directory again.

        Raises:
            PayloadError: ``damaged``: anything differs from the manifest.
        """
        verify_tree(self.path_of(installed), installed.manifest_sha256, self._platform)

    def base_for(self, delta: Delta) -> InstalledVersion | None:
        """Return the version that *delta* starts from, if it is here; it may be damaged."""
        state = self._state.read()
        pending = state.pending.installed if state.pending else None
        for installed in (state.current, state.previous, pending):
            if installed is not None and installed.manifest_sha256 == delta.from_manifest:
                return installed
        return None

    def build(
        self, part: BinaryIO, goal: Goal, progress: Progress, *, delta: Delta | None = None
    ) -> InstalledVersion:
        """Make the goal's directory, durably: steps 4 to 10 of docs/agent.md, 10.

        *part* is the open file whose bytes were verified as a target: the goal's own, a payload,
        or with *delta* that delta of its release.

        Raises:
            PayloadError: the payload is not the signed tree.
            DeltaError: it does not become the signed tree this way; the payload may.
            TrustError: ``platform_signature``.
            DiskError: it could not be written; nothing is left of it.
        """
        base = None if delta is None else self._base(delta)
        staged = self.staging / secrets.token_hex(8)
        with disk_errors():
            staged.mkdir(mode=0o700)
        try:
            order = order_for(goal.release, base=base, hard_links=self._hard_links)
            if self._in_process:
                build_here(part, order, staged, self._platform, self._clock, progress)
            else:
                build_apart(part, order, staged, progress)
            with disk_errors():
                return self._publish(staged, goal)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def collect_garbage(self, keep: Iterable[str], *, keep_parts: Iterable[str] = ()) -> int:
        """Remove what nothing needs and return its bytes. What cannot be removed stays for later.

        *keep*: directories beside current, previous, pending and those of live markers.
        *keep_parts*: SHA-256 of targets whose part files stay.
        """
        state = self._state.read()
        parts = set(keep_parts)
        in_use = {*keep, *self._in_use(state)}
        with disk_errors():
            freed = sum(_remove(path) for path in self.staging.iterdir())
            for path in self.parts.iterdir():
                if path.name.split(".", 1)[0] not in parts:
                    freed += _remove(path)
            for path in self.versions.iterdir():
                if path.name not in in_use:
                    # Away in one step, so that nobody finds half a version there.
                    gone = self.staging / f"gone-{secrets.token_hex(8)}"
                    with contextlib.suppress(OSError):  # held by whom we do not know: for later
                        self._platform.move_dir(path, gone)
                        freed += _remove(gone)
        pending = state.pending
        launch_id = pending.launch_id if pending else None
        self._launches.clean({launch_id} if launch_id else set())
        if pending is None:
            self._refresh_launcher()
        return freed

    def markers(self) -> list[Marker]:
        """Return the starts of the app that are on record, oldest first."""
        return self._launches.all()

    def marker(self, launch_id: str) -> Marker | None:
        """Return that start, if it is on record."""
        return self._launches.one(launch_id)

    def seal_marker(
        self,
        launch_id: str,
        status: MarkerStatus,
        now: datetime,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        """Say how that start ended. A marker that is sealed already stays as it is."""
        self._launches.seal(launch_id, status, now, exit_code=exit_code, signal=signal)

    def mark_healthy(self, launch_id: str) -> None:
        """Say that this start was healthy: a later non-zero exit is then no trial crash."""
        self._launches.mark_healthy(launch_id)

    def mark_reported(self, launch_id: str) -> None:
        """Remove the marker, or flag it while the launcher still has to look at it."""
        pending = self._state.read().pending
        if pending is not None and pending.launch_id == launch_id:
            self._launches.mark_reported(launch_id)
        else:
            self._launches.remove(launch_id)

    def _base(self, delta: Delta) -> Base:
        installed = self.base_for(delta)
        if installed is None:
            raise DeltaError(Code.WRONG_BASE, f"from {delta.from_version}, which is not here")
        return Base(
            folder=str(self.path_of(installed).absolute()),
            manifest_sha256=delta.from_manifest,
            output_bytes=delta.output_bytes,
            max_file_bytes=delta.max_file_bytes,
        )

    def _names_for(self, goal: Goal) -> list[str]:
        """Return the folders that may hold the goal: its own name, and names beside it."""
        name = _name_for(goal)
        found = (path.name for path in self.versions.glob(f"{name}*"))
        return sorted(other for other in found if other == name or other.startswith(f"{name}-"))

    def _publish(self, staged: Path, goal: Goal) -> InstalledVersion:
        """Move the finished tree to its name: steps 9 and 10."""
        there = self.find_built(goal)
        if there is not None:
            shutil.rmtree(staged)
            return there
        in_use = self._in_use(self._state.read())
        name = _name_for(goal)
        number = 1
        while os.path.lexists(self.versions / name):
            if name not in in_use:  # damaged, and nobody's
                aside = self.staging / f"damaged-{secrets.token_hex(8)}"
                self._platform.move_dir(self.versions / name, aside)
                break
            number += 1  # damaged, but perhaps running: it stays, and its repair goes beside it
            name = f"{_name_for(goal)}-{number}"
        self._platform.move_dir(staged, self.versions / name)
        return _installed(goal, name)

    def _in_use(self, state: State) -> set[str]:
        pending = state.pending.installed if state.pending else None
        named = (state.current, state.previous, pending)
        directories = {installed.directory for installed in named if installed is not None}
        return directories | self._launches.directories_in_use()

    def _recovered(self) -> State:
        """Return the state that the folders tell: what was confirmed last here and is whole."""
        found: list[tuple[int, InstalledVersion]] = []
        for path in self.versions.glob(f"*/{RESERVED_ROOT}/{CONFIRMED}"):
            directory = path.parent.parent.name
            try:
                found.append(parse_confirmed(path.read_bytes(), directory))
            except (OSError, BadBodyError):
                continue
        for seq, installed in sorted(found, key=lambda pair: pair[0], reverse=True):
            folder, digest = self.path_of(installed), installed.manifest_sha256
            try:  # as the launcher does, which has started it meanwhile
                verify_tree(folder, digest, self._platform, exactly=False)
            except PayloadError:
                continue
            return State(seq=seq, current=installed)
        return State()

    def _refresh_launcher(self) -> None:
        """Put this release's launcher in the place of an older one."""
        launcher = self._root / "launcher.py"
        with disk_errors():
            ours = _LAUNCHER.read_bytes() if _LAUNCHER.exists() else b""
            if not ours or not launcher.exists() or launcher.read_bytes() == ours:
                return
            _put_launcher(self._root, ours, self._platform)


@contextlib.contextmanager
def _said_early() -> Iterator[None]:
    """Say ``needs_elevation`` where permission is all that lacks: a person can help."""
    try:
        yield
    except PermissionError as error:
        raise DiskError(Code.NEEDS_ELEVATION, error.strerror or "") from error
    except OSError as error:
        raise disk_error(error) from error


def _make_folders(root: Path) -> None:
    (root / "versions").mkdir(mode=0o755, exist_ok=True)
    for name in _PRIVATE:
        (root / name).mkdir(mode=0o700, exist_ok=True)


def _has_launcher(root: Path) -> bool:
    return (root / "launcher.py").exists() or (root / _FROZEN_LAUNCHER).is_file()


def _put_launcher(root: Path, content: bytes, platform: Platform) -> None:
    """Put the launcher in its place, whole or not at all: nobody could repair half of one."""
    new = root / "staging" / f"launcher-{secrets.token_hex(8)}"
    try:
        with new.open("xb") as file:
            file.write(content)
            file.flush()
            new.chmod(0o755)
            platform.sync_file(file.fileno())
        platform.replace(new, root / "launcher.py")
    finally:
        new.unlink(missing_ok=True)


def _sign(lock: Lock) -> None:
    """Write into the lock whose it is, for whoever finds it taken."""
    with contextlib.suppress(OSError):  # only people read it
        os.ftruncate(lock.descriptor, 0)
        os.write(lock.descriptor, b"%d" % os.getpid())


def _holder_of(path: Path) -> str:
    """Return " (process N)" for the lock at *path*, as far as its holder signed."""
    try:
        return f" (process {int(path.read_bytes()[:20])})"
    except (OSError, ValueError):
        return ""


def _name_for(goal: Goal) -> str:
    return plain_name(goal.version, goal.manifest_sha256)


def plain_name(version: Version, manifest_sha256: str) -> str:
    """Return the directory's name; one that was made beside a damaged copy has a number more."""
    return f"{render_version(version)}-{manifest_sha256[:_DIGEST_CHARACTERS]}"


def _installed(goal: Goal, directory: str) -> InstalledVersion:
    return InstalledVersion(
        version=goal.version,
        manifest_sha256=goal.manifest_sha256,
        directory=directory,
        rollout=goal.rollout,
        data_schema=goal.release.data_schema,
        reads_schema_max=goal.release.reads_schema_max,
    )


def _remove(path: Path) -> int:
    """Remove a file or a whole folder; return the bytes that it held. What stays is for later."""
    if not path.is_dir() or path.is_symlink():
        try:
            size = path.lstat().st_size
            path.unlink()
        except OSError:
            return 0
        return size
    size = sum(
        (Path(folder) / name).lstat().st_size
        for folder, _, names in os.walk(path)
        for name in names
    )
    shutil.rmtree(path, ignore_errors=True)
    return size
