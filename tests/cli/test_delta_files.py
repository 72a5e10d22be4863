"""Deltas as files: what is found, what is written, and that agents make the tree of it."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import hdiffpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.delta_format import HEADER_BYTES, parse_header
from tests.cli.delta_trees import NEW, OLD, Content, Made, applied, made, noise
from tests.cli.sources import APP
from update_server.cli import child
from update_server.cli.child import ask_child
from update_server.cli.deltas import making, steps, writer
from update_server.cli.deltas.making import build_tree, make_delta
from update_server.cli.deltas.matches import matches_between
from update_server.cli.deltas.patch import Streams, subtract, write_patch
from update_server.cli.deltas.steps import NoDeltaError, steps_between
from update_server.cli.deltas.writer import WrittenDelta, write_delta


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Made, Made]:
    return made(OLD, "1.0.0", tmp_path), made(NEW, "1.1.0", tmp_path)


def delta_of(old: Made, new: Made, folder: Path) -> tuple[Path, WrittenDelta]:
    out = folder / "made.pb1"
    return out, write_delta(old.tree, new.tree, out)


def steps_of(old: Made, new: Made) -> dict[str, str]:
    """Return how each entry comes about: by what, and from which old file."""
    entries = old.tree.manifest.entries
    return {
        step.entry.path: f"{step.op.name} {entries[step.source].path}"
        if step.op.name in {"PATCH", "SAME"}
        else step.op.name
        for step in steps_between(old.tree, new.tree)
        if step.entry
    }


# --- steps ----------------------------------------------------------------------------------


def test_each_entry_comes_about_in_the_shortest_way(pair: tuple[Made, Made]) -> None:
    assert steps_of(*pair) == {
        "changed": "PATCH changed",
        "empty-now": "SAME empty-then",
        "empty-then": "NEW",
        "gone/lib-2.so": "PATCH gone/lib-1.so",
        "link": "LINK",
        "moved/to": "SAME moved/from",
        "new": "NEW",
        "new-folder": "DIR",
        "tool": "PATCH tool",
    }


def test_what_is_unchanged_is_kept_in_runs(pair: tuple[Made, Made]) -> None:
    told = [(step.op.name, step.count) for step in steps_between(*(each.tree for each in pair))]

    kept = [each for each in told if each[1]]
    assert kept == [("KEEP", 2), ("SKIP", 8), ("KEEP", 2)]


def test_a_file_with_another_mode_is_the_same_file(tmp_path: Path) -> None:
    old = made({"app": APP, "x/tool": b"#!\n"}, "1", tmp_path)
    new = made({"app": APP, "x/tool": b"#!\n", "start": APP}, "2", tmp_path)

    assert steps_of(old, new) == {"start": "SAME app"}


def test_a_file_in_another_folder_is_patched_from_its_namesake(tmp_path: Path) -> None:
    content = noise(1, 3_000)
    old = made({"app": APP, "1/lib.so": content, "kept/lib.so": noise(2, 3_001)}, "1", tmp_path)
    new = made(
        {"app": APP, "2/lib.so": content + b"!", "kept/lib.so": noise(2, 3_001)}, "2", tmp_path
    )

    assert steps_of(old, new) == {"2/lib.so": "PATCH 1/lib.so"}


def test_what_is_not_alike_is_sent_as_it_is(tmp_path: Path) -> None:
    old = made({"app": APP, "data": noise(1, 5_000)}, "1", tmp_path)
    new = made({"app": APP, "data": noise(2, 5_000)}, "2", tmp_path)

    assert steps_of(old, new) == {"data": "NEW"}


def test_a_folder_that_became_a_file_is_no_source(tmp_path: Path) -> None:
    old = made({"app": APP, "thing": None}, "1", tmp_path)
    new = made({"app": APP, "thing": noise(1, 500)}, "2", tmp_path)

    assert steps_of(old, new) == {"thing": "NEW"}


def test_a_file_too_large_for_a_delta_is_told(
    pair: tuple[Made, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "MAX_FILE_BYTES", 1_000)

    with pytest.raises(NoDeltaError, match="changed is larger than 1000 bytes"):
        list(steps_between(*(each.tree for each in pair)))


# --- matches and patches --------------------------------------------------------------------


def test_matches_are_in_order_and_inside_both_files() -> None:
    old, new = OLD["changed"], NEW["changed"]
    assert isinstance(old, bytes)
    assert isinstance(new, bytes)

    found = list(matches_between(old, new))

    assert len(found) > 1
    assert all(match.old + match.size <= len(old) for match in found)
    assert all(one.new + one.size <= other.new for one, other in pairwise(found))
    assert sum(match.size for match in found) > 0.9 * len(new)


@pytest.mark.parametrize("answer", [b"HDIFF13&zstd\0" + bytes(20), b"HDIFF13&\0" + bytes(20), b""])
def test_another_answer_of_the_library_is_refused(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdiffpatch, "diff", lambda *_, **__: answer)

    with pytest.raises(ValueError, match="hdiffpatch"):
        matches_between(b"old", b"new")


@given(st.binary(min_size=1, max_size=40), st.data())
def test_differences_are_taken_byte_by_byte(new: bytes, data: st.DataObject) -> None:
    old = data.draw(st.binary(min_size=len(new), max_size=len(new)))

    found = subtract(new, 0, old, 0, len(new))

    assert found == bytes((one - other) % 256 for one, other in zip(new, old, strict=True))


def test_a_long_difference_is_taken_in_windows() -> None:
    old, new = noise(1, 3_000_001), noise(2, 3_000_001)

    found = subtract(new, 0, old, 0, len(new))

    assert all((old[at] + found[at]) % 256 == new[at] for at in range(0, len(new), 9_973))
    assert len(found) == len(new)


def test_long_runs_of_zeros_are_left_out() -> None:
    old = noise(1, 4_000)
    new = old[:2_000] + bytes([old[2_000] ^ 1]) + old[2_001:]
    streams: dict[str, bytearray] = {name: bytearray() for name in ("control", "diff", "literal")}
    sinks = Streams(*(stream.extend for stream in streams.values()))

    write_patch(old, new, matches_between(old, new), 512, sinks)

    # A copy with runs: nothing to add, 2000 unchanged, one to add, 1999 unchanged.
    assert streams["control"] == bytes([0xC1, 0x3E, 0, 0xD0, 0x0F, 1, 0xCF, 0x0F, 0, 0])
    assert (len(streams["diff"]), len(streams["literal"])) == (1, 0)


# --- whole deltas ---------------------------------------------------------------------------


def test_an_agent_makes_the_new_tree_of_a_delta(pair: tuple[Made, Made], tmp_path: Path) -> None:
    old, new = pair

    out, written = delta_of(old, new, tmp_path)

    tree = applied(out, written, old, new, tmp_path / "applied")  # verified there, file by file
    assert (tree / "changed").read_bytes() == NEW["changed"]
    assert written.length_bytes == out.stat().st_size < new.payload.stat().st_size / 2
    header = parse_header(out.read_bytes()[:HEADER_BYTES])
    assert (header.from_manifest, header.to_manifest) == (old.tree.sha256, new.tree.sha256)
    assert sorted(tmp_path.glob("delta-*")) == []


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(0, 4_000)), max_size=8))
def test_whatever_changed_an_agent_makes_the_new_tree(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, int]]
) -> None:
    """Files of the old tree are cut, joined, moved and removed."""
    folder = tmp_path_factory.mktemp("changed")
    old_tree: Content = {f"f{n}": noise(n, 300 * n) for n in range(8)}
    old_tree["app"] = APP
    new_tree = dict(old_tree)
    for which, how, where in changes:
        content = new_tree.pop(f"f{which}", b"back")
        assert isinstance(content, bytes)
        if how:
            at = where % (len(content) + 1)
            other = old_tree[f"f{how % 8}"]
            assert isinstance(other, bytes)
            new_tree[f"f{which}"] = content[:at] + other[: where // 2] + content[at + how :]
    old, new = made(old_tree, "1", folder), made(new_tree, "2", folder)

    out, written = delta_of(old, new, folder)

    applied(out, written, old, new, folder / "applied")


@pytest.mark.parametrize("limit", ["MAX_CONTROL_BYTES", "MAX_DELTA_BYTES"])
def test_a_delta_over_a_limit_of_the_format_is_none(
    limit: str, pair: tuple[Made, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, limit, 100)

    with pytest.raises(NoDeltaError, match="longer than 100 bytes"):
        delta_of(*pair, tmp_path)
    assert not (tmp_path / "made.pb1").exists()


# --- in processes of their own --------------------------------------------------------------


def test_trees_and_deltas_are_made_apart(pair: tuple[Made, Made], tmp_path: Path) -> None:
    old, new = pair
    out = tmp_path / "apart.pb1"

    written = make_delta(old.tree, new.tree, out)

    applied(out, written, old, new, tmp_path / "applied")
    order = {
        name: getattr(new.order, name)
        for name in ("app", "platform", "version", "manifest_sha256", "tree_bytes", "files", "base")
    }
    assert build_tree(new.payload, order, tmp_path / "again").manifest == new.tree.manifest
    out.write_bytes(out.read_bytes()[:-1])
    base = {"folder": str(old.tree.root), "manifest_sha256": old.tree.sha256}
    sums = {"output_bytes": written.output_bytes, "max_file_bytes": written.max_file_bytes}
    with pytest.raises(
        NoDeltaError, match=r"could not use apart\.pb1: delta/bad_delta: not as long"
    ):
        build_tree(out, {**order, "base": {**base, **sums}}, tmp_path / "cut")


def test_a_tree_that_takes_an_agent_too_much_memory_is_refused(
    pair: tuple[Made, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {name: getattr(pair[0].order, name) for name in pair[0].order.__slots__}
    monkeypatch.setattr(making, "APPLY_MEMORY_BYTES", 100_000)

    with pytest.raises(NoDeltaError, match=r"could not use 1\.0\.0\.srn: it ended with status"):
        build_tree(pair[0].payload, order, tmp_path / "built")


def test_making_a_delta_is_given_up_when_it_takes_too_much(
    pair: tuple[Made, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, out = [each.tree for each in pair], tmp_path / "d.pb1"
    monkeypatch.setattr(making, "_MAKE_LEAST_BYTES", 1_000_000)
    with pytest.raises(NoDeltaError, match="given up: it takes too much memory"):
        make_delta(trees[0], trees[1], out)
    monkeypatch.undo()

    monkeypatch.setattr(making, "MAKE_SECONDS", 0.001)
    with pytest.raises(NoDeltaError, match="given up: it took longer than"):
        make_delta(trees[0], trees[1], out)
    assert not out.exists()


def test_what_the_child_refuses_is_told(
    pair: tuple[Made, Made], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "limit_growth", lambda _bytes: None)
    monkeypatch.setattr(steps, "MAX_FILE_BYTES", 1_000)
    old, new = (str(each.tree.root) for each in pair)

    making.child_main({"old": old, "new": new, "out": "nowhere/d", "memory": 1})

    assert '"refused": "changed is larger than' in capsys.readouterr().out


def test_a_child_that_dies_is_told() -> None:
    assert ask_child("sys.exit(7)", {}, seconds=30) == {"died": "it ended with status 7"}
    assert ask_child("pass", {}, seconds=30) == {"died": "it ended with status 0"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits address space")
def test_the_growth_of_a_child_is_limited() -> None:
    body = "limit_growth(message['most']); bytes(50_000_000); print('{}')"

    assert ask_child(body, {"most": 100_000_000}, seconds=30) == {}
    assert ask_child(body, {"most": 20_000_000}, seconds=30)["died"]
    assert child._STATM.exists()
