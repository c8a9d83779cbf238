"""A minute says how variable its normal beats were; minutes from before say nothing of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("summaries", sa.Column("rmssd_ms", sa.REAL))
