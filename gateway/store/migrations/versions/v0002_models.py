"""Every label says which model gave it; labels from before have no model."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("short_hash", sa.Text, nullable=False, unique=True),
        sqlite_strict=True,
    )
    # Alembic would copy all beats to add a foreign key; SQLite itself touches no row.
    op.execute("ALTER TABLE beats ADD COLUMN model_id INTEGER REFERENCES models (id)")
