"""A real program's tree, from the publisher's folder to a running, confirmed app."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import packaging
from packaging.version import Version

from rollout.manifest import render_manifest
from tests.agent.trees import Packed, an_installation, goal_for
from update_server.cli.payload import make_payload

APP = f"""#!{sys.executable}
import pathlib, sys
here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here / "lib"))
import packaging.specifiers
assert packaging.__file__.startswith(str(here)), packaging.__file__
print("notes", packaging.specifiers.SpecifierSet(">=" + sys.argv[1]).contains("3"))
"""


def a_program(folder: Path) -> Path:
    """Return a Python app that brings a library along, as publishers build it."""
    source = Path(packaging.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder / "lib/packaging", ignore=ignored)
    (folder / "notes").write_text(APP)
    (folder / "notes").chmod(0o755)
    (folder / "share/empty").mkdir(parents=True)
    (folder / "share/latest").symlink_to("../lib")
    return folder


def test_a_real_program_is_made_built_verified_started_and_confirmed(tmp_path: Path) -> None:
    payload = tmp_path / "notes-2.1.0.srn"
    made = make_payload(
        a_program(tmp_path / "tree"),
        payload,
        app="demo",
        platform="linux-x86_64",
        version=Version("2.1.0"),
    )
    spelled = render_manifest(made.manifest)
    data = payload.read_bytes()
    goal = goal_for(spelled, data, tree_bytes=made.tree_bytes, files=made.files)
    packed = Packed(payload=data, manifest=spelled, goal=goal)
    installation = an_installation(tmp_path, in_process=False)
    now = datetime.now(UTC)

    with installation.lock(), packed.file(installation.parts).open("rb") as part:
        built = installation.build(part, goal, lambda _written, _total: None)
        installation.verify(built)
        installation.state.arm(goal, built, now=now, not_after=now + timedelta(hours=24))
    for wait in (True, False):
        command = installation.launcher_command(["2.5"], wait=wait)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout == "notes True\n"
    state = installation.state.confirm(now)

    assert state.current == built
    installation.verify(built)  # the program has run twice, and left nothing behind
    assert installation.collect_garbage([]) > 0
    assert installation.find_built(goal) == built
