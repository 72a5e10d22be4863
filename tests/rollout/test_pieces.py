from __future__ import annotations

import hashlib

import pytest

from rollout.pieces import (
    PIECE_BYTES,
    pieces_length,
    pieces_path,
    render_pieces,
    split_pieces,
)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_pieces_are_the_digests_of_consecutive_stretches(size: int) -> None:
    data = bytes(size)

    found = split_pieces(render_pieces([data]))

    stretches = [data[at : at + PIECE_BYTES] for at in range(0, size, PIECE_BYTES)]
    assert found == tuple(hashlib.sha256(stretch).digest() for stretch in stretches)
    assert pieces_length(size) == 32 * len(found)


def test_it_does_not_matter_in_which_chunks_a_file_is_read() -> None:
    data = b"ab" * PIECE_BYTES + b"c"
    chunks = [data[:5], b"", data[5 : PIECE_BYTES + 7], data[PIECE_BYTES + 7 :]]

    assert render_pieces(chunks) == render_pieces([data])


def test_pieces_lie_beside_their_file() -> None:
    assert pieces_path("demo/2.1.0/demo.srn") == "demo/2.1.0/demo.srn.pieces"
