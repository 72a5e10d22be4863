"""Translation of the database driver's errors into those of ``service.ports``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from update_server.service.ports import NotFoundError, ReadOnlyError, UnavailableError

_SQLITE_READONLY = 8
_POSTGRESQL_READ_ONLY = "25006"


@contextmanager
def translated() -> Iterator[None]:
    """Raise what the block raises, but for the driver's errors about the database itself.

    Raises:
        NotFoundError: A key was asked for that the database cannot even hold.
        ReadOnlyError: The block wrote in a transaction that only reads.
        UnavailableError: The database does not answer, is full, or is locked for too long.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise UnavailableError("all connections to the database are in use") from error
    except DBAPIError as error:
        if _is_read_only(error):
            raise ReadOnlyError("a transaction that only reads cannot write") from error
        if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
            raise UnavailableError("the database does not answer") from error
        if isinstance(error, DataError):
            # PostgreSQL keeps no NUL in text. What is written was checked at the edge, so
            # this is a look-up by a name that nothing can have.
            raise NotFoundError("key", "one that cannot be stored") from error
        raise


def _is_read_only(error: DBAPIError) -> bool:
    return (
        getattr(error.orig, "sqlite_errorcode", None) == _SQLITE_READONLY
        or getattr(error.orig, "sqlstate", None) == _POSTGRESQL_READ_ONLY
    )
