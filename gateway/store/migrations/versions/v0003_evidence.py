"""Rhythm events say on which beats they rest and how sure they are; alarms say so, and escalate."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("events", sa.Column("confidence", sa.REAL))
    op.add_column("events", sa.Column("evidence", sa.Text))
    op.add_column("alarms", sa.Column("escalated_s", sa.REAL))
    op.add_column("alarms", sa.Column("confidence", sa.REAL))
