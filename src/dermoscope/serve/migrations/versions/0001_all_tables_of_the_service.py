"""All tables of the service.

Step 0001, after None.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """To these tables."""
    _make_answered()
    _make_blobs()
    _make_changes()
    _make_entries()
    _make_events()
    _make_jobs()
    _make_patients()
    _make_cases()
    _make_images()
    _make_job_items()
    _make_openings()
    _make_readings()
    _make_results()


def downgrade() -> None:
    """Back."""
    _unmake_results()
    _unmake_readings()
    _unmake_openings()
    _unmake_job_items()
    _unmake_images()
    _unmake_cases()
    _unmake_patients()
    _unmake_jobs()
    _unmake_events()
    _unmake_entries()
    _unmake_changes()
    _unmake_blobs()
    _unmake_answered()


def _make_answered() -> None:
    op.create_table(
        "answered",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answered")),
        sa.UniqueConstraint("key", "place", "who", name="uq_answered_once"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_answered_made_at"), "answered", ["made_at"], unique=False)


def _make_blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("media", sa.String(length=40), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("references", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_blobs_references"), "blobs", ["references"], unique=False)


def _make_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_changes_name"), "changes", ["name"], unique=False)


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


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_index(op.f("ix_events_subject"), "events", ["subject"], unique=False)
    op.create_index(op.f("ix_events_what"), "events", ["what"], unique=False)


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )


def _make_patients() -> None:
    op.create_table(
        "patients",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patients")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_patients_pseudonym")),
        sqlite_autoincrement=True,
    )


def _make_cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("lesion", sa.String(length=40), nullable=False),
        sa.Column("body_site", sa.String(length=40), nullable=True),
        sa.Column("intake", sa.JSON(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("histology", sa.String(length=10), nullable=True),
        sa.Column("histology_on", sa.Date(), nullable=True),
        sa.Column("histology_by", sa.String(length=80), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_cases_job_id_jobs")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_cases_patient_id_patients")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("patient_id", "lesion", name="uq_cases_patient_lesion"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_cases_closed_at"), "cases", ["closed_at"], unique=False)
    op.create_index(op.f("ix_cases_created_at"), "cases", ["created_at"], unique=False)
    op.create_index(op.f("ix_cases_job_id"), "cases", ["job_id"], unique=False)
    op.create_index(op.f("ix_cases_patient_id"), "cases", ["patient_id"], unique=False)


def _make_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("captured_on", sa.Date(), nullable=True),
        sa.Column("device", sa.String(length=80), nullable=True),
        sa.Column("polarisation", sa.String(length=12), nullable=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_images_case_id_cases")),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name=op.f("fk_images_digest_blobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_images_case_id"), "images", ["case_id"], unique=False)
    op.create_index(op.f("ix_images_digest"), "images", ["digest"], unique=False)


def _make_job_items() -> None:
    op.create_table(
        "job_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(length=80), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("problem", sa.String(length=400), nullable=True),
        sa.Column("case_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_job_items_case_id_cases")),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name=op.f("fk_job_items_digest_blobs")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_items_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_items")),
        sa.UniqueConstraint("job_id", "position", name="uq_job_items_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_items_job_id_state", "job_items", ["job_id", "state"], unique=False)


def _make_openings() -> None:
    op.create_table(
        "openings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(length=80), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_openings_case_id_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openings")),
        sa.UniqueConstraint("case_id", "visit", "reader", name="uq_openings_once"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_openings_case_id"), "openings", ["case_id"], unique=False)


def _make_readings() -> None:
    op.create_table(
        "readings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(length=80), nullable=False),
        sa.Column("phase", sa.String(length=8), nullable=False),
        sa.Column("aided", sa.Boolean(), nullable=False),
        sa.Column("diagnosis", sa.String(length=10), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("experience", sa.String(length=80), nullable=True),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("order", sa.String(length=12), nullable=False),
        sa.Column("shown", sa.JSON(), nullable=False),
        sa.Column("resolved", sa.String(length=16), nullable=True),
        sa.Column("disagrees", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_readings_case_id_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_readings")),
        sa.UniqueConstraint("case_id", "visit", "reader", "phase", name="uq_readings_once"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_readings_case_id"), "readings", ["case_id"], unique=False)
    op.create_index(op.f("ix_readings_made_at"), "readings", ["made_at"], unique=False)
    op.create_index(op.f("ix_readings_reader"), "readings", ["reader"], unique=False)


def _make_results() -> None:
    op.create_table(
        "results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("order", sa.String(length=12), nullable=False),
        sa.Column("prevalence", sa.JSON(), nullable=False),
        sa.Column("prior", sa.JSON(), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.String(length=40), nullable=False),
        sa.Column("suspected", sa.String(length=10), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("probabilities", sa.JSON(), nullable=False),
        sa.Column("calibrated", sa.JSON(), nullable=False),
        sa.Column("ood", sa.Double(), nullable=True),
        sa.Column("quality", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("intake", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_results_image_id_images")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_results")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_results_image_id"), "results", ["image_id"], unique=False)


def _unmake_results() -> None:
    op.drop_index(op.f("ix_results_image_id"), table_name="results")
    op.drop_table("results")


def _unmake_readings() -> None:
    op.drop_index(op.f("ix_readings_reader"), table_name="readings")
    op.drop_index(op.f("ix_readings_made_at"), table_name="readings")
    op.drop_index(op.f("ix_readings_case_id"), table_name="readings")
    op.drop_table("readings")


def _unmake_openings() -> None:
    op.drop_index(op.f("ix_openings_case_id"), table_name="openings")
    op.drop_table("openings")


def _unmake_job_items() -> None:
    op.drop_index("ix_job_items_job_id_state", table_name="job_items")
    op.drop_table("job_items")


def _unmake_images() -> None:
    op.drop_index(op.f("ix_images_digest"), table_name="images")
    op.drop_index(op.f("ix_images_case_id"), table_name="images")
    op.drop_table("images")


def _unmake_cases() -> None:
    op.drop_index(op.f("ix_cases_patient_id"), table_name="cases")
    op.drop_index(op.f("ix_cases_job_id"), table_name="cases")
    op.drop_index(op.f("ix_cases_created_at"), table_name="cases")
    op.drop_index(op.f("ix_cases_closed_at"), table_name="cases")
    op.drop_table("cases")


def _unmake_patients() -> None:
    op.drop_table("patients")


def _unmake_jobs() -> None:
    op.drop_table("jobs")


def _unmake_events() -> None:
    op.drop_index(op.f("ix_events_what"), table_name="events")
    op.drop_index(op.f("ix_events_subject"), table_name="events")
    op.drop_index(op.f("ix_events_at"), table_name="events")
    op.drop_table("events")


def _unmake_entries() -> None:
    op.drop_table("entries")


def _unmake_changes() -> None:
    op.drop_index(op.f("ix_changes_name"), table_name="changes")
    op.drop_table("changes")


def _unmake_blobs() -> None:
    op.drop_index(op.f("ix_blobs_references"), table_name="blobs")
    op.drop_table("blobs")


def _unmake_answered() -> None:
    op.drop_index(op.f("ix_answered_made_at"), table_name="answered")
    op.drop_table("answered")
