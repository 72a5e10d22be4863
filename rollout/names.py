"""The rules for names: of apps and channels, of files, and of paths inside a payload.

docs/trust.md, 3 and docs/agent.md, 8. A name that passes here is safe as one part of a
URL and of a path on Linux, macOS and Windows. Each check returns what it checked or raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Protocol, TypeVar

from rollout.errors import BadNameError
from rollout.model import InstallId, RolloutId

RESERVED_CHANNELS = frozenset({"i", "omaha"})  # parts of feed URLs
RESERVED_ROOT = ".serinus"  # the agent's own folder inside an installed version
FILE_MODES = frozenset({0o644, 0o755})

MAX_PATH_CHARACTERS = 200
MAX_PATH_DEPTH = 32
MAX_COMPONENT_BYTES = 255
MAX_TREE_ENTRIES = 100_000
MAX_TREE_FOLDERS = 25_000  # those that paths imply have no line, and still cost memory and disk

_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PLATFORM = re.compile(r"(?=.{3,64}\Z)[a-z0-9_]+-[a-z0-9_]+")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_INSTALL_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ROLLOUT_ID = re.compile(r"ro_[a-z0-9]{4,32}")
_DEVICE = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]")
_FORBIDDEN_IN_COMPONENT = re.compile(r'[<>:"|?*\\]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc, which never grows


def check_app(name: str) -> str:
    """Return *name* if it may name an app; raise BadNameError otherwise."""
    return _matching(_WORD, "app", name, "lower-case letters, digits and -, 1 to 64")


def check_channel(name: str) -> str:
    """Return *name* if it may name a channel; raise BadNameError otherwise."""
    if name in RESERVED_CHANNELS:
        raise BadNameError("channel", name, "reserved")
    return _matching(_WORD, "channel", name, "lower-case letters, digits and -, 1 to 64")


def check_group(name: str) -> str:
    """Return *name* if it may name a group of installs; raise BadNameError otherwise."""
    return _matching(_WORD, "group", name, "lower-case letters, digits and -, 1 to 64")


def check_platform(name: str) -> str:
    """Return *name* if it may name a platform such as ``linux-x86_64``; else raise BadNameError."""
    return _matching(_PLATFORM, "platform", name, "system-machine, at most 64 characters")


def check_install_id(text: str) -> InstallId:
    """Return the install ID that *text* is: a lower-case UUID of any version; else BadNameError.

    Letters are not lowered here: an ID that two places spell differently has two buckets.
    """
    return InstallId(_matching(_INSTALL_ID, "install ID", text, "a UUID, 36 lower-case characters"))


def check_rollout_id(text: str) -> RolloutId:
    """Return the rollout ID that *text* is; raise BadNameError otherwise."""
    return RolloutId(_matching(_ROLLOUT_ID, "rollout", text, "ro_ and 4 to 32 letters or digits"))


def check_file_name(name: str) -> str:
    """Return *name* if a release's file may have it; raise BadNameError otherwise."""
    _matching(_FILE_NAME, "file name", name, "letters, digits and ._+-, 1 to 128")
    if name.endswith("."):
        raise BadNameError("file name", name, "ends in a dot")
    if _is_device(name):
        raise BadNameError("file name", name, "a Windows device")
    return name


def check_file_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* if each may name a file and no two differ only in case, or not at all."""
    checked = tuple(check_file_name(name) for name in names)
    seen: set[str] = set()
    for name in checked:
        if name.lower() in seen:
            raise BadNameError("file name", name, "another differs only in case")
        seen.add(name.lower())
    return checked


def _matching(pattern: re.Pattern[str], kind: str, name: str, rule: str) -> str:
    if pattern.fullmatch(name) is None:
        raise BadNameError(kind, name, rule)
    return name


def _is_device(component: str) -> bool:
    # Windows opens the device for nul.txt and for "nul .txt", too.
    stem = component.split(".", 1)[0].rstrip(" ").casefold()
    return _DEVICE.fullmatch(stem) is not None


# --- payload trees -----------------------------------------------------------------------


class TreeEntry(Protocol):
    """One line of a manifest: a file with a mode, an empty directory, or a link with a target.

    ``kind`` is one of ``f``, ``d`` and ``l``; ``mode`` is 0 and ``target`` empty where they
    mean nothing.
    """

    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def mode(self) -> int: ...
    @property
    def target(self) -> str: ...


Entry = TypeVar("Entry", bound=TreeEntry)


def check_payload_path(path: str) -> str:
    """Return *path* if a payload may contain it; raise BadNameError otherwise."""
    if len(path) > MAX_PATH_CHARACTERS:
        raise _bad(path, f"over {MAX_PATH_CHARACTERS} characters")
    components = path.split("/")
    if len(components) > MAX_PATH_DEPTH:
        raise _bad(path, f"over {MAX_PATH_DEPTH} levels")
    for component in components:
        _check_component(component, path)
    # The root folder of the agent, in any spelling that some file system takes for it.
    if _folded(components[0]) == RESERVED_ROOT:
        raise _bad(path, f"{RESERVED_ROOT} is the agent's")
    return path


def check_tree(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return *entries* if together they are a safe payload.

    1. Each path is allowed, and the number of entries is.
    2. Directories are those that paths imply, and the empty ones that entries name. Of the first
       kind there are no more than allowed.
    3. No two paths are one file on a system that ignores case or Unicode composition, and no
       file or link is also a directory.
    4. Files have mode 644 or 755; only links have a target.
    5. A link leads to a file or directory of the tree, and not by way of another link.

    Whether a platform has links at all is for the manifest, which knows the platform.

    Raises:
        BadNameError: One of these fails.
    """
    tree = tuple(entries)
    if len(tree) > MAX_TREE_ENTRIES:  # 1
        raise BadNameError("payload", "", f"over {MAX_TREE_ENTRIES} entries")
    directories: dict[str, str] = {}  # folded -> as spelled
    known: set[str] = set()
    for entry in tree:
        check_payload_path(entry.path)
        for parent in _parents(entry.path):  # 2
            if parent in known:
                continue
            if directories.setdefault(_folded(parent), parent) != parent:
                raise _bad(entry.path, "a directory is spelled in two ways")
            known.add(parent)
        if len(known) > MAX_TREE_FOLDERS:
            raise BadNameError("payload", "", f"over {MAX_TREE_FOLDERS} directories")
    by_path: dict[str, TreeEntry] = {}
    for entry in tree:  # 3
        folded = _folded(entry.path)
        if folded in directories:
            raise _bad(entry.path, "other entries lie below it")
        if folded in by_path:
            raise _bad(entry.path, "another entry is the same on some systems")
        by_path[folded] = entry
    for entry in tree:
        _check_kind(entry)  # 4
        if entry.kind == "l":
            _check_link(entry, by_path, directories)  # 5
    return tree


def _bad(path: str, rule: str) -> BadNameError:
    return BadNameError("payload path", path, rule)


def _check_component(component: str, path: str) -> None:
    if component in {"", ".", ".."}:
        raise _bad(path, "an empty, . or .. component")
    try:
        encoded = component.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad(path, "not Unicode") from error
    if len(encoded) > MAX_COMPONENT_BYTES:
        raise _bad(path, f"a component over {MAX_COMPONENT_BYTES} bytes")
    if not unicodedata.is_normalized("NFC", component):
        raise _bad(path, "not in NFC")
    if _CONTROL.search(component):
        raise _bad(path, "a control character")
    if _FORBIDDEN_IN_COMPONENT.search(component):
        raise _bad(path, 'one of <>:"|?*\\')
    if component.strip(" ") != component or component.endswith("."):
        raise _bad(path, "a space around a component, or a dot at its end")
    if _is_device(component):
        raise _bad(path, "a Windows device")


def _folded(path: str) -> str:
    """Return the key under which a careless file system would store *path*."""
    if path.isascii():  # nothing composes in it and nothing is ignored
        lower = path.lower()
        return path if lower == path else lower  # one text for both: there are many
    # HFS+ ignores format characters such as U+200C: ".seri\u200cnus" would be ".serinus".
    visible = "".join(char for char in path if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold())


def _parents(path: str) -> Iterable[str]:
    components = path.split("/")
    return ("/".join(components[:depth]) for depth in range(1, len(components)))


def _check_kind(entry: TreeEntry) -> None:
    if entry.kind not in {"f", "d", "l"}:
        raise _bad(entry.path, "neither file, directory nor link")
    if entry.kind == "f" and entry.mode not in FILE_MODES:
        raise _bad(entry.path, "mode is neither 644 nor 755")
    if entry.kind != "f" and entry.mode:
        raise _bad(entry.path, "only files have a mode")
    if (entry.kind == "l") != bool(entry.target):
        raise _bad(entry.path, "links, and only links, have a target")


def _check_link(
    link: TreeEntry, by_path: dict[str, TreeEntry], directories: dict[str, str]
) -> None:
    # Resolved by text, never by a file system. A target that climbs is fine inside the tree.
    place = link.path.split("/")[:-1]
    for component in link.target.split("/"):
        if component == "..":
            if not place:
                raise _bad(link.path, "its target leaves the tree")
            place.pop()
            continue
        _check_component(component, link.path)  # an absolute target has an empty component
        place.append(component)
        here = "/".join(place)
        found = by_path.get(_folded(here))
        if found is not None and found.kind == "l":
            raise _bad(link.path, "its target leads through another link")
    here = "/".join(place)
    found = by_path.get(_folded(here))
    spelled = found.path if found else directories.get(_folded(here))
    if spelled != here or not here:
        raise _bad(link.path, "its target is not in the tree")
