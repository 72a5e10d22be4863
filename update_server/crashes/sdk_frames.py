"""Stack frames as SDKs send them, outermost first; as they are kept, innermost first.

Kept of a frame are module, function, the base name of its file, line and whose it is; of a native
one the image it lies in, its offset in there and that image's debug ID instead of an address.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from update_server.crashes.documents import Document, mapping_of, objects_of, text_of, whole_of
from update_server.crashes.names import MAX_TEXT, is_elsewhere
from update_server.crashes.scrub import plain_name

MAX_READ: Final = 250
MAX_KEPT: Final = 64
_MAX_OWN: Final = 48  # of those kept, where others' frames are many
_MAX_IMAGES: Final = 1_000
_MAX_LINE: Final = 2**31 - 1
_MAX_ADDRESS: Final = 2**64 - 1
_MAX_PATH: Final = 4_096

_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}")
_DEBUG_ID: Final = re.compile(r"[0-9a-fA-F-]{32,64}")
_RELATIVE: Final = re.compile(r"rel:([0-9]{1,4})")
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)

_NAMES: Final = frozenset({"module", "function", "file"})
"""A frame without any of these says nothing."""

Kept = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A file that was loaded into the process; addresses are in bytes."""

    address: int
    size: int
    path: object  # as it was told: of a thousand few are looked at
    debug_id: str

    @property
    def file(self) -> str:
        """The base name of its file."""
        return file_name(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """All that were loaded: ``told`` as they came, and ``sorted`` by address."""

    told: Sequence[Image | None] = ()
    sorted: Sequence[Image] = ()

    def at(self, address: int) -> Image | None:
        """Return the image that holds *address*."""
        index = bisect.bisect_right(self.sorted, address, key=lambda image: image.address)
        image = self.sorted[index - 1] if index else None
        return image if image and address - image.address < image.size else None


def images_of(meta: object) -> Images:
    """Return the native images of an event's ``debug_meta``."""
    told = [_image(one) for one in objects_of(mapping_of(meta).get("images"))[:_MAX_IMAGES]]
    loaded = [image for image in told if image is not None]
    return Images(told=told, sorted=sorted(loaded, key=lambda image: image.address))


def frames_of(stacktrace: object, images: Images, *, is_native: bool) -> list[Kept]:
    """Return the frames of *stacktrace* that are kept, innermost first, at most 64."""
    told = objects_of(mapping_of(stacktrace).get("frames"))[-MAX_READ:][::-1]
    frames = (_frame(told[index], images, is_native=is_native) for index in _chosen(told))
    return [frame for frame in frames if _NAMES & frame.keys()]


def file_name(path: object) -> str:
    """Return the last part of a path or URL, without what its query may say."""
    whole = text_of(path, _MAX_PATH).replace("\\", "/")
    if is_elsewhere(whole):
        whole = _QUERY.sub("", whole)
    return plain_name(whole.rstrip("/").rpartition("/")[2])


def _chosen(told: Sequence[Document]) -> Iterable[int]:
    """Return which of many frames are kept: those that make the signature, and the innermost."""
    if len(told) <= MAX_KEPT:
        return range(len(told))
    own = [index for index, one in enumerate(told) if one.get("in_app") is True] or [
        index for index, one in enumerate(told) if one.get("in_app") is not False
    ]
    first = dict.fromkeys([*own[:_MAX_OWN], *range(len(told))])
    return sorted(list(first)[:MAX_KEPT])


def _frame(told: Document, images: Images, *, is_native: bool) -> Kept:
    kept: dict[str, Any] = {
        "module": _module(told.get("module")),
        "function": plain_name(text_of(told.get("function"), 2 * MAX_TEXT)),
        "file": file_name(told.get("filename") or told.get("abs_path")),
        "line": whole_of(told.get("lineno"), _MAX_LINE),
        "in_app": told["in_app"] if isinstance(told.get("in_app"), bool) else None,
    }
    if is_native:
        kept |= _place(told, images, kept["module"])
    return {name: value for name, value in kept.items() if value not in {None, ""}}


def _place(told: Document, images: Images, module: str) -> Kept:
    """Return in which image a native frame lies, and where in there."""
    package = file_name(told.get("package"))
    address = _address(told.get("instruction_addr"))
    if address is None:
        return {"module": package or module}
    relative = _RELATIVE.fullmatch(text_of(told.get("addr_mode"), MAX_TEXT))
    if relative:
        number = int(relative[1])
        image = images.told[number] if number < len(images.told) else None
        offset = address
    else:
        image = images.at(address)
        offset = address - image.address if image else address
    if image is None:
        return {"module": package or module}
    return {
        "module": package or image.file or module,
        "offset": offset,
        "debug_id": image.debug_id,
    }


def _image(told: Document) -> Image | None:
    address, size = _address(told.get("image_addr")), _address(told.get("image_size"))
    if address is None:
        return None
    debug_id = text_of(told.get("debug_id"), MAX_TEXT)
    return Image(
        address=address,
        size=_MAX_ADDRESS if size is None else size,  # up to the next one
        path=told.get("code_file") or told.get("name"),
        debug_id=debug_id.lower() if _DEBUG_ID.fullmatch(debug_id) else "",
    )


def _module(told: object) -> str:
    module = text_of(told, _MAX_PATH).strip()
    return file_name(module) if is_elsewhere(module) else plain_name(module)


def _address(told: object) -> int | None:
    if isinstance(told, str) and _HEX.fullmatch(told):
        told = int(told, 16 if told[:2] in {"0x", "0X"} else 10)
    return whole_of(told, _MAX_ADDRESS)
