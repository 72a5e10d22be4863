"""Frames of SDKs: which are kept, in which order, and what of each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crashes.envelopes import a_frame, an_event, an_exception, report, signed
from update_server.crashes.sdk_frames import MAX_KEPT, MAX_READ, file_name

DEBUG_ID = "7F1E2D3C4B5A69788796A5B4C3D2E1F01"
IMAGE = {
    "type": "pe",
    "code_file": r"C:\Users\Ada\Notes\notes.dll",
    "debug_id": DEBUG_ID,
    "image_addr": "0x10000",
    "image_size": 4096,
}


def kept(*frames: Any, **changes: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report(an_event(an_exception(*frames), **changes)).body.get(
        "frames", []
    )
    return found


def native(*frames: Any, images: Any = (IMAGE,)) -> list[dict[str, Any]]:
    return kept(*frames, platform="native", debug_meta={"images": list(images)})


def test_frames_are_turned_innermost_first() -> None:
    frames = kept(a_frame("main"), a_frame("load"), a_frame("parse"))

    assert [frame["function"] for frame in frames] == ["parse", "load", "main"]


def test_a_frame_keeps_what_is_listed() -> None:
    frame = a_frame(
        "load", 7, colno=3, pre_context=["x"], post_context=["x"], package="/x", symbol="x"
    )

    assert kept(frame) == [
        {
            "module": "notes.store",
            "function": "load",
            "file": "store.py",
            "line": 7,
            "in_app": True,
        }
    ]


@pytest.mark.parametrize("line", [None, -1, 2**31, 1.5, True, "7"])
def test_a_line_is_a_number(line: Any) -> None:
    assert "line" not in kept(a_frame("load", line))[0]


@pytest.mark.parametrize("told", [None, "true", 1])
def test_whose_a_frame_is_must_be_said(told: Any) -> None:
    assert "in_app" not in kept(a_frame("load", in_app=told))[0]


def test_a_frame_of_others_says_so() -> None:
    assert kept(a_frame("load", in_app=False))[0]["in_app"] is False


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("notes/store.py", "store.py"),
        ("/home/ada/notes/store.py", "store.py"),
        (r"C:\Users\Ada\notes\Store.cs", "Store.cs"),
        ("file:///home/ada/app.js?token=hunter2#ada", "app.js"),
        ("https://example.org/static/app.js?v=1", "app.js"),
        ("app:///main.js", "main.js"),
        ("node:internal/timers", "timers"),
        ("<frozen runpy>", "<frozen runpy>"),
        ("/home/ada/", "ada"),
        ("/home/x/ada@example.org.py", "<email>"),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_of_a_path_the_last_part_is_kept(path: Any, name: str) -> None:
    assert file_name(path) == name


def test_without_a_file_name_its_path_says_it() -> None:
    assert kept(a_frame("load", filename=None))[0]["file"] == "store.py"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("notes.store", "notes.store"),
        ("app.lib:store", "app.lib:store"),
        ("/home/ada/notes/store", "store"),
        (r"C:\Users\Ada\notes.exe", "notes.exe"),
        ("file:///home/ada/store.js", "store.js"),
        (" ", None),
        (7, None),
    ],
)
def test_a_module_that_is_a_path_is_its_last_part(module: Any, name: str | None) -> None:
    assert kept(a_frame("load", module=module))[0].get("module") == name


@pytest.mark.parametrize("trace", [None, 7, [], {}, {"frames": None}, {"frames": [7, None, "x"]}])
def test_without_frames_there_are_none(trace: Any) -> None:
    assert "frames" not in report(an_event(an_exception(stacktrace=trace))).body


# --- many --------------------------------------------------------------------------------


def test_of_many_frames_the_innermost_are_kept() -> None:
    frames = kept(*[a_frame(f"f{number}") for number in range(300)])

    assert len(frames) == MAX_KEPT
    assert frames[0]["function"] == "f299"
    assert frames[-1]["function"] == "f236"


def test_frames_that_make_the_signature_are_kept_however_deep_they_are() -> None:
    deep = [a_frame("main"), a_frame("load")]
    others = [a_frame(f"f{number}", in_app=False) for number in range(200)]

    frames = kept(*deep, *others)

    assert len(frames) == MAX_KEPT
    assert [frame["function"] for frame in frames[-2:]] == ["load", "main"]
    assert signed(an_event(an_exception(*deep, *others))) == signed(an_event(an_exception(*deep)))


def test_what_may_be_the_apps_is_kept_before_what_is_not() -> None:
    deep = [a_frame("main", in_app=None)]
    others = [a_frame(f"f{number}", in_app=False) for number in range(200)]

    assert kept(*deep, *others)[-1]["function"] == "main"


def test_what_lies_too_deep_is_not_read() -> None:
    others = [a_frame(f"f{number}", in_app=False) for number in range(MAX_READ)]

    assert "main" not in {frame["function"] for frame in kept(a_frame("main"), *others)}


stacks = st.lists(
    st.builds(
        a_frame,
        st.sampled_from(["main", "load", "parse", "read", "raise_from"]),
        in_app=st.sampled_from([True, False, None]),
    ),
    max_size=MAX_READ,
)


@pytest.mark.no_cover
@given(stacks, st.integers(1, 9))
def test_what_is_cut_makes_no_other_signature(frames: list[Any], times: int) -> None:
    few = frames[-20:]
    padding = [a_frame("dispatch", in_app=False)] * (times * 20)

    whole = signed(an_event(an_exception(*few, *padding)))

    if any(frame["in_app"] is True for frame in few):
        assert whole == signed(an_event(an_exception(*few)))


# --- native ------------------------------------------------------------------------------


def test_a_native_frame_is_an_offset_in_an_image() -> None:
    (frame,) = native({"instruction_addr": "0x10123", "package": "/ignored/too"}, images=[IMAGE])

    assert frame == {"module": "too", "offset": 0x123, "debug_id": DEBUG_ID.lower()}


def test_without_a_package_the_image_names_the_module() -> None:
    (frame,) = native({"instruction_addr": 0x10123, "module": "notes::store", "function": "load"})

    assert frame["module"] == "notes.dll"
    assert frame["function"] == "load"


@pytest.mark.parametrize(
    "address", [0x0FFFF, 0x11000, "0x11000", None, "hunter2", "", -1, 2**64, True, 1.5, "9" * 20]
)
def test_an_address_outside_of_all_images_is_not_kept(address: Any) -> None:
    (frame,) = native({"instruction_addr": address, "module": "notes", "function": "load"})

    assert frame == {"module": "notes", "function": "load"}


@pytest.mark.parametrize(("address", "offset"), [("65536", 0), ("0X10FFF", 0xFFF), (0x10000, 0)])
def test_addresses_are_spelled_in_several_ways(address: Any, offset: int) -> None:
    (frame,) = native({"instruction_addr": address})

    assert frame["offset"] == offset


def test_images_are_found_in_any_order() -> None:
    images = [
        {**IMAGE, "image_addr": "0x30000", "code_file": "c.dll"},
        {**IMAGE, "image_addr": "0x20000", "code_file": "b.dll"},
        {"type": "sourcemap", "code_file": "x.js"},
        7,
        IMAGE,
    ]

    frames = native(
        *[{"instruction_addr": at} for at in (0x20001, 0x30001, 0x10001)], images=images
    )

    assert [frame["module"] for frame in frames] == ["notes.dll", "c.dll", "b.dll"]


def test_an_image_of_unknown_size_ends_where_the_next_begins() -> None:
    endless = {name: value for name, value in IMAGE.items() if name != "image_size"}
    images = [endless, {**IMAGE, "image_addr": "0x20000", "code_file": None, "name": "b.dll"}]

    frames = native({"instruction_addr": 0x1FFFF}, {"instruction_addr": 0x20000}, images=images)

    assert [frame["module"] for frame in frames] == ["b.dll", "notes.dll"]


@pytest.mark.parametrize(
    ("mode", "frame"),
    [
        ("rel:0", {"module": "notes.dll", "offset": 0x123, "debug_id": DEBUG_ID.lower()}),
        ("rel:1", {"module": "m"}),
        ("rel:9", {"module": "m"}),
        ("abs", {"module": "m"}),
        (7, {"module": "m"}),
    ],
)
def test_an_address_may_be_relative_to_an_image(mode: Any, frame: Any) -> None:
    images = [IMAGE, {"type": "sourcemap"}]

    told = {"instruction_addr": "0x123", "addr_mode": mode, "module": "m"}

    assert native(told, images=images) == [frame]


@pytest.mark.parametrize("debug_id", [None, 7, "hunter2", "x" * 33, "a" * 65])
def test_a_debug_id_is_hexadecimal(debug_id: Any) -> None:
    (frame,) = native({"instruction_addr": 0x10000}, images=[{**IMAGE, "debug_id": debug_id}])

    assert "debug_id" not in frame


def test_frames_of_languages_have_no_addresses() -> None:
    (frame,) = kept(a_frame("load", instruction_addr=0x10000), debug_meta={"images": [IMAGE]})

    assert not {"offset", "debug_id"} & set(frame)


@pytest.mark.parametrize("meta", [None, 7, {}, {"images": None}, {"images": {"x": 1}}])
def test_images_may_be_absent(meta: Any) -> None:
    frame = {"instruction_addr": 1, "function": "load"}

    assert kept(frame, platform="native", debug_meta=meta) == [{"function": "load"}]


def test_frames_that_say_nothing_are_dropped() -> None:
    assert [frame["function"] for frame in kept({}, a_frame("load"), {"lineno": 7})] == ["load"]
