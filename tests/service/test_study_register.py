"""Over stores, a study's register and log are what they are in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.model import RolloutId
from tests.fakes import FakeDatabase
from update_server.evidence.register import Member, MemoryRegister, Register
from update_server.evidence.state import Label, MemoryLog, Scored
from update_server.service.studies.register import StoredLog, StoredRegister

ROLLOUT = RolloutId("ro_7k2m")
A_LABEL = Label(
    epoch=1,
    metric="crash",
    platform="linux-x86_64",
    at=1.0,
    candidate=True,
    n_candidate=10,
    n_control=90,
    event=b"e",
    network=b"n",
)
A_COHORT = Scored(
    epoch=1,
    metric="silence",
    platform="linux-x86_64",
    at=2.0,
    k_candidate=1,
    k=2,
    n_candidate=10,
    n_control=90,
    networks=(b"n",),
)

Ask = Callable[[Register], object]
"""Does something with a register, and returns what it was told."""

installs = st.sampled_from([b"a", b"b", b"c", b"d"])
instants = st.integers(0, 4).map(float)


def asked(told: Sequence[tuple[bytes, Member]] | Mapping[bytes, Member]) -> object:
    """Return a copy of what a register told; its own members may change later."""
    return copy.deepcopy(list(told.items() if isinstance(told, Mapping) else told))


def putting(install: bytes, member: Member) -> Ask:
    return lambda register: register.put({install: copy.deepcopy(member)})


def changing(install: bytes, due_at: float | None) -> Ask:
    """Change a member in place and put it back, as the study does."""

    def change(register: Register) -> None:
        found = register.get([install])
        for member in found.values():
            member.due_at = due_at
            member.had.add("crash")
        register.put(found)

    return change


asks: st.SearchStrategy[Ask] = st.one_of(
    st.builds(
        putting,
        installs,
        st.builds(
            Member,
            due_at=st.none() | instants,
            network=st.sampled_from([b"", b"n"]),
            platform=st.sampled_from(["linux-x86_64", "macos-arm64"]),
        ),
    ),
    st.builds(changing, installs, st.none() | instants),
    installs.map(lambda install: lambda register: register.remove(install)),
    st.lists(installs).map(lambda some: lambda register: asked(register.get(some))),
    instants.map(lambda now: lambda register: asked(register.due(now))),
    st.just(lambda register: asked(register.of_network(b"n"))),
    st.just(lambda register: asked(register.of_platform("linux-x86_64"))),
)


@given(ticks=st.lists(st.lists(asks, max_size=8), max_size=5))
def test_a_register_over_stores_tells_what_one_in_memory_does(
    ticks: list[list[Ask]],
) -> None:
    database = FakeDatabase()
    memory = MemoryRegister()

    for of_tick in ticks:
        with database.transaction() as stores:
            stored = StoredRegister(stores.registers, ROLLOUT)
            assert [ask(stored) for ask in of_tick] == [ask(memory) for ask in of_tick]
            stored.flush()


@pytest.fixture
def database() -> FakeDatabase:
    """A database with two members, of which one falls due."""
    database = FakeDatabase()
    with database.transaction() as stores:
        register = StoredRegister(stores.registers, ROLLOUT)
        register.put({b"a": Member(stage=1, due_at=5.0), b"b": Member(stage=2)})
        register.flush()
    return database


def test_nothing_is_written_before_the_flush(database: FakeDatabase) -> None:
    with database.transaction() as stores:
        register = StoredRegister(stores.registers, ROLLOUT)
        register.put({b"c": Member(stage=3)})
        register.remove(b"a")

    with database.reading() as stores:
        members = StoredRegister(stores.registers, ROLLOUT).get([b"a", b"b", b"c"])
        assert {key: member.stage for key, member in members.items()} == {b"a": 1, b"b": 2}


def test_a_change_in_place_is_written_too(database: FakeDatabase) -> None:
    with database.transaction() as stores:
        register = StoredRegister(stores.registers, ROLLOUT)
        register.get([b"a"])[b"a"].left = True
        register.flush()

    with database.reading() as stores:
        assert StoredRegister(stores.registers, ROLLOUT).get([b"a"])[b"a"].left


def test_a_register_that_was_flushed_goes_on(database: FakeDatabase) -> None:
    with database.transaction() as stores:
        register = StoredRegister(stores.registers, ROLLOUT)
        register.remove(b"a")
        register.flush()
        register.put({b"a": Member(stage=7)})
        register.flush()
        register.remove(b"b")
        register.flush()

    with database.reading() as stores:
        found = StoredRegister(stores.registers, ROLLOUT).get([b"a", b"b"])
        assert found == {b"a": Member(stage=7)}


def test_what_did_not_change_is_not_written(database: FakeDatabase) -> None:
    with database.reading() as stores:
        register = StoredRegister(stores.registers, ROLLOUT)
        assert len(register.get([b"a", b"b"])) == 2

        register.flush()  # writing would be refused

    with database.transaction() as stores:
        assert stores.registers.count_members(ROLLOUT) == 2


def test_a_log_over_stores_tells_what_one_in_memory_does() -> None:
    entries: list[Label | Scored] = [
        A_LABEL,
        A_COHORT,
        replace(A_LABEL, epoch=2),
        replace(A_LABEL, metric="silence", candidate=False),
        replace(A_COHORT, metric="crash"),
        replace(A_LABEL, at=3.0),
    ]
    memory = MemoryLog()
    memory.add(entries)

    with FakeDatabase().transaction() as stores:
        log = StoredLog(stores.studies, ROLLOUT)
        for entry in entries:
            log.add([entry])

        assert log.size == 6
        for epoch in (1, 2):
            for metric in ("crash", "silence"):
                assert log.labels(epoch, metric) == memory.labels(epoch, metric)
                assert log.scored(epoch, metric) == memory.scored(epoch, metric)


def test_a_replay_sees_no_more_than_the_decision_did() -> None:
    with FakeDatabase().transaction() as stores:
        StoredLog(stores.studies, ROLLOUT).add([A_LABEL, A_COHORT, replace(A_LABEL, at=3.0)])

        log = StoredLog(stores.studies, ROLLOUT, first=1)

        assert log.labels(1, "crash") == [A_LABEL]
        assert log.scored(1, "silence") == []
