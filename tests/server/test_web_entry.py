"""What the web server's workers call: an app each, that goes with its parent."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from tests.cli.cli_world import LINUX, Cli, a_short_folder, an_outsider, init
from update_server import web_entry
from update_server.processes import CONFIG_VARIABLE, PARENT_VARIABLE

WORKER = """
import os, sys, threading
from update_server import web_entry
web_entry.admin()
print(os.getpid(), flush=True)
threading.Event().wait(60)
"""
PARENT = """
import os, subprocess, sys
os.environ["SERINUS_WEB_PARENT"] = str(os.getpid())
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
worker.wait()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Cli]:
    with a_short_folder() as folder:
        cli = an_outsider(folder)
        init(cli)
        yield cli


@pytest.fixture(autouse=True)
def _settings(server: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(server.config_file))
    monkeypatch.delenv(PARENT_VARIABLE, raising=False)


def test_the_public_app_becomes_ready_and_knows_the_app() -> None:
    client = Client(web_entry.public())
    until = time.monotonic() + 30
    pause = threading.Event()
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < until
        pause.wait(0.02)

    request = {
        "install_id": "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11",
        "version": "1.0.0",
        "channel": "stable",
        "platform": LINUX,
    }
    answer = client.post("/v1/apps/notes/check-in", json=request)

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["assignment"]["reason"] == "no_release"


def test_the_admin_app_wants_a_token(server: Cli) -> None:
    client = Client(web_entry.admin())
    token = (server.folder / "admin.token").read_text().strip()

    refused = client.get("/v1/admin/apps")
    listed = client.get("/v1/admin/apps", headers={"Authorization": f"Bearer {token}"})

    assert refused.status_code == 401
    assert listed.status_code == 200


def test_a_worker_goes_when_its_web_server_was_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, WORKER], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline()
    parent.kill()
    parent.wait()

    # The pipe ends when nobody holds it any more, so when the worker is gone.
    assert parent.stdout.read() == ""
    parent.stdout.close()


def test_files_are_handed_to_a_proxy_where_one_is_named(
    server: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = server.folder / "server" / "files"
    target = next((data / "apps" / "notes" / "targets").rglob("*.json")).relative_to(data)
    for offload, header, prefix in (
        ("x-accel-redirect", "X-Accel-Redirect", "/files/"),
        ("x-sendfile", "X-Sendfile", f"{data}/"),
    ):
        other = server.folder / f"{offload}.toml"
        other.write_text(f'[server]\nfile_offload = "{offload}"\n')
        monkeypatch.setenv(CONFIG_VARIABLE, str(other))
        client = Client(web_entry.public())
        until, pause = time.monotonic() + 30, threading.Event()
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < until
            pause.wait(0.02)

        answer = client.get(f"/v1/{target}")

        assert answer.status_code == 200
        assert answer.headers[header] == f"{prefix}{target}"
