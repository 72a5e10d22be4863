"""The import contracts hold here, and each of them fails when something breaks it."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("rollout", "signing", "client_agent", "update_server")

# By contract: a file, and an import that it must not have. The file may be new.
VIOLATIONS = {
    "packages": ("signing/planted.py", "import client_agent"),
    "server": ("update_server/service/planted.py", "import update_server.web"),
    "pure": ("rollout/planted.py", "import os"),
    "islands": ("client_agent/machine.py", "import client_agent.platforms"),
    "adapters": ("update_server/store/planted.py", "import signing"),
    "web": ("update_server/web/public/planted.py", "import sqlalchemy"),
    "cli": ("update_server/cli/planted.py", "import flask"),
    "agent": ("client_agent/planted.py", "import rich"),
}


def names_by_contract() -> dict[str, str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {c["id"]: c["name"] for c in settings["tool"]["importlinter"]["contracts"]}


def broken_contracts(folder: Path) -> set[str]:
    """Return the names of the contracts that *folder* breaks; each must have been checked."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )
    verdicts = dict(re.findall(r"^(\S.*) (KEPT|BROKEN)", done.stdout, flags=re.MULTILINE))
    assert set(verdicts) == set(names_by_contract().values()), done.stdout + done.stderr
    assert done.returncode == int("BROKEN" in verdicts.values())
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


@pytest.fixture
def copy_of_the_tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        for source in (ROOT / package).rglob("*.py"):
            target = tmp_path / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return tmp_path


def test_the_tree_keeps_every_contract() -> None:
    assert broken_contracts(ROOT) == set()


def test_every_contract_has_a_planted_violation() -> None:
    assert set(VIOLATIONS) == set(names_by_contract())


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_planted_import_breaks_its_contract_and_no_other(
    contract: str, copy_of_the_tree: Path
) -> None:
    file, statement = VIOLATIONS[contract]
    with (copy_of_the_tree / file).open("a") as planted:
        planted.write(f"\n{statement}\n")

    broken = broken_contracts(copy_of_the_tree)

    assert broken == {names_by_contract()[contract]}
