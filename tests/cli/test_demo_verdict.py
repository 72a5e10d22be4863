"""The verdict sees every byte that is not what was signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from tests.cli.demo_builders import (
    an_edition,
    an_install,
    digest_of,
    put_state,
    put_version,
    signed,
)
from update_server.cli.demo import programs
from update_server.cli.demo.fleet import InstallFolder, Launch
from update_server.cli.demo.verdict import Verdict, judge


def says(*versions: str, folder: Path) -> dict[Version, str]:
    """Return what the good programs print."""
    program = folder / "program"
    program.write_bytes(an_edition("1.0.0")[0]["bin/tool"][1])
    program.chmod(0o755)
    return dict.fromkeys(map(Version, versions), programs.run(program, "--version").output)


def a_good_install(folder: Path, *, number: int = 1) -> InstallFolder:
    """Return an install on 1.1.0 that came from 1.0.0."""
    install = an_install(folder, number=number)
    put_version(install, "1.0.0")
    put_version(install, "1.1.0")
    put_state(install, current="1.1.0", previous="1.0.0")
    return install


def verdict_on(tmp_path: Path, *installs: InstallFolder) -> Verdict:
    return judge(
        installs,
        {},
        signed("1.0.0", "1.1.0"),
        says("1.0.0", "1.1.0", folder=tmp_path),
    )


def test_installs_that_are_as_signed_are_counted_by_version(tmp_path: Path) -> None:
    older = an_install(tmp_path, number=3)
    put_version(older, "1.0.0")
    put_state(older, current="1.0.0")
    good = [a_good_install(tmp_path, number=number) for number in (1, 2)]

    found = verdict_on(tmp_path, *good, older)

    assert found == Verdict(installs={"1.0.0": 1, "1.1.0": 2})


def test_an_install_without_a_version_is_a_problem(tmp_path: Path) -> None:
    found = verdict_on(tmp_path, an_install(tmp_path))

    assert found.installs == {"none": 1}
    assert found.problems == ("install 01: has no version",)
    assert found.unverified_files_executed == 0


def _flip(folder: Path) -> None:
    program = folder / "bin/tool"
    data = bytearray(program.read_bytes())
    data[-1] ^= 1
    program.write_bytes(data)


def _drop(folder: Path) -> None:
    (folder / "LICENSE").unlink()


def _add(folder: Path) -> None:
    (folder / "bin/helper").write_bytes(b"#!/bin/sh\n")


def _add_folder(folder: Path) -> None:
    (folder / "plugins").mkdir()


def _relink(folder: Path) -> None:
    (folder / "tool").unlink()
    (folder / "tool").symlink_to("/bin/sh")


def _file_for_folder(folder: Path) -> None:
    (folder / "cache").rmdir()
    (folder / "cache").write_bytes(b"")


def _link_for_file(folder: Path) -> None:
    (folder / "LICENSE").unlink()
    (folder / "LICENSE").symlink_to("bin/tool")


def _file_for_link(folder: Path) -> None:
    (folder / "tool").unlink()
    (folder / "tool").write_bytes(b"")


def _other_manifest(folder: Path) -> None:
    path = folder / ".serinus/manifest"
    path.write_bytes(path.read_bytes().replace(b"1.1.0", b"1.1.1"))


def _no_manifest(folder: Path) -> None:
    (folder / ".serinus/manifest").unlink()


@pytest.mark.parametrize(
    "change",
    [
        _flip,
        _drop,
        _add,
        _add_folder,
        _relink,
        _file_for_folder,
        _link_for_file,
        _file_for_link,
        _other_manifest,
        _no_manifest,
    ],
)
def test_a_tree_that_is_not_the_signed_one_is_unverified(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    install = a_good_install(tmp_path)
    change(install.root / "versions" / f"1.1.0-{digest_of('1.1.0')[:8]}")

    found = verdict_on(tmp_path, install)

    assert found.unverified_files_executed == 1
    assert found.problems


def test_a_folder_of_another_versions_bytes_is_unverified(tmp_path: Path) -> None:
    install = a_good_install(tmp_path)
    put_version(install, "6.6.6")

    found = verdict_on(tmp_path, install)

    assert found.unverified_files_executed == 1
    assert found.installs == {"1.1.0": 1}


def test_a_start_of_what_was_never_signed_is_counted_once(tmp_path: Path) -> None:
    install = a_good_install(tmp_path)
    start = Launch(launch_id="a", version="6.6.6")

    found = judge(
        [install],
        {1: [start, start, Launch(launch_id="b", version="1.1.0")]},
        signed("1.0.0", "1.1.0"),
        says("1.0.0", "1.1.0", folder=tmp_path),
    )

    assert found.unverified_files_executed == 1
    assert found.problems == ("install 01: 6.6.6 was started and never signed",)


def test_a_current_program_must_say_what_its_version_says(tmp_path: Path) -> None:
    install = a_good_install(tmp_path)

    found = judge([install], {}, signed("1.0.0", "1.1.0"), {Version("1.1.0"): "tool 1.1.0"})

    assert len(found.problems) == 1
    assert "1.1.0 ends with 0" in found.problems[0]


def test_a_current_version_without_its_folder_is_a_problem(tmp_path: Path) -> None:
    install = an_install(tmp_path)
    put_state(install, current="1.1.0")

    found = verdict_on(tmp_path, install)

    assert found.installs == {"1.1.0": 1}
    assert found.problems == ("install 01: its current version 1.1.0 has no folder",)
