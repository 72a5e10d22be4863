"""What a command may end with other than success, and the exit code that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DONE = 0
REFUSED = 1
USAGE = 2
NOTHING_TO_DO = 3


class CliError(Exception):
    """A command was refused or failed. ``code`` is stable; ``hint`` is what to type next."""

    exit_code = REFUSED

    def __init__(
        self, code: str, detail: str, *, hint: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint
        self.data = dict(data or {})

    def problem(self) -> dict[str, Any]:
        """Return the error as a problem document, for ``--json``."""
        problem = {"type": f"about:blank#{self.code}", "detail": self.detail}
        return problem | ({"hint": self.hint} if self.hint else {}) | self.data


class UsageError(CliError):
    """The command line or the workspace does not say what is needed."""

    exit_code = USAGE


class ProblemError(CliError):
    """The server refused, with a problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        kind = str(problem.get("type", ""))
        code = kind.partition("#")[2] or f"http_{status}"
        detail = str(problem.get("detail") or problem.get("title") or f"the server said {status}")
        hint = str(problem.get("hint") or "")
        super().__init__(code, detail, hint=hint, data={**problem, "status": status})
        self.status = status
