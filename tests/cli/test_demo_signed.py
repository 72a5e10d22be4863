"""What was signed is read from public files that verify, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.version import Version

from rollout.bucket import bucket_of
from tests.builders import a_release as any_release
from tests.signing.world import World, a_release, a_world, edited, next_version
from update_server.cli.demo.signed import Source, ring_of, signed_releases
from update_server.cli.errors import CliError

SHARES = (("1%", 2_500), ("10%", 6_000), ("all", 10_000))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(world: World, folder: Path) -> Iterator[Source]:
    """Serve the world's files as the public app would, from a dumb file server."""
    for name, data in world.blobs.files.items():
        path = folder / "v1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    handler = partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Source(
            public_url=f"http://127.0.0.1:{server.server_port}",
            root=world.first_root,
            app="demo",
            channel="stable",
            platform="linux-x86_64",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_signed_releases_are_found_and_others_are_not(tmp_path: Path) -> None:
    release = a_release("1.0")

    with served(a_world(release), tmp_path / "www") as source:
        found = signed_releases(source, [Version("1.0"), Version("6.6.6")], tmp_path / "cache")

    assert found == {Version("1.0"): release}


def test_a_timestamp_changed_by_others_vouches_for_nothing(tmp_path: Path) -> None:
    world = a_world(a_release("1.0"))
    name = next(name for name in world.blobs.files if name.endswith("timestamp.json"))
    world.blobs.files[name] = edited(
        world.blobs.files[name], lambda fields: next_version(fields["signed"])
    )

    with served(world, tmp_path / "www") as source, pytest.raises(CliError) as caught:
        signed_releases(source, [Version("1.0")], tmp_path / "cache")

    assert caught.value.code == "not_verified"


def test_files_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    world = a_world()
    world.blobs.files.clear()

    with served(world, tmp_path / "www") as source, pytest.raises(CliError) as caught:
        signed_releases(source, [Version("1.0")], tmp_path / "cache")

    assert caught.value.code == "not_verified"


def test_an_install_is_first_in_the_narrowest_ring_that_has_its_bucket() -> None:
    release = any_release()
    found = {
        ring_of(release, f"00000000-0000-4000-8000-{number:012x}", SHARES): bucket_of(
            release.salt, f"00000000-0000-4000-8000-{number:012x}"
        )
        for number in range(200)
    }

    assert found["1%"] < 2_500 <= found["10%"] < 6_000 <= found["all"]


def test_beyond_all_shares_there_is_no_ring() -> None:
    assert ring_of(any_release(), "00000000-0000-4000-8000-000000000000", ()) == ""
