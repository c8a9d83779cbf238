"""What was dated by a clock that nobody had set names its messages, to be dated anew."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("redate_s", sa.REAL))
    op.add_column("alarms", sa.Column("dated_by", sa.Integer))
    for table, session in (("alarms", "dated_by"), ("summaries", "session_id")):
        op.add_column(table, sa.Column("told_unsynced", sa.Text))
        op.create_index(
            f"unsynced_{table}",
            table,
            [session],
            sqlite_where=sa.text("told_unsynced IS NOT NULL"),
        )
