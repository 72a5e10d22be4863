"""Buckets, by the published vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollout.bucket import bucket_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bucket.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["vectors"])
def test_the_bucket_is_that_of_the_vector(vector: dict[str, Any]) -> None:
    assert bucket_of(bytes.fromhex(vector["salt"]), vector["install_id"]) == vector["bucket"]


@pytest.mark.parametrize("trap", VECTORS["traps"], ids=lambda trap: trap["what"])
def test_a_near_miss_of_the_function_gives_another_bucket(trap: dict[str, Any]) -> None:
    right = bucket_of(bytes.fromhex(trap["salt"]), trap["install_id"])
    wrong = bucket_of(trap["salt"].encode(), trap["install_id"])

    assert wrong == trap["wrong_bucket"] != right


def test_an_install_id_that_is_not_ascii_has_no_bucket() -> None:
    with pytest.raises(UnicodeEncodeError):
        bucket_of(bytes(32), "ä")
