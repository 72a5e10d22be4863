from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from client_agent.chance import SystemChance
from client_agent.contact.identity import Enrolment, Identities, parse_enrolment
from client_agent.errors import Code, DiskError
from rollout.errors import DocumentError, RolloutError
from tests.agent.agent_fakes import START, Dice, Machine


def identities(root: Path, machine_id: str | None = "aaaa", seed: int = 1) -> Identities:
    return Identities(root, Machine(machine_id), Dice(seed))


def forget(_why: str) -> None:
    """Nothing belongs to the install."""


def test_the_first_run_draws_an_id_that_later_runs_keep(tmp_path: Path) -> None:
    first = identities(tmp_path).load(START, forget)
    second = identities(tmp_path, seed=2).load(START, forget)

    assert first == second
    assert first.install_id[14] == "4"


def test_the_id_is_for_its_owner_only(tmp_path: Path) -> None:
    identities(tmp_path).load(START, forget)

    mode = stat.S_IMODE((tmp_path / "identity.json").stat().st_mode)
    assert mode == 0o600


def test_the_machines_own_id_is_never_stored(tmp_path: Path) -> None:
    identities(tmp_path, "0123456789abcdef").load(START, forget)

    assert "0123456789abcdef" not in (tmp_path / "identity.json").read_text()


def test_a_copied_folder_becomes_an_install_of_its_own(tmp_path: Path) -> None:
    here = identities(tmp_path)
    old = here.enrol(here.load(START, forget), Enrolment(group="staff", credential="c1"))

    found = identities(tmp_path, "bbbb", seed=2).load(START, forget)

    assert found.install_id != old.install_id
    assert found.enrolments == ()
    assert identities(tmp_path, "bbbb", seed=3).load(START, forget) == found


@pytest.mark.parametrize(("torn", "why"), [(None, "cloned"), (b"{", "lost")])
def test_what_was_the_old_installs_is_dropped_before_the_new_id_is_stored(
    tmp_path: Path, torn: bytes | None, why: str
) -> None:
    identities(tmp_path).load(START, forget)
    path = tmp_path / "identity.json"
    path.write_bytes(torn or path.read_bytes())
    before = path.read_bytes()
    asked: list[str] = []

    def stopped(why: str) -> None:
        asked.append(why)
        assert path.read_bytes() == before
        raise DiskError(Code.IO)

    for _ in range(2):  # stopped there, the next start does it again
        with pytest.raises(DiskError):
            identities(tmp_path, "bbbb", seed=2).load(START, stopped)

    assert asked == [why, why]
    assert path.read_bytes() == before


def test_a_machine_without_an_id_is_no_clone(tmp_path: Path) -> None:
    old = identities(tmp_path).load(START, forget)

    found = identities(tmp_path, None, seed=2).load(START, forget)

    assert found == old


def test_an_id_drawn_without_a_machine_id_survives_that_one_appears(tmp_path: Path) -> None:
    old = identities(tmp_path, None).load(START, forget)

    assert identities(tmp_path, "aaaa", seed=2).load(START, forget) == old


@pytest.mark.parametrize(
    "torn", [b"", b"{", b'{"install_id": 7}', b'{"install_id": "x", "machine": "", "created": ""}']
)
def test_a_torn_file_is_put_aside_and_a_new_id_drawn(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "identity.json").write_bytes(torn)

    found = identities(tmp_path).load(START, forget)

    assert json.loads((tmp_path / "identity.json").read_text())["install_id"] == (found.install_id)
    assert (tmp_path / "identity.bad").read_bytes() == torn


def test_two_first_runs_at_once_agree_on_one_id(tmp_path: Path) -> None:
    one, two = identities(tmp_path), identities(tmp_path, seed=2)
    mine, yours = one.draw(START), two.draw(START)

    first, second = one._create(mine), two._create(yours)

    assert first == second == mine
    assert [path.name for path in tmp_path.iterdir()] == ["identity.json"]


def test_a_link_in_the_place_of_the_id_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "identity.json").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DiskError) as caught:
        identities(tmp_path).load(START, forget)

    assert caught.value.code is Code.IO


def test_a_disk_that_takes_nothing_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        identities(tmp_path / "missing").load(START, forget)


def test_a_second_enrolment_in_a_group_replaces_the_first(tmp_path: Path) -> None:
    here = identities(tmp_path)
    identity = here.load(START, forget)

    for credential in ("c1", "c2"):
        identity = here.enrol(identity, Enrolment(group="staff", credential=credential))

    assert here.load(START, forget) == identity
    assert identity.enrolments == (Enrolment(group="staff", credential="c2"),)
    assert identity.groups == {"staff"}


def test_a_volatile_identity_is_stored_nowhere(tmp_path: Path) -> None:
    here = identities(tmp_path)

    identity = here.enrol(
        here.draw(START, volatile=True), Enrolment(group="staff", credential="c1")
    )

    assert identity.volatile
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"group": "staff"},
        {"group": "Staff!", "credential": "c"},
        {"group": "staff", "credential": ""},
        {"group": "staff", "credential": "two\r\nlines"},
        {"group": "staff", "credential": "a b"},
        {"group": "staff", "credential": "c" * 129},
    ],
)
def test_what_is_no_enrolment_is_refused(value: object) -> None:
    with pytest.raises(RolloutError):
        parse_enrolment(value)


def test_a_credential_does_not_show_in_texts() -> None:
    assert "secret" not in repr(Enrolment(group="staff", credential="secret"))


def test_the_machines_own_chance_draws_ids_and_shares() -> None:
    chance = SystemChance()

    assert 0 <= chance.share() < 1
    assert chance.new_id() != chance.new_id()
    assert issubclass(DocumentError, RolloutError)
