"""The edge between the agent and the app it lives in: nothing of ours is raised across it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from client_agent.errors import AgentError


class Noting(Protocol):
    """What an object with guarded methods does with a fault of ours."""

    def note(self, error: BaseException) -> None:
        """Report *error*; never raises."""
        ...


N = TypeVar("N", bound=Noting)
P = ParamSpec("P")
T = TypeVar("T")


def never_raises(
    method: Callable[Concatenate[N, P], T],
) -> Callable[Concatenate[N, P], T | None]:
    """Make a method return None instead of raising: the app must never pay for our faults."""

    @functools.wraps(method)
    def guarded(self: N, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(self, *args, **kwargs)
        except AgentError:
            return None  # a disk or a server that does not do what was asked
        except Exception as error:  # noqa: BLE001 - the last line of defence
            self.note(error)
            return None

    return guarded
