"""Operating-system errors as the agent's own, translated where files are touched."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from client_agent.errors import Code, DiskError

_CODES = {
    errno.ENOSPC: Code.NO_SPACE,
    errno.EDQUOT: Code.NO_SPACE,
    errno.EFBIG: Code.NO_SPACE,  # FAT ends at 4 GiB: no retry helps, but neither does another code
    errno.EROFS: Code.NOT_WRITABLE,
    errno.EACCES: Code.NOT_WRITABLE,
    errno.EPERM: Code.NOT_WRITABLE,
}
_WINDOWS_FULL = (39, 112)  # ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL


def disk_error(error: OSError) -> DiskError:
    """Return what the agent reports for *error*: no path, since that may name a person."""
    if getattr(error, "winerror", None) in _WINDOWS_FULL:
        return DiskError(Code.NO_SPACE, error.strerror or "")
    return DiskError(_CODES.get(error.errno or 0, Code.IO), error.strerror or "")


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise ``DiskError`` for every ``OSError`` inside."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error
