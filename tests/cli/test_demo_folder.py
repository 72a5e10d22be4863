"""The demo's folder is its own, and nobody else's is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from update_server.cli.demo.folder import demo_folder, disk_bytes
from update_server.cli.errors import UsageError


def test_a_temporary_folder_is_gone_afterwards() -> None:
    with demo_folder(None, keep=False) as folder:
        (folder / "installs").mkdir()
        (folder / "server.log").write_text("ready")

    assert not folder.exists()


def test_a_chosen_folder_is_gone_afterwards_too(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "data", keep=False) as folder:
        (folder / "link").symlink_to("/tmp")

    assert not folder.exists()
    assert Path("/tmp").is_dir()


def test_what_is_kept_makes_room_for_the_next_demo(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "data", keep=True) as folder:
        (folder / "server.log").write_text("ready")
    assert (folder / "server.log").exists()

    with demo_folder(tmp_path / "data", keep=True) as folder:
        left = [path.name for path in folder.iterdir()]

    assert left == [".serinus-demo"]


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(UsageError) as caught, demo_folder(tmp_path, keep=False):
        pass

    assert caught.value.code == "not_empty"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with demo_folder(tmp_path, keep=True) as folder:
        (folder / "server.log").write_text("ready")

        with pytest.raises(UsageError) as caught, demo_folder(tmp_path, keep=False):
            pass

        assert caught.value.code == "busy"
        assert (folder / "server.log").exists()


def test_a_failing_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), demo_folder(tmp_path / "data", keep=False):
        raise OSError("disk full")

    assert not (tmp_path / "data").exists()


def test_disk_use_counts_what_the_disk_gives(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(range(256)) * 4096)

    assert 1_000_000 <= disk_bytes(tmp_path) < 2_000_000
