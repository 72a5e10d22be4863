from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from client_agent.config import NetworkSettings
from client_agent.errors import Code, DiskError, NetworkError, TrustError
from client_agent.machine.values import TargetInfo
from client_agent.network.download import Downloader, Source, Stopped, Ways, url_of
from client_agent.network.mirrors import Mirrors
from client_agent.network.transport import Transport
from client_agent.platforms.linux import Linux
from client_agent.schedule import Schedule
from tests.agent.agent_fakes import Dice, FakeClock
from tests.agent.signed_world import ranged
from tests.agent.web_server import Asked, Reply, WebServer

PATH = "demo/releases/stable/linux-x86_64/2.1.0/demo-2.1.0.srn"
DATA = bytes(range(256)) * 12_000  # 3 MB, so that the journal is written twice
MIB = 1024 * 1024


def a_target(data: bytes = DATA) -> TargetInfo:
    return TargetInfo(path=PATH, sha256=hashlib.sha256(data).hexdigest(), length_bytes=len(data))


class Bench:
    """A downloader in a folder, and servers that hold one file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trust = folder / "parts", folder / "trust"
        self.folder.mkdir()
        self.trust.mkdir()
        self.clock = FakeClock()
        self.stop = threading.Event()
        self.seen: list[tuple[int, int]] = []
        self.when_done: Callable[[int], None] = lambda _: None
        self.downloader = self.again()

    def again(self, **options: int) -> Downloader:
        """Return a new downloader on the same folder, as after a restart."""
        self.downloader = Downloader(
            self.folder,
            Linux(),
            self.clock,
            Dice(fixed=0.5),
            Schedule(),
            Mirrors(self.trust, self.clock),
            **options,
        )
        return self.downloader

    def fetch(
        self,
        *servers: WebServer,
        target: TargetInfo | None = None,
        secrets: Sequence[str] = (),
        in_foreground: Callable[[], bool] = bool,
    ) -> BinaryIO:
        sources = [
            Source(base=server.url, credentials=tuple(secrets) if index == 0 else ())
            for index, server in enumerate(servers)
        ]
        mirrors = tuple(server.url for server in servers)
        transport = Transport(servers[0].url, NetworkSettings(mirrors=mirrors), self.clock)
        ways = Ways(
            sources=sources, transport=transport, stop=self.stop, in_foreground=in_foreground
        )
        return self.downloader.fetch(target or a_target(), ways, self.note)

    def note(self, done: int, total: int) -> None:
        self.seen.append((done, total))
        self.when_done(done)

    def part(self) -> Path:
        return self.folder / f"{a_target().sha256}.part"

    def journal(self) -> Path:
        return self.folder / f"{a_target().sha256}.json"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        running.default = lambda asked: ranged(asked, DATA)
        yield running


@pytest.fixture
def mirror() -> Iterator[WebServer]:
    with WebServer() as running:
        running.default = lambda asked: ranged(asked, DATA)
        yield running


def cut_after(count: int) -> Reply:
    """Return the start of the file, with a connection that then breaks."""
    headers = {"ETag": ranged_tag(), "Content-Length": str(len(DATA))}
    return Reply(body=iter([DATA[:count]]), headers=headers)


def ranged_tag() -> str:
    return f'"{hashlib.sha256(DATA).hexdigest()[:16]}"'


def ranges(server: WebServer) -> list[str]:
    return [asked.headers.get("range", "") for asked in server.asked]


def test_the_handle_holds_the_signed_bytes_from_their_start(
    bench: Bench, server: WebServer
) -> None:
    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert server.paths() == [
        f"/targets/{PATH.rpartition('/')[0]}/{a_target().sha256}.demo-2.1.0.srn"
    ]
    assert bench.seen[-1] == (len(DATA), len(DATA))


def test_a_whole_part_is_verified_and_not_fetched_again(bench: Bench, server: WebServer) -> None:
    bench.fetch(server).close()
    server.asked.clear()

    bench.again()
    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert server.asked == []


def test_a_broken_download_goes_on_where_it_stopped(bench: Bench, server: WebServer) -> None:
    replies = iter([cut_after(2 * MIB)])
    server.default = lambda asked: next(replies, None) or ranged(asked, DATA)

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == ["", f"bytes={2 * MIB}-"]
    assert server.asked[1].headers["if-range"] == ranged_tag()
    assert bench.clock.waits == [30.0]


def test_after_a_kill_all_whole_bytes_are_used_again(bench: Bench, server: WebServer) -> None:
    replies = iter([cut_after(2 * MIB)])
    server.default = lambda asked: next(replies, None) or ranged(asked, DATA)
    bench.clock.on_wait = lambda _: bench.stop.set()  # the process ends in the pause
    with pytest.raises(Stopped):
        bench.fetch(server)
    with bench.part().open("ab") as part:
        part.write(DATA[2 * MIB : 2 * MIB + 1000])  # written, and not yet in the journal
    bench.stop.clear()

    bench.again()
    with bench.fetch(server) as whole:
        assert whole.read() == DATA

    assert ranges(server)[-1] == f"bytes={2 * MIB + 1000}-"


def test_a_stop_in_the_middle_keeps_the_part(bench: Bench, server: WebServer) -> None:
    bench.when_done = lambda done: bench.stop.set() if done >= MIB else None

    with pytest.raises(Stopped):
        bench.fetch(server)

    assert bench.downloader.missing_bytes(a_target()) <= len(DATA) - MIB
    assert bench.journal().exists()


def test_a_damaged_part_is_found_out_and_fetched_whole(bench: Bench, server: WebServer) -> None:
    bench.part().write_bytes(b"x" * MIB)
    said = {"base": server.url, "etag": ranged_tag(), "n": 5}
    bench.journal().write_text(json.dumps(said))

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == [f"bytes={MIB}-", ""]


def test_a_poisoned_mirror_that_will_not_resume_is_asked_once(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    """It sent the whole file itself, so the wrong bytes are its own."""
    bench.part().write_bytes(DATA[:MIB])
    bench.journal().write_text(json.dumps({"base": server.url, "etag": ranged_tag(), "n": 5}))
    server.default = lambda _: Reply(body=b"e" * len(DATA))

    with bench.fetch(server, mirror) as part:
        assert part.read() == DATA

    assert ranges(server) == [f"bytes={MIB}-"]


def test_no_bytes_at_all_are_verified_too(bench: Bench, server: WebServer) -> None:
    server.default = lambda _: Reply(body=b"")

    with pytest.raises(TrustError):
        bench.fetch(server, target=replace(a_target(b"x"), length_bytes=0))


def test_a_connection_that_ends_early_is_gone_on_with(bench: Bench, server: WebServer) -> None:
    replies = iter([Reply(body=[DATA[:MIB]], headers={"ETag": ranged_tag()})])
    server.default = lambda asked: next(replies, None) or ranged(asked, DATA)

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == ["", f"bytes={MIB}-"]


def test_a_part_that_is_too_long_is_discarded(bench: Bench, server: WebServer) -> None:
    bench.part().write_bytes(DATA + b"x")

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == [""]


@pytest.mark.parametrize("journal", ["", "{", '{"base": 1, "etag": 2}', "[]"])
def test_a_torn_journal_costs_the_resume_and_nothing_else(
    bench: Bench, server: WebServer, journal: str
) -> None:
    bench.part().write_bytes(DATA[:MIB])
    bench.journal().write_text(journal)

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == [""]


@pytest.mark.parametrize("etag", ["é", "Ł", "a\\r\\nX: y"])
def test_a_tag_of_the_journal_that_is_no_tag_is_not_sent(
    bench: Bench, server: WebServer, etag: str
) -> None:
    bench.part().write_bytes(DATA[:MIB])
    bench.journal().write_text(f'{{"base": "{server.url}", "etag": "{etag}"}}')

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == [""]


def test_a_changed_file_starts_over(bench: Bench, server: WebServer) -> None:
    old = {"ETag": '"old"', "Content-Length": str(len(DATA))}
    replies = iter([Reply(body=iter([b"o" * MIB]), headers=old)])
    server.default = lambda asked: next(replies, None) or ranged(asked, DATA)

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert server.asked[1].headers["if-range"] == '"old"'


def test_a_mirror_without_strong_tags_is_not_resumed(bench: Bench, server: WebServer) -> None:
    weak = {"ETag": 'W/"x"', "Content-Length": str(len(DATA))}
    replies = iter([Reply(body=iter([DATA[:MIB]]), headers=weak)])
    server.default = lambda _: next(replies, None) or Reply(body=DATA)

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == ["", ""]


def test_another_mirror_takes_over_from_its_start(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    server.default = lambda _: cut_after(MIB)

    with bench.fetch(server, mirror) as part:
        assert part.read() == DATA

    assert ranges(mirror) == [""]


def test_a_poisoned_mirror_is_barred_for_a_day(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    server.default = lambda asked: ranged(asked, b"e" * len(DATA))
    bench.fetch(server, mirror).close()
    bench.downloader.drop(a_target())
    bench.clock.advance(23 * 3600)
    bench.fetch(server, mirror).close()
    bench.downloader.drop(a_target())
    asked_at_first = len(server.asked)
    bench.clock.advance(2 * 3600)
    bench.fetch(server, mirror).close()

    assert asked_at_first == 1
    assert len(server.asked) == 2


def test_wrong_bytes_everywhere_are_a_hash_mismatch_and_leave_nothing(
    bench: Bench, server: WebServer
) -> None:
    server.default = lambda asked: ranged(asked, b"e" * len(DATA))

    with pytest.raises(TrustError) as caught:
        bench.fetch(server)

    assert caught.value.code is Code.HASH_MISMATCH
    assert bench.part().read_bytes() == b""
    assert len(server.asked) == 1


def test_a_single_mirror_that_was_barred_is_asked_again_later(
    bench: Bench, server: WebServer
) -> None:
    server.default = lambda asked: ranged(asked, b"e" * len(DATA))
    with pytest.raises(TrustError):
        bench.fetch(server)
    server.default = lambda asked: ranged(asked, DATA)

    with bench.fetch(server) as part:
        assert part.read() == DATA


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=DATA + b"x"),
        Reply(body=[DATA, b"x"]),
        Reply(body=DATA[:-1]),
    ],
)
def test_another_length_than_signed_is_refused(
    bench: Bench, server: WebServer, reply: Reply
) -> None:
    server.default = lambda _: reply

    with pytest.raises(TrustError) as caught:
        bench.fetch(server)

    assert caught.value.code is Code.LENGTH_MISMATCH
    assert bench.part().stat().st_size <= len(DATA)


def test_an_endless_file_stops_one_byte_beyond_its_length(bench: Bench, server: WebServer) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += MIB
            yield b"x" * MIB

    server.default = lambda _: Reply(body=endless())

    with pytest.raises(TrustError) as caught:
        bench.fetch(server)

    assert caught.value.code is Code.LENGTH_MISMATCH
    assert sent < len(DATA) + 16 * MIB  # what the sockets buffered


@pytest.mark.parametrize(
    "content_range", ["", "bytes 0-9/10", f"bytes {MIB}-{len(DATA) - 1}/{len(DATA) + 1}"]
)
def test_another_range_than_asked_for_is_refused(
    bench: Bench, server: WebServer, content_range: str
) -> None:
    answers = iter([cut_after(MIB)])
    wrong = Reply(status=206, body=DATA[MIB:], headers={"Content-Range": content_range})
    server.default = lambda _: next(answers, None) or wrong

    with pytest.raises(NetworkError) as caught:
        bench.fetch(server)

    assert caught.value.code is Code.UNEXPECTED_ANSWER


def test_a_partial_answer_that_nobody_asked_for_is_refused(bench: Bench, server: WebServer) -> None:
    server.default = lambda _: Reply(status=206, body=DATA)

    with pytest.raises(NetworkError):
        bench.fetch(server)


def test_a_range_that_the_mirror_does_not_have_discards_the_part(
    bench: Bench, server: WebServer
) -> None:
    answers = iter([cut_after(MIB), Reply(status=416)])
    server.default = lambda asked: next(answers, None) or ranged(asked, DATA)

    with bench.fetch(server) as part:
        assert part.read() == DATA

    assert ranges(server) == ["", f"bytes={MIB}-", ""]


def test_three_rounds_over_all_mirrors_and_no_more(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    server.default = mirror.default = lambda _: Reply(status=503)

    with pytest.raises(NetworkError) as caught:
        bench.fetch(server, mirror)

    assert caught.value.status == 503
    assert (len(server.asked), len(mirror.asked)) == (3, 3)
    assert bench.clock.waits == [30.0, 60.0]


def test_wrong_bytes_weigh_more_than_a_mirror_that_is_down(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    server.default = lambda asked: ranged(asked, b"e" * len(DATA))
    mirror.default = lambda _: Reply(status=503)

    with pytest.raises(TrustError):
        bench.fetch(server, mirror)


def test_a_group_file_is_fetched_with_the_credential_that_opens_it(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    def guarded(asked: Asked) -> Reply:
        ok = asked.headers.get("authorization") == "Bearer two"
        return ranged(asked, DATA) if ok else Reply(status=404)

    server.default = guarded
    mirror.default = lambda _: Reply(status=404)

    with bench.fetch(server, mirror, secrets=["one", "two"]) as part:
        assert part.read() == DATA

    assert len(server.asked) == 2
    assert all("authorization" not in asked.headers for asked in mirror.asked)


def test_without_the_right_credential_it_is_not_there(bench: Bench, server: WebServer) -> None:
    server.default = lambda _: Reply(status=404)

    with pytest.raises(NetworkError) as caught:
        bench.fetch(server, secrets=["one", "two"])

    assert caught.value.status == 404
    assert len(server.asked) == 6


def test_a_throttle_makes_up_for_what_came_too_fast(bench: Bench, server: WebServer) -> None:
    bench.again(max_bytes_per_second=100_000)

    bench.fetch(server).close()

    waited = sum(bench.clock.waits)
    assert waited == pytest.approx((len(DATA) - 256 * 1024) / 100_000, rel=0.01)


@pytest.mark.parametrize("lie", [0, 5, len(DATA) * 9, -1, "all"])
@pytest.mark.parametrize("here", [b"", DATA[:MIB], b"x" * MIB, DATA[:-1] + b"x"])
def test_whatever_the_journal_says_the_bytes_are_the_signed_ones(
    bench: Bench, server: WebServer, here: bytes, lie: object
) -> None:
    bench.part().write_bytes(here)
    said = {"base": server.url, "etag": ranged_tag(), "n": lie}
    bench.journal().write_text(json.dumps(said))

    with bench.fetch(server) as part:
        assert part.read() == DATA


def test_the_journal_says_no_more_than_what_is_on_the_disk(
    bench: Bench, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(
        Linux, "sync_file", lambda _, descriptor: synced.append(os.fstat(descriptor).st_size)
    )
    told: list[tuple[int, int]] = []

    def look(_: int) -> None:
        if bench.journal().exists():
            told.append((json.loads(bench.journal().read_text())["n"], max([0, *synced])))

    bench.when_done = look
    bench.fetch(server).close()

    assert all(said <= on_disk for said, on_disk in told)
    assert told[-1][0] >= len(DATA) - 2 * MIB


def test_a_kill_before_the_first_note_costs_no_byte(bench: Bench, server: WebServer) -> None:
    bench.when_done = lambda done: bench.stop.set() if done >= 200_000 else None
    with pytest.raises(Stopped):
        bench.fetch(server)
    with bench.part().open("r+b") as part:  # as after a kill: nothing was noted at the end
        part.truncate(150_000)
    bench.stop.clear()
    bench.when_done = lambda _: None

    bench.again()
    bench.fetch(server).close()

    assert ranges(server) == ["", "bytes=150000-"]


# --- pauses ------------------------------------------------------------------------------


def test_a_download_waits_while_the_app_is_in_the_foreground(
    bench: Bench, server: WebServer
) -> None:
    answers = iter([True] * 5)

    with bench.fetch(server, in_foreground=lambda: next(answers, False)) as part:
        assert part.read() == DATA

    assert bench.clock.waits == [1.0] * 5


def test_an_app_that_never_leaves_the_foreground_is_waited_for_ten_minutes(
    bench: Bench, server: WebServer
) -> None:
    with bench.fetch(server, in_foreground=lambda: True) as part:
        assert part.read() == DATA

    assert sum(bench.clock.waits) == 600.0


def test_a_pause_ends_with_the_process(bench: Bench, server: WebServer) -> None:
    bench.clock.on_wait = lambda _: bench.stop.set()

    with pytest.raises(Stopped):
        bench.fetch(server, in_foreground=lambda: True)

    assert bench.clock.waits == [1.0]


def test_what_came_is_counted_whatever_became_of_it(
    bench: Bench, server: WebServer, mirror: WebServer
) -> None:
    server.default = lambda asked: ranged(asked, b"e" * len(DATA))

    bench.fetch(server, mirror).close()

    assert bench.downloader.received_bytes == 2 * len(DATA)


def test_a_part_that_is_a_link_is_not_followed(bench: Bench, server: WebServer) -> None:
    outside = bench.folder / "outside"
    outside.write_bytes(b"")
    bench.part().symlink_to(outside)

    with pytest.raises(DiskError):
        bench.fetch(server)

    assert outside.read_bytes() == b""


def test_an_empty_target_is_one_too(bench: Bench, server: WebServer) -> None:
    server.default = lambda _: Reply(body=b"")

    with bench.fetch(server, target=a_target(b"")) as part:
        assert part.read() == b""


def test_a_dropped_part_leaves_nothing(bench: Bench, server: WebServer) -> None:
    bench.fetch(server).close()

    bench.downloader.drop(a_target())

    assert list(bench.folder.iterdir()) == []
    assert bench.downloader.missing_bytes(a_target()) == len(DATA)


def test_a_name_is_encoded_where_a_url_would_mean_something_else() -> None:
    target = TargetInfo(path="demo/a b/c+d%.srn", sha256="00" * 32, length_bytes=1)

    assert url_of("http://h", target) == f"http://h/targets/demo/a%20b/{'00' * 32}.c%2Bd%25.srn"


def test_a_part_on_a_bad_block_is_brought_anew(
    bench: Bench, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.part().write_bytes(DATA[:MIB])

    class BadBlock(io.FileIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def opened(descriptor: int, mode: str, buffering: int = -1) -> object:
        if os.fstat(descriptor).st_size == MIB:
            return BadBlock(descriptor, mode)
        return open(descriptor, mode, buffering)

    monkeypatch.setattr(os, "fdopen", opened)

    with pytest.raises(DiskError) as caught:
        bench.fetch(server)

    assert caught.value.code is Code.IO
    with bench.fetch(server) as part:
        assert part.read() == DATA
