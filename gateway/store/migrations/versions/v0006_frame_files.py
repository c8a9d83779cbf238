"""Frames go to files of their own; what the table `frames` holds stays there till its age takes it.

A session's wall clock says how sure it is, and whether the gateway's own clock was set by then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "frame_runs",
        sa.Column("journal_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_journal_id", sa.Integer, nullable=False),
        sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("first_sequence", sa.Integer, nullable=False),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sa.Column("file", sa.Integer, nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("received_s", sa.REAL, nullable=False),
        sa.Column("stay_id", sa.Integer, sa.ForeignKey("stays.id")),
        sa.Column("late", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.UniqueConstraint("session_id", "first_sequence"),
        sqlite_strict=True,
    )
    op.create_table(
        "removed_frames",
        sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("first_sequence", sa.Integer, primary_key=True),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.add_column("sessions", sa.Column("wall_fit_s", sa.REAL))
    op.add_column("sessions", sa.Column("wall_error_s", sa.REAL))
    op.add_column(
        "sessions",
        sa.Column("clock_unsynced", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
