"""Deltas: the signed tree comes out, or nothing is accepted and the payload is left to be tried."""

import errno
import hashlib
import io
import lzma
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client_agent.disk.folder import Folder
from client_agent.errors import Code, DeltaError, DiskError, PayloadError
from client_agent.platforms.linux import Linux
from client_agent.versions import delta as applier
from client_agent.versions.build import Base, order_for
from client_agent.versions.install import Installation
from client_agent.versions.tree import BaseFile, BaseTree
from client_agent.versions.tree_writer import TreeWriter
from rollout.delta_format import HEADER_BYTES, parse_header
from rollout.manifest import parse_manifest
from tests.agent.agent_fakes import FakeClock
from tests.agent.deltas import (
    DIR,
    END,
    KEEP,
    LINK,
    NEW,
    SAME,
    SKIP,
    Made,
    added,
    build_delta,
    delta_of,
    header_line,
    make_delta,
    name,
    new,
    patch,
    record,
    uv,
)
from tests.agent.memory import build_peak_bytes
from tests.agent.trees import (
    APP,
    NOW,
    Packed,
    Tree,
    an_installation,
    arm,
    build,
    goal_for,
    install,
    listing,
    pack,
    xz,
)

# In the order of the manifest: app is entry 0, data 1, empty 2, link 3.
OLD: Tree = {"app": APP, "data": bytes(range(100)), "empty": None, "link": "-> data"}
DATA = bytes(range(50)) + b"!" + bytes(range(51, 100)) + b"tail"
TREE: Tree = {"app": APP, "data": DATA}
BASE = pack(OLD, version="1.0")
GOAL = pack(TREE, version="2.0")
DIFFERENCE = added(DATA[:100], bytes(range(100)))
RECORD = record(100, 4)
PATCHED = patch(name("data"), 1, DATA, RECORD)
NOTHING: dict[str, object] = {"difference": b"", "literal": b"", "output_bytes": 0}


def after_app(goal: Packed) -> bytes:
    """Spell the beginning of the goal's control stream, when its app stays as it is."""
    return header_line(goal) + KEEP + uv(1)


START = after_app(GOAL)


def a_delta(control: bytes = START + PATCHED + END, **lies: object) -> Made:
    """Return the delta from BASE to GOAL, or one that is like it."""
    values: dict[str, object] = {
        "difference": DIFFERENCE,
        "literal": b"tail",
        "output_bytes": len(DATA),
        **lies,
    }
    return delta_of(BASE, GOAL, control, **values)  # type: ignore[arg-type]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    here = an_installation(tmp_path)
    install(here, BASE)
    return here


def tree_of(installation: Installation, goal: Packed, made: Made) -> Tree:
    """Build the goal from the delta; return what lies there beside the manifest."""
    built = build_delta(installation, goal, made)
    installation.verify(built)
    found = listing(installation.path_of(built))
    assert found.pop(".serinus/manifest") == goal.manifest
    return found


def refusal(installation: Installation, made: Made, goal: Packed = GOAL) -> DeltaError:
    """Build the delta and return why it was refused; nothing may be left of it."""
    before = listing(installation.versions)
    with pytest.raises(DeltaError) as caught:
        build_delta(installation, goal, made)
    assert list(installation.staging.iterdir()) == []
    assert listing(installation.versions) == before
    return caught.value


# --- what a delta can say ---------------------------------------------------------------------


def test_a_delta_becomes_its_tree(installation: Installation) -> None:
    assert tree_of(installation, GOAL, a_delta()) == TREE


def test_a_delta_keeps_files_links_and_folders(installation: Installation) -> None:
    goal = pack(OLD, version="2.0")

    made = delta_of(BASE, goal, header_line(goal) + KEEP + uv(4) + END)

    assert tree_of(installation, goal, made) == OLD


def test_a_delta_passes_over_what_is_gone(installation: Installation) -> None:
    goal = pack({"link": "-> app", "empty": None}, version="2.0")
    link = LINK + name("link") + name("app")

    control = header_line(goal) + KEEP + uv(1) + SKIP + uv(1) + KEEP + uv(1) + SKIP + uv(1) + link
    made = delta_of(BASE, goal, control + END)

    assert tree_of(installation, goal, made) == {"app": APP, "empty": None, "link": "-> app"}


def test_a_file_can_have_another_name_and_mode(installation: Installation) -> None:
    goal = pack({"app": OLD["data"], "tool": APP}, version="2.0")
    control = header_line(goal) + SAME + b"\1" + name("app") + uv(1) + SAME + b"\0" + name("tool")

    made = delta_of(BASE, goal, control + uv(0) + END)

    assert tree_of(installation, goal, made) == {"app": OLD["data"], "tool": APP}


def test_a_delta_brings_new_files_folders_and_links(installation: Installation) -> None:
    tree: Tree = {"app": APP, "n/big": b"new" * 60_000, "n/none": b"", "x": None, "y": "-> n/big"}
    goal = pack(tree, version="2.0")
    big = tree["n/big"]
    assert isinstance(big, bytes)
    parts = (
        new(name("n/big"), big),
        new(name("none", shared=2), b""),
        DIR + name("x"),
        LINK + name("y") + name("n/big"),
    )

    made = delta_of(
        BASE, goal, after_app(goal) + b"".join(parts) + END, literal=big, output_bytes=len(big)
    )

    assert tree_of(installation, goal, made) == tree


def test_names_share_bytes_with_the_one_before_even_in_the_middle_of_a_letter(
    installation: Installation,
) -> None:
    goal = pack({"n/é": b"", "n/ê": b""}, version="2.0")  # C3 A9 and C3 AA
    control = after_app(goal) + new(name("n/é"), b"") + new(name(b"\xaa", shared=3), b"") + END

    made = delta_of(BASE, goal, control)

    assert tree_of(installation, goal, made) == {"app": APP, "n/é": b"", "n/ê": b""}


@pytest.mark.parametrize(
    ("records", "content", "difference", "literal"),
    [
        ([record(100)], bytes(range(100)), bytes(100), b""),
        ([record(100)], bytes([*range(1, 100), 0]), bytes([1] * 99 + [157]), b""),
        ([record(4, runs=[0, 4])], bytes(range(4)), b"", b""),
        ([record(4, runs=[4])], bytes([255, 0, 1, 2]), b"\xff" * 4, b""),
        ([record(6, runs=[1, 2, 2, 1])], bytes([9, 1, 2, 3, 4, 5]), b"\x09\0\0", b""),
        ([record(0, runs=[]), record(1)], b"\0", b"\0", b""),
        ([record(0, seek=99), record(1, 1, -100), record(1)], b"cab", b"\0b", b"a"),
        ([record(0, 3)], b"new", b"", b"new"),
        ([record(2, 2), record(2, 2)], b"\0\1ab\2\3cd", bytes(4), b"abcd"),
        ([record(50, 0, -50), record(50, 0, 0)], bytes(range(50)) * 2, bytes(100), b""),
        ([record(0, seek=100), record(0, 1)], b"x", b"", b"x"),
        ([], b"", b"", b""),
    ],
)
def test_a_patch_is_made_of_old_bytes_sums_and_literals(
    installation: Installation,
    records: list[bytes],
    content: bytes,
    difference: bytes,
    literal: bytes,
) -> None:
    goal = pack({"data": content}, version="2.0")
    control = after_app(goal) + patch(name("data"), 1, content, *records) + END

    made = delta_of(BASE, goal, control, difference, literal, output_bytes=len(content))

    assert tree_of(installation, goal, made) == {"app": APP, "data": content}


def test_a_patch_may_start_from_a_file_of_another_name(installation: Installation) -> None:
    goal = pack({"app": APP + b"more", "data": APP}, version="2.0")
    control = (
        header_line(goal)
        + patch(name("app"), 0, APP + b"more", record(len(APP), 4), mode=1)
        + patch(name("data"), 0, APP, record(len(APP), runs=[0, len(APP)]))
    )

    made = delta_of(BASE, goal, control + END, bytes(len(APP)), b"more", output_bytes=50)

    assert 2 * len(APP) + 4 == 50
    assert tree_of(installation, goal, made) == {"app": APP + b"more", "data": APP}


@pytest.mark.parametrize("seed", range(3))
def test_large_files_of_many_short_and_long_segments_come_out_right(
    tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    content = bytearray(draw.randbytes(400_000))
    old: Tree = {"app": APP, "data": bytes(content), "z": b""}
    for _ in range(300):
        at = draw.randrange(200_000)
        content[at : at + draw.randrange(20)] = draw.randbytes(draw.randrange(20))
    content += draw.randbytes(150_000)
    tree: Tree = {"app": APP, "data": bytes(content), "z": b"not empty"}
    installation = an_installation(tmp_path)
    base, goal = pack(old, version="1.0"), pack(tree, version="2.0")
    install(installation, base)

    assert tree_of(installation, goal, make_delta(base, old, goal, tree)) == tree


def test_progress_ends_at_the_size_of_the_tree(installation: Installation) -> None:
    told: list[tuple[int, int]] = []
    made = a_delta()

    installation.build(
        io.BytesIO(made.data), GOAL.goal, lambda *pair: told.append(pair), delta=made.signed
    )

    total = len(APP) + len(DATA)
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_a_delta_is_built_the_same_in_a_child_process(tmp_path: Path) -> None:
    installation = an_installation(tmp_path, in_process=False)
    install(installation, BASE)
    made = a_delta()

    with (tmp_path / "part").open("w+b") as part:
        part.write(made.data)
        part.flush()
        built = installation.build(part, GOAL.goal, lambda _a, _b: None, delta=made.signed)
        part.seek(0)
        part.write(b"another")
        part.flush()
        with pytest.raises(DeltaError) as caught:
            installation.build(part, GOAL.goal, lambda _a, _b: None, delta=made.signed)

    installation.verify(built)
    assert (caught.value.code, caught.value.detail) == (Code.BAD_DELTA, "not a delta")


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lies", "code"),
    [
        ({"magic": b"SRNPB1\n\n"}, Code.BAD_DELTA),
        ({"magic": b"SRNPAY1\n"}, Code.BAD_DELTA),
        ({"from_manifest": bytes(32)}, Code.WRONG_BASE),
        ({"to_manifest": bytes(32)}, Code.MANIFEST_MISMATCH),
        ({"packed_bytes": [2**63, 0, 0]}, Code.OVER_CAP),
        ({"packed_bytes": [1, 2, 3]}, Code.BAD_DELTA),
        ({"packed_bytes": [512 << 20, 0, 0]}, Code.OVER_CAP),
        ({"raw_bytes": [(64 << 20) + 1, 100, 4]}, Code.OVER_CAP),
    ],
)
def test_a_header_that_lies_is_refused(
    installation: Installation, lies: dict[str, object], code: Code
) -> None:
    assert refusal(installation, a_delta(START + PATCHED + END, **lies)).code is code


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_raw_sizes_that_lie_are_refused(
    installation: Installation, stream: int, change: int
) -> None:
    sizes = [len(START + PATCHED + END), 100, 4]
    sizes[stream] += change

    assert refusal(installation, a_delta(raw_bytes=sizes)).code is Code.BAD_DELTA


@pytest.mark.parametrize("change", [-1, 1])
def test_output_sizes_that_lie_are_refused(installation: Installation, change: int) -> None:
    size = len(DATA) + change
    told = a_delta()

    in_both = refusal(installation, a_delta(output_bytes=size))
    in_the_header = refusal(
        installation, Made(data=a_delta(output_bytes=size).data, signed=told.signed)
    )

    assert {in_both.code, in_the_header.code} == {Code.BAD_DELTA}


def test_a_file_larger_than_the_release_says_is_refused(installation: Installation) -> None:
    made = a_delta(max_file_bytes=len(DATA) - 1)

    assert refusal(installation, made).code is Code.OVER_CAP


def test_a_delta_of_another_length_is_refused(installation: Installation) -> None:
    made = a_delta()

    for data in (made.data + b"\0", made.data[:-1], made.data[:128], made.data[:127], b""):
        error = refusal(installation, Made(data=data, signed=made.signed))
        assert error.code is Code.BAD_DELTA


BIG = 2**62
"""As much as nine bytes can say, nearly."""

BAD_CONTROL: list[tuple[str, bytes]] = [
    ("no operation", START + PATCHED + b"\x08" + END),
    ("no end", START + PATCHED),
    ("nothing", b""),
    ("bytes after the end", START + PATCHED + END + END),
    ("a number spelled too long", header_line(GOAL) + KEEP + b"\x81\x00" + PATCHED + END),
    ("a number of ten bytes", header_line(GOAL) + KEEP + b"\xff" * 9 + b"\1" + PATCHED + END),
    ("a number that does not end", header_line(GOAL) + KEEP + b"\xff"),
    ("keep nothing", START + KEEP + uv(0) + PATCHED + END),
    ("skip nothing", START + SKIP + uv(0) + PATCHED + END),
    ("keep past the end", header_line(GOAL) + KEEP + uv(5) + END),
    ("skip past the end", START + PATCHED + SKIP + uv(4) + END),
    ("skip far", START + PATCHED + SKIP + uv(BIG) + END),
    ("a mode of its own", START + patch(name("data"), 1, DATA, RECORD, mode=2) + END),
    ("patch a folder", START + patch(name("data"), 2, DATA, RECORD) + END),
    ("patch a link", START + patch(name("data"), 3, DATA, RECORD) + END),
    ("patch no entry", START + patch(name("data"), 4, DATA, RECORD) + END),
    ("same as a folder", START + SAME + b"\0" + name("data") + uv(2) + END),
    ("same as a link", START + SAME + b"\0" + name("data") + uv(3) + END),
    ("same as no entry", START + SAME + b"\0" + name("data") + uv(BIG) + END),
    ("copy past the old file", START + patch(name("data"), 1, DATA, record(101, 3)) + END),
    ("copy far", START + patch(name("data"), 1, DATA, record(BIG >> 1)) + END),
    ("copy past the size", START + patch(name("data"), 1, DATA, record(4), record(101)) + END),
    ("literals past the size", START + patch(name("data"), 1, DATA, record(100, 5)) + END),
    ("literals far", START + patch(name("data"), 1, DATA, record(100, BIG)) + END),
    (
        "seek before the old file",
        START + patch(name("data"), 1, DATA, record(9, 0, -10), record(91, 4)) + END,
    ),
    (
        "seek behind the old file",
        START + patch(name("data"), 1, DATA, record(50, 0, 51), record(50, 4)) + END,
    ),
    ("seek at last", START + patch(name("data"), 1, DATA, record(100, 4, 1)) + END),
    (
        "a second record without bytes",
        START + patch(name("data"), 1, DATA, record(), record(), RECORD) + END,
    ),
    ("runs over the copy", START + patch(name("data"), 1, DATA, record(100, 4, runs=[101])) + END),
    (
        "a second run of nothing",
        START + patch(name("data"), 1, DATA, record(100, 4, runs=[50, 0, 50])) + END,
    ),
    (
        "runs of nothing",
        START + patch(name("data"), 1, DATA, record(100, 4, runs=[0, 0, 100])) + END,
    ),
    ("a record that is cut", START + PATCHED[:-1]),
    ("a digest that is cut", START + PATCHED[:20]),
    ("a name that shares too much", START + SAME + b"\0" + name("", shared=999) + uv(1) + END),
    ("a name too long", START + SAME + b"\0" + uv(0) + uv(4097) + bytes(4097) + uv(1) + END),
    ("a name far too long", START + SAME + b"\0" + uv(0) + uv(BIG)),
    ("a name that is not UTF-8", START + SAME + b"\0" + name(b"\xff") + uv(1) + END),
    ("a surrogate", START + SAME + b"\0" + name(b"\xed\xa0\x80") + uv(1) + END),
]


@pytest.mark.parametrize(
    "control", [control for _, control in BAD_CONTROL], ids=[why for why, _ in BAD_CONTROL]
)
def test_a_control_stream_that_says_what_cannot_be_is_refused(
    installation: Installation, control: bytes
) -> None:
    assert refusal(installation, a_delta(control)).code is Code.BAD_DELTA


@pytest.mark.parametrize(
    ("control", "lies", "why"),
    [
        (header_line(GOAL), NOTHING, "no entries"),
        (START + SKIP + uv(1), NOTHING, "a file too few"),
        (START + KEEP + uv(1), NOTHING, "the old file"),
        (header_line(GOAL) + PATCHED, {}, "a file missing"),
        (header_line(GOAL) + PATCHED + KEEP + uv(1), {}, "another order"),
        (START + patch(name("date"), 1, DATA, RECORD), {}, "another name"),
        (START + patch(name("data"), 1, DATA, RECORD, mode=1), {}, "another mode"),
        (START + patch(name("data"), 1, DATA[:-4] + b"TAIL", RECORD), {}, "another digest"),
        (START + PATCHED + DIR + name("more"), {}, "a folder too many"),
        (START + PATCHED + LINK + name("more") + name("data"), {}, "a link too many"),
        (after_app(BASE) + PATCHED, {}, "another version"),
    ],
)
def test_a_control_stream_that_leads_to_another_manifest_is_refused(
    installation: Installation, control: bytes, lies: dict[str, object], why: str
) -> None:
    made = a_delta(control + END, **lies)

    assert refusal(installation, made).code is Code.MANIFEST_MISMATCH, why


HEADER = GOAL.manifest.split(b"\n", 1)[0].decode()
APP_LINE = GOAL.manifest.split(b"\n")[1].decode()
SAME_DATA = f"f\t644\t100\t{hashlib.sha256(bytes(range(100))).hexdigest()}\t"


@pytest.mark.parametrize(
    ("lines", "operations", "code"),
    [
        ([f"{SAME_DATA}../x"], SAME + b"\0" + name("../x") + uv(1), Code.BAD_NAME),
        ([f"{SAME_DATA}/x"], SAME + b"\0" + name("/x") + uv(1), Code.BAD_NAME),
        ([f"{SAME_DATA}.serinus/x"], SAME + b"\0" + name(".serinus/x") + uv(1), Code.BAD_NAME),
        ([f"{SAME_DATA}b\tb"], SAME + b"\0" + name("b\tb") + uv(1), Code.BAD_NAME),
        ([f"{SAME_DATA}b\nd\tc"], SAME + b"\0" + name("b\nd\tc") + uv(1), Code.BAD_NAME),
        ([f"{SAME_DATA}APP"], SAME + b"\0" + name("APP") + uv(1), Code.BAD_NAME),
        (["d\tapp"], DIR + name("app"), Code.BAD_NAME),
        (["l\t/etc\tx"], LINK + name("x") + name("/etc"), Code.BAD_NAME),
        (["l\tapp/..\tx"], LINK + name("x") + name("app/.."), Code.BAD_NAME),
        (["d\tz", "d\tx"], DIR + name("z") + DIR + name("x"), Code.BAD_MANIFEST),
    ],
)
def test_a_manifest_that_no_agent_accepts_is_refused_even_when_signed(
    installation: Installation, lines: list[str], operations: bytes, code: Code
) -> None:
    """Hostile names, by operations that are possible, in a delta and a manifest that are signed."""
    spelled = "\n".join([HEADER, APP_LINE, *lines, ""]).encode()
    goal = Packed(payload=b"", manifest=spelled, goal=goal_for(spelled, b"", version="2.0"))
    made = delta_of(BASE, goal, after_app(goal) + operations + END)

    assert refusal(installation, made, goal).code is code


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace("serinus-manifest", "serinus"),
        HEADER.replace("\tapp", ""),
        HEADER.replace("2.0", "2.00"),
        f"{HEADER}\n{APP_LINE}",
    ],
)
def test_a_header_line_that_is_none_is_refused_even_when_signed(
    installation: Installation, header: str
) -> None:
    spelled = f"{header}\n{APP_LINE}\n".encode()
    goal = Packed(payload=b"", manifest=spelled, goal=goal_for(spelled, b"", version="2.0"))
    made = delta_of(BASE, goal, name(header) + KEEP + uv(1) + END)

    assert refusal(installation, made, goal).code is Code.BAD_MANIFEST


@pytest.mark.parametrize(
    "other",
    [
        {"tree_bytes": len(APP) + len(DATA) + 1, "files": 2},
        {"tree_bytes": len(APP) + len(DATA), "files": 3},
        {"tree_bytes": len(APP) + len(DATA), "files": 2, "version": "2.1"},
        {"tree_bytes": len(APP) + len(DATA), "files": 2, "platform": "linux-arm64"},
    ],
)
def test_a_tree_that_the_release_document_does_not_describe_is_refused(
    installation: Installation, other: dict[str, str | int]
) -> None:
    values: dict[str, str | int] = {"version": "2.0", **other}
    goal = goal_for(GOAL.manifest, GOAL.payload, **values)  # type: ignore[arg-type]
    packed = Packed(payload=b"", manifest=GOAL.manifest, goal=goal)

    assert refusal(installation, a_delta(), packed).code is Code.MANIFEST_MISMATCH


def test_more_entries_than_a_manifest_may_have_are_refused(installation: Installation) -> None:
    folders = (DIR + name("", shared=1)) * 100_001

    error = refusal(installation, a_delta(header_line(GOAL) + folders + END))

    assert (error.code, error.detail) == (Code.OVER_CAP, "more than 100000 entries")


def test_a_manifest_over_its_cap_is_refused(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "MAX_MANIFEST_BYTES", len(GOAL.manifest) - 1)
    assert refusal(installation, a_delta()).code is Code.OVER_CAP

    monkeypatch.setattr(applier, "MAX_MANIFEST_BYTES", len(GOAL.manifest))
    assert tree_of(installation, GOAL, a_delta()) == TREE


def test_a_file_over_its_cap_is_refused(installation: Installation) -> None:
    huge = NEW + b"\0" + name("huge") + uv((4 << 30) + 1) + bytes(32)

    assert refusal(installation, a_delta(START + huge + END)).code is Code.OVER_CAP


STREAMS = (START + PATCHED + END, DIFFERENCE, b"tail")


def changed(stream: int, content: bytes) -> Made:
    """Return the delta with another stream in the place of one of its own."""
    packed = [xz(each) for each in STREAMS]
    packed[stream] = content
    return a_delta(packed=packed)


@pytest.mark.parametrize("stream", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: xz(data)[:-1],
        lambda data: xz(data) + bytes(4),
        lambda data: xz(data) + xz(b""),
        lambda data: xz(data, check=lzma.CHECK_NONE),
        lambda data: xz(data, dictionary=12 << 20),
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
        lambda data: xz(data + b"\0"),
        lambda data: xz(data[:-1]),
        lambda data: xz(data)[:-12] + bytes(12),
        lambda _: xz(bytes(1 << 24)),
        lambda _: b"",
    ],
)
def test_streams_that_are_not_what_the_header_says_are_refused(
    installation: Installation, stream: int, change: Callable[[bytes], bytes]
) -> None:
    made = changed(stream, change(STREAMS[stream]))

    # Bytes that a bomb brings instead may be noticed by the file's digest first.
    assert refusal(installation, made).code in {Code.BAD_DELTA, Code.MANIFEST_MISMATCH}


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_dictionary_of_8_mib_is_accepted(installation: Installation, stream: int) -> None:
    made = changed(stream, xz(STREAMS[stream], dictionary=8 << 20))

    assert tree_of(installation, GOAL, made) == TREE


@pytest.mark.parametrize("stream", [1, 2])
def test_bytes_that_do_not_make_the_signed_file_are_refused(
    installation: Installation, stream: int
) -> None:
    made = changed(stream, xz(STREAMS[stream][:-1] + b"?"))

    assert refusal(installation, made).code is Code.MANIFEST_MISMATCH


def test_a_payload_is_no_delta(installation: Installation) -> None:
    made = Made(data=GOAL.payload, signed=a_delta().signed)

    assert refusal(installation, made).code is Code.BAD_DELTA


# --- the base ---------------------------------------------------------------------------------


def damage(installation: Installation, path: str, content: bytes | None) -> None:
    current = installation.current()
    assert current is not None
    file = installation.path_of(current) / path
    file.unlink()
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o555)


@pytest.mark.parametrize("path", ["app", "data"])
@pytest.mark.parametrize("change", ["another byte", "missing", "shorter", "a link", "a folder"])
def test_a_damaged_base_makes_no_tree(
    installation: Installation, tmp_path: Path, path: str, change: str
) -> None:
    content = OLD[path]
    assert isinstance(content, bytes)
    damaged = {"another byte": content[:-1] + b"?", "shorter": content[:-1]}
    damage(installation, path, damaged.get(change))
    current = installation.current()
    assert current is not None
    file = installation.path_of(current) / path
    if change == "a link":
        (tmp_path / "outside").write_bytes(content)
        file.symlink_to(tmp_path / "outside")
    elif change == "a folder":
        file.mkdir()

    error = refusal(installation, a_delta())

    # What is patched is looked at before; what stays as it is, while it is copied.
    assert error.code in {Code.DAMAGED, Code.MANIFEST_MISMATCH}
    assert error.detail == path


def test_the_files_that_are_patched_are_looked_at_before_anything_is_written(
    installation: Installation,
) -> None:
    damage(installation, "data", bytes(100))
    told: list[tuple[int, int]] = []
    made = a_delta()

    with pytest.raises(DeltaError) as caught:
        installation.build(
            io.BytesIO(made.data), GOAL.goal, lambda *pair: told.append(pair), delta=made.signed
        )

    assert (caught.value.code, caught.value.detail, told) == (Code.DAMAGED, "data", [])


def test_a_manifest_of_the_base_that_is_another_is_noticed(installation: Installation) -> None:
    damage(installation, ".serinus/manifest", GOAL.manifest)

    assert refusal(installation, a_delta()).code is Code.DAMAGED


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to what has no end"])
def test_a_manifest_of_the_base_that_is_no_file_stops_nobody(
    installation: Installation, kind: str
) -> None:
    current = installation.current()
    assert current is not None
    manifest = installation.path_of(current) / ".serinus" / "manifest"
    manifest.unlink()
    if kind == "pipe":
        os.mkfifo(manifest)
    elif kind == "folder":
        manifest.mkdir()
    else:
        manifest.symlink_to("/dev/zero")

    with pytest.raises(DeltaError) as caught:
        build_delta(installation, GOAL, a_delta())
    assert caught.value.code is Code.DAMAGED


def test_what_is_no_file_costs_no_descriptor(installation: Installation) -> None:
    damage(installation, "data", None)
    current = installation.current()
    assert current is not None
    (installation.path_of(current) / "data").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))

    assert refusal(installation, a_delta()).code is Code.DAMAGED
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_base_that_cannot_be_read_is_damaged() -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = BaseFile(Broken(), parse_manifest(BASE.manifest).entries[1])

    with pytest.raises(PayloadError) as caught:
        file.read_at(0, 1)

    assert (caught.value.code, caught.value.detail) == (Code.DAMAGED, "data")


def test_what_an_app_left_in_its_folder_does_not_matter(installation: Installation) -> None:
    damage(installation, "link", b"no link any more")

    assert tree_of(installation, GOAL, a_delta()) == TREE


@pytest.mark.parametrize("where", ["current", "previous", "pending", "nowhere"])
def test_the_base_may_be_any_version_that_is_here(tmp_path: Path, where: str) -> None:
    installation = an_installation(tmp_path)
    if where in {"current", "previous"}:
        install(installation, BASE)
    if where == "previous":
        install(installation, pack({"other": b""}, version="1.1"))
    if where == "pending":
        arm(installation, BASE)
    made = a_delta()

    found = installation.base_for(made.signed)

    if where == "nowhere":
        assert found is None
        assert refusal(installation, made).code is Code.WRONG_BASE
    else:
        assert found is not None
        assert found.version == BASE.goal.version
        assert tree_of(installation, GOAL, made) == TREE


def test_a_full_disk_is_no_fault_of_the_delta(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Linux, "sync_file", full)

    with pytest.raises(DiskError) as caught:
        build_delta(installation, GOAL, a_delta())

    assert caught.value.code is Code.NO_SPACE
    assert list(installation.staging.iterdir()) == []


def test_a_part_that_changes_after_it_was_looked_at_brings_no_other_name(tmp_path: Path) -> None:
    """Somebody who may write to the part puts another delta there, between the two passes."""
    old, new_folder = tmp_path / "a/old", tmp_path / "a/new"
    for folder in (old, new_folder):
        folder.mkdir(parents=True)
    (old / "app").write_bytes(APP)
    (old / "data").write_bytes(bytes(range(100)))
    (old / "app").chmod(0o555)
    base = parse_manifest(BASE.manifest)
    made = a_delta()
    hostile = a_delta(START + patch(name("../../x"), 1, DATA, RECORD) + END)
    opened = applier.open_delta(
        io.BytesIO(made.data),
        base,
        from_manifest=made.signed.from_manifest,
        to_manifest=GOAL.goal.manifest_sha256,
        output_bytes=len(DATA),
        max_file_bytes=len(DATA),
    )
    swapped = replace(
        opened, file=io.BytesIO(hostile.data), header=parse_header(hostile.data[:HEADER_BYTES])
    )

    with (
        Folder.opened(old, by_descriptor=True) as there,
        Folder.opened(new_folder, by_descriptor=True) as here,
    ):
        tree = BaseTree(there, base, Linux())
        writer = TreeWriter(here, opened.manifest, Linux(), lambda _written, _total: None)
        with pytest.raises(DeltaError) as caught:
            applier.apply_delta(swapped, tree, writer)

    assert caught.value.detail == "not the control stream that it was"
    assert not (tmp_path / "x").exists()


# --- files that stay as they are --------------------------------------------------------------


class Cloning(Linux):
    """A file system that can share blocks; what it shares is noted, and copied."""

    def __init__(self) -> None:
        super().__init__()
        self.cloned: list[str] = []

    def clone_file(self, source: int, folder: int, name: str) -> bool:
        self.cloned.append(name)
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
        os.sendfile(target, source, 0, os.fstat(source).st_size)
        os.close(target)
        return True


def test_what_stays_is_cloned_where_the_file_system_can(tmp_path: Path) -> None:
    platform = Cloning()
    installation = an_installation(tmp_path, platform=platform)
    install(installation, BASE)

    assert tree_of(installation, GOAL, a_delta()) == TREE
    assert platform.cloned == ["app"]


def test_a_damaged_file_that_was_cloned_is_noticed_when_the_tree_is_read(tmp_path: Path) -> None:
    installation = an_installation(tmp_path, platform=Cloning())
    install(installation, BASE)
    damage(installation, "app", APP[:-1] + b"?")

    error = refusal(installation, a_delta())

    assert (error.code, error.detail) == (Code.DAMAGED, "app")


def linking(folder: Path, platform: Linux | None = None) -> Installation:
    """Return an installation that shares by hard links, with BASE current."""
    root = folder / "root"
    Installation.create_root(root)
    installation = Installation(
        root, platform or Linux(), FakeClock(NOW), in_process=True, hard_links=True
    )
    installation.prepare()
    install(installation, BASE)
    return installation


def inode(installation: Installation, directory: str, path: str) -> int:
    return (installation.versions / directory / path).stat().st_ino


class ByPath(Linux):
    by_descriptor = False


@pytest.mark.parametrize("platform", [Linux(), ByPath()])
def test_what_stays_is_linked_only_where_that_is_asked_for(tmp_path: Path, platform: Linux) -> None:
    with_links = linking(tmp_path / "a", platform)
    without = an_installation(tmp_path / "b", platform=platform)
    install(without, BASE)

    for installation, shared in ((with_links, True), (without, False)):
        built = build_delta(installation, GOAL, a_delta())
        installation.verify(built)
        old = installation.current()
        assert old is not None
        for path, same in (("app", shared), ("data", False)):
            one, other = (inode(installation, each.directory, path) for each in (old, built))
            assert (one == other) is same


def test_a_file_with_another_mode_is_not_linked(tmp_path: Path) -> None:
    installation = linking(tmp_path)
    goal = pack({"tool": APP}, version="2.0")
    control = after_app(goal) + SAME + b"\0" + name("tool") + uv(0) + END

    built = build_delta(installation, goal, delta_of(BASE, goal, control))

    folder = installation.path_of(built)
    assert (folder / "app").stat().st_nlink == 2
    assert (folder / "tool").stat().st_nlink == 1
    assert (folder / "tool").stat().st_mode & 0o777 == 0o444


def test_a_file_that_somebody_can_write_to_is_not_linked(tmp_path: Path) -> None:
    installation = linking(tmp_path)
    current = installation.current()
    assert current is not None
    old = installation.path_of(current) / "app"
    old.chmod(0o757)

    built = build_delta(installation, GOAL, a_delta())
    old.write_bytes(b"what the new version must not become")

    installation.verify(built)


def test_a_base_whose_folder_is_gone_is_the_deltas_fault_even_with_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    Installation.create_root(root)
    installation = Installation(root, Linux(), FakeClock(NOW), in_process=True, hard_links=True)
    installation.prepare()
    old, goal = pack({"a/kept": b"kept"}, version="1.0"), pack({"a/kept": b"kept"}, version="2.0")
    install(installation, old)
    current = installation.current()
    assert current is not None
    shutil.rmtree(installation.path_of(current) / "a")
    control = header_line(goal) + KEEP + uv(2) + END

    error = refusal(installation, delta_of(old, goal, control), goal)

    assert (error.code, error.detail) == (Code.DAMAGED, "a/kept")


def test_what_cannot_be_linked_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    installation = linking(tmp_path)
    monkeypatch.setattr(os, "link", elsewhere)

    assert tree_of(installation, GOAL, a_delta()) == TREE


def test_the_payload_is_built_when_its_delta_was_refused(installation: Installation) -> None:
    damage(installation, "data", bytes(100))
    refusal(installation, a_delta())

    built = build(installation, GOAL)

    installation.verify(built)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    """A file of 40 MiB, patched in a process of its own: it cannot be held there whole."""
    size = 40 << 20
    old = {"app": APP, "data": bytes(size)}
    content = bytearray(size)
    difference = bytearray(size // 2)
    for at in range(0, size // 2, 4_096):
        content[at] = difference[at] = at >> 12 & 255
    tree = {"app": APP, "data": bytes(content)}
    base, goal = pack(old, version="1.0"), pack(tree, version="2.0")
    installation = an_installation(tmp_path)
    current = install(installation, base)
    records = [record(size // 2), record(size // 2, runs=[0, size // 2])]
    control = after_app(goal) + patch(name("data"), 1, tree["data"], *records) + END
    made = delta_of(base, goal, control, bytes(difference), output_bytes=size)
    part, folder = tmp_path / "part", tmp_path / "new"
    part.write_bytes(made.data)
    folder.mkdir()
    order = order_for(
        goal.goal.release,
        base=Base(
            folder=str(installation.path_of(current)),
            manifest_sha256=current.manifest_sha256,
            output_bytes=size,
            max_file_bytes=size,
        ),
    )

    peak = build_peak_bytes(part, order, folder)

    assert peak <= 32 << 20
    assert (folder / "data").read_bytes() == tree["data"]
