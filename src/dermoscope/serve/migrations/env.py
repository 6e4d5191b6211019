"""How alembic runs the steps in `versions/`: in the transaction that `serve/migrate.py` holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
