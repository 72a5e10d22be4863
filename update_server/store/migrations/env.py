"""What Alembic runs for each command. The caller hands over a connection in a transaction."""

from __future__ import annotations

from alembic import context

from update_server.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # on SQLite too, since we begin its transactions ourselves
)
with context.begin_transaction():
    context.run_migrations()
