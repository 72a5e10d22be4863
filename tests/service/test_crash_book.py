"""What the digest keeps of crash reports and sessions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Arm
from tests.public_world import APP, CHANNEL, NOW, PLATFORM, ROLLOUT, World, a_rollout, a_world
from update_server.evidence.facts import Crash
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.crashes.book import expire
from update_server.service.crashes.facts import signature_of
from update_server.service.crashes.placed import placed
from update_server.service.crashes.released import ReleasedVersions
from update_server.service.crashes.session_book import CONFLICTS, note_sessions
from update_server.service.ports import Contact, Event
from update_server.service.ports.crashes import (
    AGGREGATE,
    UNATTRIBUTED,
    UNPUBLISHED,
    UNTOLD,
    CrashCount,
    Sample,
)
from update_server.service.ports.signatures import MAX_NEW_A_DAY, OTHER
from update_server.service.studies.codec import decode_fact
from update_server.service.studies.memory import begin
from update_server.service.telemetry.digest import Digest

DAY = timedelta(days=1)
ONE, TWO = b"install1" + b"k" * 24, b"install2" + b"k" * 24
BODY = {
    "exception": {"type": "ValueError"},
    "frames": [{"module": "notes", "function": "save"}],
    "os": {"name": "Linux", "version": "6.1"},
}


class Told:
    """A world whose digest takes what a test tells, at once."""

    def __init__(self) -> None:
        self.world: World = a_world()
        self.world.put_db_rollout(a_rollout())
        self.digest = Digest(self.world.database, self.world.spools)
        self.tell(a_contact(ONE), a_contact(TWO, arm=Arm.CONTROL, action="stay", offered=None))

    def tell(self, *records: Contact | Event) -> None:
        for record in records:
            if isinstance(record, Contact):
                self.world.spool.contact(record)
            else:
                self.world.spool.events([record])
        self.digest.run()

    def counts(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        """Return installs and reports of crashes by version, arm and signature."""
        return {
            (one.version, one.arm, one.signature): (one.installs, one.reports)
            for one in self._counts()
            if not one.handled
        }

    def errors(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        return {
            (one.version, one.arm, one.signature): (one.installs, one.reports)
            for one in self._counts()
            if one.handled
        }

    def _counts(self) -> list[CrashCount]:
        with self.world.database.reading() as stores:
            return list(stores.crashes.counts(APP))

    def crashed(self) -> dict[tuple[str, str], int]:
        with self.world.database.reading() as stores:
            return {(one.version, one.arm): one.installs for one in stores.crashes.crashed(APP)}

    def sessions(self) -> dict[tuple[str, str, str], int]:
        with self.world.database.reading() as stores:
            found: dict[tuple[str, str, str], int] = {}
            for one in stores.sessions.hours(APP):
                place = (one.version, one.cell.arm, one.status)
                found[place] = found.get(place, 0) + one.sessions
            return found

    def by_source(self) -> dict[tuple[str, str], int]:
        with self.world.database.reading() as stores:
            return {(one.source, one.status): one.sessions for one in stores.sessions.hours(APP)}

    def samples(self, *signatures: str) -> list[Sample]:
        with self.world.database.reading() as stores:
            return list(stores.crashes.samples(APP, signatures))

    def known(self) -> frozenset[str]:
        """Return which signatures a study of a release published tomorrow takes for known."""
        with self.world.database.reading() as stores:
            return stores.signatures.known(
                APP, CHANNEL, versions=["2.1.0", "2.0.0"], published_at=NOW + DAY
            )

    def counters(self, name: str) -> int:
        with self.world.database.reading() as stores:
            return sum(one.by for one in stores.counters.all(APP) if one.name == name)


@pytest.fixture
def told() -> Told:
    return Told()


def a_contact(install_key: bytes, **changes: Any) -> Contact:
    contact = Contact(
        app=APP,
        install_key=install_key,
        at=NOW,
        channel=CHANNEL,
        platform=PLATFORM,
        version="2.0.0",
        action="update",
        reason="in_ring",
        offered="2.1.0",
        rollout=ROLLOUT,
        ring="1%",
        arm=Arm.CANDIDATE,
    )
    return replace(contact, **changes)


def a_crash(event_id: str = "e1", install_key: bytes = ONE, **changes: Any) -> Event:
    event = Event(
        app=APP,
        install_key=install_key,
        id=event_id,
        at=NOW,
        received_at=NOW,
        kind="crash",
        version="2.1.0",
        channel=CHANNEL,
        platform=PLATFORM,
        body=BODY,
    )
    return replace(event, **changes)


def a_session(status: str = "exited", install_key: bytes = ONE, **changes: Any) -> Event:
    sid = changes.pop("sid", "s1")
    body = {"sid": sid, "status": status, "started": NOW.isoformat(), **changes.pop("body", {})}
    return a_crash(f"{sid}:{status}", install_key, kind="session", body=body, **changes)


def a_wish(install_key: bytes = ONE) -> Event:
    return a_crash("", install_key, kind=FORGET_KIND, version="", body={})


def signature(body: dict[str, Any] | None = None) -> str:
    found = signature_of(a_crash(body=body or BODY))
    assert found is not None
    return found.comparable


def an_error_of(name: str) -> dict[str, Any]:
    return {"exception": {"type": name}}


SAVE = signature()


class TestReports:
    def test_a_crash_counts_its_install_in_its_arm(self, told: Told) -> None:
        told.tell(a_crash(), a_crash("e2"), a_crash("e3", TWO, version="2.0.0"))

        assert told.counts() == {
            ("2.1.0", "candidate", SAVE): (1, 2),
            ("2.0.0", "control", SAVE): (1, 1),
        }
        assert told.crashed() == {("2.1.0", "candidate"): 1, ("2.0.0", "control"): 1}

    def test_what_is_sent_twice_counts_once(self, told: Told) -> None:
        told.tell(a_crash(), a_crash())
        told.tell(a_crash(), a_session(), a_session())
        told.tell(a_session())

        assert told.counts() == {("2.1.0", "candidate", SAVE): (1, 1)}
        assert told.sessions() == {("2.1.0", "candidate", "exited"): 1}

    def test_a_group_says_what_it_is_about(self, told: Told) -> None:
        told.tell(a_crash(at=NOW), a_crash("e2", at=NOW - DAY))
        hour = NOW.replace(minute=0)

        with told.world.database.reading() as stores:
            group = stores.crashes.groups(APP, [SAVE])[SAVE]

        assert (group.title, group.kind) == ("ValueError in notes:save", "other")
        assert group.parts == ("ValueError", "notes:save")
        assert (group.first_at, group.last_at) == (hour - DAY, hour)

    def test_a_crash_without_details_counts_its_install_too(self, told: Told) -> None:
        told.tell(a_crash(body={}))

        assert told.counts() == {("2.1.0", "candidate", UNTOLD): (1, 1)}
        assert told.samples(UNTOLD) == []

    def test_handled_errors_are_counted_apart(self, told: Told) -> None:
        told.tell(a_crash(kind="error"))

        assert told.counts() == {}
        assert told.errors() == {("2.1.0", "candidate", SAVE): (1, 1)}
        assert told.crashed() == {}

    @pytest.mark.parametrize("version", ["2.1", "2.1.0", "2.1.0.0"])
    def test_spellings_of_a_version_are_one_version(self, told: Told, version: str) -> None:
        told.tell(a_crash(version=version))

        assert told.crashed() == {("2.1.0", "candidate"): 1}

    def test_versions_that_nobody_published_are_one(self, told: Told) -> None:
        versions = ["1.9.0", "9.9", "no version", "\x00"]
        told.tell(*(a_crash(str(n), version=text) for n, text in enumerate(versions)))

        assert told.counts() == {(UNPUBLISHED, "candidate", SAVE): (1, 4)}

    def test_a_version_counts_once_it_is_published(self, told: Told) -> None:
        told.tell(a_crash(version="2.2.0"))
        told.world.put_release(Version("2.2.0"))
        told.tell(a_crash("e2", version="2.2.0"))

        assert told.crashed() == {(UNPUBLISHED, "candidate"): 1, ("2.2.0", "candidate"): 1}

    def test_where_it_ran_is_told(self, told: Told) -> None:
        told.tell(a_crash(), a_crash("e2", TWO, body={**BODY, "os": "Windows"}))
        told.tell(a_crash("e3", b"o" * 32, platform=None, body={**BODY, "os": 7}))

        with told.world.database.reading() as stores:
            places = [(one.platform, one.os, one.arm) for one in stores.crashes.places(APP, SAVE)]

        assert places == [
            ("", "", ""),
            (PLATFORM, "Linux 6.1", "candidate"),
            (PLATFORM, "Windows", "control"),
        ]

    def test_a_large_report_leaves_a_small_sample(self, told: Told) -> None:
        frames = [*BODY["frames"], *({"function": f"f{n}" * 80} for n in range(2_000))]

        body = {**BODY, "frames": frames, "tags": {"gpu": "x" * 20_000}}

        told.tell(a_crash(body=body))

        (sample,) = told.samples(signature(body))
        assert len(json.dumps(sample.body)) < 20_000
        assert sample.body["exception"] == BODY["exception"]
        assert sample.body["frames"][: len(BODY["frames"])] == BODY["frames"]
        assert "tags" not in sample.body

    def test_samples_hold_named_fields_only(self, told: Told) -> None:
        told.tell(a_crash(body={**BODY, "reporter": "ab", "file": "f", "thread": "main"}))

        (sample,) = told.samples(SAVE)
        assert sample.body == {**BODY, "thread": "main"}
        assert sample.version == "2.1.0"

    def test_a_flood_of_signatures_is_one_group(self, told: Told) -> None:
        flood = [an_error_of(f"Error{chr(97 + n // 26)}{chr(97 + n % 26)}") for n in range(210)]
        told.tell(*(a_crash(f"e{n}", body=body) for n, body in enumerate(flood)))

        counts = told.counts()
        assert len(counts) == MAX_NEW_A_DAY + 1
        assert counts["2.1.0", "candidate", OTHER] == (1, 10)
        with told.world.database.reading() as stores:
            assert OTHER not in stores.crashes.groups(APP, [OTHER])


class TestWhoSent:
    def test_a_tag_counts_as_its_install(self, told: Told) -> None:
        told.tell(a_crash(), a_crash("e2", ONE[:8], source="sdk", channel=None))
        told.tell(a_crash("e1", ONE[:8], source="sdk"))

        assert told.counts() == {("2.1.0", "candidate", SAVE): (1, 2)}

    def test_what_nobody_is_known_to_have_sent_is_counted_apart(self, told: Told) -> None:
        told.tell(
            a_crash("e1", b"", source="sdk", body={**BODY, "reporter": "aa" * 16}),
            a_crash("e2", b"", source="sdk", body={**BODY, "reporter": "aa" * 16}),
            a_crash("e3", b"", source="sdk", body={**BODY, "reporter": "bb" * 16}),
            a_crash("e3", b"", source="sdk", body={**BODY, "reporter": "bb" * 16}),
            a_crash("e4", b"", source="sdk", body={**BODY, "reporter": "no digits"}),
            a_crash("e5", b"x" * 32, source="sdk"),
        )

        assert told.counts() == {("2.1.0", UNATTRIBUTED, SAVE): (3, 5)}

    def test_it_makes_no_signature_known(self, told: Told) -> None:
        told.tell(a_crash("e1", b"", source="sdk"), a_crash("e2", kind="error"))
        assert told.known() == frozenset()

        told.tell(a_crash("e3"))
        assert told.known() == {SAVE}

    def test_studies_are_not_told_of_it(self, told: Told) -> None:
        with told.world.database.transaction() as stores:
            begin(stores, a_rollout())
        told.tell(a_crash("e1", b"", source="sdk"), a_session("crashed", b"", source="sdk"))
        assert self.facts(told) == []

        told.tell(a_crash("e2", ONE[:8], source="sdk"))
        assert [(fact.install, fact.signature) for fact in self.facts(told)] == [(ONE, SAVE)]

    def facts(self, told: Told) -> list[Crash]:
        with told.world.database.reading() as stores:
            facts = [decode_fact(body) for _, body in stores.studies.facts(ROLLOUT, 100)]
        return [fact for fact in facts if isinstance(fact, Crash)]

    def test_what_was_set_aside_adds_nothing_and_is_remembered(self, told: Told) -> None:
        told.tell(a_crash(quarantine="unknown_version"), a_session(quarantine="implausible"))
        told.tell(a_crash(), a_session())

        assert told.counts() == {}
        assert told.sessions() == {}
        assert told.known() == frozenset()


class TestSessions:
    def test_the_highest_state_is_true(self, told: Told) -> None:
        told.tell(a_session("exited"), a_session("crashed"), a_session("ok"))

        assert told.sessions() == {("2.1.0", "candidate", "crashed"): 1}
        assert told.counts() == {("2.1.0", "candidate", UNTOLD): (1, 1)}
        assert told.crashed() == {("2.1.0", "candidate"): 1}

    def test_a_crash_and_the_session_that_it_ended_are_one_install(self, told: Told) -> None:
        told.tell(a_session("crashed"), a_crash(), a_session("crashed", sid="s2"))

        assert told.crashed() == {("2.1.0", "candidate"): 1}

    def test_a_crash_does_not_crash_a_session(self, told: Told) -> None:
        told.tell(a_session("ok"), a_crash(body={**BODY, "sid": "s1"}))

        assert told.sessions() == {("2.1.0", "candidate", "ok"): 1}

    def test_one_start_that_a_launcher_and_an_sdk_tell_of_is_counted_for_each(
        self, told: Told
    ) -> None:
        told.tell(
            a_session("exited", sid="run", source="launch"),
            a_session("crashed", ONE[:8], sid="s1", source="sdk"),
        )

        assert told.by_source() == {("launch", "exited"): 1, ("sdk", "crashed"): 1}
        assert told.crashed() == {("2.1.0", "candidate"): 1}

    @pytest.mark.parametrize(
        ("source", "counted"),
        [("agent", "launch"), ("launch", "launch"), ("feed", "launch"), ("sdk", "sdk")],
    )
    def test_whatever_is_no_sdk_is_a_launch(self, told: Told, source: str, counted: str) -> None:
        told.tell(a_session("exited", source=source))

        assert told.by_source() == {(counted, "exited"): 1}

    def test_installs_have_sessions_of_their_own(self, told: Told) -> None:
        told.tell(a_session("crashed"), a_session("exited", TWO))

        assert told.sessions() == {
            ("2.1.0", "candidate", "crashed"): 1,
            ("2.1.0", "control", "exited"): 1,
        }

    def test_the_first_version_stays(self, told: Told) -> None:
        told.tell(a_session("ok", version="2.0.0"))
        told.tell(a_session("crashed", version="2.1.0"))

        assert told.sessions() == {("2.0.0", "candidate", "crashed"): 1}
        assert told.crashed() == {("2.0.0", "candidate"): 1}
        assert told.counters(CONFLICTS) == 1

    def test_unknown_words_count_nothing(self, told: Told) -> None:
        told.tell(a_session("resting"))

        assert told.sessions() == {}

    @pytest.mark.parametrize("started", ["yesterday", "9999-12-31T23:59:59-12:00", 7, None])
    def test_a_session_that_does_not_say_when_began_when_it_was_told(
        self, told: Told, started: object
    ) -> None:
        told.tell(a_session(body={"started": started}))

        with told.world.database.reading() as stores:
            (one,) = stores.sessions.hours(APP)
        assert one.hour == NOW.replace(minute=0)

    @pytest.mark.parametrize(
        ("started", "hour"),
        [
            ("1970-01-01T00:00:00Z", NOW.replace(minute=0) - 5 * DAY),
            ("2030-01-01T00:00:00", NOW.replace(minute=0)),
            ("2026-11-22T01:59:00-01:00", NOW.replace(hour=2, minute=0)),
        ],
    )
    def test_a_session_began_within_what_sessions_live(
        self, told: Told, started: str, hour: Any
    ) -> None:
        told.tell(a_session(body={"started": started}))

        with told.world.database.reading() as stores:
            (one,) = stores.sessions.hours(APP)
        assert one.hour == hour

    def test_a_session_without_a_name_goes_by_its_event(self, told: Told) -> None:
        told.tell(a_session(body={"sid": None}), a_session("ok", body={"sid": None}))

        assert sum(told.sessions().values()) == 2

    def test_sessions_without_an_install_are_counted_apart(self, told: Told) -> None:
        told.tell(
            a_session("exited", b"", source="sdk"),
            a_session("crashed", b"", source="sdk", sid="s2", body={"reporter": "aa"}),
        )

        assert told.sessions() == {
            ("2.1.0", UNATTRIBUTED, "exited"): 1,
            ("2.1.0", UNATTRIBUTED, "crashed"): 1,
        }
        assert told.crashed() == {("2.1.0", UNATTRIBUTED): 1}

    def test_counts_that_are_told_are_nobodys(self, told: Told) -> None:
        counts = {"exited": 3, "crashed": 1, "resting": 4, "errored": -1, "ok": 10**30}
        aggregate = a_crash("digest", kind="sessions", body={"counts": counts})
        told.tell(aggregate, aggregate, a_crash("other", kind="sessions", body={"counts": None}))

        assert told.sessions() == {
            ("2.1.0", AGGREGATE, "exited"): 3,
            ("2.1.0", AGGREGATE, "crashed"): 1,
            ("2.1.0", AGGREGATE, "ok"): 10**9,
        }
        assert {source for source, _ in told.by_source()} == {"sdk"}
        assert told.crashed() == {}


class TestLinks:
    """Nothing in a row with a report key is in a row with the install's own key as well."""

    ODD = NOW + timedelta(minutes=7, seconds=9, microseconds=123_457)

    def test_no_sample_has_an_id_that_is_known_of_an_install(self, told: Told) -> None:
        told.tell(a_crash("e1"), a_crash("e1", TWO))

        with told.world.database.reading() as stores:
            seen = {*stores.telemetry.event_ids(APP, ONE), *stores.telemetry.event_ids(APP, TWO)}
        names = {each.id for each in told.samples(SAVE)}
        hashes = {hashlib.sha256(each.encode()).hexdigest() for each in seen}
        assert seen == {"e1"}
        assert len(names) == 2
        assert not names & (seen | hashes | {each[:32] for each in hashes})

    def test_a_crash_is_known_to_the_hour(self, told: Told) -> None:
        told.tell(a_crash(at=self.ODD, received_at=self.ODD))

        with told.world.database.reading() as stores:
            [count] = stores.crashes.counts(APP)
            group = stores.crashes.groups(APP, [SAVE])[SAVE]
        [sample] = told.samples(SAVE)
        hour = self.ODD.replace(minute=0, second=0, microsecond=0)
        assert {count.first_at, count.last_at, sample.at} == {hour}
        assert {group.first_at, group.last_at} == {hour}

    def test_a_session_is_known_to_the_hour(self, told: Told) -> None:
        event = a_session(body={"started": self.ODD.isoformat()}, received_at=self.ODD)
        with told.world.database.transaction() as stores:
            found = placed(stores, ReleasedVersions(), b"pepper", [event])
            [(_, state)] = note_sessions(stores, b"pepper", found)

        times = (state.started_at, state.received_at)
        assert all((at.minute, at.second, at.microsecond) == (0, 0, 0) for at in times)
        assert state.received_at >= self.ODD  # it is not gone before its time


class TestLongSessions:
    """A session is known for five days after its last state; SDKs cut its start to that."""

    LATER = NOW + 7 * DAY

    def an_end(self, status: str = "exited", **changes: Any) -> Event:
        started = (self.LATER - 5 * DAY).isoformat()
        return a_session(
            status, at=self.LATER, received_at=self.LATER, body={"started": started}, **changes
        )

    def expire(self, told: Told) -> None:
        with told.world.database.transaction() as stores:
            stores.sessions.expire(sessions_before=NOW + DAY, hours_before=NOW - DAY)

    def test_its_end_is_not_another_session(self, told: Told) -> None:
        told.tell(a_session("ok"))
        self.expire(told)

        told.tell(self.an_end())

        assert told.sessions() == {("2.1.0", "candidate", "ok"): 1}

    def test_its_crash_is_a_crash_all_the_same(self, told: Told) -> None:
        told.tell(a_session("ok"))
        self.expire(told)

        told.tell(self.an_end("crashed"))

        assert told.crashed() == {("2.1.0", "candidate"): 1}

    def test_one_that_is_told_of_at_its_end_only_counts(self, told: Told) -> None:
        told.tell(self.an_end("ok"), self.an_end())

        assert told.sessions() == {("2.1.0", "candidate", "exited"): 1}

    def test_one_that_is_still_known_goes_on(self, told: Told) -> None:
        told.tell(a_session("ok"))

        told.tell(self.an_end())

        assert told.sessions() == {("2.1.0", "candidate", "exited"): 1}


class TestForgetting:
    def test_nothing_is_left_of_an_install(self, told: Told) -> None:
        records = [
            a_crash(),
            a_crash("e2", version="2.0.0"),
            a_crash("e3", version="1.0"),
            a_session(),
        ]
        told.tell(*records, a_wish())

        assert told.counts() == {}
        assert told.samples(SAVE) == []
        # Its session is no more: it may be told of anew. What was counted stays.
        told.tell(a_contact(ONE), a_session("crashed"))
        assert sum(told.sessions().values()) == 2

    def test_others_stay_and_so_does_what_comes_later(self, told: Told) -> None:
        told.tell(a_crash(), a_crash("e2", TWO), a_wish(), a_crash("e3"))

        assert told.counts() == {
            ("2.1.0", "control", SAVE): (1, 1),
            ("2.1.0", "", SAVE): (1, 1),
        }

    def test_what_came_before_it_was_seen_goes_too(self, told: Told) -> None:
        key = b"install3" + b"k" * 24
        told.tell(a_crash(install_key=key[:8], source="sdk"))
        assert told.crashed() == {("2.1.0", UNATTRIBUTED): 1}

        told.tell(a_wish(key))

        assert told.crashed() == {}


class TestRetention:
    @pytest.mark.parametrize(
        ("days", "samples", "reports", "known_sessions"),
        [(5, 1, 1, 1), (6, 1, 1, 0), (30, 1, 1, 0), (31, 0, 1, 0), (180, 0, 1, 0), (181, 0, 0, 0)],
    )
    def test_identities_go_and_counts_stay(
        self, told: Told, days: int, samples: int, reports: int, known_sessions: int
    ) -> None:
        told.tell(a_crash(at=NOW + timedelta(hours=1)), a_session("ok"))
        self.tidy(told, days)

        assert len(told.samples(SAVE)) == samples
        assert len(told.counts()) == reports
        told.tell(a_session("exited"))
        assert sum(told.sessions().values()) == 2 - known_sessions

    def test_counts_go_too(self, told: Told) -> None:
        told.tell(a_crash(), a_session())
        self.tidy(told, 401)

        assert told.sessions() == {}
        with told.world.database.reading() as stores:
            assert stores.crashes.groups(APP, [SAVE]) == {}

    def tidy(self, told: Told, days: int) -> None:
        for _ in range(2):
            with told.world.database.transaction() as stores:
                expire(stores, NOW + days * DAY)


@pytest.mark.parametrize("later", [timedelta(), DAY])
def test_a_crash_of_the_version_before_counts_for_that_version(told: Told, later: Any) -> None:
    """The install has updated since, and tells of it at its next start."""
    updated = a_contact(ONE, version="2.1.0", action="stay", offered=None, at=NOW + later)
    own = a_crash("e1", version="2.0.0", received_at=NOW + later)
    sdk = a_crash("e2", ONE[:8], version="2.0.0", received_at=NOW + later, source="sdk")

    told.tell(updated, own, sdk)

    assert told.counts() == {("2.0.0", "candidate", SAVE): (1, 2)}
