"""Building, publishing, verifying and removing versions."""

import errno
import io
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client_agent.errors import Code, DiskError, InternalError, PayloadError, StateError, TrustError
from client_agent.platforms import PlatformSignatureError
from client_agent.platforms.linux import Linux
from client_agent.state.state_file import Source
from client_agent.values import MarkerStatus
from client_agent.versions import build as building
from client_agent.versions import install as module
from client_agent.versions import tree_writer
from client_agent.versions.install import Installation
from tests.agent.agent_fakes import FakeClock
from tests.agent.trees import (
    APP,
    LATER,
    NOW,
    Packed,
    an_installation,
    arm,
    build,
    goal_for,
    install,
    listing,
    pack,
)

LAUNCH = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


class ByPath(Linux):
    """A system that opens only by path, as Windows does."""

    by_descriptor = False


class Failing(Linux):
    """Linux, until one of its calls has been made *calls* times."""

    def __init__(self, name: str, code: int, calls: int = 0) -> None:
        super().__init__()
        self._name = name
        self._code = code
        self._calls = calls

    def _count(self, name: str) -> None:
        if name == self._name:
            self._calls -= 1
            if self._calls < 0:
                raise OSError(self._code, os.strerror(self._code))

    def sync_file(self, descriptor: int) -> None:
        self._count("sync_file")
        super().sync_file(descriptor)

    def sync_dir(self, folder: Path) -> None:
        self._count("sync_dir")
        super().sync_dir(folder)

    def move_dir(self, source: Path, target: Path) -> None:
        self._count("move_dir")
        super().move_dir(source, target)


class Recording(Linux):
    """Linux, noting what is synced and moved, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def sync_file(self, descriptor: int) -> None:
        self.calls.append(f"file {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        super().sync_file(descriptor)

    def sync_dir(self, folder: Path) -> None:
        self.calls.append(f"folder {folder.name}")
        super().sync_dir(folder)

    def sync_file_system(self, descriptor: int) -> bool:
        self.calls.append("file system")
        return super().sync_file_system(descriptor)

    def move_dir(self, source: Path, target: Path) -> None:
        self.calls.append(f"move to {target.parent.name}")
        super().move_dir(source, target)


def test_a_new_root_has_everything_at_once(tmp_path: Path) -> None:
    Installation.create_root(tmp_path / "deep" / "root")

    root = tmp_path / "deep" / "root"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()}
    assert modes == {
        "launcher.py": 0o755,
        "launches": 0o700,
        "parts": 0o700,
        "spool": 0o700,
        "staging": 0o700,
        "trust": 0o700,
        "versions": 0o755,
    }


def test_making_a_root_again_changes_nothing(tmp_path: Path) -> None:
    Installation.create_root(tmp_path)
    (tmp_path / "launcher.py").write_text("an older one")

    Installation.create_root(tmp_path)

    assert (tmp_path / "launcher.py").read_text() == "an older one"


def test_a_root_that_cannot_be_made_is_said_early(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")

    with pytest.raises(DiskError):
        Installation.create_root(tmp_path / "root")


def test_a_root_on_a_file_system_without_locks_is_unsupported(tmp_path: Path) -> None:
    class Without(Linux):
        def supports(self, root: Path) -> bool:  # noqa: ARG002
            return False

    with pytest.raises(DiskError) as caught:
        an_installation(tmp_path, platform=Without())

    assert caught.value.code is Code.UNSUPPORTED_FILESYSTEM


def test_a_root_that_others_own_needs_elevation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", denied)

    with pytest.raises(DiskError) as caught:
        an_installation(tmp_path)

    assert caught.value.code is Code.NEEDS_ELEVATION


def test_two_agents_do_not_work_at_once(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)

    with installation.lock(), pytest.raises(StateError) as caught:
        an_installation(tmp_path).lock()

    assert caught.value.code is Code.BUSY
    installation.lock().close()


def test_a_version_is_built_the_same_by_path_and_by_descriptor(tmp_path: Path) -> None:
    packed = pack()
    here = an_installation(tmp_path / "a")
    there = an_installation(tmp_path / "b", platform=ByPath())

    built = build(here, packed)

    assert build(there, packed) == built
    assert listing(there.path_of(built)) == listing(here.path_of(built))
    there.verify(built)


def test_a_version_is_built_the_same_in_a_child_process(tmp_path: Path) -> None:
    packed = pack({"data": bytes(3 << 20), "link": "-> data"})
    here = an_installation(tmp_path / "a")
    there = an_installation(tmp_path / "b", in_process=False)
    told: list[tuple[int, int]] = []

    with packed.file(there.parts).open("rb") as part:
        built = there.build(part, packed.goal, lambda *pair: told.append(pair))

    assert listing(there.path_of(built)) == listing(here.path_of(build(here, packed)))
    total = packed.goal.release.artifact.tree_bytes
    assert told[-1] == (total, total)


def test_the_child_process_refuses_with_the_same_code(tmp_path: Path) -> None:
    packed = pack()
    damaged = Packed(payload=packed.payload + b"!", manifest=packed.manifest, goal=packed.goal)

    with pytest.raises(PayloadError) as caught:
        build(an_installation(tmp_path, in_process=False), damaged)

    assert (caught.value.code, caught.value.detail) == (Code.BAD_PAYLOAD, "not as long as declared")


def test_a_child_process_that_dies_is_no_verdict_on_the_payload(tmp_path: Path) -> None:
    installation = an_installation(tmp_path, in_process=False)
    packed = pack({"data": bytes(3 << 20)})

    def stop(_written: int, _total: int) -> None:
        mine = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
        for child in Path(mine).read_text().split():
            os.kill(int(child), 9)

    with packed.file(installation.parts).open("rb") as part, pytest.raises(InternalError):
        installation.build(part, packed.goal, stop)

    assert list(installation.staging.iterdir()) == []


@pytest.mark.parametrize("program", ["python3", "app"])
def test_without_a_python_to_start_a_version_is_built_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    if program == "app":
        (tmp_path / program).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / program))
    installation = an_installation(tmp_path, in_process=False)

    installation.verify(build(installation, pack()))


def test_a_child_process_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(building, "seconds_for", lambda _order: 0.2)
    installation = an_installation(tmp_path, in_process=False)

    with pytest.raises(PayloadError) as caught:
        build(installation, pack())

    assert caught.value.code is Code.OVER_CAP
    assert list(installation.staging.iterdir()) == []


def test_building_here_is_given_up_when_it_takes_too_long(tmp_path: Path) -> None:
    installation = an_installation(tmp_path, clock=(clock := FakeClock(NOW)))
    packed = pack({"data": bytes(3 << 20)})

    with packed.file(installation.parts).open("rb") as part, pytest.raises(PayloadError) as caught:
        installation.build(part, packed.goal, lambda _written, _total: clock.advance(30))

    assert caught.value.code is Code.OVER_CAP
    with packed.file(installation.parts).open("rb") as part:
        installation.build(part, packed.goal, lambda _written, _total: clock.advance(5))


def test_a_large_tree_may_take_longer_but_none_may_take_for_ever() -> None:
    goal = pack().goal
    sizes = (2**20, 2**30, 2**60)
    releases = [
        replace(goal.release, artifact=replace(goal.release.artifact, tree_bytes=size))
        for size in sizes
    ]

    assert [building.seconds_for(building.order_for(release)) for release in releases] == [
        901,
        1_924,
        9_092,
    ]


def test_an_error_in_the_progress_callback_stops_the_child(tmp_path: Path) -> None:
    installation = an_installation(tmp_path, in_process=False)
    packed = pack({"data": bytes(3 << 20)})

    def broken(_written: int, _total: int) -> None:
        raise ZeroDivisionError

    with packed.file(installation.parts).open("rb") as part, pytest.raises(ZeroDivisionError):
        installation.build(part, packed.goal, broken)

    assert list(installation.staging.iterdir()) == []


def test_everything_is_synced_before_the_version_gets_its_name(tmp_path: Path) -> None:
    platform = Recording()
    installation = an_installation(tmp_path, platform=platform)
    packed = pack({"data/a": b"a", "data/b/c": b"c", "empty": None})

    built = build(installation, packed)

    staged = next(call for call in platform.calls if call.startswith("folder"))
    calls = platform.calls
    files = ["file app", "file a", "file c", "file manifest"]
    folders = ["folder empty", "folder b", "folder data", "folder .serinus"]
    assert calls[:4] == files
    assert calls[4:8] == folders
    assert calls[8].startswith("folder ")  # staging/<random>
    assert calls[9:] == ["move to versions", "folder versions", "folder staging"]
    assert staged == "folder empty"
    assert built.directory.startswith("2.1.0-")


def test_many_files_are_synced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_writer, "MANY_FILES", 3)
    platform = Recording()
    installation = an_installation(tmp_path, platform=platform)

    build(installation, pack({"a": b"a", "b": b"b", "c": b"c"}))

    assert platform.calls[:2] == ["file manifest", "file system"]


def test_many_files_are_synced_one_by_one_where_the_system_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old(Recording):
        def sync_file_system(self, descriptor: int) -> bool:  # noqa: ARG002
            return False

    monkeypatch.setattr(tree_writer, "MANY_FILES", 3)
    platform = Old()
    installation = an_installation(tmp_path, platform=platform)

    build(installation, pack({"a": b"a", "b": b"b", "c": b"c"}))

    assert platform.calls[:5] == ["file manifest", "file a", "file app", "file b", "file c"]


@pytest.mark.parametrize("call", ["sync_file", "sync_dir", "move_dir"])
def test_a_failed_sync_ends_the_build_and_leaves_nothing(tmp_path: Path, call: str) -> None:
    installation = an_installation(tmp_path, platform=Failing(call, errno.EIO))

    with pytest.raises(DiskError) as caught:
        build(installation, pack())

    assert caught.value.code is Code.IO
    assert list(installation.staging.iterdir()) == []
    assert list(installation.versions.iterdir()) == []


def test_bytes_that_were_written_wrong_are_noticed_before_the_version_gets_its_name(
    tmp_path: Path,
) -> None:
    class Rotting(Linux):
        """Loses a bit after all has been written and synced."""

        def sync_dir(self, folder: Path) -> None:
            for path in folder.glob("app"):
                path.chmod(0o755)
                path.write_bytes(path.read_bytes()[:-1] + b"?")
                path.chmod(0o555)
            super().sync_dir(folder)

    installation = an_installation(tmp_path, platform=Rotting())

    with pytest.raises(PayloadError) as caught:
        build(installation, pack())

    assert (caught.value.code, caught.value.detail) == (Code.DAMAGED, "app")


def test_a_reflink_is_made_where_the_file_system_can(tmp_path: Path) -> None:
    class Cloning(Linux):
        def clone_file(self, source: int, folder: int, name: str) -> bool:
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
            os.sendfile(target, source, 0, os.fstat(source).st_size)
            os.close(target)
            return True

    installation = an_installation(tmp_path, platform=Cloning())

    built = build(installation, pack())

    assert (installation.path_of(built) / "bin/tool").read_bytes() == APP
    assert (installation.path_of(built) / "bin/tool").stat().st_mode & 0o777 == 0o444


def test_a_platform_signature_that_the_release_names_is_checked(tmp_path: Path) -> None:
    class Signed(Linux):
        name = "windows"

        def check_signature(self, program: Path, **asked: object) -> None:
            raise PlatformSignatureError(program, str(asked["spki"]))

    packed = pack()
    goal = goal_for(
        packed.manifest,
        packed.payload,
        tree_bytes=packed.goal.release.artifact.tree_bytes,
        files=packed.goal.release.artifact.files,
        authenticode_spki=("ab" * 32,),
    )
    signed = Packed(payload=packed.payload, manifest=packed.manifest, goal=goal)

    with pytest.raises(TrustError) as caught:
        build(an_installation(tmp_path, platform=Signed()), signed)

    assert caught.value.code is Code.PLATFORM_SIGNATURE
    build(an_installation(tmp_path / "linux"), signed)  # where there is none to check


def test_what_is_built_is_found_again(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    packed = pack(data_schema=7, reads_schema_max=8)
    assert installation.find_built(packed.goal) is None

    built = build(installation, packed)

    assert installation.find_built(packed.goal) == built
    assert (built.data_schema, built.reads_schema_max, built.rollout) == (7, 8, "ro_7k2m")
    assert build(installation, packed) == built
    assert len(list(installation.versions.iterdir())) == 1


def changes() -> dict[str, Callable[[Path], object]]:
    def replace(path: Path, content: bytes) -> None:
        path.chmod(0o644)
        path.write_bytes(content)

    return {
        "a flipped byte": lambda at: replace(at / "data/a/b", b"b" * 69_999 + b"c"),
        "a missing byte": lambda at: replace(at / "data/a/b", b"b" * 69_999),
        "a missing file": lambda at: (at / "data/nothing").unlink(),
        "a missing folder": lambda at: (at / "empty").rmdir(),
        "a missing link": lambda at: (at / "lib/libx.so").unlink(),
        "one file more": lambda at: (at / "data/more").touch(),
        "one file more beside the manifest": lambda at: (at / ".serinus/more").touch(),
        "one folder more": lambda at: (at / "empty/more").mkdir(),
        "a link elsewhere": lambda at: _relink(at / "lib/libx.so", "/etc/passwd"),
        "a link instead of a file": lambda at: _relink(at / "data/nothing", "nothing-else"),
        "a link instead of a folder": lambda at: _refolder(at / "data"),
        "a file instead of a link": lambda at: _refile(at / "lib/libx.so"),
        "a pipe instead of a file": lambda at: _repipe(at / "data/nothing"),
        "a file instead of a folder": lambda at: ((at / "empty").rmdir(), (at / "empty").touch()),
        "no longer executable": lambda at: (at / "app").chmod(0o444),
        "another manifest": lambda at: replace(at / ".serinus/manifest", b"?"),
        "no manifest": lambda at: (at / ".serinus/manifest").unlink(),
    }


def _relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def _refolder(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def _refile(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def _repipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("platform", "change"),
    [
        *((Linux(), change) for change in changes()),
        *((ByPath(), change) for change in changes() if change != "no longer executable"),
    ],
)
def test_a_version_that_was_changed_does_not_verify_and_is_built_anew(
    tmp_path: Path, change: str, platform: Linux
) -> None:
    installation = an_installation(tmp_path, platform=platform)
    packed = pack()
    built = build(installation, packed)
    changes()[change](installation.path_of(built))

    with pytest.raises(PayloadError) as caught:
        installation.verify(built)

    assert caught.value.code is Code.DAMAGED
    assert installation.find_built(packed.goal) is None
    assert build(installation, packed) == built  # the damaged one was nobody's
    installation.verify(built)


def test_a_damaged_version_that_may_be_running_is_repaired_beside_it(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    packed = pack()
    built = install(installation, packed)
    (installation.path_of(built) / "data/more").touch()

    repaired = build(installation, packed)

    assert repaired.directory == f"{built.directory}-2"
    assert installation.path_of(built).exists()
    assert installation.find_built(packed.goal) == repaired
    install(installation, packed)
    assert installation.current() == repaired


def test_space_is_looked_for_before_anything_is_fetched(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)

    installation.preflight(1)

    with pytest.raises(DiskError) as caught:
        installation.preflight(1 << 60)
    assert caught.value.code is Code.NO_SPACE


def test_garbage_is_what_nothing_needs(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    for version in ("1.0", "2.0", "3.0", "4.0"):
        install(installation, pack(version=version))
    arm(installation, pack(version="5.0"))
    kept = build(installation, pack(version="6.0"))
    (installation.staging / "half").mkdir()
    (installation.staging / "half" / "file").write_bytes(bytes(1000))
    (installation.parts / f"{'a' * 64}.part").write_bytes(bytes(100))
    (installation.parts / f"{'b' * 64}.part").write_bytes(bytes(10))
    (installation.parts / f"{'b' * 64}.json").write_bytes(bytes(1))

    freed = installation.collect_garbage([kept.directory], keep_parts=["b" * 64])

    versions = sorted(path.name.split("-")[0] for path in installation.versions.iterdir())
    assert versions == ["3.0", "4.0", "5.0", "6.0"]
    assert list(installation.staging.iterdir()) == []
    assert {path.name[0] for path in installation.parts.iterdir()} == {"b"}
    assert freed > 1100


class Held(Linux):
    """Some program that we know nothing of is at work in the folder of version 1.0."""

    def move_dir(self, source: Path, target: Path) -> None:
        if source.name.startswith("1.0"):
            raise PermissionError(errno.EACCES, "in use", f"{source}")
        super().move_dir(source, target)


def test_what_cannot_be_removed_stays_and_keeps_nothing_else(tmp_path: Path) -> None:
    installation = an_installation(tmp_path, platform=Held())
    for version in ("1.0", "1.1", "2.0", "3.0"):
        install(installation, pack(version=version))
    odd = installation.parts / ("a" * 64 + ".part")
    odd.mkdir()
    (odd / "inside").touch()
    (installation.launches / f"{LAUNCH}.fault").mkdir()
    (installation.launches / f"{LAUNCH}.json").touch()

    installation.collect_garbage([])

    left = sorted(path.name.partition("-")[0] for path in installation.versions.iterdir())
    assert left == ["1.0", "2.0", "3.0"]
    assert not odd.exists()


def test_a_version_that_still_runs_is_kept(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    old = install(installation, pack(version="1.0"))
    marker = (
        f'{{"launch_id": "{LAUNCH}", "version": "1.0", "dir": "{old.directory}", "token": null,'
        ' "started": "2026-11-22T03:07:00Z", "boot_id": "b", "trial": false}\n'
    )
    (installation.launches / f"{LAUNCH}.json").write_text(marker)
    install(installation, pack(version="2.0"))
    install(installation, pack(version="3.0"))

    running = Linux().lock(installation.launches / f"{LAUNCH}.json")
    assert running is not None
    with running:
        installation.collect_garbage([])
        assert installation.path_of(old).exists()

    installation.collect_garbage([])
    assert not installation.path_of(old).exists()


def test_a_launcher_of_an_older_release_is_replaced_when_nothing_is_pending(
    tmp_path: Path,
) -> None:
    installation = an_installation(tmp_path)
    launcher = installation.root / "launcher.py"
    ours = launcher.read_bytes()
    launcher.write_text("an older one")
    arm(installation, pack())

    installation.collect_garbage([])
    assert launcher.read_text() == "an older one"

    installation.state.confirm(NOW)
    installation.collect_garbage([])
    assert launcher.read_bytes() == ours
    assert launcher.stat().st_mode & 0o777 == 0o755


def test_a_lost_state_is_recovered_from_what_was_confirmed_last(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, pack(version="3.0"))
    back = install(installation, pack(version="2.0"))  # a deliberate rollback
    arm(installation, pack(version="4.0"))
    (installation.root / "state.json").unlink()
    (installation.root / "state.last").unlink()

    again = an_installation(tmp_path)

    assert again.recovered is Source.FOLDERS
    assert again.current() == back
    assert again.pending() is None


def test_a_damaged_version_is_not_recovered(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    whole = install(installation, pack(version="1.0"))
    damaged = install(installation, pack(version="2.0"))
    (installation.path_of(damaged) / "data/nothing").unlink()
    broken = install(installation, pack(version="3.0"))
    (installation.path_of(broken) / ".serinus/confirmed").write_bytes(b"{}")
    (installation.root / "state.json").write_bytes(b"")
    (installation.root / "state.last").write_bytes(b"")

    assert an_installation(tmp_path).current() == whole


def test_what_an_app_left_in_its_folder_does_not_keep_it_from_being_recovered(
    tmp_path: Path,
) -> None:
    installation = an_installation(tmp_path)
    install(installation, pack(version="1.0"))
    current = install(installation, pack(version="2.0"))
    (installation.path_of(current) / "data/left-behind").touch()
    (installation.root / "state.json").unlink()
    (installation.root / "state.last").unlink()

    assert an_installation(tmp_path).current() == current  # and so does the launcher


def test_a_root_that_was_never_used_is_nothing_to_report(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)

    assert installation.recovered is None
    assert installation.current() is None
    assert installation.previous() is None
    assert installation.pending() is None


def test_the_launcher_is_started_without_the_environment_of_python(tmp_path: Path) -> None:
    command = an_installation(tmp_path).launcher_command(["--app"], wait=True)

    assert command[1:] == ["-I", "-S", str(tmp_path / "root/launcher.py"), "--wait", "--app"]


def test_a_frozen_launcher_comes_before_one_that_needs_python(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    (tmp_path / "root" / "launcher").write_bytes(b"frozen")

    command = installation.launcher_command(["--app"], wait=True)

    assert command == [str(tmp_path / "root/launcher"), "--wait", "--app"]


def test_beside_a_frozen_launcher_no_other_is_put(tmp_path: Path) -> None:
    (tmp_path / "launcher").write_bytes(b"frozen")

    Installation.create_root(tmp_path)

    assert not (tmp_path / "launcher.py").exists()


def test_a_frozen_app_without_a_launcher_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAUNCHER", tmp_path / "not in the frozen app")

    with pytest.raises(DiskError, match="no launcher"):
        Installation.create_root(tmp_path / "root")


def test_markers_are_sealed_once_and_removed_when_reported(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    built = install(installation, pack())
    started = subprocess.run(
        installation.launcher_command(), check=True, capture_output=True, text=True
    )
    assert started.stdout == "started\n"
    (marker,) = installation.markers()
    assert (marker.status, marker.alive, marker.trial) == (MarkerStatus.OPEN, False, False)
    assert (marker.version, marker.boot_id) == (built.version, Linux().boot_id())

    installation.mark_healthy(marker.launch_id)
    installation.seal_marker(marker.launch_id, MarkerStatus.CRASHED, LATER, signal=11)
    installation.seal_marker(marker.launch_id, MarkerStatus.EXITED, LATER)

    sealed = installation.marker(marker.launch_id)
    assert sealed is not None
    assert (sealed.status, sealed.signal, sealed.healthy) == (MarkerStatus.CRASHED, 11, True)
    assert sealed.ended == LATER
    installation.mark_reported(marker.launch_id)
    assert installation.markers() == []


def test_a_marker_that_the_launcher_still_needs_is_only_flagged(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    installation = an_installation(tmp_path, clock=clock)
    arm(installation, pack(), now=datetime.now(UTC))
    subprocess.run(installation.launcher_command(), check=True, capture_output=True)
    (marker,) = installation.markers()
    assert marker.trial

    installation.mark_reported(marker.launch_id)
    installation.collect_garbage([])
    assert [each.reported for each in installation.markers()] == [True]

    installation.state.disarm()
    installation.collect_garbage([])
    assert installation.markers() == []


def test_a_marker_that_says_nothing_goes_with_the_garbage(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    (installation.launches / f"{LAUNCH}.json").write_text('{"launch_id": "2f1')
    (installation.launches / f"{LAUNCH}.fault").write_text("")

    assert installation.markers() == []
    installation.collect_garbage([])

    assert list(installation.launches.iterdir()) == []


@pytest.mark.parametrize("launch_id", ["../../etc/passwd", "", "x", f"{LAUNCH}/.."])
def test_a_launch_id_from_the_environment_names_no_other_file(
    tmp_path: Path, launch_id: str
) -> None:
    installation = an_installation(tmp_path)

    assert installation.marker(launch_id) is None
    installation.mark_healthy(launch_id)
    installation.seal_marker(launch_id, MarkerStatus.EXITED, NOW)
    installation.mark_reported(launch_id)


def test_a_part_may_be_any_open_file(tmp_path: Path) -> None:
    packed = pack()

    built = an_installation(tmp_path).build(
        io.BytesIO(packed.payload), packed.goal, lambda _written, _total: None
    )

    assert built.version == packed.goal.version


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    """On a small file system of its own, from too small upwards."""
    place = tmp_path / "small"
    place.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    packed = pack({"data": os.urandom(200_000)})
    sizes = range(16, 400, 48)
    built = 0
    for kibibytes in sizes:
        options = f"size={kibibytes}k"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
            check=False,
            capture_output=True,
        )
        if mounted.returncode != 0:
            pytest.skip("mounting is not permitted here")
        try:
            built += _built_or_full(place, packed)
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)
    assert 0 < built < len(sizes)


def _built_or_full(place: Path, packed: Packed) -> bool:
    try:
        installation = an_installation(place)
        built = installation.build(
            io.BytesIO(packed.payload), packed.goal, lambda _written, _total: None
        )
        installation.state.arm(packed.goal, built, now=NOW, not_after=LATER)
        installation.verify(built)
    except DiskError as error:
        if error.code is not Code.NO_SPACE:
            raise
        staging = place / "root/staging"
        assert not staging.exists() or list(staging.iterdir()) == []
        return False
    return True


def test_health_that_is_said_again_and_again_is_noted_once(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    path = installation.launches / f"{LAUNCH}.json"
    path.write_text(
        '{"version": "1.0", "dir": "d", "started": "2026-11-22T03:07:00Z", "boot_id": "", '
        '"trial": false}\n'
    )
    installation.mark_healthy(LAUNCH)
    size = path.stat().st_size

    installation.mark_healthy(LAUNCH)

    assert path.stat().st_size == size


def test_a_launcher_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_platform: Linux, _descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Linux, "sync_file", full)

    with pytest.raises(DiskError):
        Installation.create_root(tmp_path)

    assert not (tmp_path / "launcher.py").exists()


def test_a_schema_that_the_launcher_could_not_compare_is_refused(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)

    with pytest.raises(TypeError):
        installation.state.set_data_schema("1")  # type: ignore[arg-type]


def test_a_child_imports_nothing_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path, in_process=False)
    planted = tmp_path / "downloads" / "client_agent"
    planted.mkdir(parents=True)
    (planted / "__init__.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w')")
    monkeypatch.chdir(planted.parent)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    build(installation, pack())

    assert not (tmp_path / "planted").exists()
