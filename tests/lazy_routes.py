"""Apps that are made quickly, for each test that wants one of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.routing import Rule


@contextlib.contextmanager
def lazy_routes() -> Iterator[None]:
    """Let werkzeug compile what builds a route's URL when a URL is built, which is hardly ever.

    It is half of what making an app costs: code is compiled twice for each route.
    """
    compile_builder = Rule._compile_builder

    def compile_when_called(rule: Rule, *arguments: Any) -> Callable[..., Any]:
        made: Callable[..., Any] | None = None

        def build(bound: Rule, *values: Any, **named: Any) -> Any:
            nonlocal made
            if made is None:
                made = compile_builder(rule, *arguments)
            return made(bound, *values, **named)

        return build

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_when_called)
        yield
