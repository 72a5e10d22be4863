"""Contract of study_ports.Registers, and of what Studies forgets of them."""

import pytest

from tests.store.values import HOUR, NOW, OTHER_ROLLOUT, ROLLOUT, a_member, a_study
from update_server.service.ports import Database
from update_server.service.ports.studies import StoredMember

A, B, C, D = b"\x00a", b"b", b"c\xff", b"d" * 32
MORE_THAN_A_STATEMENT_HOLDS = 40_000


@pytest.fixture
def studied(database: Database) -> Database:
    """A database with one study of each of two rollouts."""
    with database.transaction() as stores:
        stores.studies.add(a_study(ROLLOUT))
        stores.studies.add(a_study(OTHER_ROLLOUT))
    return database


def put(database: Database, members: dict[bytes, StoredMember]) -> None:
    with database.transaction() as stores:
        stores.registers.put_members(ROLLOUT, members)


def test_members_are_those_of_their_study(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.registers.put_members(ROLLOUT, {A: a_member(b"1"), B: a_member(b"2")})
        stores.registers.put_members(OTHER_ROLLOUT, {A: a_member(b"3")})
        stores.registers.put_members(ROLLOUT, {})

    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A, C, A, B]) == {A: b"1", B: b"2"}
        assert stores.registers.members(OTHER_ROLLOUT, iter([A, B])) == {A: b"3"}
        assert stores.registers.members(ROLLOUT, []) == {}
        assert stores.registers.count_members(ROLLOUT) == 2


def test_a_member_that_is_put_again_is_the_new_one(studied: Database) -> None:
    put(studied, {A: a_member(b"1", due_at=1.0, network=b"n")})

    put(studied, {A: a_member(b"2", due_at=None, network=b"m", platform="windows-x86_64")})

    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A]) == {A: b"2"}
        assert stores.registers.due_members(ROLLOUT, 1.0) == []
        assert stores.registers.members_of_network(ROLLOUT, b"n") == []
        assert stores.registers.members_of_network(ROLLOUT, b"m") == [(A, b"2")]
        assert stores.registers.members_of_platform(ROLLOUT, "linux-x86_64") == []
        assert stores.registers.members_of_platform(ROLLOUT, "windows-x86_64") == [(A, b"2")]


def test_members_fall_due_in_order_of_time_and_then_of_install(studied: Database) -> None:
    just_after = 1_764_566_400.0000002
    put(
        studied,
        {
            D: a_member(b"4", due_at=5.5),
            B: a_member(b"2", due_at=5.5),
            C: a_member(b"3", due_at=1_764_566_400.0),
            A: a_member(b"1", due_at=just_after),
            b"e": a_member(b"5"),
        },
    )

    with studied.reading() as stores:
        due = stores.registers.due_members
        assert due(ROLLOUT, 5.4) == []
        assert due(ROLLOUT, 1_764_566_400.0) == [(B, b"2"), (D, b"4"), (C, b"3")]
        assert due(ROLLOUT, just_after) == [(B, b"2"), (D, b"4"), (C, b"3"), (A, b"1")]
        assert due(OTHER_ROLLOUT, just_after) == []


def test_members_of_a_network_and_of_a_platform_are_in_order_of_install(studied: Database) -> None:
    put(
        studied,
        {
            C: a_member(b"3", network=b"n\x00"),
            A: a_member(b"1", network=b"n\x00", platform="macos-arm64"),
            B: a_member(b"2", network=b"n"),
            D: a_member(b"4"),
        },
    )

    with studied.reading() as stores:
        registers = stores.registers
        assert registers.members_of_network(ROLLOUT, b"n\x00") == [(A, b"1"), (C, b"3")]
        assert registers.members_of_network(ROLLOUT, b"") == [(D, b"4")]
        assert registers.members_of_network(OTHER_ROLLOUT, b"n\x00") == []
        found = registers.members_of_platform(ROLLOUT, "linux-x86_64")
        assert found == [(B, b"2"), (C, b"3"), (D, b"4")]


def test_removed_members_are_gone(studied: Database) -> None:
    put(studied, {A: a_member(due_at=1.0), B: a_member(b"2")})

    with studied.transaction() as stores:
        stores.registers.remove_members(ROLLOUT, iter([A, C]))
        stores.registers.remove_members(OTHER_ROLLOUT, [B])

    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A, B]) == {B: b"2"}
        assert stores.registers.due_members(ROLLOUT, 1.0) == []


@pytest.mark.no_cover
def test_more_members_than_a_statement_holds_are_found_and_removed(studied: Database) -> None:
    installs = [number.to_bytes(4) for number in range(MORE_THAN_A_STATEMENT_HOLDS)]
    ends = {installs[0]: b"first", installs[-1]: b"last"}
    put(studied, {install: a_member(body) for install, body in ends.items()})

    with studied.transaction() as stores:
        assert stores.registers.members(ROLLOUT, installs) == ends
        stores.registers.remove_members(ROLLOUT, installs)
        assert stores.registers.count_members(ROLLOUT) == 0


def test_a_forgotten_install_stays_until_the_study_has_taken_it_out(studied: Database) -> None:
    put(studied, {A: a_member(b"1"), B: a_member(b"2")})

    with studied.transaction() as stores:
        stores.studies.forget_install("demo", A)
    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A]) == {A: b"1"}

    put(studied, {A: a_member(b"still in"), B: a_member(b"2", left=True)})
    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A, B]) == {A: b"still in", B: b"2"}

    put(studied, {A: a_member(b"out", left=True)})
    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A, B]) == {B: b"2"}


def test_a_forgotten_install_that_had_left_goes_at_once(studied: Database) -> None:
    put(studied, {A: a_member(left=True)})

    with studied.transaction() as stores:
        stores.studies.forget_install("demo", A)

        assert stores.registers.members(ROLLOUT, [A]) == {}


def test_an_install_that_comes_back_after_it_was_forgotten_is_a_new_one(studied: Database) -> None:
    put(studied, {A: a_member(left=True)})
    with studied.transaction() as stores:
        stores.studies.forget_install("demo", A)

    put(studied, {A: a_member(b"new")})
    put(studied, {A: a_member(b"new", left=True)})

    with studied.reading() as stores:
        assert stores.registers.members(ROLLOUT, [A]) == {A: b"new"}


def test_an_ended_study_keeps_no_forgotten_install(studied: Database) -> None:
    put(studied, {A: a_member(b"1"), B: a_member(b"2"), C: a_member(b"3")})

    with studied.transaction() as stores:
        stores.studies.forget_install("demo", A)
        stores.studies.end(ROLLOUT, NOW)
        stores.studies.forget_install("demo", B)

        assert stores.registers.members(ROLLOUT, [A, B, C]) == {C: b"3"}


def test_an_install_is_forgotten_in_the_studies_of_its_own_app(studied: Database) -> None:
    put(studied, {A: a_member(left=True)})

    with studied.transaction() as stores:
        stores.studies.forget_install("other", A)

        assert stores.registers.count_members(ROLLOUT) == 1


def test_registers_expire_some_time_after_the_end(studied: Database) -> None:
    with studied.transaction() as stores:
        stores.registers.put_members(ROLLOUT, {A: a_member(b"1")})
        stores.registers.put_members(OTHER_ROLLOUT, {A: a_member(b"2")})
        stores.studies.end(ROLLOUT, NOW)

        stores.studies.expire(ended_before=NOW)
        assert stores.registers.count_members(ROLLOUT) == 1

        stores.studies.expire(ended_before=NOW + HOUR)
        assert stores.registers.count_members(ROLLOUT) == 0
        assert stores.registers.count_members(OTHER_ROLLOUT) == 1
