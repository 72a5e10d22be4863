"""Releases from the command line: sign, upload, hand in, look, verify from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.cli.cli_world import LINUX, Cli, running, serving_files


@pytest.fixture
def artifact(cli: Cli) -> str:
    return f"{LINUX}={cli.program('1.0.0')}"


def test_a_release_is_signed_and_handed_in(cli: Cli, artifact: str) -> None:
    done = cli.run("release", "publish", "1.0.0", "--artifact", artifact)

    assert done.out == "notes 1.0.0 is published on stable\n"
    first, following = done.err.splitlines()
    assert first.startswith("serinus: 1.0.0 is the first on stable and names no --not-before: ")
    assert first.endswith("what is signed cannot be corrected")
    assert following == "serinus: next: serinus rollout start 1.0.0"
    assert [row["version"] for row in cli.json("release", "list")["items"]] == ["1.0.0"]


def test_the_document_says_what_was_admitted(cli: Cli, artifact: str) -> None:
    (cli.folder / "NOTES.md").write_text("What is new\n")

    made = cli.json(
        "release", "publish", "1.0.0", "--artifact", artifact, "--notes", "NOTES.md",
        "--floor", "0.9", "--not-before", "2026-01-01T00:00:00Z", "--min-os", "5.10",
        "--security", "--data-schema", "2", "--reads-schema-max", "3",
    )  # fmt: skip

    assert (made["version"], made["channel"], made["platforms"]) == ("1.0.0", "stable", [LINUX])
    assert made["admitted"] == [f"releases.stable.{LINUX}"]
    shown = cli.json("release", "show", "1.0.0")
    assert shown["security"] is True
    assert cli.run("release", "show", "1.0.0").out.startswith("notes 1.0.0 on stable: ")


def test_people_get_a_table(released: Cli) -> None:
    listed = released.run("release", "list").out

    assert [line.split()[:3] for line in listed.splitlines()[1:]] == [
        ["1.1.0", "stable", LINUX],
        ["1.0.0", "stable", LINUX],
    ]


def test_a_later_release_without_a_way_back_is_told_which_one_there_is(released: Cli) -> None:
    program = f"{LINUX}={released.program('1.2.0')}"

    done = released.run("release", "publish", "1.2.0", "--artifact", program, "--channel", "stable")

    assert "--rollback-to 1.1.0 would send them there" in done.err
    assert done.err.endswith("serinus: next: serinus rollout start 1.2.0 --channel stable\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["1.0.0", "--artifact", "linux-x86_64"], "bad_artifact"),
        (["1.0.0", "--artifact", "=passphrase"], "bad_artifact"),
        (["1.0.0", "--artifact", "linux-x86_64=nowhere"], "bad_artifact"),
        (
            ["1.0.0", "--artifact", f"{LINUX}=policy.toml", "--artifact", f"{LINUX}=passphrase"],
            "bad_artifact",
        ),
        (["one", "--artifact", f"{LINUX}=policy.toml"], "bad_version"),
        (["1.0", "--rollback-to", "1!2", "--artifact", f"{LINUX}=policy.toml"], "bad_version"),
        (["1.0", "--not-before", "soon", "--artifact", f"{LINUX}=policy.toml"], "bad_time"),
        (["1.0", "--not-before", "2026-01-01", "--artifact", f"{LINUX}=policy.toml"], "bad_time"),
        (["1.0", "--rollback-to", "0.9", "--artifact", "Linux=notes"], "bad_release"),
        (["1.0", "--rollback-to", "2.0", "--artifact", f"{LINUX}=notes"], "bad_version"),
    ],
)
def test_what_agents_would_refuse_is_refused_before_anything_is_sent(
    workspace: Cli, arguments: list[str], code: str
) -> None:
    workspace.program("1.0").rename(workspace.folder / "notes")
    workspace.set("127.0.0.1:8081", "127.0.0.1:9")  # nobody is asked

    refused = workspace.run("release", "publish", *arguments, "--json", code=2)

    assert refused.error == code


def test_a_folder_without_an_entry_is_no_payload(cli: Cli) -> None:
    (cli.folder / "tree").mkdir()
    (cli.folder / "tree" / "a").write_text("a")

    code = cli.refused("release", "publish", "1.0", "--artifact", f"{LINUX}=tree")

    assert code == "bad_payload"


def test_the_wrong_passphrase_opens_no_key(cli: Cli, artifact: str) -> None:
    (cli.folder / "passphrase").write_text("not the right one")

    code = cli.refused("release", "publish", "1.0.0", "--artifact", artifact)

    assert code == "wrong_passphrase"
    assert cli.json("release", "list")["items"] == []


def test_an_app_that_is_not_there_is_refused(cli: Cli, artifact: str) -> None:
    arguments = ("release", "publish", "1.0.0", "--artifact", artifact, "--app", "other")

    assert cli.refused(*arguments) == "unknown_app"


def test_a_platform_that_is_not_registered_is_refused_until_it_is_added(released: Cli) -> None:
    program = released.program("1.2.0")
    publish = ("release", "publish", "1.2.0", "--artifact", f"windows-x86_64={program}")
    before = released.json("app", "show")["versions"]

    refused = released.run(*publish, "--json", code=1)

    assert refused.error == "unknown_platform"
    assert f"only for {LINUX}" in refused.document["detail"]
    assert released.json("app", "show")["versions"] == before
    hint = refused.document["hint"]
    assert hint == "serinus app add --app notes --platform windows-x86_64"
    released.run(*hint.split()[1:])
    assert released.json(*publish)["platforms"] == ["windows-x86_64"]


def test_a_way_back_to_no_release_is_refused(released: Cli) -> None:
    program = f"{LINUX}={released.program('1.2.0')}"
    publish = ("release", "publish", "1.2.0", "--artifact", program, "--rollback-to", "1.0.5")

    refused = released.run(*publish, "--json", code=1)

    assert refused.error == "unknown_release"
    assert "older ones: 1.1.0 1.0.0" in refused.document["detail"]
    assert [row["version"] for row in released.json("release", "list")["items"]] == [
        "1.1.0", "1.0.0",
    ]  # fmt: skip


def test_a_version_is_published_once(released: Cli) -> None:
    program = f"{LINUX}={released.program('1.1.0')}"

    code = released.refused("release", "publish", "1.1.0", "--artifact", program)

    assert code == "released_already"


def test_a_publication_made_again_has_nothing_to_do(released: Cli) -> None:
    program = f"{LINUX}={released.program('1.1.0')}"
    again = ("release", "publish", "1.1.0", "--artifact", program, "--rollback-to", "1.0.0")

    assert released.json(*again, code=3) == {"version": "1.1.0"}


def test_of_publishers_who_race_the_later_ones_sign_again(cli: Cli) -> None:
    """All sign upon the same state; the server takes one, and the others go on from there."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "update_server.cli.main", "release", "publish", version,
             "--artifact", f"{LINUX}={cli.program(version)}"],
            cwd=cli.folder,
            env=os.environ | cli.variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        for version in ("1.0.0", "1.0.1", "1.0.2")
    ]  # fmt: skip
    told = [racer.communicate(timeout=100)[1] for racer in racers]

    assert [racer.returncode for racer in racers] == [0, 0, 0], told
    versions = {item["version"] for item in cli.json("release", "list")["items"]}
    assert versions == {"1.0.0", "1.0.1", "1.0.2"}


# --- verify from outside --------------------------------------------------------------------


def files(cli: Cli) -> Path:
    return cli.folder / "server" / "files" / "apps"


def test_a_whole_repository_is_verified_from_outside(released: Cli) -> None:
    released.json("rollout", "promote", "--yes")
    with serving_files(files(released)) as url:
        document = released.json("release", "verify", "--url", f"{url}/notes/")
        told = released.run("release", "verify", "--url", f"{url}/notes", typed="")

    assert document["ok"] is True
    assert (document["findings"], document["private"]) == ([], [])
    assert document["versions"]["root"] == 1
    assert set(document["expires"]) == set(document["versions"])
    assert f"{document['files']} files checked, 0 findings" in told.out


def test_files_that_only_a_group_may_have_are_no_finding(released: Cli) -> None:
    """1.1.0 is at its internal ring: its artifact is not public yet."""
    with serving_files(files(released)) as url:
        done = released.run("release", "verify", "--url", f"{url}/notes", "--json")

    path = f"notes/releases/stable/{LINUX}/1.1.0/notes-1.1.0.srn"
    assert done.document["ok"] is True
    assert done.document["private"] == [path]
    assert done.err == f"serinus: {path}: not public; it was not checked\n"


def test_a_tampered_file_is_found(released: Cli) -> None:
    artifact = next(files(released).rglob("*notes-1.0.0.srn"))
    data = bytearray(artifact.read_bytes())
    data[-1] ^= 1
    artifact.write_bytes(data)

    with serving_files(files(released)) as url:
        done = released.run("release", "verify", "--url", f"{url}/notes", "--json", code=1)

    assert done.document["ok"] is False
    (finding,) = done.document["findings"]
    assert "1.0.0" in finding["subject"]
    assert finding["code"] in done.err


def test_a_missing_file_is_found(released: Cli) -> None:
    released.json("rollout", "promote", "--yes")  # from here on 1.1.0 is for everybody
    next(files(released).rglob("*notes-1.1.0.srn")).unlink()

    with serving_files(files(released)) as url:
        done = released.run("release", "verify", "--url", f"{url}/notes", code=1)

    assert "1 findings" in done.out


def test_tampered_metadata_is_not_trusted(released: Cli) -> None:
    timestamp = files(released) / "notes" / "tuf" / "timestamp.json"
    timestamp.write_text(timestamp.read_text().replace('"version":', '"version": 1'))

    with serving_files(files(released)) as url:
        code = released.refused("release", "verify", "--url", f"{url}/notes")

    assert code != "internal"


def test_another_root_trusts_nothing(released: Cli, outsider: Cli) -> None:
    outsider.json("init", "ws", "--app", "notes", "--platform", LINUX)
    root = str(outsider.folder / "ws" / "root.json")

    with serving_files(files(released)) as url:
        code = released.refused("release", "verify", "--url", f"{url}/notes", "--root", root)

    assert code != "internal"


def test_a_server_that_is_away_is_told_as_such(released: Cli) -> None:
    code = released.refused("release", "verify", "--url", "http://127.0.0.1:9/v1/apps/notes")

    assert code == "unreachable"


def test_a_server_that_fails_is_told_as_such(workspace: Cli) -> None:
    def failing(_environ: Any, start: Any) -> list[bytes]:
        start("500 Failed", [])
        return [b""]

    server = make_server("127.0.0.1", 0, failing)
    url = f"http://127.0.0.1:{server.server_port}/notes"
    with running(server):
        done = workspace.run("release", "verify", "--url", url, "--json", code=1)

    assert done.error == "unexpected_answer"
    assert "answers 500" in done.document["detail"]


def test_an_address_that_names_no_app_of_ours_is_told_as_such(released: Cli) -> None:
    with serving_files(files(released)) as url:
        other = released.run("release", "verify", "--url", f"{url}/other", "--json", code=2)
        empty = released.run("release", "verify", "--url", f"{url}/x/notes", "--json", code=1)

    assert other.error == "no_root"
    assert "would be app 'other'" in other.document["detail"]
    assert empty.error == "missing_file"
    assert f"{url}/x/notes holds no repository" in empty.document["detail"]


@pytest.mark.parametrize("text", ["", "{}", "no JSON"])
def test_a_file_that_is_no_root_is_told_as_such(released: Cli, text: str) -> None:
    (released.folder / "other.json").write_text(text)

    with serving_files(files(released)) as url:
        done = released.run(
            "release", "verify", "--url", f"{url}/notes", "--root", "other.json", code=1
        )

    assert done.err.startswith("serinus: other.json is no root of an app: ")


def test_verifying_needs_a_root(outsider: Cli) -> None:
    assert outsider.refused("release", "verify", "--url", "http://x/notes", code=2) == (
        "no_workspace"
    )
