from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from update_server.evidence.register import Member, MemoryRegister


def test_members_are_due_in_order_of_their_instant_then_of_their_key() -> None:
    register = MemoryRegister()
    register.put({b"b": Member(due_at=2.0), b"c": Member(due_at=1.0), b"a": Member(due_at=2.0)})

    assert [install for install, _ in register.due(2.0)] == [b"c", b"a", b"b"]
    assert [install for install, _ in register.due(1.5)] == [b"c"]


def test_asking_changes_nothing() -> None:
    register = MemoryRegister()
    register.put({b"a": Member(due_at=1.0)})

    assert register.due(3.0) == register.due(3.0)
    assert register.due(0.5) == []


def test_a_member_that_awaits_something_later_is_due_later() -> None:
    register = MemoryRegister()
    register.put({b"a": Member(due_at=1.0)})
    register.due(1.0)

    register.put({b"a": Member(due_at=5.0)})

    assert register.due(4.0) == []
    assert len(register.due(5.0)) == 1


def test_a_member_that_goes_back_to_an_instant_is_due_once() -> None:
    register = MemoryRegister()
    for due_at in (1.0, 5.0, 1.0, None, 1.0):
        register.put({b"a": Member(due_at=due_at)})

    assert len(register.due(9.0)) == 1


def test_members_are_found_by_network_and_platform() -> None:
    register = MemoryRegister()
    register.put({b"b": Member(network=b"n", platform="p"), b"a": Member(network=b"n")})

    assert [install for install, _ in register.of_network(b"n")] == [b"a", b"b"]
    assert [install for install, _ in register.of_platform("p")] == [b"b"]


def test_a_member_that_moved_is_in_its_new_network() -> None:
    register = MemoryRegister()
    register.put({b"a": Member(network=b"n")})
    register.put({b"a": Member(network=b"o")})

    assert register.of_network(b"n") == []
    assert len(register.of_network(b"o")) == 1
    assert register.of_network(b"x") == []


def test_a_member_can_be_forgotten() -> None:
    register = MemoryRegister()
    register.put({b"a": Member(due_at=1.0)})

    register.remove(b"a")
    register.remove(b"a")

    assert register.get([b"a"]) == {}
    assert register.due(2.0) == []


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.none() | st.floats(0, 9))))
def test_what_is_due_is_what_was_put_last(puts: list[tuple[bytes, float | None]]) -> None:
    register = MemoryRegister()
    for number, (install, due_at) in enumerate(puts):
        register.put({install: Member(due_at=due_at)})
        if number % 3 == 0:
            register.due(5.0)

    last = dict(puts)
    expected = sorted((at, i) for i, at in last.items() if at is not None and at <= 5.0)
    assert [i for i, _ in register.due(5.0)] == [i for _, i in expected]
