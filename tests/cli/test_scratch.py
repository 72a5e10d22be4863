"""A command's temporary folder is gone after it, also when it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from update_server.cli.scratch import scratch_folder

_PUBLISHER = """
from update_server.cli.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "payload.srn").write_text("half")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def another(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process at work in a folder of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", _PUBLISHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_is_gone_afterwards_also_after_a_failure(temporary: Path) -> None:
    def fail() -> None:
        with scratch_folder() as folder:
            (folder / "payload.srn").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert list(temporary.iterdir()) == []


def test_what_a_killed_command_left_is_removed_by_the_next(temporary: Path) -> None:
    with another(temporary) as (process, left):
        process.kill()
        process.wait()
        assert (left / "payload.srn").exists()

        with scratch_folder() as folder:
            assert list(temporary.iterdir()) == [folder]


def test_a_command_at_work_keeps_its_folder(temporary: Path) -> None:
    with another(temporary) as (_, theirs), scratch_folder() as folder:
        assert theirs != folder
        assert (theirs / "payload.srn").exists()


def test_what_is_somebody_elses_is_left_alone(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = temporary / "serinus-work-a"
    theirs.mkdir()
    file = temporary / "serinus-work-b"
    file.write_text("mine")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with scratch_folder():
        pass

    assert sorted(temporary.iterdir()) == [theirs, file]


def test_a_link_is_not_followed(temporary: Path) -> None:
    (temporary / "thesis").mkdir()
    (temporary / "thesis" / "thesis.tex").write_text("years of work")
    (temporary / "serinus-work-a").symlink_to(temporary / "thesis")

    with scratch_folder():
        pass

    assert (temporary / "thesis" / "thesis.tex").exists()
