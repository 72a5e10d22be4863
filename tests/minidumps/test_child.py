"""The process that reads minidumps, and what it may do."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashes.real_dumps import NAMES, real_dump
from update_server.crashes.minidump import parse_minidump
from update_server.minidumps import child
from update_server.minidumps.answers import MAX_ANSWER_BYTES
from update_server.minidumps.child import MAX_DUMP_BYTES, Answer, answerer, serve

ROOT = Path(__file__).parents[2]


def outcome(*statements: str) -> str:
    """Return how a process ends that runs *statements* one after the other."""
    lines = "".join(f"    {one}\n" for one in statements)
    program = (
        "import errno, os, signal, socket, sys, tempfile\n"
        "from update_server.minidumps import child\n"
        f"try:\n{lines}"
        "except BaseException as error:\n"
        "    print(type(error).__name__, errno.errorcode.get(getattr(error, 'errno', None), ''))\n"
        "else:\n"
        "    print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or f"ended by signal {-done.returncode}"


@pytest.mark.parametrize(
    ("before", "act", "error"),
    [
        ("", "socket.socket()", "OSError EMFILE"),
        ("", "socket.socket(socket.AF_UNIX)", "OSError EMFILE"),
        ("", "os.close(2); socket.socket()", "OSError EMFILE"),
        ("", "open('/etc/passwd')", "OSError EMFILE"),
        ("", "os.pipe()", "OSError EMFILE"),
        ("file = tempfile.TemporaryFile(buffering=0)", "file.write(b'x')", "OSError EFBIG"),
        ("", "bytes(600 << 20)", "MemoryError"),
    ],
)
def test_it_can_open_nothing_write_no_file_and_not_grow(before: str, act: str, error: str) -> None:
    statements = (before or "pass", act)

    assert outcome(*statements) == "done"  # but for what it gave up
    assert outcome(statements[0], "child.give_up_rights()", act) == error


def test_it_takes_no_more_than_its_time() -> None:
    assert outcome("child.limit_cpu(0.05)", "while True: pass") == "ended by signal 27"
    assert outcome("child.limit_cpu(0.05)", "child.limit_cpu(0)", "sum(range(10**7))") == "done"


def test_it_imports_what_it_was_shipped_with_and_the_reader() -> None:
    program = (
        "import runpy, sys\n"
        f"names = runpy.run_path({child.__file__!r})\n"
        f"sys.path.append({str(ROOT)!r})\n"
        "names['answerer']()\n"
        "shipped = sys.stdlib_module_names | {'encodings', '__main__'}\n"
        "print(*(n for n in sys.modules if n.partition('.')[0] not in shipped))\n"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )

    others = [
        name
        for name in done.stdout.split()
        if not name.startswith("update_server.crashes") and name != "update_server"
    ]
    assert others == []
    assert "update_server.crashes.minidump.walk" in done.stdout


# --- what it says ----------------------------------------------------------------------------


def framed(*parts: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(struct.pack("<I", len(part)) + part for part in parts))


def answers_in(told: io.BytesIO) -> list[Answer]:
    told.seek(0)
    found: list[Answer] = []
    while head := told.read(4):
        found.append(json.loads(told.read(*struct.unpack("<I", head))))
    return found


def length(data: bytes) -> Answer:
    return {"length": len(data)}


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_what_a_dump_says(name: str) -> None:
    dump = parse_minidump(real_dump(name))

    answer = answerer()(real_dump(name))

    assert answer["error"] == dump.report.last.type
    assert answer["frames"] == [
        {
            "module": frame.module,
            "in_app": frame.in_app,
            "offset": frame.offset,
            "debug_id": frame.debug_id,
        }
        for frame in dump.report.frames
    ]
    assert answer["main_debug_id"] == dump.main_debug_id
    assert len(json.dumps(answer)) < MAX_ANSWER_BYTES


def test_it_answers_why_a_dump_is_malformed() -> None:
    assert answerer()(b"MDMP") == {"malformed": "the header ends outside of it"}


def test_it_answers_one_dump_after_the_other_each_in_its_time() -> None:
    told, limits = io.BytesIO(), list[float]()

    serve(framed(b"one", b"", b"three"), told, length, limits.append)

    assert answers_in(told) == [{"length": 3}, {"length": 0}, {"length": 5}]
    assert limits == [2.0, 0] * 3


@pytest.mark.parametrize(
    "end", [b"", b"\x01", struct.pack("<I", 9) + b"short", struct.pack("<I", MAX_DUMP_BYTES + 1)]
)
def test_it_ends_where_no_whole_dump_comes(end: bytes) -> None:
    told = io.BytesIO()

    serve(io.BytesIO(framed(b"one").getvalue() + end), told, length, lambda _: None)

    assert answers_in(told) == [{"length": 3}]
