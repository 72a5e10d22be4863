"""What can go wrong with keys, documents and signed repositories.

Every error bears a stable ``code`` (snake_case) for programs; its text is for people.
The branches of the tree say whose matter it is: the keeper of a key (``KeyHandlingError``),
whoever signs (``CeremonyError``), whoever submits (``SubmissionError``), what came over the
network (``TrustError``), or our own state and storage (the rest).
"""

from __future__ import annotations

from collections.abc import Mapping


class SigningError(Exception):
    """Base of this package's errors. Never raised itself."""

    code = "signing"


# --- keys --------------------------------------------------------------------------------


class KeyHandlingError(SigningError):
    """Base of errors about one key. ``where`` is its path or URI, never a secret."""

    code = "key"

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}")
        self.where = where
        self.detail = detail


class BadKeyFileError(KeyHandlingError):
    """The file is no key file of ours, or its parameters are out of bounds."""

    code = "bad_key_file"


class WrongPassphraseError(KeyHandlingError):
    """The passphrase does not open the key, or the file was changed: they look the same."""

    code = "wrong_passphrase"

    def __init__(self, where: str) -> None:
        super().__init__(where, "wrong passphrase, or the file was changed")


class KeyExistsError(KeyHandlingError):
    """A file is there already; keys are never overwritten."""

    code = "key_exists"

    def __init__(self, where: str) -> None:
        super().__init__(where, "a file is there already, and keys are never overwritten")


class UnsupportedKeyError(KeyHandlingError):
    """The URI's scheme, or the key's type, is not one that we sign with."""

    code = "unsupported_key"


class KeyUnavailableError(KeyHandlingError):
    """The key cannot be used now: file not there, or its service or library not at hand."""

    code = "key_unavailable"


# --- signing -----------------------------------------------------------------------------


class CeremonyError(SigningError):
    """What was asked to be signed makes no sense, or no key at hand may sign it."""

    def __init__(self, code: str, detail: str, role: str = "") -> None:
        super().__init__(f"{role}: {detail}" if role else detail)
        self.code = code
        self.detail = detail
        self.role = role


# --- verification ------------------------------------------------------------------------


class TrustError(SigningError):
    """What came over the network is not to be trusted.

    ``code`` is one of ``expired``, ``bad_version``, ``unsigned``, ``length_mismatch``,
    ``hash_mismatch``, ``bad_document``; where a whole repository is walked also
    ``path_scope``, ``bad_keys``, ``missing_file``. ``subject`` names the role or the path.
    """

    def __init__(self, code: str, subject: str, detail: str) -> None:
        super().__init__(f"{subject}: {detail}")
        self.code = code
        self.subject = subject
        self.detail = detail


# --- submission --------------------------------------------------------------------------


class SubmissionError(SigningError):
    """The server does not take what was submitted; nothing was changed.

    ``code`` is one of ``unsigned``, ``bad_version``, ``path_scope``, ``bad_keys``,
    ``bad_document``, ``not_immutable``, ``missing_file``, ``expired``, ``stale_base``.
    """

    def __init__(self, code: str, detail: str, *, role: str = "", path: str = "") -> None:
        super().__init__(": ".join(part for part in (role, path, detail) if part))
        self.code = code
        self.detail = detail
        self.role = role
        self.path = path


class StaleBaseError(SubmissionError):
    """Somebody else's submission came first. ``current`` are the versions to build upon."""

    def __init__(self, role: str, current: Mapping[str, int]) -> None:
        super().__init__("stale_base", "it was built upon an older version", role=role)
        self.current = dict(current)


# --- our own repository ------------------------------------------------------------------


class PlanError(SigningError):
    """The planned state would be refused by agents, so it is not planned."""

    def __init__(self, code: str, role: str, detail: str) -> None:
        super().__init__(f"{role}: {detail}")
        self.code = code
        self.role = role
        self.detail = detail


class BadStateError(SigningError):
    """The bytes are no repository state."""

    code = "bad_state"


class BadJournalError(SigningError):
    """The bytes are no journal."""

    code = "bad_journal"


class PublishError(SigningError):
    """Storage holds other bytes than the journal. Publishing stops; people must look."""

    code = "publish_conflict"

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.detail = detail


class OvertakenError(PublishError):
    """Storage bears a newer timestamp than the journal's: nothing was moved back.

    Harmless when a newer journal of ours was published meanwhile. Otherwise somebody else
    wrote it, or our state is older than our storage: to go on above ``found`` it must be
    burned (``RepositoryState.having_seen``), and people must look.
    """

    code = "overtaken"

    def __init__(self, path: str, ours: int, found: int) -> None:
        super().__init__(path, f"version {found} is published, newer than {ours}")
        self.ours = ours
        self.found = found
