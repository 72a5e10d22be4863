"""Processes that die, at any point, lose nothing that they acknowledged."""

import subprocess
import sys
from pathlib import Path

from tests.spool.disks import FIRST, ids
from update_server.spool import FileSpoolReader

LOSE_THE_DISK = """
import errno, os, sys
from pathlib import Path
from tests.store.values import an_event
from update_server.spool import FileSpool
from update_server.spool.writer import Disk

class Broken(Disk):
    def datasync(self, descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

FileSpool(Path(sys.argv[1]), "one", disk=Broken()).events([an_event()])
print("still here")
"""


def test_a_failed_sync_ends_the_process_at_once(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOSE_THE_DISK, folder], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr.startswith(f"serinus: the spool {FIRST}.spool is lost")


# Each thread says which events it sends and which were acknowledged, in one write a line.
SEND_FOR_EVER = """
import os, sys, threading
from pathlib import Path
from tests.store.values import a_contact, an_event
from update_server.spool import FileSpool

spool = FileSpool(Path(sys.argv[1]), sys.argv[2], rotate_bytes=20_000)

def send(thread):
    n = 0
    while True:
        names = [f"{sys.argv[2]}/{thread}/{n}/{i}" for i in range(3)]
        spool.contact(a_contact())
        spool.events([an_event(event_id=name) for name in names])
        os.write(1, (" ".join(names) + "\\n").encode())
        n += 1

for thread in range(4):
    threading.Thread(target=send, args=(thread,)).start()
"""


def test_a_kill_in_the_middle_of_a_commit_loses_nothing_acknowledged(
    folder: Path, reader: FileSpoolReader
) -> None:
    acknowledged: set[str] = set()
    for round_ in range(5):
        command = [sys.executable, "-c", SEND_FOR_EVER, str(folder), f"p{round_}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20 + 37 * round_):
                acknowledged.update(process.stdout.readline().split())
            process.kill()
            acknowledged.update(process.stdout.read().split())

    found = ids(reader)

    assert len(acknowledged) > 300
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))
    # The files of the dead are adopted: read to their ends, then removed.
    for name in reader.spools():
        end = reader.read(name, 0, 10**9)[1]
        reader.read(name, end, 1)
        assert reader.retire(name)
    # A process killed while it began a file leaves at most the empty beginning.
    assert [path.name for path in folder.iterdir() if path.stat().st_size] == []


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from tests.store.values import an_event
from update_server.service.ports import UnavailableError
from update_server.spool import FileSpool

without_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, without_limit[1]))
spool = FileSpool(Path(sys.argv[1]), "one")
acknowledged = []
for n in range(200):
    try:
        spool.events([an_event(event_id=str(n))])
        acknowledged.append(str(n))
    except UnavailableError:
        pass
resource.setrlimit(resource.RLIMIT_FSIZE, without_limit)
print(*acknowledged)
"""


def test_a_file_that_may_not_grow_refuses_and_never_loses(
    folder: Path, reader: FileSpoolReader
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, folder], capture_output=True, text=True, check=True
    )
    acknowledged = done.stdout.split()

    assert 0 < len(acknowledged) < 200
    assert acknowledged == [name for name in ids(reader) if name in acknowledged]
    assert len(set(ids(reader))) == len(ids(reader))


SEND_ONCE = """
import sys
from pathlib import Path
from tests.store.values import an_event
from update_server.spool import FileSpool

spool = FileSpool(Path(sys.argv[1]), "dying")
spool.events([an_event()])
print("sent", flush=True)
sys.stdin.read()
"""


def test_a_name_that_a_dead_process_began_its_file_by_goes_with_it(
    folder: Path, reader: FileSpoolReader
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one-000001.spool").touch()
    (folder / ".one-000001.spool").hardlink_to(folder / "one-000001.spool")

    reader.read("one-000001", 0, 1)

    assert reader.retire("one-000001")
    assert list(folder.iterdir()) == []


def test_a_dead_process_is_told_by_its_lock(folder: Path, reader: FileSpoolReader) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SEND_ONCE, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (name,) = reader.spools()
        end = reader.read(name, 0, 10**9)[1]
        reader.read(name, end, 1)
        while_it_lives = reader.retire(name)
        process.kill()

    reader.read(name, end, 1)
    assert (while_it_lives, reader.retire(name)) == (False, True)
