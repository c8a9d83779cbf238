"""The schema's revisions, oldest first by name."""
