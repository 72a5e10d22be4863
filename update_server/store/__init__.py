"""Records: the stores of ``service.ports`` on SQLite and on PostgreSQL, by one code.

One file per noun; ``tables`` alone knows columns, and ``engine`` alone knows how the two
databases differ in locking. Not here: rules of the domain, and when to commit.
"""

from update_server.store.database import SqlDatabase
from update_server.store.migration import migrate

__all__ = ["SqlDatabase", "migrate"]
