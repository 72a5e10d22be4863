"""Ruff refuses clocks, sleeps, draws and ID sources outside the files that own them."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BANNED = {
    "datetime.date.today": "import datetime\ndatetime.date.today()\n",
    "datetime.datetime.now": "from datetime import UTC, datetime\ndatetime.now(UTC)\n",
    "datetime.datetime.today": "import datetime\ndatetime.datetime.today()\n",
    "datetime.datetime.utcnow": "from datetime import datetime\ndatetime.utcnow()\n",
    "time.monotonic": "from time import monotonic\nmonotonic()\n",
    "time.monotonic_ns": "import time\ntime.monotonic_ns()\n",
    "time.sleep": "import time as t\nt.sleep(1)\n",
    "time.time": "import time\ntime.time()\n",
    "time.time_ns": "import time\ntime.time_ns()\n",
    "random": "import random\nrandom.random()\n",
    "uuid.uuid4": "import uuid\nuuid.uuid4()\n",
}


def refused_by_ruff(source: str, file: str) -> set[str]:
    """Return the banned names that ruff finds in *source*, as if it stood in *file*."""
    command = Path(sys.executable).with_name("ruff")
    options = ["check", "--no-cache", "--select", "TID251", "--output-format", "json"]
    done = subprocess.run(
        [command, *options, "--stdin-filename", file, "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    return {found["message"].split("`")[1] for found in json.loads(done.stdout)}


def test_every_banned_name_has_a_planted_call() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]

    assert set(lint["flake8-tidy-imports"]["banned-api"]) == set(BANNED)


@pytest.mark.parametrize("name", BANNED)
@pytest.mark.parametrize("file", ["rollout/planted.py", "update_server/service/planted.py"])
def test_a_planted_call_is_refused(name: str, file: str) -> None:
    assert refused_by_ruff(BANNED[name], file) == {name}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("client_agent/clock.py", "time.monotonic"),
        ("client_agent/contact/identity.py", "uuid.uuid4"),
        ("update_server/clock.py", "datetime.datetime.now"),
        ("update_server/wiring.py", "uuid.uuid4"),
    ],
)
def test_the_owner_of_a_call_may_make_it(file: str, name: str) -> None:
    assert refused_by_ruff(BANNED[name], file) == set()
