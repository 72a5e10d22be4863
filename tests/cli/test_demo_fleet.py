"""The installs' folders: written for a real agent, read as one leaves them."""

from __future__ import annotations

from pathlib import Path

from packaging.version import Version

from client_agent import settings_file
from client_agent.config import Apply
from tests.cli.demo_builders import (
    INSTALL_ID,
    NOW,
    an_install,
    put_marker,
    put_state,
    put_status,
    put_taken,
    put_version,
)
from update_server.cli.demo.fleet import AgentSettings, Look, Taken, make_folders

SETTINGS = AgentSettings(
    app="demo",
    channel="stable",
    platform="linux-x86_64",
    server="http://127.0.0.1:8080",
    speed=100,
)


def test_an_agent_understands_the_settings_it_is_given(tmp_path: Path) -> None:
    install, *_ = make_folders(tmp_path, 1, 1, SETTINGS, b"{}")

    found = settings_file.load(install.root / "agent.toml")

    assert (found.app.app, found.app.platform) == ("demo", "linux-x86_64")
    assert found.app.root_metadata == b"{}"
    assert found.root == install.root
    assert found.apply is Apply.NOW
    assert found.health.command == ("--version",)
    assert found.unsafe_speed == 100


def test_the_first_folders_are_the_publishers_own(tmp_path: Path) -> None:
    installs = make_folders(tmp_path, 5, 2, SETTINGS, b"{}")

    assert [install.internal for install in installs] == [True, True, False, False, False]
    assert len({install.root for install in installs}) == 5


def test_an_agents_command_names_its_settings(tmp_path: Path) -> None:
    install = an_install(tmp_path)

    _, *command = install.agent("enrol", "CODE")

    path = str(install.root / "agent.toml")
    assert command == ["-m", "client_agent.cli", "enrol", "CODE", "--config", path]


def test_an_empty_folder_says_nothing(tmp_path: Path) -> None:
    assert an_install(tmp_path).look() == Look(directories={})


def test_a_look_tells_what_runs_what_is_armed_and_what_is_barred(tmp_path: Path) -> None:
    install = an_install(tmp_path)
    put_state(install, current="1.1.0", previous="1.0.0", pending="1.2.0", banned=("0.9",))
    (install.root / "identity.json").write_text(f'{{"install_id": "{INSTALL_ID}"}}')
    folder = put_version(install, "1.1.0")
    put_status(install, NOW)

    look = install.look()

    assert look.install_id == INSTALL_ID
    assert (look.version, look.pending) == (Version("1.1.0"), Version("1.2.0"))
    assert look.banned == {Version("0.9")}
    assert look.checked_at == NOW
    assert look.directories["current"] == folder.name
    assert set(look.directories) == {"current", "previous", "pending"}


def test_a_look_tells_what_the_last_update_took(tmp_path: Path) -> None:
    install = an_install(tmp_path)
    put_taken(install, "1.1.0", received_bytes=10, full_bytes=200)

    assert install.look().taken == Taken(
        version=Version("1.1.0"), delta=True, received_bytes=10, full_bytes=200
    )


def test_torn_files_are_passed_over_until_the_agent_has_written_them(tmp_path: Path) -> None:
    install = an_install(tmp_path)
    (install.root / "state.json").write_text('{"sum": "ab", "bo')
    (install.root / "identity.json").write_text("[]")
    (install.root / "status.json").write_text('{"checked_at": "soon"}')
    put_marker(install, "a", {"launch_id": "a"})
    with (install.root / "launches" / "a.json").open("a") as marker:
        marker.write('{"version": "1.')

    assert install.look() == Look(directories={})


def test_a_start_is_known_by_its_marker_and_the_seal_on_it(tmp_path: Path) -> None:
    install = an_install(tmp_path)
    put_marker(install, "a", {"version": "1.1.0"}, {"exit_code": 0, "signal": None})
    put_marker(install, "b", {"version": "1.2.0"}, {"exit_code": 132, "signal": 4})

    starts = install.look().starts

    assert [(start.launch_id, start.version, start.signal) for start in starts] == [
        ("a", "1.1.0", None),
        ("b", "1.2.0", 4),
    ]
