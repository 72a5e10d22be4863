"""How the admin app answers: JSON, pages of lists, and the same answer to the same request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from flask import Response, request

from update_server.service.access.caller import Caller
from update_server.service.access.replays import Replays
from update_server.web import wire
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part
from update_server.web.errors import NO_STORE, BadFieldError, ReusedKeyError

T = TypeVar("T")

JSON: Final = "application/json"
_MAX_KEY_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A JSON answer. ``etag`` is a revision. ``secrets`` names members that are told once."""

    body: Mapping[str, Any]
    status: int = 200
    etag: int | None = None
    secrets: tuple[str, ...] = ()

    def response(self) -> Response:
        """Return what Flask sends."""
        response = Response(wire.render(self.body), status=self.status, content_type=JSON)
        response.headers["Cache-Control"] = NO_STORE
        if self.etag is not None:
            response.headers["ETag"] = f'"{self.etag}"'
        return response


def nothing() -> Response:
    """Return the answer to what leaves nothing to tell."""
    return Response(status=204, headers={"Cache-Control": NO_STORE})


def replayed(replays: Replays, caller: Caller, body: bytes, act: Callable[[], Reply]) -> Response:
    """Return what *act* answers; or, with a known ``Idempotency-Key``, what it answered then.

    Only what was done is remembered: after an error the request may be sent again.

    Raises:
        ReusedKeyError: The key came with another body before.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return act().response()
    if not key or len(key) > _MAX_KEY_CHARACTERS or not key.isprintable():
        raise BadFieldError("Idempotency-Key", f"1 to {_MAX_KEY_CHARACTERS} printable characters")
    what = f"{request.method} {request.path}"
    digest = hashlib.sha256(body).hexdigest()
    known = replays.recall(caller, what, key)
    if known is not None:
        remembered = msgspec.json.decode(known, type=_Remembered)
        if remembered.digest != digest:
            raise ReusedKeyError
        reply = Reply(body=remembered.body, status=remembered.status, etag=remembered.etag)
        return reply.response()
    reply = act()
    # A secret is stored nowhere but as a hash: a replay tells all but that.
    told = {**reply.body, **dict.fromkeys(reply.secrets)}
    remembered = _Remembered(digest=digest, body=told, status=reply.status, etag=reply.etag)
    replays.remember(caller, what, key, msgspec.json.encode(remembered))
    return reply.response()


def answered(body: JsonObject) -> Response:
    """Return the answer that is *body*, and nothing else."""
    return Reply(body=body).response()


def paged(items: Sequence[T], render: Callable[[T], JsonObject], part: Part) -> JsonObject:
    """Return a part of *items*, whose cursor is how many stand before it."""
    start = part.cursor or 0
    end = start + part.limit
    more = end if end < len(items) else None
    return listed((render(item) for item in items[start:end]), more)


def cut(found: Sequence[T], render: Callable[[T], JsonObject], part: Part) -> JsonObject:
    """Return a part of a list of which *found* begins at the cursor, and has one more if it can."""
    more = (part.cursor or 0) + part.limit if len(found) > part.limit else None
    return listed((render(item) for item in found[: part.limit]), more)


def listed(items: Iterable[JsonObject], next_cursor: int | None) -> JsonObject:
    """Return a list, and where it goes on."""
    cursor = None if next_cursor is None else str(next_cursor)
    return {"items": list(items), "next_cursor": cursor}


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    body: dict[str, Any]
    status: int
    etag: int | None = None
