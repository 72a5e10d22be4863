"""What the process that reads minidumps may answer. It is believed no more than a dump is."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from update_server.service.ports.dumps import DumpFrame, DumpReport

MAX_ANSWER_BYTES: Final = 256 << 10

_Name = Annotated[str, Meta(max_length=256)]
_DebugId = Annotated[str, Meta(max_length=128, pattern="^[0-9a-f]*$")]
_Word = Annotated[str, Meta(max_length=16, pattern="^[0-9a-z_]*$")]
_Offset = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]


class BadAnswerError(Exception):
    """What came is no answer: the process behind it is not what it was."""


class _Frame(msgspec.Struct, forbid_unknown_fields=True):
    module: _Name
    in_app: bool | None
    offset: _Offset | None
    debug_id: _DebugId


class _Dump(msgspec.Struct, forbid_unknown_fields=True):
    error: Annotated[str, Meta(min_length=1, max_length=64)]
    frames: Annotated[list[_Frame], Meta(max_length=64)]
    os: _Word
    arch: _Word
    is_crash: bool
    main_module: _Name
    main_debug_id: _DebugId
    annotations: Annotated[dict[_Name, _Name], Meta(max_length=16)]


class _Malformed(msgspec.Struct, forbid_unknown_fields=True):
    malformed: str


_dumps = msgspec.json.Decoder(_Dump)
_malformed = msgspec.json.Decoder(_Malformed)


def parse_answer(text: bytes) -> DumpReport | None:
    """Return what a dump says; None when the answer is that it is malformed.

    Raises:
        BadAnswerError: It is no answer.
    """
    try:
        if text.startswith(b'{"malformed"'):
            _malformed.decode(text)
            return None
        dump = _dumps.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadAnswerError from error
    told = (*dump.annotations, *dump.annotations.values())
    texts = (dump.error, dump.main_module, *told, *(frame.module for frame in dump.frames))
    if not all(map(str.isprintable, texts)):  # a database may refuse what is not
        raise BadAnswerError
    return DumpReport(
        error=dump.error,
        frames=tuple(
            DumpFrame(
                module=frame.module,
                in_app=frame.in_app,
                offset=frame.offset,
                debug_id=frame.debug_id,
            )
            for frame in dump.frames
        ),
        os=dump.os,
        arch=dump.arch,
        is_crash=dump.is_crash,
        main_module=dump.main_module,
        main_debug_id=dump.main_debug_id,
        annotations=dump.annotations,
    )
