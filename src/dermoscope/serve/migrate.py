"""Tables of this version, whatever version was there before (alembic)."""

from sqlalchemy import Engine

from dermoscope.serve.tables import Table


def migrate(engine: Engine) -> None:
    """Bring the tables to this version."""
    Table.metadata.create_all(engine)
