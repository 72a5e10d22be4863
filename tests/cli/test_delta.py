"""Deltas of a release: from which versions, when they are worth it, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.delta_format import HEADER_BYTES, parse_header
from rollout.pieces import render_pieces
from tests.cli.cli_world import LINUX, Cli, a_short_folder, copy_of, serving_admin
from tests.cli.delta_trees import noise
from update_server.cli import draft
from update_server.cli.deltas import making, of_release
from update_server.clock import SystemClock
from update_server.service.ports import Contact
from update_server.store import SqlDatabase

SIZE = 40_000


def program(cli: Cli, version: str, *, of: int = 1, size: int = SIZE) -> str:
    """Return a program whose versions differ in a few bytes, if they are *of* one kind."""
    path = cli.folder / f"program-{version}"
    text = f"#!/bin/sh\necho {version}\nexit 0\n".encode()
    path.write_bytes(text + noise(of, size))
    path.chmod(0o755)
    return f"{LINUX}={path}"


def publish(cli: Cli, version: str, *more: str, of: int = 1) -> dict[str, Any]:
    artifact = program(cli, version, of=of)
    return cli.json(
        "release",
        "publish",
        version,
        "--artifact",
        artifact,
        "--entry",
        f"program-{version}",
        *more,
    )


def running(cli: Cli, **installs: int) -> None:
    """Have so many installs say that they run ``v1_0_0`` and so on."""
    contacts = [
        Contact(
            app="notes",
            install_key=f"{version}{n}".encode(),
            at=SystemClock().now(),
            channel="stable",
            platform=LINUX,
            version=version[1:].replace("_", "."),
            action="stay",
            reason="up_to_date",
        )
        for version, count in installs.items()
        for n in range(count)
    ]
    path = cli.folder / "server" / "serinus.db"
    with closing(SqlDatabase(f"sqlite:///{path}")) as database, database.transaction() as stores:
        stores.telemetry.absorb(contacts, [])


def deltas(cli: Cli, version: str) -> list[dict[str, Any]]:
    shown = cli.json("release", "show", version)
    found: list[dict[str, Any]] = shown["platforms"][0]["deltas"]
    return found


@pytest.fixture(scope="module")
def pristine_published(pristine: Cli, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Two releases, small changes apart; tests take copies."""
    cli = copy_of(pristine, tmp_path_factory.mktemp("pub"))
    with serving_admin(cli):
        publish(cli, "1.0.0")
        publish(cli, "1.1.0")
    return cli


@pytest.fixture
def published(pristine_published: Cli) -> Iterator[Cli]:
    with a_short_folder() as folder:
        cli = copy_of(pristine_published, folder / "w")
        with serving_admin(cli):
            yield cli


def test_deltas_lead_from_the_versions_that_most_installs_run(published: Cli) -> None:
    # Of 0.9.0 there is no release, and at the last ones nothing is installed yet.
    running(published, v1_0_0=3, v1_1_0=2, v0_9_0=9, v=20)

    told = publish(published, "1.2.0", "--delta-bases", "1")["deltas"]

    assert [(row["platform"], row["from"]) for row in told] == [(LINUX, "1.0.0")]
    assert told[0]["length_bytes"] + told[0]["saved_bytes"] == told[0]["payload_bytes"]
    assert [each["from"] for each in deltas(published, "1.2.0")] == ["1.0.0"]
    assert [each["from"] for each in deltas(published, "1.1.0")] == []  # nobody ran anything


def test_what_is_uploaded_is_the_delta(published: Cli) -> None:
    publish(published, "1.2.0", "--delta-from", "1.1.0")

    signed = deltas(published, "1.2.0")[0]
    file = next((published.folder / "server").rglob(f"{signed['sha256']}.*.pb1"))
    header = parse_header(file.read_bytes()[:HEADER_BYTES])
    shown = [
        published.json("release", "show", version)["platforms"][0]["artifact"]["manifest_sha256"]
        for version in ("1.1.0", "1.2.0")
    ]
    assert [header.from_manifest, header.to_manifest] == shown
    assert signed["length_bytes"] == header.delta_bytes < SIZE / 20


def test_people_are_told_what_a_delta_saves(published: Cli) -> None:
    done = published.run(
        "release", "publish", "1.2.0", "--artifact", program(published, "1.2.0"),
        "--delta-from", "1.0.0",
    )  # fmt: skip

    assert f"serinus: {LINUX}: the delta from 1.0.0 has" in done.err
    assert " and saves 99." in done.err
    table = published.run("release", "show", "1.2.0").out.splitlines()
    assert table[-1].split()[:2] == [LINUX, "1.0.0"]


def test_without_wanting_them_there_are_none(published: Cli) -> None:
    running(published, v1_0_0=3)

    assert publish(published, "1.2.0", "--no-deltas")["deltas"] == []
    assert publish(published, "1.3.0", "--delta-bases", "0")["deltas"] == []
    program(published, "1.4.0")
    both = ("--artifact", f"{LINUX}=program-1.4.0", "--no-deltas", "--delta-from", "1.0.0")
    assert published.refused("release", "publish", "1.4.0", *both, code=2) == "bad_deltas"


def test_a_small_payload_needs_no_deltas(released: Cli) -> None:
    running(released, v1_0_0=3)

    assert released.publish("1.2.0")["deltas"] == []


def test_a_delta_from_no_release_is_refused(published: Cli) -> None:
    for version in ("0.9.0", "1.2.0"):
        artifact = program(published, "1.2.0")
        wrong = ("1.2.0", "--artifact", artifact, "--delta-from", version)

        assert published.refused("release", "publish", *wrong) == "unknown_release"


def test_installs_below_the_floor_need_no_delta(published: Cli) -> None:
    running(published, v1_0_0=3, v1_1_0=2)

    told = publish(published, "1.2.0", "--floor", "1.1.0")["deltas"]

    assert [row["from"] for row in told] == ["1.1.0"]


def test_a_delta_over_half_of_the_payload_is_not_published(published: Cli) -> None:
    told = publish(published, "1.2.0", "--delta-from", "1.0.0", of=2)["deltas"]

    assert told[0]["length_bytes"] is None
    assert told[0]["why"].endswith("not worth it")
    assert deltas(published, "1.2.0") == []


def test_a_delta_that_an_agent_cannot_use_is_not_published(
    published: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = making.make_delta

    def damaged(old: Any, new: Any, out: Path) -> Any:
        written = make(old, new, out)
        data = bytearray(out.read_bytes())
        data[-10] ^= 1
        out.write_bytes(data)
        return written

    monkeypatch.setattr(of_release, "make_delta", damaged)

    done = published.run(
        "release", "publish", "1.2.0", "--artifact", program(published, "1.2.0"),
        "--delta-from", "1.0.0",
    )  # fmt: skip

    assert "no delta from 1.0.0: an agent could not use notes-1.0.0-1.2.0.pb1: delta/" in done.err
    assert deltas(published, "1.2.0") == []


def test_a_base_is_taken_only_with_the_bytes_that_were_signed(published: Cli) -> None:
    stored = published.folder / "server" / "files" / "blobs" / "notes"
    for blob in stored.iterdir():
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.unlink()  # else the signed name would have them, too
        blob.write_bytes(data)
    changed = publish(published, "1.2.0", "--delta-from", "1.0.0")["deltas"]
    for blob in stored.iterdir():
        blob.unlink()
    gone = publish(published, "1.3.0", "--delta-from", "1.0.0")["deltas"]

    assert changed[0]["why"] == (
        "its payload cannot be had: the server sends other bytes than were signed"
    )
    assert gone[0]["why"].startswith("its payload cannot be had: ")


def test_a_server_that_our_root_does_not_vouch_for_is_no_base(
    published: Cli,
) -> None:
    root = published.folder / "root.json"
    ours = root.read_bytes()
    root.write_bytes(ours.replace(b'"sig"', b'"gis"', 1))
    forged = publish(published, "1.2.0", "--delta-from", "1.0.0")["deltas"]
    root.unlink()
    missing = publish(published, "1.3.0", "--delta-from", "1.0.0")["deltas"]

    assert "root.json does not vouch for the server" in forged[0]["why"]
    assert "root.json cannot be read" in missing[0]["why"]


def test_publishing_again_with_other_deltas_has_nothing_to_do(published: Cli) -> None:
    publish(published, "1.2.0", "--delta-from", "1.0.0")

    again = ("release", "publish", "1.2.0", "--artifact", program(published, "1.2.0"))
    assert published.json(*again, "--entry", "program-1.2.0", code=3) == {"version": "1.2.0"}


def test_large_files_have_their_pieces_signed_beside_them(
    published: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "PIECES_ABOVE_BYTES", SIZE)

    publish(published, "1.2.0", "--delta-from", "1.0.0")

    names = published.json("app", "show")  # the metadata was admitted
    assert names["app"] == "notes"
    pieces = list((published.folder / "server").rglob("*.srn.pieces"))
    payload = published.json("release", "show", "1.2.0")["platforms"][0]["artifact"]
    stored = next((published.folder / "server").rglob(f"{payload['sha256']}.*.srn"))
    assert [file.read_bytes() for file in pieces] == [render_pieces([stored.read_bytes()])]


# --- ways back and the data -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "told"), [((), "of no number"), (("--reads-schema-max", "2"), "2 at most")]
)
def test_no_way_leads_back_to_what_could_not_read_the_data(
    cli: Cli, reads: tuple[str, ...], told: str
) -> None:
    cli.publish("1.0.0", *reads)
    artifact = f"{LINUX}={cli.program('1.1.0')}"
    arguments = ("1.1.0", "--artifact", artifact, "--rollback-to", "1.0.0", "--data-schema", "3")

    refused = cli.run("release", "publish", *arguments, "--json", code=1)

    assert refused.error == "unreadable_data"
    assert f"on {LINUX} it reads data schema {told}, and 1.1.0 writes 3" in str(refused.document)
    assert [row["version"] for row in cli.json("release", "list")["items"]] == ["1.0.0"]


def test_a_way_leads_back_to_what_can_read_the_data(cli: Cli) -> None:
    cli.publish("1.0.0", "--reads-schema-max", "3")

    made = cli.publish("1.1.0", "--rollback-to", "1.0.0", "--data-schema", "3")

    assert made["version"] == "1.1.0"
