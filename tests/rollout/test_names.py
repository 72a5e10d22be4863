"""Names, by the published vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollout import names
from rollout.errors import BadNameError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "names.json").read_text())

CHECKS: dict[str, Callable[[Any], object]] = {
    "app": names.check_app,
    "channel": names.check_channel,
    "group": names.check_group,
    "platform": names.check_platform,
    "install_id": names.check_install_id,
    "rollout": names.check_rollout_id,
    "file": names.check_file_name,
    "files": lambda several: list(names.check_file_names(several)),
    "payload_path": names.check_payload_path,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    kind: str
    path: str
    mode: int = 0
    target: str = ""


def line(fields: list[Any]) -> Line:
    kind, *rest, path = fields
    if kind == "l":
        return Line(kind=kind, path=path, target=rest[0])
    return Line(kind=kind, path=path, mode=int(str(rest[0]), 8) if rest else 0)


def vectors(outcome: str) -> list[Any]:
    return [
        pytest.param(kind, name, id=f"{kind}: {name!r}"[:60])
        for kind in CHECKS
        for name in VECTORS[kind][outcome]
    ]


def test_there_is_a_check_for_every_kind_of_vector() -> None:
    assert {*CHECKS, "tree", "about"} == set(VECTORS)


@pytest.mark.parametrize(("kind", "name"), vectors("accepted"))
def test_a_good_name_is_returned(kind: str, name: Any) -> None:
    assert CHECKS[kind](name) == name


@pytest.mark.parametrize(("kind", "name"), vectors("refused"))
def test_a_bad_name_is_refused(kind: str, name: Any) -> None:
    with pytest.raises(BadNameError):
        CHECKS[kind](name)


@pytest.mark.parametrize("tree", VECTORS["tree"]["accepted"], ids=lambda tree: tree["name"])
def test_a_safe_tree_is_returned(tree: dict[str, Any]) -> None:
    lines = tuple(line(fields) for fields in tree["entries"])

    assert names.check_tree(lines) == lines


@pytest.mark.parametrize("tree", VECTORS["tree"]["refused"], ids=lambda tree: tree["name"])
def test_an_unsafe_tree_is_refused(tree: dict[str, Any]) -> None:
    with pytest.raises(BadNameError):
        names.check_tree(line(fields) for fields in tree["entries"])


@pytest.mark.parametrize(
    "entry",
    [
        Line(kind="d", path="a", mode=0o755),
        Line(kind="l", path="a", target="b", mode=0o644),
        Line(kind="f", path="a", mode=0o644, target="b"),
        Line(kind="l", path="a"),
        Line(kind="x", path="a"),
    ],
)
def test_an_entry_says_only_what_its_kind_can(entry: Line) -> None:
    other = Line(kind="f", path="b", mode=0o644)

    with pytest.raises(BadNameError):
        names.check_tree([entry, other])


def test_a_tree_over_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_TREE_ENTRIES", 1)
    one, other = Line(kind="d", path="a"), Line(kind="d", path="b")

    assert names.check_tree([one]) == (one,)
    with pytest.raises(BadNameError):
        names.check_tree([one, other])


def test_folders_that_only_paths_imply_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_TREE_FOLDERS", 3)
    three, shared = Line(kind="d", path="a/b/c/x"), Line(kind="d", path="a/b/c/y")

    assert names.check_tree([three, shared]) == (three, shared)
    with pytest.raises(BadNameError) as caught:
        names.check_tree([three, shared, Line(kind="d", path="d/x")])
    assert caught.value.rule == "over 3 directories"


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(BadNameError):
        names.check_payload_path("a\udc80")


def test_an_error_says_which_rule_of_which_kind() -> None:
    with pytest.raises(BadNameError) as caught:
        names.check_channel("omaha")

    assert (caught.value.kind, caught.value.name, caught.value.rule) == (
        "channel",
        "omaha",
        "reserved",
    )


def test_an_error_about_an_install_id_does_not_show_it() -> None:
    with pytest.raises(BadNameError) as caught:
        names.check_install_id("2F1C9A54-7B0E-4D3C-9A61-0C5F6F2B8E11")

    assert "2F1C" not in str(caught.value)
