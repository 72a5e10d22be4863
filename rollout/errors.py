"""What can be wrong with a name, a version, a document or a change of a rollout."""

from __future__ import annotations

from rollout.model import RolloutState


class RolloutError(Exception):
    """Base of this package's errors. Never raised itself."""


class InvalidVersionError(RolloutError):
    """A text is no version. ``rule`` says which rule it breaks."""

    def __init__(self, text: str, rule: str) -> None:
        super().__init__(f"{text[:80]!r} is no version: {rule}")
        self.text = text
        self.rule = rule


class BadNameError(RolloutError):
    """A name breaks a rule. ``kind`` is a noun of the vocabulary, ``rule`` says which rule."""

    def __init__(self, kind: str, name: str, rule: str) -> None:
        # An install ID is nobody's business but the server's: texts end up in logs.
        shown = "" if kind == "install ID" else f" {name[:80]!r}"
        super().__init__(f"bad {kind}{shown}: {rule}")
        self.kind = kind
        self.name = name
        self.rule = rule


class DocumentError(RolloutError):
    """A document is refused. ``where`` is the bad part's path, such as ``entries[0].state``."""

    code = "bad_document"

    def __init__(self, detail: str, where: str = "") -> None:
        super().__init__(f"{where}: {detail}" if where else detail)
        self.detail = detail
        self.where = where


class ManifestError(RolloutError):
    """A manifest is refused. ``line`` counts from 1; None where no line is to blame."""

    def __init__(self, code: str, detail: str, line: int | None = None) -> None:
        super().__init__(detail if line is None else f"line {line}: {detail}")
        self.code = code
        self.detail = detail
        self.line = line


class DeltaFormatError(RolloutError):
    """A delta is refused. ``code`` is ``bad_delta`` or ``over_cap``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class IllegalTransitionError(RolloutError):
    """A rollout cannot do this now. ``legal`` holds the verbs that it can.

    ``state`` is None where there is no rollout yet.
    """

    def __init__(
        self, verb: str, state: RolloutState | None, legal: tuple[str, ...], detail: str
    ) -> None:
        super().__init__(f"cannot {verb}: {detail}")
        self.verb = verb
        self.state = state
        self.legal = legal
        self.detail = detail
