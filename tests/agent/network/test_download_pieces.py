"""Downloads of files with signed pieces: a bad mirror costs a piece, and any mirror goes on."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client_agent.errors import Code, TrustError
from client_agent.machine.values import TargetInfo
from rollout.pieces import PIECE_BYTES, render_pieces
from tests.agent.network.test_download import Bench, ranges
from tests.agent.signed_world import ranged
from tests.agent.web_server import Asked, Reply, WebServer

DATA = random.Random(6).randbytes(2 * PIECE_BYTES + 1000)
PIECES = render_pieces([DATA])
PATH = "demo/releases/stable/linux-x86_64/2.1.0/demo-2.1.0.srn"


def a_file(path: str, data: bytes) -> TargetInfo:
    return TargetInfo(path=path, sha256=hashlib.sha256(data).hexdigest(), length_bytes=len(data))


TARGET = replace(a_file(PATH, DATA), pieces=a_file(f"{PATH}.pieces", PIECES))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Files:
    """A server of the file and its pieces, either of which a test may replace."""

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.data: bytes = DATA
        self.pieces: bytes | None = PIECES
        server.default = self.answer

    def answer(self, asked: Asked) -> Reply:
        if not asked.path.endswith(".pieces"):
            return ranged(asked, self.data)
        return Reply(status=404) if self.pieces is None else ranged(asked, self.pieces)

    def ranges(self) -> list[str]:
        """Return the ranges asked of the file itself."""
        whole = [asked for asked in self.server.asked if not asked.path.endswith(".pieces")]
        self.server.asked[:] = whole
        return ranges(self.server)


@pytest.fixture
def files() -> Iterator[Files]:
    with WebServer() as server:
        yield Files(server)


@pytest.fixture
def mirror() -> Iterator[Files]:
    with WebServer() as server:
        yield Files(server)


def wrong_in_piece(number: int) -> bytes:
    at = number * PIECE_BYTES + 77
    return DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]


def test_a_file_with_pieces_is_fetched_like_any_other(bench: Bench, files: Files) -> None:
    with bench.fetch(files.server, target=TARGET) as part:
        assert part.read() == DATA

    assert files.server.paths()[0].endswith(".pieces")
    assert files.ranges() == [""]


def test_a_wrong_piece_is_noticed_at_its_end_and_the_right_ones_are_kept(
    bench: Bench, files: Files, mirror: Files
) -> None:
    files.data = wrong_in_piece(1)

    with bench.fetch(files.server, mirror.server, target=TARGET) as part:
        assert part.read() == DATA

    assert mirror.ranges() == [f"bytes={PIECE_BYTES}-"]
    assert max(done for done, _ in bench.seen[: len(bench.seen) // 2]) <= 2 * PIECE_BYTES


def test_without_pieces_the_same_mirror_costs_the_whole_file(
    bench: Bench, files: Files, mirror: Files
) -> None:
    """The control of the test before."""
    files.data = wrong_in_piece(1)

    with bench.fetch(files.server, mirror.server, target=replace(TARGET, pieces=None)) as part:
        assert part.read() == DATA

    assert mirror.ranges() == [""]


def test_another_mirror_goes_on_behind_the_last_whole_piece(
    bench: Bench, files: Files, mirror: Files
) -> None:
    cut = PIECE_BYTES + 500_000
    broken = Reply(
        body=iter([DATA[:cut]]), headers={"ETag": '"x"', "Content-Length": str(len(DATA))}
    )
    good = files.server.default
    files.server.default = lambda asked: good(asked) if "pieces" in asked.path else broken

    with bench.fetch(files.server, mirror.server, target=TARGET) as part:
        assert part.read() == DATA

    assert mirror.ranges() == [f"bytes={PIECE_BYTES}-"]
    assert all("if-range" not in asked.headers for asked in mirror.server.asked)


def test_a_mirror_that_begins_anew_takes_nothing_away(
    bench: Bench, files: Files, mirror: Files
) -> None:
    files.data = wrong_in_piece(1)
    headers = {"Content-Length": str(len(DATA))}
    mirror.server.default = lambda asked: (
        ranged(asked, PIECES)
        if asked.path.endswith(".pieces")
        else Reply(body=iter([DATA[: PIECE_BYTES // 2]]), headers=headers)
    )

    with pytest.raises(TrustError):
        bench.fetch(files.server, mirror.server, target=TARGET)

    part = bench.folder / f"{TARGET.sha256}.part"
    assert part.read_bytes()[:PIECE_BYTES] == DATA[:PIECE_BYTES]


def test_a_server_without_ranges_ends_what_another_began(
    bench: Bench, files: Files, mirror: Files
) -> None:
    files.data = wrong_in_piece(1)
    mirror.server.default = lambda asked: (
        ranged(asked, PIECES) if asked.path.endswith(".pieces") else Reply(body=DATA)
    )

    with bench.fetch(files.server, mirror.server, target=TARGET) as part:
        assert part.read() == DATA


def test_a_part_with_a_damaged_piece_keeps_what_comes_before_it(bench: Bench, files: Files) -> None:
    (bench.folder / f"{TARGET.sha256}.part").write_bytes(wrong_in_piece(1))

    with bench.fetch(files.server, target=TARGET) as part:
        assert part.read() == DATA

    assert files.ranges() == [f"bytes={PIECE_BYTES}-"]


def test_garbage_behind_the_last_piece_is_not_the_mirrors_fault(bench: Bench, files: Files) -> None:
    """After a power cut the part may end in bytes that nobody sent."""
    (bench.folder / f"{TARGET.sha256}.part").write_bytes(DATA[:PIECE_BYTES] + bytes(1000))
    tag = ranged(Asked(method="GET", path="", headers={}), DATA).headers["ETag"]
    journal = bench.folder / f"{TARGET.sha256}.json"
    journal.write_text(json.dumps({"base": files.server.url, "etag": tag}))

    with bench.fetch(files.server, target=TARGET) as part:
        assert part.read() == DATA

    assert files.ranges() == [f"bytes={PIECE_BYTES + 1000}-", f"bytes={PIECE_BYTES}-"]


@pytest.mark.parametrize("pieces", [None, b"wrong" * 100])
def test_pieces_that_cannot_be_had_are_done_without(
    bench: Bench, files: Files, pieces: bytes | None
) -> None:
    files.pieces = pieces

    with bench.fetch(files.server, target=TARGET) as part:
        assert part.read() == DATA


def test_pieces_of_another_file_let_nothing_pass(bench: Bench, files: Files) -> None:
    """The publisher signed pieces that contradict the file: neither is believed."""
    files.data = other = wrong_in_piece(0)
    files.pieces = lying = render_pieces([other])
    target = replace(a_file(PATH, DATA), pieces=a_file(f"{PATH}.pieces", lying))

    with pytest.raises(TrustError) as caught:
        bench.fetch(files.server, target=target)

    assert caught.value.code is Code.HASH_MISMATCH
    assert (bench.folder / f"{TARGET.sha256}.part").read_bytes() == b""
