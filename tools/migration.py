"""Writes the step from the tables as the last step left them to those of `serve/tables.py`.

    python tools/migration.py "add the device to a visit"

The file lies in `serve/migrations/versions/`; read it, and mend what cannot be guessed (a column that got another name
looks like one that went and one that came). Steps that were released are never changed.
"""

import io
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrateOperation
from alembic.script import ScriptDirectory
from mako.pygen import PythonPrinter
from sqlalchemy import create_engine

from dermoscope.serve.migrate import SCRIPTS, migrate
from dermoscope.serve.tables import Table, UtcTime

FRAME = '''"""{subject}.

Step {step}, after {last}.
"""

import sqlalchemy as sa
from alembic import op

revision = {step!r}
down_revision = {last!r}


def upgrade() -> None:
    """To these tables."""
{up}


def downgrade() -> None:
    """Back."""
{down}


{functions}
'''


def written(subject: str) -> Path:
    """Write the step and say where it is."""
    last = ScriptDirectory(str(SCRIPTS)).get_current_head()
    step = f"{int(last or 0) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/x.sqlite")
        if last is not None:
            migrate(engine)
        with engine.connect() as connection:
            # tables that are there can be changed on SQLite only by making them anew
            told = {"render_as_batch": last is not None, "render_item": _render, "target_metadata": Table.metadata}
            prefixes = {"sqlalchemy_module_prefix": "sa.", "alembic_module_prefix": "op.", "user_module_prefix": None}
            context = MigrationContext.configure(connection, opts={**told, **prefixes})
            found = produce_migrations(context, Table.metadata)
            assert found.upgrade_ops is not None, found
            assert found.downgrade_ops is not None, found
            texts = AutogenContext(context, Table.metadata, context.opts)
            up, forwards = _functions(texts, found.upgrade_ops.ops, "make")
            down, back = _functions(texts, found.downgrade_ops.ops, "unmake")
        engine.dispose()
    path = SCRIPTS / "versions" / f"{step}_{re.sub(r'[^a-z0-9]+', '_', subject.lower()).strip('_')}.py"
    said = {"subject": subject[0].upper() + subject[1:], "step": step, "last": last, "up": up, "down": down}
    path.write_text(FRAME.format(**said, functions="\n\n\n".join(forwards + back)))
    return path


def _functions(context: AutogenContext, steps: Iterable[MigrateOperation], verb: str) -> tuple[str, list[str]]:
    """The calls, and a function for each table: no one is longer than a screen."""
    bodies: dict[str, PythonPrinter] = {}
    for step in steps:
        name = getattr(step, "table_name", "others")
        if name not in bodies:
            bodies[name] = PythonPrinter(io.StringIO())
            bodies[name].writeline(f"def _{verb}_{name}() -> None:")
        for line in render_op(context, step):
            bodies[name].writeline(line)
    calls = "\n".join(f"    _{verb}_{name}()" for name in bodies) or "    pass"
    return calls, [printer.stream.getvalue() for printer in bodies.values()]


def _render(kind: str, what: Any, _: AutogenContext) -> str | bool:
    """Types of ours in the words of SQLAlchemy: a step must not change when they do."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(what, UtcTime) else False


if __name__ == "__main__":
    print(written(" ".join(sys.argv[1:])))
