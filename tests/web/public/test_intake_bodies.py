"""Bodies of reports: read to their end, and no further than the limits."""

from __future__ import annotations

import gzip
import hashlib
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import brotli
import pytest

from update_server.service.ports import UnavailableError
from update_server.web.errors import MalformedError, TooLargeError
from update_server.web.public.intake import bodies
from update_server.web.public.intake.bodies import DUMP, ENVELOPE, Turns
from update_server.web.public.intake.encodings import STEP_BYTES, decoder_for

TEXT = b'{"text": "' + bytes(range(32, 127)) * 50 + b'"}'
NOISE = hashlib.shake_256(b"noise").digest(64 * 1024)


def half_noise(size: int) -> bytes:
    """Return bytes that shrink a lot, and not as much as a bomb."""
    pieces = (NOISE[at : at + 64] + bytes(1_984) for at in range(0, len(NOISE), 64))
    return (b"".join(pieces) * (size // (2 << 20) + 1))[:size]


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": raw_deflate,
    "br": brotli.compress,
}

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
}


class OneByOne(BytesIO):
    """A stream that gives less than it is asked for, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 7) if size is not None and size > 0 else size)


def a_request(data: bytes, encoding: str = "", **more: Any) -> dict[str, Any]:
    return {
        "wsgi.input": BytesIO(data),
        "wsgi.input_terminated": True,
        "HTTP_CONTENT_ENCODING": encoding,
        **more,
    }


def body_of(environ: dict[str, Any], *, is_form: bool = False) -> bytes:
    with Turns().body(environ, is_form=is_form) as body:
        return body


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("data", [b"", b"{}\n", TEXT, NOISE * 4], ids=["", "{}", "text", "large"])
def test_every_encoding_is_undone(encoding: str, data: bytes) -> None:
    packed = PACK[encoding](data)

    assert body_of(a_request(packed, encoding)) == data
    trickle = {**a_request(b"", encoding), "wsgi.input": OneByOne(packed)}
    assert body_of(trickle) == data


@pytest.mark.parametrize("length", ["0", "3", "-1", "x", ""])
def test_the_length_that_is_told_ends_nothing(length: str) -> None:
    assert body_of(a_request(TEXT, CONTENT_LENGTH=length)) == TEXT


def test_what_its_sender_gave_up_sending_is_refused() -> None:
    whole = {"CONTENT_LENGTH": str(len(TEXT))}

    assert body_of(a_request(TEXT, **whole)) == TEXT
    with pytest.raises(MalformedError):
        body_of(a_request(TEXT[:-1], **whole))


def test_in_chunks_no_length_counts() -> None:
    chunked = {"CONTENT_LENGTH": "99999999", "HTTP_TRANSFER_ENCODING": "chunked"}

    assert body_of(a_request(TEXT, **chunked)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "Deflate ", "br"])
def test_what_ends_too_early_is_refused(encoding: str) -> None:
    packed = PACK[encoding](TEXT)

    for cut in (1, 2, len(packed) // 2, len(packed) - 1):
        with pytest.raises(MalformedError):
            body_of(a_request(packed[:cut], encoding))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_what_is_something_else_or_goes_on_is_refused(encoding: str) -> None:
    for data in (TEXT, b"\x00" * 100, PACK[encoding](TEXT) + b"more"):
        with pytest.raises(MalformedError):
            body_of(a_request(data, encoding))


@pytest.mark.parametrize("encoding", ["zstd", "gzip, br", "lzma", "é", "gzip;q=1"])
def test_an_encoding_that_nobody_agreed_on_is_refused(encoding: str) -> None:
    with pytest.raises(MalformedError):
        body_of(a_request(TEXT, encoding))


class TestLimits:
    def test_an_envelope_may_be_as_large_as_the_limits_and_no_larger(self) -> None:
        most = NOISE * (ENVELOPE.packed_bytes // len(NOISE))

        assert len(body_of(a_request(most))) == ENVELOPE.packed_bytes
        with pytest.raises(TooLargeError) as caught:
            body_of(a_request(most + b"x"))
        assert (caught.value.limit, caught.value.unit) == (ENVELOPE.packed_bytes, "bytes")

    def test_it_may_become_as_large_as_the_limits_and_no_larger(self) -> None:
        most = half_noise(ENVELOPE.unpacked_bytes)
        packed = gzip.compress(most, 1)
        assert len(packed) < ENVELOPE.packed_bytes

        assert len(body_of(a_request(packed, "gzip"))) == ENVELOPE.unpacked_bytes
        with pytest.raises(TooLargeError) as caught:
            body_of(a_request(gzip.compress(most + b"x", 1), "gzip"))
        assert caught.value.limit == ENVELOPE.unpacked_bytes

    def test_with_a_minidump_it_may_be_larger(self) -> None:
        dump = b'"event.minidump"' + half_noise(13 << 20)
        assert ENVELOPE.unpacked_bytes < len(dump) < DUMP.unpacked_bytes

        assert len(body_of(a_request(gzip.compress(dump, 1), "gzip"))) == len(dump)
        with pytest.raises(TooLargeError):
            body_of(a_request(gzip.compress(dump * 3, 1), "gzip"))

    @pytest.mark.parametrize("is_form", [False, True])
    def test_nothing_is_larger_than_a_minidump(self, is_form: bool) -> None:
        body = b"event.minidump" + b"x" * DUMP.packed_bytes

        with pytest.raises(TooLargeError):
            body_of(a_request(body), is_form=is_form)

    def test_a_form_may_be_large_at_once(self) -> None:
        data = NOISE * 30

        assert body_of(a_request(data), is_form=True) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
class TestBombs:
    def test_one_costs_hardly_more_than_it_weighs(self, encoding: str) -> None:
        bomb = PACK[encoding](bytes(64 << 20))
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError):
                body_of(a_request(bomb, encoding), is_form=True)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert peak < 4 << 20

    def test_unpacked_at_once_it_would_cost_everything(self, encoding: str) -> None:
        bomb = PACK[encoding](bytes(64 << 20))
        tracemalloc.start()
        try:
            UNPACK[encoding](bomb)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert peak > 60 << 20

    def test_no_step_gives_out_more_than_it_may(self, encoding: str) -> None:
        bomb = PACK[encoding](bytes(4 << 20))

        sizes = [len(piece) for piece in decoder_for(encoding).feed(bomb)]

        assert sum(sizes) == 4 << 20
        assert max(sizes) <= STEP_BYTES

    def test_what_repeats_itself_a_lot_is_no_bomb_while_it_is_small(self, encoding: str) -> None:
        data = bytes(STEP_BYTES)

        assert body_of(a_request(PACK[encoding](data), encoding)) == data


class TestTurns:
    def test_large_bodies_take_turns_and_small_ones_do_not_wait(self) -> None:
        turns, large = Turns(), NOISE * 4
        entered = threading.Event()

        def second() -> None:
            with turns.body(a_request(large), is_form=False):
                entered.set()

        with turns.body(a_request(large), is_form=False):
            thread = threading.Thread(target=second)
            thread.start()
            with turns.body(a_request(TEXT), is_form=False) as small:
                assert small == TEXT
            assert not entered.is_set()
        thread.join(10)
        assert entered.is_set()

    def test_only_so_many_wait_and_the_others_are_asked_to_come_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bodies, "_MAX_WAITING", 1)
        turns, large = Turns(), NOISE * 4

        with (
            turns.body(a_request(large), is_form=False),
            pytest.raises(UnavailableError),
            turns.body(a_request(large), is_form=False),
        ):
            pass

        with turns.body(a_request(large), is_form=False) as body:
            assert body == large

    def test_one_network_takes_no_other_ones_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "_MAX_WAITING_OF_NETWORK", 1)
        monkeypatch.setattr(bodies, "_WAIT_SECONDS", 30)
        turns, large = Turns(), NOISE * 4
        entered = threading.Event()

        def another() -> None:
            with turns.body(a_request(large), is_form=False, network=b"b"):
                entered.set()

        with turns.body(a_request(large), is_form=False, network=b"a"):
            with (
                pytest.raises(UnavailableError),
                turns.body(a_request(large), is_form=False, network=b"a"),
            ):
                pass
            thread = threading.Thread(target=another)
            thread.start()
        thread.join(10)
        assert entered.is_set()

        with turns.body(a_request(large), is_form=False, network=b"a") as body:
            assert body == large

    def test_nobody_waits_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "_WAIT_SECONDS", 0.01)
        turns, large = Turns(), NOISE * 4

        with (
            turns.body(a_request(large), is_form=False),
            pytest.raises(UnavailableError),
            turns.body(a_request(large), is_form=False),
        ):
            pass

    def test_a_turn_ends_with_an_error_too(self) -> None:
        turns = Turns()
        for _ in range(40):
            with pytest.raises(TooLargeError), turns.body(a_request(NOISE * 200), is_form=False):
                pass

    def test_a_full_disk_is_no_fault_of_the_senders(self) -> None:
        class Full(BytesIO):
            def read(self, _size: int | None = -1, /) -> bytes:
                raise OSError(28, "No space left on device")

        with pytest.raises(UnavailableError):
            body_of({**a_request(b""), "wsgi.input": Full()})
