"""Accounts, the chained audit trail, deletions, processes.

Step 0002, after 0001. No table is made anew: on SQLite it would forget which numbers were given.
"""

import datetime
import hashlib
import json
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To these tables."""
    op.drop_table("entries")  # codes of roles: whoever held one gets an account
    _make_attempts()
    _make_audit_head()
    _make_deletions()
    _make_processes()
    _make_users()
    _make_api_keys()
    _make_links()
    _make_logins()
    _make_case_keys()
    _make_answered()
    _make_cases()
    _make_events()
    _chain_events()
    _make_job_items()
    _sample_no_names(0)


def downgrade() -> None:
    """Back."""
    _sample_no_names(-1)
    _unmake_job_items()
    _unmake_events()
    _unmake_cases()
    _unmake_answered()
    _unmake_case_keys()
    _unmake_logins()
    _unmake_links()
    _unmake_api_keys()
    _unmake_users()
    _unmake_processes()
    _unmake_deletions()
    _unmake_audit_head()
    _unmake_attempts()
    _make_entries()


NAMES = {
    "patients": ("pseudonym",),
    "cases": ("lesion",),
    "blobs": ("digest",),
    "images": ("digest",),
    "jobs": ("title",),
    "job_items": ("pseudonym", "digest", "problem"),
    "answered": ("key", "digest"),
    "case_keys": ("key",),
}
"""Columns that name a patient, a lesion or a picture, and the keys whose destruction makes a line unreadable."""


def _sample_no_names(many: int) -> None:
    """PostgreSQL keeps samples of columns for its planner, which no deletion reaches; -1 is as many as it likes."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in NAMES.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {many}")


def _make_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
        sa.UniqueConstraint("role", name=op.f("uq_entries_role")),
        sqlite_autoincrement=True,
    )


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.String(length=80), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("bucket", name=op.f("uq_attempts_bucket")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_last_at"), ["last_at"], unique=False)


def _make_audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("base_hash", sa.String(length=64), nullable=False),
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )


def _make_deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_deletions")),
    )


def _make_processes() -> None:
    op.create_table(
        "processes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processes")),
        sa.UniqueConstraint("name", name=op.f("uq_processes_name")),
        sqlite_autoincrement=True,
    )


def _make_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("issuer", sa.String(length=300), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("issuer", "subject", name="uq_users_issuer_subject"),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
        sqlite_autoincrement=True,
    )


def _make_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_keys_user_id"), ["user_id"], unique=False)


def _make_links() -> None:
    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=80), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_links_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint("digest", name=op.f("uq_links_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_links_user_id"), ["user_id"], unique=False)


def _make_logins() -> None:
    op.create_table(
        "logins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("browser", sa.String(length=80), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_logins_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logins")),
        sa.UniqueConstraint("digest", name=op.f("uq_logins_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("logins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_logins_user_id"), ["user_id"], unique=False)


def _make_case_keys() -> None:
    op.create_table(
        "case_keys",
        sa.Column("case_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(length=200), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_keys_case_id_cases")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_keys")),
    )


def _make_answered() -> None:
    op.add_column("answered", sa.Column("holder", sa.String(length=40), nullable=True))


def _make_cases() -> None:
    op.add_column("cases", sa.Column("uid", sa.String(length=32), nullable=False, server_default=sa.text("''")))
    cases = sa.table("cases", sa.column("id", sa.Integer), sa.column("uid", sa.String))
    connection = op.get_bind()
    for number in connection.execute(sa.select(cases.c.id)).scalars().all():
        connection.execute(cases.update().where(cases.c.id == number).values(uid=uuid.uuid4().hex))
    op.create_index(op.f("ix_cases_uid"), "cases", ["uid"], unique=True)


def _make_events() -> None:
    op.add_column("events", sa.Column("sealed", sa.LargeBinary(), nullable=True))
    op.add_column("events", sa.Column("hash", sa.String(length=64), nullable=False, server_default=sa.text("''")))
    op.create_index(op.f("ix_events_who"), "events", ["who"], unique=False)


def _chain_events() -> None:
    """Number the lines of the trail without gaps and chain them (ADR 0016), without what they said of lesions.

    The head gets its seal with the next line: no step knows the key.
    """
    at_, details_ = sa.column("at", sa.DateTime(timezone=True)), sa.column("details", sa.JSON)
    events = sa.table("events", *map(sa.column, ("id", "who", "what", "subject", "hash")), at_, details_)
    connection, after, number, before, at = op.get_bind(), 0, 0, "", None
    while True:
        page = connection.execute(sa.select(events).where(events.c.id > after).order_by(events.c.id).limit(1000)).all()
        for row in page:
            number, at = number + 1, row.at
            details = {name: value for name, value in sorted(row.details.items()) if name not in _SAID_OF_LESIONS}
            before = _hash(before, number, row, details)
            values = {"id": number, "details": json.loads(json.dumps(details, sort_keys=True)), "hash": before}
            connection.execute(events.update().where(events.c.id == row.id).values(**values))
        if not page:
            break
        after = page[-1].id
    if number:
        names = ("id", "count", "hash", "base", "base_hash", "seal")
        heads = sa.table("audit_head", *map(sa.column, names), sa.column("at", sa.DateTime(timezone=True)))
        values = {"id": 1, "count": number, "hash": before, "at": at, "base": 0, "base_hash": "", "seal": ""}
        connection.execute(heads.insert().values(**values))


_SAID_OF_LESIONS = ("answer", "answers", "decision", "histology", "on", "body_site", "intake", "digest")


def _hash(before: str, number: int, row: Any, details: dict[str, Any]) -> str:
    utc = row.at if row.at.tzinfo is None else row.at.astimezone(datetime.UTC)
    line = {"at": f"{utc:%Y-%m-%dT%H:%M:%S.%f}Z", "details": details, "number": number, "sealed": None}
    line |= {"subject": row.subject, "what": row.what, "who": row.who}
    text = json.dumps(line, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256((before + text).encode()).hexdigest()


def _make_job_items() -> None:
    op.add_column("job_items", sa.Column("claimed_by", sa.String(length=40), nullable=True))
    op.add_column("job_items", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("job_items", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))


def _unmake_job_items() -> None:
    for column in ("attempts", "claimed_at", "claimed_by"):
        op.drop_column("job_items", column)


def _unmake_events() -> None:
    op.drop_index(op.f("ix_events_who"), "events")
    for column in ("hash", "sealed"):
        op.drop_column("events", column)


def _unmake_cases() -> None:
    op.drop_index(op.f("ix_cases_uid"), "cases")
    op.drop_column("cases", "uid")


def _unmake_answered() -> None:
    op.drop_column("answered", "holder")


def _unmake_case_keys() -> None:
    op.drop_table("case_keys")


def _unmake_logins() -> None:
    with op.batch_alter_table("logins", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_logins_user_id"))

    op.drop_table("logins")


def _unmake_links() -> None:
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_links_user_id"))

    op.drop_table("links")


def _unmake_api_keys() -> None:
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_keys_user_id"))

    op.drop_table("api_keys")


def _unmake_users() -> None:
    op.drop_table("users")


def _unmake_processes() -> None:
    op.drop_table("processes")


def _unmake_deletions() -> None:
    op.drop_table("deletions")


def _unmake_audit_head() -> None:
    op.drop_table("audit_head")


def _unmake_attempts() -> None:
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_last_at"))

    op.drop_table("attempts")
