"""Alembic's scripts: one module in `versions` for each released schema."""
