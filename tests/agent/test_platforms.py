"""The system underneath: Linux for real, macOS and Windows through fakes of what they ask."""

import base64
import ctypes
import errno
import fcntl
import hashlib
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from client_agent import platforms
from client_agent.platforms import Platform, PlatformSignatureError
from client_agent.platforms.commands import run
from client_agent.platforms.linux import Linux, ask_network_manager
from client_agent.platforms.macos import MacOS
from client_agent.platforms.windows import Windows
from tests.agent.agent_fakes import FakeClock


class Answers:
    """A fake of the system's own programs: a command's answer by its first word's name."""

    def __init__(self, **answers: str | OSError) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> str:
        self.asked.append(list(command))
        answer = self.answers.get(Path(command[0]).name, OSError(errno.ENOENT, "no such program"))
        if isinstance(answer, OSError):
            raise answer
        return answer


class FakeKernel:
    """kernel32 and a registry, in memory. Moves are renames; the first *busy* of them fail."""

    def __init__(self, *, busy: int = 0, winerror: int = 32) -> None:
        self.busy = busy
        self.winerror = winerror
        self.locked: set[tuple[int, int]] = set()
        self.contained: list[int] = []
        self.drives = {"/": 3}
        self.keys: dict[tuple[str, str], str | int] = {}
        self.settings: dict[str, str | int] = {}
        self.battery = (1, 255)
        self.lock_error: OSError | None = None

    def move(self, source: str, target: str, *, replace: bool) -> None:
        if self.busy:
            self.busy -= 1
            error = PermissionError(errno.EACCES, "busy")
            error.winerror = self.winerror  # type: ignore[attr-defined, unused-ignore]
            raise error
        if Path(target).exists() and not replace:
            raise FileExistsError(target)
        Path(source).replace(target)

    def lock(self, descriptor: int, *, shared: bool) -> bool:
        if self.lock_error is not None:
            raise self.lock_error
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def contain(self, process: int) -> int:
        self.contained.append(process)
        return 1

    def drive_type(self, root: str) -> int:
        return self.drives[root]

    def registry(self, key: str, name: str) -> str | int | None:
        return self.keys.get((key.rsplit("\\", 1)[-1], name))

    def internet_setting(self, name: str) -> str | int | None:
        return self.settings.get(name)

    def power(self) -> tuple[int, int]:
        return self.battery


def a_windows(kernel: FakeKernel | None = None, **more: Any) -> Windows:
    return Windows(kernel or FakeKernel(), clock=more.pop("clock", FakeClock()), **more)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def every_platform() -> list[Platform]:
    quiet = Answers(mount="/dev/disk1 on / (apfs, local)\n")
    return [Linux(), MacOS(run=quiet, full_sync=lambda _descriptor, _how: 0), a_windows()]


each_platform = pytest.mark.parametrize("platform", every_platform(), ids=lambda each: each.name)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name no proxy."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_this_system_is_known() -> None:
    assert platforms.current().name == "linux"


def test_the_real_kernel32_can_be_imported_anywhere() -> None:
    importlib.import_module("client_agent.platforms.kernel32")


# --- alike on every system ---------------------------------------------------------------


@each_platform
def test_a_file_takes_the_place_of_another(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")

    platform.replace(tmp_path / "new", tmp_path / "old")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"old": b"new"}


@each_platform
def test_a_folder_moves_only_to_a_free_name(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "a" / "x").mkdir(parents=True)
    (tmp_path / "b").mkdir()

    platform.move_dir(tmp_path / "a" / "x", tmp_path / "b" / "y")
    assert (tmp_path / "b" / "y").is_dir()

    with pytest.raises(FileExistsError):
        platform.move_dir(tmp_path / "b" / "y", tmp_path / "a")  # empty, and still not replaced


def test_new_names_are_synced_in_the_folders_that_changed(tmp_path: Path) -> None:
    class Recording(Linux):
        def __init__(self) -> None:
            super().__init__()
            self.synced: list[str] = []

        def sync_dir(self, folder: Path) -> None:
            self.synced.append(folder.name)
            super().sync_dir(folder)

    (tmp_path / "a/x").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/new").touch()
    linux = Recording()

    linux.move_dir(tmp_path / "a/x", tmp_path / "b/x")
    linux.replace(tmp_path / "b/new", tmp_path / "b/old")

    assert linux.synced == ["b", "a", "b"]


@each_platform
def test_files_and_folders_are_synced(platform: Platform, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x")
        file.flush()
        platform.sync_file(file.fileno())
        platform.drop_cache(file.fileno())
        assert platform.sync_file_system(file.fileno()) is (platform.name == "linux")
        platform.seal(file.fileno(), executable=True)
    platform.sync_dir(tmp_path)

    mode = (tmp_path / "file").stat().st_mode & 0o777
    assert mode == 0o555 or platform.name == "windows"


@each_platform
def test_a_lock_has_one_holder(platform: Platform, tmp_path: Path) -> None:
    first = platform.lock(tmp_path / "lock")
    assert first is not None

    with first:
        assert platform.lock(tmp_path / "lock") is None
        descriptor = os.open(tmp_path / "lock", os.O_RDWR)
        assert platform.is_locked(descriptor)
        os.close(descriptor)
    first.close()

    second = platform.lock(tmp_path / "lock")
    assert second is not None
    assert os.get_inheritable(second.descriptor) is False
    second.close()
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    assert not platform.is_locked(descriptor)
    assert not platform.is_locked(descriptor)
    os.close(descriptor)


@each_platform
def test_there_is_room_on_this_disk(platform: Platform, tmp_path: Path) -> None:
    assert platform.free_bytes(tmp_path) > 1024


@each_platform
def test_a_local_root_with_locks_is_supported(platform: Platform, tmp_path: Path) -> None:
    assert platform.supports(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("locks", ["none exclude", "none are given", "all fail"])
@each_platform
def test_a_root_without_locks_is_not_supported(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: str
) -> None:
    def lock(path: Path) -> object:
        if locks == "all fail":
            raise OSError(errno.ENOLCK, "no locks available")
        return None if locks == "none are given" else platforms.Lock(os.open(path, 66, 0o600))

    monkeypatch.setattr(platform, "lock", lock)

    assert not platform.supports(tmp_path)


@each_platform
def test_where_nothing_can_be_cloned_nothing_is_left(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    source = os.open(tmp_path / "source", os.O_RDONLY)
    folder = os.open(tmp_path, os.O_RDONLY)

    cloned = platform.clone_file(source, folder, "clone")

    os.close(source)
    os.close(folder)
    assert (tmp_path / "clone").exists() is cloned  # some file systems can


# --- Linux -------------------------------------------------------------------------------


def test_linux_reads_its_ids(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot\n")
    (tmp_path / "machine-id").write_text("machine\n")
    linux = Linux(proc=tmp_path, etc=tmp_path)

    assert (linux.boot_id(), linux.machine_id()) == ("boot", "machine")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_linux_without_ids_has_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "machine-id").write_bytes(content)
    linux = Linux(proc=tmp_path, etc=tmp_path)

    assert (linux.boot_id(), linux.machine_id()) == ("", None)


@pytest.mark.parametrize(
    ("kind", "supported"), [("ext4", True), ("nfs4", False), ("fuse.sshfs", False)]
)
def test_linux_refuses_network_file_systems(tmp_path: Path, kind: str, supported: bool) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        f"21 1 0:99 / /proc rw shared:1 - proc proc rw\n"
        f"22 1 {number} / {tmp_path} rw shared:2 master:3 - {kind} server:/x rw\n"
    )

    assert Linux(proc=tmp_path).supports(tmp_path) is supported


def test_a_file_system_that_linux_does_not_list_is_taken_for_local(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text("")

    assert Linux(proc=tmp_path).supports(tmp_path)


@pytest.mark.parametrize("release", ["5.7.19", "4.19.0-amd64", "unknown"])
def test_an_older_linux_syncs_file_by_file(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))

    assert Linux().sync_file_system(0) is False


def test_a_libc_without_syncfs_syncs_file_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())

    assert Linux().sync_file_system(0) is False


def test_a_failed_syncfs_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Linux().sync_file_system(-1)


def test_linux_clones_where_the_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda _target, how, source: asked.append((how, source)))
    folder = os.open(tmp_path, os.O_RDONLY)

    assert Linux().clone_file(7, folder, "clone")

    os.close(folder)
    assert asked == [(0x40049409, 7)]
    assert (tmp_path / "clone").exists()


@pytest.mark.parametrize(("word", "metered"), [(1, True), (4, False), (0, None), (None, None)])
def test_linux_asks_what_the_network_costs(word: int | None, metered: bool | None) -> None:
    assert Linux(metered_word=lambda: word).metered() is metered


@pytest.mark.parametrize(
    ("answer", "word"), [("u 3\n", 3), ("?", None), (OSError(errno.ENOENT, "no busctl"), None)]
)
def test_network_manager_may_be_missing(answer: str | OSError, word: int | None) -> None:
    assert ask_network_manager(Answers(busctl=answer)) == word


HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
ROUTES = {
    "nothing": (HEAD, ""),
    "only the neighbours": (
        f"{HEAD}eth0 0000A8C0 00000000 0001 0 0 0 00FFFFFF\n",
        f"fe80{'0' * 28} 40 {'0' * 32} 00 {'0' * 32} 0 0 0 1 eth0\n",
    ),
    "out by IPv4": ("eth0 00000000 0100A8C0 0003 0 0 0 00000000\n", ""),
    "out by IPv6": ("", f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 0 0 0 1 eth0\n"),
    "IPv6 to nowhere": ("", f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} 0 0 0 200200 lo\n"),
}


@pytest.mark.parametrize(
    ("name", "online"),
    [
        ("nothing", False),
        ("only the neighbours", False),
        ("out by IPv4", True),
        ("out by IPv6", True),
        ("IPv6 to nowhere", False),
    ],
)
def test_linux_knows_whether_there_is_a_way_out(tmp_path: Path, name: str, online: bool) -> None:
    (tmp_path / "net").mkdir()
    ipv4, ipv6 = ROUTES[name]
    (tmp_path / "net/route").write_text(ipv4)
    (tmp_path / "net/ipv6_route").write_text(ipv6)

    assert Linux(proc=tmp_path).online() is online


def test_a_linux_that_does_not_tell_its_routes_tells_nothing(tmp_path: Path) -> None:
    assert Linux(proc=tmp_path).online() is None


@pytest.mark.parametrize("platform", [MacOS(), a_windows()], ids=lambda each: each.name)
def test_other_systems_do_not_tell_whether_there_is_a_way_out(platform: Platform) -> None:
    assert platform.online() is None


def a_supply(folder: Path, name: str, **said: str) -> None:
    (folder / name).mkdir()
    for key, text in said.items():
        (folder / name / key).write_text(f"{text}\n")


def test_linux_knows_its_battery(tmp_path: Path) -> None:
    linux = Linux(power=tmp_path)
    assert linux.battery_percent() is None

    a_supply(tmp_path, "AC", type="Mains", online="0")
    a_supply(tmp_path, "mouse", type="Battery", scope="Device", status="Discharging", capacity="3")
    a_supply(tmp_path, "odd", type="Battery", status="Discharging", capacity="much")
    assert linux.battery_percent() is None

    a_supply(tmp_path, "BAT0", type="Battery", status="Discharging", capacity="17")
    assert linux.battery_percent() == 17

    (tmp_path / "AC/online").write_text("1\n")
    assert linux.battery_percent() is None


def test_linux_vouches_for_no_program() -> None:
    with pytest.raises(PlatformSignatureError):
        Linux().check_signature(Path("app"), spki=["x"], teams=["y"])


def test_a_lock_that_fails_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", fails)
    before = open_descriptors()

    with pytest.raises(OSError, match="no locks"):
        Linux().lock(tmp_path / "lock")

    assert open_descriptors() == before


def test_a_lock_is_never_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        Linux().lock(tmp_path / "lock")


def test_starting_becomes_the_program() -> None:
    script = (
        "from client_agent.platforms import current\n"
        "current().start(['/bin/sh', '-c', 'echo $$ $WORD; exit 5'], {'WORD': 'told'})"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        out, _ = process.communicate()

    assert (out.decode().split(), process.returncode) == ([str(process.pid), "told"], 5)


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:1")

    assert Linux().proxies()["https"] == "http://proxy:1"


# --- programs ----------------------------------------------------------------------------


def test_a_program_is_heard_on_both_outputs() -> None:
    assert run(["/bin/sh", "-c", "echo out; echo error >&2"]) == "out\nerror\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/bin/sh", "-c", "echo why; exit 3"], "why"),
        (["/bin/sh", "-c", "exit 3"], "ended with 3"),
        (["/no/such/program"], "No such file"),
    ],
)
def test_a_program_that_fails_is_an_error(command: list[str], said: str) -> None:
    with pytest.raises(OSError, match=said):
        run(command)


def test_a_program_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client_agent.platforms.commands._PATIENCE_SECONDS", 0.01)

    with pytest.raises(OSError, match="took too long"):
        run(["/bin/sleep", "60"])


# --- macOS -------------------------------------------------------------------------------


def test_macos_syncs_through_the_drive() -> None:
    asked: list[tuple[int, int]] = []

    def full_sync(descriptor: int, how: int) -> int:
        asked.append((descriptor, how))
        return 0

    MacOS(full_sync=full_sync).sync_file(7)

    assert asked == [(7, 51)]


def test_macos_clones_by_descriptor() -> None:
    asked: list[tuple[int, int, bytes, int]] = []

    def clone(source: int, folder: int, name: bytes, flags: int) -> int:
        asked.append((source, folder, name, flags))
        return 0

    assert MacOS(clone=clone).clone_file(7, 8, "ä")
    assert asked == [(7, 8, "ä".encode(), 1)]


def test_macos_reads_its_ids() -> None:
    answers = Answers(sysctl="BOOT\n", ioreg='  "IOPlatformUUID" = "MACHINE"\n')
    macos = MacOS(run=answers)

    assert (macos.boot_id(), macos.machine_id(), macos.metered()) == ("BOOT", "MACHINE", None)


@pytest.mark.parametrize("answers", [Answers(ioreg="nothing"), Answers()])
def test_a_mac_without_an_id_has_none(answers: Answers) -> None:
    assert MacOS(run=answers).machine_id() is None
    assert MacOS(run=answers).boot_id() == ""


def test_macos_refuses_network_file_systems(tmp_path: Path) -> None:
    mounts = f"/dev/disk1 on / (apfs, local)\nserver:/x on {tmp_path.parent} (nfs)\nodd line\n"

    assert not MacOS(run=Answers(mount=mounts)).supports(tmp_path)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("scutil", "proxies"),
    [
        (
            (
                "<dictionary> {\n  HTTPEnable : 1\n  HTTPProxy : p\n  HTTPPort : 1\n"
                "  HTTPSEnable : 1\n  HTTPSProxy : s\n  HTTPSPort : 2\n}\n"
            ),
            {"http": "http://p:1", "https": "http://s:2"},
        ),
        (
            (
                "<dictionary> {\n  ExceptionsList : <array> {\n    0 : *.local\n"
                "    1 : 169.254/16\n  }\n  ExcludeSimpleHostnames : 1\n"
                "  HTTPSEnable : 1\n  HTTPSProxy : s\n  HTTPSPort : 2\n}\n"
            ),
            {"https": "http://s:2", "no": "*.local,169.254/16,<local>"},
        ),
        ("  HTTPEnable : 0\n  HTTPProxy : p\n  HTTPPort : 1\n", {}),
        ("  HTTPEnable : 1\n  HTTPPort : 1\n", {}),
        (OSError(errno.ENOENT, "no scutil"), {}),
    ],
)
def test_macos_takes_the_proxies_of_its_settings(
    scutil: str | OSError, proxies: dict[str, str]
) -> None:
    assert MacOS(run=Answers(scutil=scutil)).proxies() == proxies


@pytest.mark.parametrize(
    ("pmset", "percent"),
    [
        (
            "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t17%; discharging; 1:02",
            17,
        ),
        ("Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t17%; charging; 1:02", None),
        ("Now drawing from 'AC Power'\n", None),
        (OSError(errno.ENOENT, "no pmset"), None),
    ],
)
def test_macos_knows_its_battery(pmset: str | OSError, percent: int | None) -> None:
    assert MacOS(run=Answers(pmset=pmset)).battery_percent() == percent


def test_macos_prefers_the_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://mine:1")

    assert MacOS(run=Answers(scutil="HTTPEnable : 1")).proxies()["https"] == "http://mine:1"


def test_macos_asks_codesign_about_the_whole_bundle() -> None:
    answers = Answers(codesign="Identifier=org.example\nTeamIdentifier=TEAM123\n")
    program = Path("/v/Notes.app/Contents/MacOS/Notes")

    MacOS(run=answers).check_signature(program, spki=[], teams=["TEAM123"])

    assert [command[-1] for command in answers.asked] == ["/v/Notes.app", "/v/Notes.app"]
    assert "--strict" in answers.asked[0]


@pytest.mark.parametrize(
    "codesign",
    [
        "TeamIdentifier=OTHER\n",
        "TeamIdentifier=not set\n",
        "",
        OSError(errno.EIO, "code object is not signed at all"),
        OSError(),
    ],
)
def test_macos_refuses_what_another_team_signed(codesign: str | OSError) -> None:
    macos = MacOS(run=Answers(codesign=codesign))

    with pytest.raises(PlatformSignatureError):
        macos.check_signature(Path("/v/tool"), spki=[], teams=["TEAM123"])


# --- Windows -----------------------------------------------------------------------------


def test_windows_waits_for_scanners(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    clock = FakeClock()

    a_windows(FakeKernel(busy=9), clock=clock).replace(tmp_path / "new", tmp_path / "old")

    assert (tmp_path / "old").read_bytes() == b"new"
    assert clock.waits == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2, 2])


@pytest.mark.parametrize(("busy", "winerror", "waits"), [(10, 5, 9), (1, 2, 0)])
def test_windows_gives_up_in_the_end(tmp_path: Path, busy: int, winerror: int, waits: int) -> None:
    (tmp_path / "new").write_bytes(b"new")
    clock = FakeClock()
    windows = a_windows(FakeKernel(busy=busy, winerror=winerror), clock=clock)

    with pytest.raises(PermissionError):
        windows.replace(tmp_path / "new", tmp_path / "old")

    assert len(clock.waits) == waits


def test_windows_reads_its_ids() -> None:
    kernel = FakeKernel()
    kernel.keys = {
        ("PrefetchParameters", "BootId"): 42,
        ("Cryptography", "MachineGuid"): "machine",
    }

    assert (a_windows(kernel).boot_id(), a_windows(kernel).machine_id()) == ("42", "machine")


def test_a_windows_without_ids_has_none() -> None:
    assert (a_windows().boot_id(), a_windows().machine_id()) == ("", None)


def test_windows_refuses_network_drives(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.drives["/"] = 4

    assert not a_windows(kernel).supports(tmp_path)


def test_a_lock_of_windows_that_fails_leaves_no_descriptor(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.lock_error = OSError(errno.EIO, "broken")
    before = open_descriptors()

    with pytest.raises(OSError, match="broken"):
        a_windows(kernel).lock(tmp_path / "lock")

    assert open_descriptors() == before


def test_windows_waits_for_the_program_in_a_job() -> None:
    kernel = FakeKernel()

    assert a_windows(kernel).start(["/bin/sh", "-c", "exit 5"], {}) == 5
    assert len(kernel.contained) == 1


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("settings", "proxies"),
    [
        ({}, {}),
        ({"ProxyEnable": 0, "ProxyServer": "proxy:8080"}, {}),
        ({"ProxyEnable": 1}, {}),
        ({"ProxyEnable": 1, "ProxyServer": "proxy:8080"}, {"all": "proxy:8080"}),
        (
            {
                "ProxyEnable": 1,
                "ProxyServer": "http=a:1;HTTPS=b:2;",
                "ProxyOverride": "*.intra;<local>",
            },
            {"http": "a:1", "https": "b:2", "no": "*.intra,<local>"},
        ),
    ],
)
def test_windows_takes_the_proxies_of_the_persons_settings(
    settings: dict[str, str | int], proxies: dict[str, str]
) -> None:
    kernel = FakeKernel()
    kernel.settings = settings

    assert a_windows(kernel).proxies() == proxies


def test_windows_prefers_the_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://mine:1")
    kernel = FakeKernel()
    kernel.settings = {"ProxyEnable": 1, "ProxyServer": "proxy:8080"}

    assert a_windows(kernel).proxies()["https"] == "http://mine:1"


@pytest.mark.parametrize(
    ("answer", "metered"),
    [
        ("Unrestricted\r\n", False),
        ("Fixed\r\n", True),
        ("Variable\r\n", True),
        ("Unknown\r\n", None),
        ("", None),
        (OSError(errno.ENOENT, "no PowerShell"), None),
    ],
)
def test_windows_asks_what_the_network_costs(answer: str | OSError, metered: bool | None) -> None:
    assert a_windows(run=Answers(**{_POWERSHELL: answer})).metered() is metered


@pytest.mark.parametrize(
    ("battery", "percent"), [((0, 19), 19), ((1, 19), None), ((0, 255), None), ((255, 19), None)]
)
def test_windows_knows_its_battery(battery: tuple[int, int], percent: int | None) -> None:
    kernel = FakeKernel()
    kernel.battery = battery

    assert a_windows(kernel).battery_percent() == percent


def a_certificate() -> tuple[str, str]:
    """Return a certificate in base64, and the SHA-256 of its public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Publisher")])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, at, at + timedelta(days=9))
    encoded = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(encoded).decode(), hashlib.sha256(spki).hexdigest()


def test_windows_asks_for_the_key_of_the_signature() -> None:
    certificate, spki = a_certificate()
    answers = Answers(**{_POWERSHELL: f"Valid\r\n{certificate}\r\n"})

    a_windows(run=answers).check_signature(Path("app.exe"), spki=[spki], teams=[])

    assert answers.asked[0][-1] == "app.exe"


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: "Valid\r\n" + a_certificate()[0],  # another publisher's
        lambda own: f"HashMismatch\r\n{own}",
        lambda _: "NotSigned\r\n",
        lambda _: "Valid\r\n",
        lambda _: "Valid\r\nbm8=\r\n",
        lambda _: "",
        lambda _: OSError(errno.ENOENT, "no PowerShell"),
    ],
)
def test_windows_refuses_every_other_signature(answer: Callable[[str], str | OSError]) -> None:
    certificate, spki = a_certificate()
    windows = a_windows(run=Answers(**{_POWERSHELL: answer(certificate)}))

    with pytest.raises(PlatformSignatureError):
        windows.check_signature(Path("app.exe"), spki=[spki], teams=[])


# Its path has no slashes, so to us the whole of it is a name.
_POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
