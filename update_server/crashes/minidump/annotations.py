"""What an app told Crashpad of itself, of which little is kept."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final

from update_server.crashes.minidump.data import Data, Place
from update_server.crashes.minidump.texts import utf8_head

KEPT: Final = frozenset({"process_type", "ptype"})
"""Which of the app's processes it is. The release is told beside the dump, by the handler."""

MAX_ANNOTATIONS: Final = 256

# MinidumpCrashpadInfo: passed over are a version and two UUIDs, then comes a place.
_CRASHPAD_INFO: Final = Struct("<36xII")
_ENTRY: Final = Struct("<II")  # MinidumpSimpleStringDictionaryEntry: where key and value lie


def read_annotations(data: Data, place: Place | None) -> Mapping[str, str]:
    """Return the kept ones of the process's simple annotations."""
    if place is None:
        return {}
    what = "annotations"
    size, offset = data.unpack(_CRASHPAD_INFO, place.offset_bytes, what)
    if not size:
        return {}
    kept: dict[str, str] = {}
    for index in range(min(data.u32(offset, what), MAX_ANNOTATIONS)):
        key, value = data.unpack(_ENTRY, offset + 4 + index * _ENTRY.size, what)
        name = utf8_head(data, key, what)
        if name in KEPT:
            kept[name] = utf8_head(data, value, what)
    return kept
