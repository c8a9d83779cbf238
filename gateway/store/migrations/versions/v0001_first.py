"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_ward()
    _create_signal()
    _create_findings()
    _create_outbox()


def _session_key() -> sa.Column[int]:
    return sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id"), primary_key=True)


def _stay() -> sa.Column[int]:
    return sa.Column("stay_id", sa.Integer, sa.ForeignKey("stays.id"))


def _flag(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _create_ward() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("uuid", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO installation VALUES (1, lower(hex(randomblob(16))))")
    op.create_table(
        "beds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "stays",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bed_id", sa.Integer, sa.ForeignKey("beds.id"), nullable=False),
        sa.Column("admitted_s", sa.REAL, nullable=False),
        sa.Column("discharged_s", sa.REAL),
        sqlite_strict=True,
    )
    still_open = sa.text("discharged_s IS NULL")
    op.create_index("open_stay", "stays", ["bed_id"], unique=True, sqlite_where=still_open)
    op.create_table(
        "sensors",
        sa.Column("device_id", sa.Integer, primary_key=True),
        sa.Column("first_seen_s", sa.REAL, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, sa.ForeignKey("sensors.device_id"), nullable=False),
        sa.Column("bed_id", sa.Integer, sa.ForeignKey("beds.id"), nullable=False),
        sa.Column("assigned_s", sa.REAL, nullable=False),
        sa.Column("released_s", sa.REAL),
        sqlite_strict=True,
    )
    assigned = sa.text("released_s IS NULL")
    op.create_index("sensor_bed", "assignments", ["device_id"], unique=True, sqlite_where=assigned)
    op.create_index("bed_sensor", "assignments", ["bed_id"], unique=True, sqlite_where=assigned)


def _create_signal() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, sa.ForeignKey("sensors.device_id"), nullable=False),
        sa.Column("boot_id", sa.Integer, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("sample_rate_hz", sa.Integer, nullable=False),
        sa.Column("key_generation", sa.Integer, nullable=False),
        sa.Column("first_received_s", sa.REAL, nullable=False),
        sa.Column("wall_offset_s", sa.REAL),
        _flag("finished"),
        sa.UniqueConstraint("device_id", "boot_id", "salt"),
        sqlite_strict=True,
    )
    op.create_table(
        "frames",
        sa.Column("journal_id", sa.Integer, primary_key=True),
        sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("received_s", sa.REAL, nullable=False),
        _stay(),
        _flag("late"),
        sa.UniqueConstraint("session_id", "sequence"),
        sqlite_strict=True,
    )
    op.create_table(
        "gaps",
        sa.Column("journal_id", sa.Integer, primary_key=True),
        sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _flag("late_analysed"),
        sa.UniqueConstraint("session_id", "start"),
        sqlite_strict=True,
    )
    op.create_table(
        "received_ranges",
        _session_key(),
        sa.Column("first_sequence", sa.Integer, primary_key=True),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoints",
        _session_key(),
        sa.Column("journal_id", sa.Integer, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def _create_findings() -> None:
    op.create_table(
        "beats",
        _session_key(),
        sa.Column("r_sample", sa.Integer, primary_key=True),
        sa.Column("amplitude_uv", sa.REAL, nullable=False),
        sa.Column("rr_ms", sa.REAL),
        _flag("searched_back"),
        sa.Column("beat_class", sa.Text),
        sa.Column("p_abnormal", sa.REAL),
        _stay(),
        _flag("late"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        _session_key(),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("onset", sa.Integer, primary_key=True),
        sa.Column("decided", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer),
        _stay(),
        _flag("late"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bed_id", sa.Integer, sa.ForeignKey("beds.id"), nullable=False),
        _stay(),
        sa.Column("session_id", sa.Integer, sa.ForeignKey("sessions.id")),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("onset_s", sa.REAL, nullable=False),
        sa.Column("raised_s", sa.REAL, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ended_s", sa.REAL),
        sa.Column("acknowledged_s", sa.REAL),
        sa.UniqueConstraint("bed_id", "kind", "onset_s"),
        sqlite_strict=True,
    )
    op.create_table(
        "summaries",
        _session_key(),
        sa.Column("minute_s", sa.Integer, primary_key=True),
        _stay(),
        sa.Column("beats", sa.Integer, nullable=False),
        sa.Column("abnormal_beats", sa.Integer, nullable=False),
        sa.Column("heart_rate_min_bpm", sa.REAL),
        sa.Column("heart_rate_mean_bpm", sa.REAL),
        sa.Column("heart_rate_max_bpm", sa.REAL),
        sa.Column("usable_s", sa.REAL, nullable=False),
        sa.Column("gap_s", sa.REAL, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("created_s", sa.REAL, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False, unique=True),
        sa.Column("payload", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_lane", "outbox", ["lane"])
    op.create_table(
        "security_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("occurred_s", sa.REAL, nullable=False),
        sa.Column("device_id", sa.Integer),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_strict=True,
    )
