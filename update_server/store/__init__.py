"""Records: the stores of ``service.ports`` on SQLite and on PostgreSQL, by one code.

One file per noun; ``tables`` alone knows columns, and ``engine`` alone knows how the two
databases differ in locking. ``migration`` is imported by who needs it: it is slow to load.
Not here: rules of the domain, and when to commit.
"""

from update_server.store.database import SqlDatabase

__all__ = ["SqlDatabase"]
