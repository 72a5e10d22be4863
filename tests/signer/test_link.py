"""The signer's socket, with the real signer behind it."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.documents import render_rollout
from tests.fakes import FakeClock
from tests.signer.signer_world import ROLLOUT, SignerWorld, a_document, a_world, an_entry
from tests.signing.world import APP
from update_server.service.ports import SignerRefusedError, UnavailableError
from update_server.signer import link
from update_server.signer.link import SocketSigner
from update_server.signer.memory import recall
from update_server.signer.tickets import key_in, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signer.sock"


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def world(tmp_path: Path, path: Path, log: list[str]) -> Iterator[SignerWorld]:
    world, stop = a_world(tmp_path / "signer"), threading.Event()
    thread = threading.Thread(target=link.serve, args=(path, world.signer, stop, log.append))
    thread.start()
    while not path.is_socket():
        thread.join(0.01)
    yield world
    stop.set()
    thread.join()


def test_everything_that_can_be_asked_goes_through_the_socket(
    world: SignerWorld, path: Path
) -> None:
    remote, ann = SocketSigner(path), world.token("ann")

    keys = remote.new_app(APP)
    newest = remote.status(APP).timestamp_version
    document = render_rollout(a_document(an_entry()))
    signed = remote.sign_rollout(APP, "stable", document, [ann], based_on=newest, automatic=False)
    wider = render_rollout(a_document(an_entry(2)))
    ticket = remote.ticket(APP, "stable", wider, ROLLOUT, ann, based_on=signed.timestamp_version)
    remote.withdraw(APP, ticket)
    refreshed = remote.refresh(APP)

    assert read(key_in(world.folder / APP), ticket)
    assert len(recall(world.folder / APP, APP).withdrawn) == 1
    assert keys == remote.online_keys(APP) == world.signer.new_app(APP)
    assert refreshed.timestamp_version == signed.timestamp_version + 1
    assert remote.status(APP) == world.signer.status(APP) == refreshed
    assert remote.admit(APP, {"root": refreshed.metadata["root"]}, {}) == refreshed


def test_a_refusal_arrives_with_its_code_and_data(world: SignerWorld, path: Path) -> None:
    remote, document = SocketSigner(path), render_rollout(a_document(an_entry()))
    newest = world.signer.status(APP).timestamp_version

    with pytest.raises(SignerRefusedError) as refused:
        remote.sign_rollout(APP, "stable", document, [], based_on=newest, automatic=False)
    with pytest.raises(SignerRefusedError) as overtaken:
        remote.sign_rollout(APP, "stable", document, [], based_on=newest - 1, automatic=False)

    assert refused.value.code == "approvals_missing"
    assert refused.value.data == {"needed": 1, "given": 0}
    assert (overtaken.value.code, overtaken.value.data) == ("stale_base", {"current": newest})


@pytest.mark.usefixtures("world")
def test_the_socket_belongs_to_its_owner_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("world")
def test_nonsense_on_the_socket_ends_neither_signer_nor_secret(path: Path, log: list[str]) -> None:
    for nonsense in (b"\n", b"{}\n", b'{"verb": "sign_bytes", "app": "demo"}\n', b"\xff\xfe\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.connect(str(path))
            raw.sendall(nonsense)
            assert b"fault" in (answer := raw.recv(4096)) or b"unknown_verb" in answer
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.connect(str(path))
        raw.sendall(b'{"verb": ')  # and goes away

    assert SocketSigner(path).status(APP).timestamp_version > 0
    assert log


class Leaping(FakeClock):
    """A clock on which so much time passes between two looks."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def monotonic(self) -> float:
        self.sleep(self._seconds)
        return super().monotonic()


def test_who_sends_byte_by_byte_is_cut_off_in_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"{")

        with pytest.raises(TimeoutError, match="too slow"):
            link._read_line(ours, 5, Leaping(3))


@pytest.mark.usefixtures("world")
def test_who_asks_waits_no_longer_than_for_one_answer(path: Path) -> None:
    with pytest.raises(UnavailableError, match="too slow"):
        SocketSigner(path, Leaping(60)).status(APP)


@pytest.mark.parametrize("name", ["", "Demo", "../demo", "a" * 65])
def test_what_can_be_no_apps_name_is_refused_and_no_fault(
    world: SignerWorld, path: Path, log: list[str], name: str
) -> None:
    for ask in (SocketSigner(path).status, SocketSigner(path).new_app, world.signer.online_keys):
        with pytest.raises(SignerRefusedError) as refused:
            ask(name)
        assert refused.value.code == "bad_name"
    assert log == []


@pytest.mark.usefixtures("world")
def test_a_second_signer_does_not_take_the_socket_away(path: Path, world: SignerWorld) -> None:
    with pytest.raises(OSError, match="another signer"):
        link.serve(path, world.signer, threading.Event(), print)

    assert SocketSigner(path).status(APP).timestamp_version > 0


def test_a_socket_that_a_killed_signer_left_is_taken_over(tmp_path: Path, path: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(path))
    left.close()
    world, stop = a_world(tmp_path / "signer"), threading.Event()
    stop.set()

    link.serve(path, world.signer, stop, print)

    assert not path.exists()


def test_without_a_signer_the_answer_is_that_it_does_not_answer(path: Path) -> None:
    with pytest.raises(UnavailableError):
        SocketSigner(path).status(APP)
