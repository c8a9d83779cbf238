"""The durable store: one SQLite file, one writer, read-only readers."""
