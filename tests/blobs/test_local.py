"""Blobs in a local directory: durable, whole, and safe among processes."""

import errno
import fcntl
import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from update_server.blobs import LocalBlobs
from update_server.service.ports import (
    BusyError,
    ChangedError,
    ExistsError,
    NotFoundError,
)

DATA = b"some bytes"
SHA = hashlib.sha256(DATA).hexdigest()
TIMESTAMP = "apps/demo/tuf/timestamp.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def blobs(root: Path) -> LocalBlobs:
    return LocalBlobs(root)


def leftovers(root: Path) -> list[str]:
    return [path.name for name in (".tmp", "uploads") for path in (root / name).iterdir()]


def test_what_is_published_is_readable_by_a_file_server(blobs: LocalBlobs, root: Path) -> None:
    before = os.umask(0o077)
    try:
        blobs.create("a/created", DATA)
        blobs.swap("a/swapped", DATA, None)
        blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))
    finally:
        os.umask(before)

    for key in ("a/created", "a/swapped", f"blobs/demo/{SHA}"):
        assert (root / key).stat().st_mode & 0o777 == 0o644


def test_a_second_process_finds_what_the_first_wrote(blobs: LocalBlobs, root: Path) -> None:
    blobs.create("a/b", DATA)
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA[:4]))

    other = LocalBlobs(root)

    assert other.read("a/b") == DATA
    assert other.upload_offset("demo", SHA) == 4


def test_nothing_is_left_behind_by_success_or_refusal(blobs: LocalBlobs, root: Path) -> None:
    blobs.create("a", DATA)
    with pytest.raises(ExistsError):
        blobs.create("a", b"other")
    with pytest.raises(ChangedError):
        blobs.swap("a", b"other", None)
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))

    assert leftovers(root) == []


def test_a_name_below_a_file_is_taken(blobs: LocalBlobs) -> None:
    blobs.create("a/b", DATA)

    with pytest.raises(ExistsError):
        blobs.create("a/b/c", DATA)
    with pytest.raises(ExistsError):
        blobs.create("a", DATA)
    with pytest.raises(ExistsError):
        blobs.copy("a/b", "a")


def test_links_and_pipes_are_no_blobs(blobs: LocalBlobs, root: Path) -> None:
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")

    for key in ("link", "pipe"):
        with pytest.raises(NotFoundError):
            blobs.open(key)


def test_a_copy_shares_the_bytes(blobs: LocalBlobs, root: Path) -> None:
    blobs.create("private/x", DATA)

    blobs.copy("private/x", "public/x")

    assert (root / "private/x").samefile(root / "public/x")


def test_a_copy_where_links_are_impossible_has_bytes_of_its_own(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.create("private/x", DATA)
    link = os.link

    def across_disks(source: Path, target: Path) -> None:
        if "private" in source.parts:
            raise OSError(errno.EXDEV, "across disks")
        link(source, target)

    monkeypatch.setattr(os, "link", across_disks)
    blobs.copy("private/x", "public/x")
    blobs.copy("private/x", "public/x")

    assert (root / "public/x").read_bytes() == DATA
    assert not (root / "private/x").samefile(root / "public/x")


def test_an_error_that_is_not_about_links_is_told(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.create("private/x", DATA)

    def broken(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, f"{source} {target}")

    monkeypatch.setattr(os, "link", broken)
    with pytest.raises(OSError, match="private"):
        blobs.copy("private/x", "public/x")


def test_bytes_are_durable_before_their_name_and_the_name_before_the_return(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link, replace = os.fsync, os.link, Path.replace

    def note_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().parent.name}")
        fsync(descriptor)

    def note_link(source: Path, target: Path) -> None:
        steps.append("name")
        link(source, target)

    def note_replace(source: Path, target: Path) -> Path:
        steps.append("name")
        return replace(source, target)

    blobs.create("a/old", b"")
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "link", note_link)
    monkeypatch.setattr(Path, "replace", note_replace)

    blobs.create("a/new", DATA)
    blobs.swap("a/new", b"other", DATA)

    assert steps == ["sync .tmp", "name", f"sync {root.name}"] * 2


# --- at once ---


def at_once(calls: list[Callable[[], object]]) -> list[bool]:
    """Run *calls* in threads; return which of them were not refused."""
    done = [False] * len(calls)
    start = threading.Barrier(len(calls))

    def run(place: int) -> None:
        start.wait()
        try:
            calls[place]()
        except (ExistsError, ChangedError):
            return
        done[place] = True

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def test_of_many_creators_one_wins(blobs: LocalBlobs) -> None:
    for n in range(20):
        key = f"a/{n}"
        calls: list[Callable[[], object]] = [
            partial(blobs.create, key, b"one"),
            partial(blobs.create, key, b"two"),
            partial(blobs.swap, key, b"three", None),
            partial(blobs.swap, key, b"four", None),
        ]

        won = at_once(calls)

        assert sum(won) == 1
        assert blobs.read(key) == (b"one", b"two", b"three", b"four")[won.index(True)]


COUNT = """
import sys
from pathlib import Path
from update_server.blobs import LocalBlobs
from update_server.service.ports import ChangedError

blobs = LocalBlobs(Path(sys.argv[1]))
for _ in range(50):
    while True:
        old = blobs.read("counter")
        try:
            blobs.swap("counter", str(int(old) + 1).encode(), old)
            break
        except ChangedError:
            continue
"""


def test_processes_that_swap_lose_no_change(blobs: LocalBlobs, root: Path) -> None:
    blobs.create("counter", b"0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(root)]) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]

    assert blobs.read("counter") == b"150"


WRITE_FOR_EVER = """
import hashlib, itertools, sys
from pathlib import Path
from update_server.blobs import LocalBlobs

blobs = LocalBlobs(Path(sys.argv[1]))
present = set(blobs.list(""))
old = blobs.read("timestamp") if "timestamp" in present else None
for n in itertools.count(len(present)):
    data = str(n).encode() * 20_000
    blobs.create(f"all/{hashlib.sha256(data).hexdigest()}", data)
    new = hashlib.sha256(data).hexdigest().encode()
    blobs.swap("timestamp", new, old)
    old = new
    print(n, flush=True)
"""


def test_a_process_killed_while_writing_leaves_only_whole_blobs(
    blobs: LocalBlobs, root: Path
) -> None:
    for round_ in range(4):
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(3 + 5 * round_):
                process.stdout.readline()
            process.kill()

        for key in blobs.list("all/"):
            assert hashlib.sha256(blobs.read(key)).hexdigest() == key.removeprefix("all/")
        assert f"all/{blobs.read('timestamp').decode()}" in blobs.list("all/")


# --- uploads ---


class NestedUpload(io.BytesIO):
    """A stream that tries the same upload again while it is read."""

    def __init__(self, blobs: LocalBlobs) -> None:
        super().__init__(DATA)
        self.blobs = blobs
        self.refused = False

    def read(self, size: int | None = -1) -> bytes:
        try:
            self.blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))
        except BusyError:
            self.refused = True
        return super().read(size)


def test_one_upload_of_the_same_bytes_goes_on_at_a_time(blobs: LocalBlobs) -> None:
    stream = NestedUpload(blobs)

    blobs.append("demo", SHA, 0, len(DATA), stream)

    assert stream.refused
    assert blobs.read(f"blobs/demo/{SHA}") == DATA


def test_an_upload_finished_by_another_between_open_and_lock_is_told(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def after_another_finished(file: io.FileIO, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        LocalBlobs(root).append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", after_another_finished)
    with pytest.raises(BusyError):
        blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))

    assert blobs.read(f"blobs/demo/{SHA}") == DATA
    assert leftovers(root) == []


def test_an_upload_interrupted_just_before_its_end_is_finished(
    blobs: LocalBlobs, root: Path
) -> None:
    (root / "uploads" / f"demo.{SHA}.part").write_bytes(DATA)

    assert (blobs.upload_offset("demo", SHA), blobs.upload_done("demo", SHA)) == (len(DATA), False)
    assert blobs.append("demo", SHA, len(DATA), len(DATA), io.BytesIO()) == len(DATA)

    assert blobs.upload_done("demo", SHA)
    assert leftovers(root) == []


DISK_FULL = """
import hashlib, io, resource, sys
from pathlib import Path
from update_server.blobs import LocalBlobs
from update_server.service.ports import UnavailableError

blobs = LocalBlobs(Path(sys.argv[1]))
without_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, without_limit[1]))
data = b"x" * 5000
sha256 = hashlib.sha256(data).hexdigest()
for write in (
    lambda: blobs.create("a", data),
    lambda: blobs.swap("a", data, None),
    lambda: blobs.append("demo", sha256, 0, len(data), io.BytesIO(data)),
):
    try:
        write()
    except UnavailableError:
        continue
    sys.exit("not refused")
assert blobs.upload_offset("demo", sha256) == 1000
resource.setrlimit(resource.RLIMIT_FSIZE, without_limit)
"""


def test_a_full_disk_is_unavailable_and_leaves_nothing_half(blobs: LocalBlobs, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, root], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert blobs.list("") == []
    assert [path.name for path in (root / ".tmp").iterdir()] == []


def test_a_sweep_takes_finished_uploads_that_nobody_handed_in(
    blobs: LocalBlobs, root: Path
) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    for app in ("handed-in", "forgotten", "new"):
        blobs.append(app, SHA, 0, len(DATA), io.BytesIO(DATA))
        age = timedelta(days=6 if app == "new" else 8)
        os.utime(root / "blobs" / app / SHA, ((now - age).timestamp(),) * 2)
    blobs.copy(f"blobs/handed-in/{SHA}", "private/handed-in/app.srn")

    assert blobs.sweep(now, timedelta(days=7)) == 1

    assert [app for app in ("handed-in", "forgotten", "new") if blobs.upload_done(app, SHA)] == [
        "handed-in",
        "new",
    ]


def test_a_sweep_takes_what_was_given_up_and_nothing_under_way(
    blobs: LocalBlobs, root: Path
) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    for name, age in (("old", timedelta(days=8)), ("young", timedelta(days=6))):
        for path in (root / ".tmp" / name, root / "uploads" / f"{name}.part"):
            path.touch()
            os.utime(path, ((now - age).timestamp(),) * 2)
    blobs.create("kept", DATA)

    assert blobs.sweep(now, timedelta(days=7)) == 2

    assert sorted(leftovers(root)) == ["young", "young.part"]
    assert blobs.list("") == ["kept"]


def test_an_upload_that_is_a_blob_already_is_never_written_to(
    blobs: LocalBlobs, root: Path
) -> None:
    data = b"published"
    sha256 = hashlib.sha256(data).hexdigest()
    blobs.append("demo", sha256, 0, len(data), io.BytesIO(data))
    blobs.copy(f"blobs/demo/{sha256}", "private/demo/app.srn")
    # Its process died between the two names, and the blob was tidied away since.
    (root / "blobs" / "demo" / sha256).rename(root / "uploads" / f"demo.{sha256}.part")

    with pytest.raises(BusyError):
        blobs.append("demo", sha256, len(data), len(data) + 1, io.BytesIO(b"!"))

    assert blobs.read("private/demo/app.srn") == data
    assert blobs.append("demo", sha256, 0, len(data), io.BytesIO(data)) == len(data)


def test_an_upload_finished_twice_leaves_one_blob(blobs: LocalBlobs, root: Path) -> None:
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))

    assert blobs.append("demo", SHA, len(DATA), len(DATA), io.BytesIO()) == len(DATA)

    assert leftovers(root) == []


def test_other_errors_of_the_disk_are_told(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, f"descriptor {descriptor}")

    monkeypatch.setattr(os, "fsync", broken)

    with pytest.raises(OSError, match="descriptor"):
        blobs.create("a", DATA)
    with pytest.raises(OSError, match="descriptor"):
        blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))
    assert blobs.list("") == []


def test_a_blob_that_may_not_be_read_is_not_said_to_be_absent(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, f"{path} {flags}")

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(PermissionError):
        blobs.open("a")
