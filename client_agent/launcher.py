#!/usr/bin/env python3
"""Choose a version of the app and start it: ``python -IS ROOT/launcher.py [--wait] [ARG…]``.

Standard library only; ROOT is its folder. Rarely replaced, it copes with what newer agents write.
With ``--wait`` it stays, and returns the app's status, or 70. The steps (docs/agent.md, 10):

1 take ``state.lock``, read the state · 2 look at the last try · 3 is ``pending`` usable · 4 count
this try, or start current · 5 a marker, locked while the app lives · 6 start · 7 else fall back.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from os.path import basename, exists, getsize, isdir, join
from time import gmtime, monotonic, sleep, strftime, time  # noqa: TID251 - imports nothing of ours

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes longer than all that is done here
    from typing import Any

    Record = dict[str, Any]  # a JSON object; fields that this file does not know stay in it

TRIES, REFUNDS = 3, 5
LOCK_SECONDS = 1.0
EARLY_SECONDS = 3600  # a clock set back by no more than this leaves an arming valid
TIME = "%Y-%m-%dT%H:%M:%SZ"  # sorts as text
FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
NAMESPACE = "/proc/self/ns/pid"  # of whose processes the numbers are

try:  # the C halves of json and hashlib: loading the rest takes longer than all that is done here
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    class Plain:
        """What json.JSONDecoder says to its scanner."""

        strict = True
        object_hook = object_pairs_hook = None
        parse_int, parse_float, parse_constant = int, float, float

    scan: Any = make_scanner(Plain)  # type: ignore[arg-type]
    given = (None, encode_basestring_ascii, None, ":", ",", True, False, True)
    spell: Any = make_encoder(None, *given)  # type: ignore[arg-type]
except (ImportError, TypeError):  # another Python
    import json

    scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
    spell = json.JSONEncoder(sort_keys=True, separators=(",", ":")).iterencode
try:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]
    except ImportError:  # before 3.12
        from _sha256 import sha256  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha256

# What no second attempt would change; the last two are Windows': no program, wrong processor.
HOPELESS = {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP, 193, 216}


class Launcher:
    """One start of the app."""

    def __init__(self, root: str, arguments: list[str], *, wait: bool) -> None:
        self.root, self.arguments, self.wait = root, arguments, wait
        self.versions, self.launches = join(root, "versions"), join(root, "launches")
        close_markers(self.launches)
        self.boot_id = boot_id()
        self.now = strftime(TIME, gmtime(time()))
        self.lock = take_lock(join(root, "state.lock"))  # 1
        self.state = read_state(root)

    def run(self) -> int:
        """Start a version; return only when it ended (``--wait``) or when none starts."""
        pending, fell_back = self.state.get("pending"), False
        due = pending if pending and self.trial_is_due(pending) else None
        order: tuple[Any, ...] = (due, self.state.get("current"), self.state.get("previous"))
        for record in [found for found in order if found]:
            if self.can_read_data(record) or not fell_back:
                try:
                    return self.start(record, trial=record is due)
                except (OSError, ValueError) as error:  # 7; ValueError: a manifest of zeros
                    fell_back = True
                    numbers = {getattr(error, "errno", 0), getattr(error, "winerror", 0)}
                    if due and record is due and numbers & HOPELESS:
                        self.give_up(due, "cannot_start", "cannot_start")
                    elif due and record is due and errno.EIO in numbers:
                        self.take_back(due)
        sys.stderr.write("serinus: no version of this app can be started\n")
        return 70  # EX_SOFTWARE

    def trial_is_due(self, pending: Record) -> bool:
        """Return whether the pending version starts now; if so, the start has been counted."""
        if still_runs(pending, self.launches, self.boot_id):
            return True
        if self.lock is None:
            return False
        if pending["tries_left"] <= 0:
            if not self.can_read_data(self.state.get("current") or pending):
                return True  # nothing to fall back to: rather this than unreadable data
            return self.give_up(pending, "fell_back", "tries_used_up")
        early = strftime(TIME, gmtime(time() + EARLY_SECONDS))
        if pending["armed_at"] > early or self.now > pending["not_after"]:
            return False  # the agent arms it again
        rebooted = pending["boot_id"] != self.boot_id  # what was synced should be there: look
        try:  # 3
            check_tree(join(self.versions, pending["dir"]), pending, full=rebooted)
        except (OSError, ValueError):
            return self.give_up(pending, "damaged", None)
        pending["tries_left"] -= 1  # 4
        pending.update(boot_id=self.boot_id, launch_boot_id=self.boot_id, launch_id=new_id())
        return self.write_state() or self.take_back(pending)

    def take_back(self, pending: Record) -> bool:
        """Count no try that a bad disk kept from being made. Returns False: it does not start."""
        if not still_runs(pending, self.launches, self.boot_id):
            pending.update(tries_left=pending["tries_left"] + 1, launch_id=None)
            self.write_state()
        return False

    def give_up(self, pending: Record, outcome: str, ban: str | None) -> bool:
        """Drop the pending version, banned or not. Returns False: it does not start."""
        same: Record = {key: pending.get(key) for key in ("version", "digest", "rollout")}
        same["at"] = self.now
        left = (self.state.get("current") or {}).get("version")
        self.state.update(last_result={**same, "outcome": outcome, "left": left}, pending=None)
        noted = self.state.get("failures", [])
        if ban:  # issued anew, it has all its tries again
            self.state["bans"] = [*self.state.get("bans", []), {**same, "reason": ban}]
            self.state["failures"] = [one for one in noted if one["digest"] != same["digest"]]
        else:  # built anew, a version that damages itself has no more tries than before
            same.update(tries_left=pending["tries_left"], refunds=pending["refunds"], count=0)
            self.state["failures"] = [*noted, {**same, "code": "damaged", "retry_at": self.now}]
        self.write_state()
        return False

    def start(self, record: Record, *, trial: bool) -> int:
        """Start that version. Raises ``OSError`` when it does not start."""
        folder = join(self.versions, basename(record["dir"]))
        manifest = read(join(folder, ".serinus", "manifest"))
        header = manifest.partition(b"\n")[0].decode().split("\t")
        command = [join(folder, *header[-1].split("/")), *self.arguments]
        launch = record.get("launch_id") or new_id()
        if exists(join(self.launches, launch + ".json")):
            launch = new_id()  # a second window has a marker of its own
        marker = self.open_marker(launch, record, trial=trial)  # 5
        environment = dict(given_environment(), SERINUS_LAUNCH=launch, SERINUS_ROOT=self.root)
        # What the app starts inherits all this, and may be another app with an agent of its own.
        environment.update(SERINUS_LAUNCH_FD=str(marker), SERINUS_LAUNCH_APP="".join(header[2:3]))
        # A Python app would write its caches into its own, immutable tree.
        environment.setdefault("PYTHONDONTWRITEBYTECODE", "1")
        try:  # 6
            if self.wait:
                return self.run_child(command, environment, marker)
            os.execve(command[0], command, environment)  # noqa: S606 - no shell is meant
        except (OSError, ValueError):
            if marker >= 0:
                os.close(marker)
                os.unlink(join(self.launches, launch + ".json"))
            raise

    def run_child(self, command: list[str], environment: dict[str, str], marker: int) -> int:
        """Run the app as a child, pass signals on, seal the marker; return the app's status."""
        import signal  # noqa: PLC0415 - these two are slow, and needed only here
        import subprocess  # noqa: PLC0415

        sent: list[int] = []
        children: list[subprocess.Popen[bytes]] = []

        def pass_on(number: int, _frame: object) -> None:
            sent.append(number)
            # A supervisor's SIGKILL would end us, and leave the app: so it asks for that.
            told = {getattr(signal, "SIGUSR2", 0): 9}.get(number, number)
            for child in children:
                if number != signal.SIGINT or not os.isatty(0):  # a terminal tells both
                    child.send_signal(told)

        for name in {"SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"} & set(dir(signal)):
            signal.signal(getattr(signal, name), pass_on)
        children.append(subprocess.Popen(command, env=environment, close_fds=False))
        if self.lock is not None:
            os.close(self.lock)
        add(marker, {"process": process(children[0].pid)})
        for number in sent:
            children[0].send_signal(number)
        status = children[0].wait()
        code = status if status >= 0 else 128 - status
        seal: Record = {"ended": strftime(TIME, gmtime(time())), "exit_code": code}
        seal.update(signal=-status if status < 0 else None)
        # Ended by itself, or because it was asked to; what else it was, the agent can tell.
        seal["status"] = "exited" if code == 0 or code - 128 in sent else None
        add(marker, seal)
        return code

    def open_marker(self, launch: str, record: Record, *, trial: bool) -> int:
        """Make the marker; return its descriptor, locked and inherited by the app, or -1."""
        said: Record = {key: record.get(key) for key in ("version", "digest", "dir", "rollout")}
        said["token"] = self.state.get("tokens", {}).get(said["version"])
        said.update(launch_id=launch, started=self.now, boot_id=self.boot_id, trial=trial)
        said["process"] = process(os.getpid())
        try:
            path, flags = join(self.launches, launch + ".json"), os.O_EXCL | os.O_APPEND
            marker = write_new(path, flags, dumps(said) + b"\n")
        except OSError as error:
            if trial:  # no trial without a trace; and the version is not to blame
                raise OSError(errno.EIO, "no marker") from error
            return -1
        os.set_inheritable(marker, True)
        return marker

    def write_state(self) -> bool:
        """Write the state durably, or return False."""
        if self.lock is None:
            return False
        self.state["seq"] += 1
        try:
            new = join(self.root, "state.new")
            os.close(write_new(new, os.O_TRUNC, frame(self.state)))
            os.replace(new, join(self.root, "state.json"))
            if sys.platform != "win32":
                folder = os.open(self.root, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
        except OSError:
            return False
        return True

    def can_read_data(self, record: Record) -> bool:
        """Return whether the app's data, as it is now, is readable for that version."""
        reads, data = record.get("reads_schema_max"), self.state.get("data_schema")
        return data is None or (reads is not None and reads >= data)


def given_environment() -> dict[str, str]:
    """Return the environment that this process was given, to pass on to another program.

    What PyInstaller froze finds its own libraries first; nobody else must find them.
    """
    given = dict(os.environ)
    if getattr(sys, "frozen", False):
        libraries = given.pop("LD_LIBRARY_PATH_ORIG", "")  # empty is as good as not set
        given.update(LD_LIBRARY_PATH=libraries, PYINSTALLER_RESET_ENVIRONMENT="1")
    return given


def frame(body: Record) -> bytes:
    """Return the bytes of ``state.json``: one line with the body and its SHA-256."""
    text = dumps(body)
    return b'{"sum": "%s", "body": %s}\n' % (sha256(text).hexdigest().encode(), text)


def dumps(value: Record) -> bytes:
    """Return *value* as JSON in one line, its keys sorted."""
    return "".join(spell(value, 0)).encode()


def loads(data: bytes) -> Record:
    """Return the JSON object in *data*; raise ValueError when it is none."""
    text = data.decode().strip()
    try:
        value, end = scan(text, 0)
    except (StopIteration, RecursionError):
        value, end = None, 0
    if not isinstance(value, dict) or end != len(text):
        raise ValueError("no JSON object")
    return value


def read_state(root: str) -> Record:
    """Return the state, else its copy of the last confirmation, else what the folders tell."""
    for name in ("state.json", "state.last"):
        try:
            body: Record = loads(data := read(join(root, name)))["body"]
            if frame(body) == data:
                return body
        except (OSError, ValueError, LookupError, TypeError):
            continue
    found: list[Record] = []  # what was confirmed here and is still whole
    versions = join(root, "versions")
    for name in os.listdir(versions) if isdir(versions) else ():
        try:
            said = loads(read(join(versions, name, ".serinus", "confirmed")))
            check_tree(join(versions, name), said, full=True)
            found.append({**said, "dir": name, "seq": int(said["seq"])})
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return {"seq": 0, "current": max(found, key=lambda said: said["seq"], default=None)}


def check_tree(folder: str, record: Record, *, full: bool) -> None:
    """Return when the tree has the manifest's names and sizes; in *full*, its bytes too."""
    manifest = read(join(folder, ".serinus", "manifest"))
    same = sha256(manifest).hexdigest() == record["digest"]
    for line in manifest.decode().split("\n")[1:-1] if same else ():
        kind, *fields = line.split("\t")
        path = join(folder, *fields[-1].split("/"))
        found = os.lstat(path)
        if kind == "l":
            same &= stat.S_ISLNK(found.st_mode) and os.readlink(path) == fields[0]
        elif kind == "d":
            same &= stat.S_ISDIR(found.st_mode)
        else:
            same &= stat.S_ISREG(found.st_mode) and found.st_size == int(fields[1])
            if full:
                import hashlib  # noqa: PLC0415 - much faster than sha256 here, and slow to load

                with open(path, "rb") as file:
                    same &= hashlib.file_digest(file, "sha256").hexdigest() == fields[2]
    if not same:
        raise ValueError(folder)


def close_markers(launches: str) -> None:
    """Close the markers that an app left us when it restarted: it lives no more."""
    try:
        markers = {entry.inode() for entry in os.scandir(launches)}
        device = os.stat(launches).st_dev
    except OSError:
        return
    for descriptor in range(3, 64):
        try:
            found = os.fstat(descriptor)
        except OSError:
            continue
        if found.st_dev == device and found.st_ino in markers:
            os.close(descriptor)


def still_runs(pending: Record, launches: str, boot: str) -> bool:
    """Tell whether the last try lives; if not, settle it: refunded if the version is blameless."""
    launch = pending.get("launch_id")
    if not launch:
        return False
    marker, alive = read_marker(join(launches, launch + ".json"))  # 2
    # A process that it left behind may still hold the lock; a restarting app becomes us.
    ended = marker.get("status") is not None or "exit_code" in marker
    if alive and not ended and marker.get("process") != process(os.getpid()):
        return True
    fault = join(launches, launch + ".fault")
    crashed = "exit_code" in marker or (exists(fault) and getsize(fault))
    power_cut = not crashed and "status" not in marker and pending.get("launch_boot_id") != boot
    # A clean quit of an app that said that it is well costs nothing, however often.
    refunds = pending["refunds"] + (power_cut or marker.get("healthy") is not True)
    if (power_cut or marker.get("status") == "exited") and refunds <= REFUNDS:
        pending.update(refunds=refunds, tries_left=min(TRIES, pending["tries_left"] + 1))
    pending["launch_id"] = None
    return False


def read_marker(path: str) -> tuple[Record, bool]:
    """Return what a marker says (later lines win), and whether its app still runs."""
    said: Record = {}
    alive = False
    try:
        with open(os.open(path, os.O_RDWR | FLAGS), "rb") as file:
            alive = not lock(file.fileno(), exclusive=False)
            for line in file:
                said.update(loads(line) if line.endswith(b"}\n") else {})
            alive = alive and lives(said)
    except (OSError, ValueError):
        pass  # a torn line says nothing
    return said, alive


def add(marker: int, said: Record) -> None:
    """Add a line to a marker, if it can be: the app runs all the same."""
    try:
        os.write(marker, dumps(said) + b"\n")
    except OSError:
        return


def process(pid: int) -> list[Any]:
    """Return where a process is, its number, and when it began: empty if it lives no more."""
    if sys.platform == "win32":
        return []  # where no child inherits a lock
    place = os.readlink(NAMESPACE) if exists(NAMESPACE) else ""
    try:
        os.kill(pid, 0)
        fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return [place, pid, "" if fields[0] in {b"Z", b"X"} else fields[19].decode()]
    except OSError as error:
        return [place, pid, "" if error.errno == errno.ESRCH else "unknown"]


def lives(said: Record) -> bool:
    """Return whether a marker's process lives; where that cannot be told, its lock tells."""
    noted = said.get("process") or ["before markers had this", 0, ""]
    found = process(noted[1])
    return found[:1] != noted[:1] or (found == noted and found[2] != "")


def read(path: str) -> bytes:
    """Return a file's bytes; a link is no file, and a pipe an empty one: no start waits for it."""
    with open(os.open(path, os.O_RDONLY | FLAGS), "rb") as file:
        return file.read() or b""


def write_new(path: str, flags: int, data: bytes) -> int:
    """Return the descriptor of a file that holds *data*, durable and locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | flags | FLAGS, 0o600)
    try:
        lock(descriptor, exclusive=True)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.fsync(descriptor)
    except OSError:
        os.close(descriptor)
        os.unlink(path)
        raise
    return descriptor


def lock(descriptor: int, *, exclusive: bool) -> bool:
    """Lock an open file without waiting; return False if another holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # mandatory here: keep off the content
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(descriptor, (fcntl.LOCK_SH, fcntl.LOCK_EX)[exclusive] | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def take_lock(path: str) -> int | None:
    """Return the locked descriptor, or None when it cannot be had within a second."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | FLAGS, 0o600)
    except OSError:
        return None
    give_up = monotonic() + LOCK_SECONDS
    while not lock(descriptor, exclusive=True):
        if monotonic() > give_up:
            return None
        sleep(0.01)
    return descriptor


def boot_id() -> str:
    """Return what changes with every start of the system (as ``platforms`` does), or nothing."""
    try:
        if sys.platform == "win32":
            import winreg  # noqa: PLC0415

            path = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path + r"\PrefetchParameters") as key:
                return str(winreg.QueryValueEx(key, "BootId")[0])
        if sys.platform == "darwin":
            return os.popen("/usr/sbin/sysctl -n kern.bootsessionuuid").read().strip()  # noqa: S605
        return read("/proc/sys/kernel/random/boot_id").decode().strip()
    except OSError:
        return ""


def new_id() -> str:
    """Return a random UUID (version 4); the module ``uuid`` is slow to import."""
    text = f"{int.from_bytes(os.urandom(16)) & ~(0xF000C << 60) | 0x40008 << 60:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def main() -> int:
    """Start the app of the folder that this program lies in."""
    program = sys.executable if getattr(sys, "frozen", False) else __file__
    wait, root = sys.argv[1:2] == ["--wait"], os.path.dirname(os.path.realpath(program))
    launcher = Launcher(root, sys.argv[1 + wait :], wait=wait or sys.platform == "win32")
    return launcher.run()


if __name__ == "__main__":
    sys.exit(main())
