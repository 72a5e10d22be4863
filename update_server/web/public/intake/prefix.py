"""Any path before ``/api/`` is accepted: a proxy may put one there, and SDKs keep that of a DSN."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_INTAKE: Final = re.compile(r"/api/[0-9]{1,18}/(?:envelope|minidump)(?:/[^/]*)?/?")
_MAX_PREFIX: Final = 200
_METHODS: Final = frozenset({"POST", "OPTIONS"})  # files may have any name, and nobody posts them


class Prefixed:
    """A WSGI app that shows *other* the paths of crash intake without what stands before them."""

    def __init__(self, other: WSGIApplication) -> None:
        self._other = other

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] in _METHODS:
            begin = path.rfind("/api/")
            if 0 < begin <= _MAX_PREFIX and _INTAKE.fullmatch(path, begin):
                script = environ.get("SCRIPT_NAME", "") + path[:begin]
                environ = {**environ, "SCRIPT_NAME": script, "PATH_INFO": path[begin:]}
        return self._other(environ, start_response)
