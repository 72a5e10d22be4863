"""The import contracts hold here, and each of them fails when something breaks it."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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
    "signer": ("update_server/signer/planted.py", "import update_server.store"),
    "cli": ("update_server/cli/planted.py", "import update_server.wiring"),
    "floors": ("client_agent/network/planted.py", "import client_agent.running"),
    "agent": ("client_agent/planted.py", "import rich"),
}

PURE = ("rollout", "update_server.rehearsal", "update_server.web.dashboard.charts")
ISLANDS = (
    "client_agent.machine",
    "client_agent.schedule",
    "update_server.crashes",
    "update_server.evidence",
)
ADAPTERS = (
    "update_server.blobs",
    "update_server.feeds",
    "update_server.minidumps",
    "update_server.notify",
    "update_server.spool",
    "update_server.store",
)
# What belongs into a contract's list as soon as it exists.
MEMBERS = [
    ("pure", "source_modules", (*PURE, *ISLANDS)),
    ("islands", "source_modules", ISLANDS),
    ("adapters", "source_modules", ADAPTERS),
    ("adapters", "forbidden_modules", ("update_server.crashes", "update_server.evidence")),
    ("web", "forbidden_modules", ("update_server.notify",)),
    ("cli", "forbidden_modules", ("update_server.wiring",)),
]


def contracts() -> dict[str, dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {c["id"]: c for c in settings["tool"]["importlinter"]["contracts"]}


def names_by_contract() -> dict[str, str]:
    return {contract: settings["name"] for contract, settings in contracts().items()}


def exists(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


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


@pytest.mark.parametrize(("contract", "key", "modules"), MEMBERS)
def test_what_a_contract_is_about_is_listed(
    contract: str, key: str, modules: tuple[str, ...]
) -> None:
    listed = contracts().get(contract, {}).get(key, [])

    assert {module for module in modules if exists(module)} <= set(listed)


@pytest.mark.parametrize("contract", contracts())
def test_a_planted_import_breaks_its_contract_and_no_other(
    contract: str, copy_of_the_tree: Path
) -> None:
    file, statement = VIOLATIONS[contract]
    with (copy_of_the_tree / file).open("a") as planted:
        planted.write(f"\n{statement}\n")

    broken = broken_contracts(copy_of_the_tree)

    assert broken == {names_by_contract()[contract]}
