"""What is kept of an SDK's event: what is named here, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.crashes.envelopes import (
    EVENT_ID,
    NOW,
    a_frame,
    a_log,
    an_event,
    an_exception,
    report,
    signed,
)
from update_server.crashes.own_events import report_of
from update_server.crashes.report import Kind
from update_server.crashes.sdk_events import MAX_CHAIN, MAX_FINGERPRINT
from update_server.crashes.sdk_frames import MAX_KEPT
from update_server.crashes.signature import signature_of

UNHANDLED = {"type": "excepthook", "handled": False}


def body(event: Any, **options: Any) -> dict[str, Any]:
    return dict(report(event, **options).body)


def test_an_event_keeps_what_is_listed() -> None:
    event = an_event(
        an_exception(a_frame("main", 9), a_frame("load", 7), thread_id=1),
        contexts={
            "os": {"name": "Windows", "version": "10.0.22631.3880", "build": "x"},
            "runtime": {"name": "CPython", "version": "3.11.7", "build": "3.11.7 (main, …)"},
            "device": {"arch": "x64", "name": "adas-notebook"},
        },
        threads={"values": [{"id": 1, "name": "worker 3"}]},
        tags={"gpu": "RTX 3060", "other": "x"},
        fingerprint=["{{ default }}", "tenant"],
    )

    found = report(event, tags=("gpu",))

    assert (found.id, found.release, found.user) == (EVENT_ID, "2.3.9", "")
    assert found.at == NOW - timedelta(seconds=30)
    assert found.body == {
        "platform": "python",
        "exception": {"type": "ValueError"},
        "frames": [
            {
                "module": "notes.store",
                "function": function,
                "file": "store.py",
                "line": line,
                "in_app": True,
            }
            for function, line in (("load", 7), ("main", 9))
        ],
        "thread": "worker 3",
        "fingerprint": ["{{ default }}", "tenant"],
        "tags": {"gpu": "RTX 3060"},
        "os": {"name": "Windows", "version": "10.0.22631"},
        "runtime": {"name": "CPython", "version": "3.11.7"},
        "arch": "x64",
    }


def test_an_event_that_says_nothing_keeps_its_platform() -> None:
    found = report({})

    assert found.body == {"platform": "other"}
    assert (found.is_crash, found.release, found.at) == (False, "", None)
    assert report_of(found.body) is None


# --- is it a crash -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "is_crash"),
    [
        (an_event(), False),
        (an_event(an_exception(mechanism=UNHANDLED)), True),
        (an_event(an_exception(mechanism=UNHANDLED), an_exception()), True),
        (an_event(an_exception(mechanism=UNHANDLED), level="warning"), True),
        (an_event(an_exception(mechanism=None), level="fatal"), True),
        (an_event(an_exception(mechanism={"handled": "no"})), False),
        (an_event(an_exception(mechanism={"handled": []})), False),
        (an_event(level="fatal"), False),
        ({"level": "fatal"}, True),
        ({"level": "fatal", "platform": "native"}, True),
        (a_log({"message": "disk is full"}, level="fatal"), False),
        (a_log({"message": "disk is full"}), False),
        ({"level": ["fatal"]}, False),
    ],
)
def test_a_crash_is_what_nobody_handled(event: Any, is_crash: bool) -> None:
    assert report(event).is_crash is is_crash


# --- who ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "known_as"),
    [
        ({"id": "7", "email": "ada@example.org"}, "7"),
        ({"id": 7}, "7"),
        ({"id": "", "email": "ada@example.org"}, "ada@example.org"),
        ({"username": "ada"}, "ada"),
        ({"ip_address": "10.20.30.40"}, ""),
        ({"id": True}, "true"),
        ({"id": 10**400}, ""),
        ({"id": "x" * 999}, "x" * 256),
        ({"id": "\ud800a"}, "\ufffda"),
        (None, ""),
        ("ada", ""),
    ],
)
def test_a_person_is_known_as_sdks_know_them(user: Any, known_as: str) -> None:
    found = report(an_event(user=user))

    assert found.user == known_as
    assert "ada" not in repr(found)


# --- chains ------------------------------------------------------------------------------


def test_of_a_chain_the_last_has_frames_and_the_others_types() -> None:
    cause = an_exception(a_frame("read"), type="OSError")
    event = an_event(cause, an_exception(a_frame("load")))

    kept = body(event)

    assert kept["chain"] == [{"type": "OSError"}]
    assert kept["exception"] == {"type": "ValueError"}
    assert [frame["function"] for frame in kept["frames"]] == ["load"]
    told = report_of(kept)
    assert told is not None
    assert [one.type for one in told.exceptions] == ["OSError", "ValueError"]


def test_a_long_chain_loses_its_beginning() -> None:
    chain = [an_exception(type=f"E{number}") for number in range(30)]

    kept = body(an_event(*chain))

    assert len(kept["chain"]) == MAX_CHAIN - 1
    assert kept["chain"][-1] == {"type": "E28"}
    assert kept["exception"] == {"type": "E29"}


@pytest.mark.parametrize(
    "exception",
    [
        an_exception(a_frame("load")),
        [an_exception(a_frame("load"))],
        {"values": [7, an_exception(a_frame("load"))]},
    ],
)
def test_exceptions_come_in_several_shapes(exception: Any) -> None:
    kept = body(an_event(exception=exception))

    assert kept["exception"] == {"type": "ValueError"}
    assert kept["frames"][0]["function"] == "load"


@pytest.mark.parametrize("exception", [None, 7, "ValueError", [], {}, {"values": None}])
def test_without_exceptions_there_is_none(exception: Any) -> None:
    assert body(an_event(exception=exception)) == {"platform": "python"}


def test_an_exception_without_a_type_is_known_by_its_frames() -> None:
    kept = body(an_event(an_exception(a_frame("load"), type=None)))

    assert "exception" not in kept
    assert signed(an_event(an_exception(a_frame("load"), type=None))).title == (
        "crash in notes.store:load"
    )


# --- threads -----------------------------------------------------------------------------


def a_thread(number: int, function: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"thread {number}",
        "stacktrace": {"frames": [a_frame(function)]},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "name", "function"),
    [
        ({"crashed": True}, "thread 2", "second"),
        ({"current": True}, "thread 2", "second"),
        ({"id": 7}, "thread 2", "second"),
        ({}, None, None),
    ],
)
def test_a_thread_is_the_one_that_crashed_or_raised_or_told(
    changes: dict[str, Any], name: str | None, function: str | None
) -> None:
    threads = {"values": [a_thread(1, "first"), a_thread(2, "second", **changes)]}

    kept = body(an_event(an_exception(thread_id=7), threads=threads))

    assert kept.get("thread") == name
    assert [one["function"] for one in kept.get("crashed_thread", [])] == (
        [function] if function else []
    )


def test_the_thread_that_crashed_goes_before_the_others() -> None:
    threads = [
        a_thread(1, "first", current=True),
        a_thread(7, "second"),
        a_thread(3, "third", crashed=True),
    ]

    assert body(an_event(an_exception(thread_id=7), threads=threads))["thread"] == "thread 3"


def test_where_the_exception_has_frames_those_of_its_thread_are_not_kept() -> None:
    threads = [a_thread(1, "run", crashed=True)]

    assert "crashed_thread" not in body(an_event(threads=threads))
    assert "crashed_thread" in body(an_event(threads=threads, platform="native"))


def test_a_native_crash_is_known_by_its_thread() -> None:
    event = an_event(
        an_exception(a_frame("handler"), type="SIGSEGV"),
        threads=[a_thread(1, "run", crashed=True)],
        platform="native",
    )

    assert signed(event).parts == ("SIGSEGV", "notes.store:run")


# --- tags, fingerprints, systems ---------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"gpu": "RTX", "n": 3, "on": True, "secret": "x"},
        [["gpu", "RTX"], ["n", 3], ["on", True], ["secret", "x"], ["odd"], 7, [7, 8]],
        [{"key": name, "value": value} for name, value in (("gpu", "RTX"), ("n", 3), ("on", True))],
    ],
)
def test_tags_of_configured_names_are_kept(told: Any) -> None:
    kept = body(an_event(tags=told), tags=("gpu", "n", "on", "absent"))

    assert kept["tags"] == {"gpu": "RTX", "n": "3", "on": "true"}


@pytest.mark.parametrize("told", [None, 7, "gpu", {"gpu": None}, {"gpu": ["RTX"]}, {"other": "x"}])
def test_without_configured_tags_there_are_none(told: Any) -> None:
    assert "tags" not in body(an_event(tags=told), tags=("gpu",))


def test_a_tag_that_is_named_like_a_secret_does_not_tell_it() -> None:
    kept = body(
        an_event(tags={"user_token": "hunter2", "gpu": "hunter2"}), tags=("user_token", "gpu")
    )

    assert kept["tags"] == {"user_token": "<secret>", "gpu": "hunter2"}


def test_fifty_tags_are_kept() -> None:
    names = [f"t{number}" for number in range(60)]

    assert len(body(an_event(tags=dict.fromkeys(names, "x")), tags=names)["tags"]) == 50


def test_a_fingerprint_is_scrubbed_and_wins() -> None:
    event = an_event(fingerprint=["ada@example.org", 7, "", None, "{{default}}"])

    assert body(event)["fingerprint"] == ["<email>", "7", "{{default}}"]
    assert signed(event).parts == (
        *("<email>", "7", "ValueError", "notes.store:load", "notes.store:main"),
    )


@pytest.mark.parametrize("told", [None, 7, "x", {}, [], [None], [[]]])
def test_without_a_fingerprint_there_is_none(told: Any) -> None:
    assert "fingerprint" not in body(an_event(fingerprint=told))


def test_a_long_fingerprint_is_cut() -> None:
    assert len(body(an_event(fingerprint=["x"] * 99))["fingerprint"]) == MAX_FINGERPRINT


@pytest.mark.parametrize(
    ("version", "kept"),
    [
        ("3.11.7", "3.11.7"),
        ("v20.1.0", "v20.1.0"),
        ("6.8.0-45-generic #45 SMP", "6.8.0-45-generic"),
        ("10.20.30.40", "10.20.30"),
        ("20G165", "20G165"),
        ("12345678", None),
        ("", None),
        (" 1", None),
        (7, None),
    ],
)
def test_a_version_is_three_numbers(version: Any, kept: str | None) -> None:
    told = body(an_event(contexts={"os": {"name": "X", "version": version}}))["os"]

    assert told == ({"name": "X", "version": kept} if kept else {"name": "X"})


@pytest.mark.parametrize("contexts", [None, [], {"os": None, "runtime": 7, "device": {"arch": 7}}])
def test_systems_may_be_absent(contexts: Any) -> None:
    assert not {"os", "runtime", "arch"} & set(body(an_event(contexts=contexts)))


@pytest.mark.parametrize("platform", [None, 7, "hunter2", "Python"])
def test_a_platform_that_nobody_knows_is_another(platform: Any) -> None:
    assert body(an_event(platform=platform))["platform"] == "other"


def test_without_a_platform_the_files_tell_what_wrote_the_frames() -> None:
    assert signed(an_event(platform=None)) == signed(an_event(platform="python"))
    told = report_of(body(an_event(platform="other")))

    assert told is not None
    assert told.kind is Kind.PYTHON


# --- messages ----------------------------------------------------------------------------


def test_messages_are_kept_only_if_the_app_wants_them() -> None:
    event = an_event(
        an_exception(type="OSError", value="open /home/ada/x"),
        an_exception(a_frame("load"), value="42 apples of ada@example.org"),
    )

    silent, told = body(event), body(event, messages=True)

    assert "apples" not in repr(silent)
    assert told["exception"]["message"] == "42 apples of <email>"
    assert told["chain"] == [{"type": "OSError", "message": "open <path>"}]
    assert "message_key" not in silent  # frames make the signature, so no message does


@pytest.mark.parametrize(
    "logged",
    [
        {"logentry": {"message": "%s is full", "params": ["/dev/sda"], "formatted": "x"}},
        {"logentry": {"message": "", "formatted": "%s is full"}},
        {"logentry": {"formatted": "%s is full"}, "message": "x"},
        {"logentry": "%s is full"},
        {"logentry": {}, "message": "%s is full"},
        {"logentry": 7, "message": {"message": "%s is full"}},
    ],
)
def test_what_was_logged_is_a_message(logged: dict[str, Any]) -> None:
    assert body(logged, messages=True) == {"platform": "other", "message": "%s is full"}


SILENT: list[Any] = [
    an_event(an_exception(value="42 apples")),
    an_event(an_exception(value="42 apples"), fingerprint=["{{ default }}", "x"]),
    an_event(an_exception(type="", value="42 apples")),
    an_event(an_exception(type="OSError", value="x"), an_exception(value="no apples")),
    an_event(an_exception(value=42)),
    an_event(an_exception(value="password: hunter2")),
    a_log({"message": "%s is full"}),
    a_log("disk is full", platform="native"),
]


@pytest.mark.parametrize("event", SILENT)
def test_without_its_message_an_event_is_grouped_as_with_it(event: Any) -> None:
    told, silent = signed(event, messages=True), signed(event)

    assert len(body(event)["message_key"]) == 32
    assert (silent.key, silent.family, silent.comparable, silent.exact, silent.title) == (
        *(told.key, told.family, told.comparable, told.exact, told.title),
    )
    assert silent.parts == tuple(
        "<message>" if one not in {"ValueError", "", "x"} else one for one in told.parts
    )


def test_other_messages_are_other_bugs_and_other_numbers_are_not() -> None:
    apples, pears = (an_event(an_exception(value=f"42 {what}")) for what in ("apples", "pears"))

    assert signed(apples).key != signed(pears).key
    assert signed(apples).key == signed(an_event(an_exception(value="43 apples"))).key


@pytest.mark.parametrize(
    "event",
    [
        an_event(),
        an_event(an_exception(value="")),
        an_event(an_exception(value=["x"])),
        an_event(an_exception(value="42 apples"), fingerprint=["x"]),
        a_log(""),
    ],
)
def test_a_message_that_makes_no_signature_leaves_nothing(event: Any) -> None:
    assert "message_key" not in body(event)


@pytest.mark.parametrize("key", ["", "hunter2", "A" * 32, "a" * 31, "a" * 33, 7, None])
def test_what_is_no_message_key_makes_no_signature(key: Any) -> None:
    plain = {"exception": {"type": "ValueError"}}
    told, silent = report_of(plain), report_of({**plain, "message_key": key})

    assert told is not None
    assert silent is not None
    assert signature_of(silent) == signature_of(told)


def test_texts_are_cut() -> None:
    long = an_event(
        an_exception(
            *[a_frame("f" * 999, module="m" * 999, filename="n" * 999)] * 100,
            type="T" * 999,
            value="word " * 999,
        ),
        tags={"t": "word " * 999},
        fingerprint=["word " * 999],
        threads=[{"crashed": True, "name": "word " * 999}],
    )

    kept = body(long, messages=True, tags=("t",))

    assert len(kept["frames"]) == MAX_KEPT
    assert {len(kept["frames"][0][name]) for name in ("module", "function", "file")} == {256}
    assert len(kept["exception"]["type"]) == 256
    texts = (kept["exception"]["message"], kept["tags"]["t"], kept["fingerprint"][0])
    assert all(190 < len(text) <= 200 for text in texts)
    assert len(kept["thread"]) <= 64
