"""A stay may have alarm limits of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("stays", sa.Column("limits", sa.Text))
