"""Contract of ports.Spool and ports.SpoolReader, over the fakes and the files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from rollout.model import Arm
from tests.fakes import FakeSpool, FakeSpoolReader
from tests.store.values import NOW, a_contact, an_event
from update_server.service.ports import Contact, Event, Phase, UnavailableError
from update_server.spool import FileSpool, FileSpoolReader

EVENTS = [an_event(event_id=f"e{n}") for n in range(5)]


class Fixture:
    """A reader, and spools that it reads."""

    def __init__(self, folder: Path | None) -> None:
        self._fake = FakeSpoolReader()
        self._folder = folder
        self.reader = FileSpoolReader(folder) if folder else self._fake
        self._made: list[FakeSpool | FileSpool] = []

    def writer(self, name: str) -> FakeSpool | FileSpool:
        spool = FileSpool(self._folder, name) if self._folder else self._fake.writer(name)
        self._made.append(spool)
        return spool

    def close(self) -> None:
        for spool in self._made:
            spool.close()


@pytest.fixture(params=["fake", "files"])
def spools(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fixture]:
    made = Fixture(tmp_path / "spool" if request.param == "files" else None)
    yield made
    made.close()


def read_all(spools: Fixture) -> list[Contact | Event]:
    """Read every spool to its end, as the digest does."""
    found: list[Contact | Event] = []
    for name in spools.reader.spools():
        offset = 0
        while True:
            records, offset = spools.reader.read(name, offset, 2)
            if not records:
                break
            found += records
    return found


def test_there_are_no_spools_at_first(spools: Fixture) -> None:
    spools.writer("one").events([])

    assert read_all(spools) == []


def test_what_goes_in_comes_out_in_order(spools: Fixture) -> None:
    full_contact = a_contact(
        install="\udcff".encode("utf-8", "surrogatepass").decode("latin-1"),
        arm=Arm.INTERNAL,
        self_selected=True,
        timestamp_version=2**53 - 1,
    )
    full_event = an_event(
        phase=Phase.ROLLED_BACK,
        platform="linux-x86_64",
        body={"error": {"category": "x"}, "delta": True, "value": 1.5, "n": [1, None]},
    )
    spool = spools.writer("one")

    spool.contact(full_contact)
    spool.events([full_event, an_event(phase=None, channel=None)])
    spool.contact(a_contact(rollout=None, ring=None, arm=None, offered=None))
    spool.flush()

    assert read_all(spools) == [
        full_contact,
        full_event,
        an_event(phase=None, channel=None),
        a_contact(rollout=None, ring=None, arm=None, offered=None),
    ]


def test_a_note_comes_out_in_its_place(spools: Fixture) -> None:
    note = an_event("", "note", kind="rejected", version="", phase=None, body={"code": "too_old"})
    spool = spools.writer("one")

    spool.contact(a_contact())
    spool.note(note)
    spool.events(EVENTS[:1])

    assert read_all(spools) == [a_contact(), note, EVENTS[0]]


def test_a_note_never_fails_for_want_of_room(spools: Fixture) -> None:
    spool = spools.writer("one")
    spool.close()

    spool.note(an_event())

    assert (spool.dropped_contacts, spool.dropped_notes) == (0, 0)


def test_the_size_of_a_spool_is_where_reading_ends(spools: Fixture) -> None:
    assert spools.reader.size_bytes("one") == 0
    spools.writer("one").events(EVENTS)

    (name,) = spools.reader.spools()
    _, end = spools.reader.read(name, 0, 100)

    assert spools.reader.size_bytes(name) == end > 0


def test_an_instant_keeps_its_microseconds(spools: Fixture) -> None:
    spools.writer("one").events([an_event(at=NOW)])

    (event,) = read_all(spools)

    assert isinstance(event, Event)
    assert event.at == NOW
    assert event.at.microsecond == 123456


def test_a_body_that_cannot_change_is_taken_too(spools: Fixture) -> None:
    spools.writer("one").events([an_event(body=MappingProxyType({"to": "2.1.0"}))])

    assert read_all(spools) == [an_event(body={"to": "2.1.0"})]


def test_reading_goes_on_where_it_ended(spools: Fixture) -> None:
    spool = spools.writer("one")
    spool.events(EVENTS)
    (name,) = spools.reader.spools()

    first, offset = spools.reader.read(name, 0, 2)
    rest, end = spools.reader.read(name, offset, 100)
    nothing, same = spools.reader.read(name, end, 100)
    spool.events(EVENTS[:1])
    more, _ = spools.reader.read(name, end, 100)

    assert [*first, *rest] == EVENTS
    assert (nothing, same) == ([], end)
    assert more == EVENTS[:1]


def test_a_spool_that_is_gone_holds_nothing_and_is_retired(spools: Fixture) -> None:
    assert spools.reader.read("gone-000001", 7, 10) == ([], 7)
    assert spools.reader.retire("gone-000001")


def test_every_spool_is_read(spools: Fixture) -> None:
    for name, event in zip(("one", "two"), EVENTS, strict=False):
        spools.writer(name).events([event])

    assert read_all(spools) == EVENTS[:2]


def test_a_spool_in_use_is_not_retired(spools: Fixture) -> None:
    spools.writer("one").events(EVENTS)
    read_all(spools)
    (name,) = spools.reader.spools()

    assert not spools.reader.retire(name)

    assert read_all(spools) == EVENTS


def test_a_spool_that_is_done_with_is_retired_once_it_is_read_to_its_end(spools: Fixture) -> None:
    spool = spools.writer("one")
    spool.events(EVENTS)
    (name,) = spools.reader.spools()
    retire: Callable[[], bool] = lambda: spools.reader.retire(name)  # noqa: E731
    _, middle = spools.reader.read(name, 0, 2)
    spool.close()

    before_the_end = retire()
    _, end = spools.reader.read(name, middle, 100)
    not_known_to_be_the_end = retire()
    spools.reader.read(name, end, 100)

    assert (before_the_end, not_known_to_be_the_end, retire()) == (False, False, True)
    assert spools.reader.spools() == []


def test_what_was_written_after_the_last_reading_keeps_a_spool(spools: Fixture) -> None:
    spool = spools.writer("one")
    spool.events(EVENTS[:1])
    read_all(spools)
    spool.events(EVENTS[1:2])
    spool.close()
    (name,) = spools.reader.spools()

    assert not spools.reader.retire(name)

    assert read_all(spools) == EVENTS[:2]
    assert spools.reader.retire(name)


def test_a_closed_spool_takes_no_events(spools: Fixture) -> None:
    spool = spools.writer("one")
    spool.events(EVENTS)
    spool.close()

    with pytest.raises(UnavailableError):
        spool.events(EVENTS)

    assert read_all(spools) == EVENTS


def test_contacts_before_the_end_are_kept(spools: Fixture) -> None:
    spool = spools.writer("one")
    spool.contact(a_contact())
    spool.close()

    assert read_all(spools) == [a_contact()]
