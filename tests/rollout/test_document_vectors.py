"""Documents, by the published vectors."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.documents import (
    parse_policy,
    parse_release,
    parse_rollout,
    render_policy,
    render_release,
    render_rollout,
)
from rollout.errors import DocumentError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "documents.json").read_text())

PARSE: dict[str, Callable[[bytes], Any]] = {
    "policy": parse_policy,
    "rollout": parse_rollout,
    "release": parse_release,
}
RENDER: dict[str, Callable[[Any], bytes]] = {
    "policy": render_policy,
    "rollout": render_rollout,
    "release": render_release,
}


def bytes_of(vector: dict[str, Any]) -> bytes:
    """Return the document that *vector* means: its text, or its kind's base with one edit."""
    if "text" in vector:
        text: str = vector["text"]
        return text.encode()
    document = copy.deepcopy(VECTORS["base"][vector["kind"]])
    *path, last = vector["at"]
    place = document
    for key in path:
        place = place[key]
    if "put" in vector:
        place[last] = vector["put"]
    else:
        del place[last]
    return json.dumps(document).encode()


def name_of(vector: dict[str, Any]) -> str:
    return f"{vector['kind']}: {vector['name']}"


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=name_of)
def test_a_good_document_is_read_and_written_back(vector: dict[str, Any]) -> None:
    parse, render = PARSE[vector["kind"]], RENDER[vector["kind"]]

    value = parse(bytes_of(vector))

    assert parse(render(value)) == value
    assert render(parse(render(value))) == render(value)


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["accepted"] if "canonical" in v], ids=name_of
)
def test_a_document_has_one_rendering(vector: dict[str, Any]) -> None:
    value = PARSE[vector["kind"]](bytes_of(vector))

    assert RENDER[vector["kind"]](value).decode("ascii") == vector["canonical"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=name_of)
def test_a_bad_document_is_refused_where_it_is_bad(vector: dict[str, Any]) -> None:
    with pytest.raises(DocumentError) as caught:
        PARSE[vector["kind"]](bytes_of(vector))

    assert caught.value.where == vector["where"]
    assert caught.value.code == "bad_document"
