"""The tables, as SQLAlchemy Core sees them. Migrations make them; a test holds the two equal.

Units are in the names: `_s` is Unix seconds, samples count on the session's own axis. Yes-or-no
columns are INTEGER 0 or 1, for STRICT tables know no BOOLEAN.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

SCHEMA_REVISION = "0007"

metadata = MetaData()


def _table(name: str, *items: SchemaItem, keyed_by_rowid: bool = True) -> Table:
    """A STRICT table; without a rowid where its primary key is the order it is read in."""
    return Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=keyed_by_rowid)


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _session() -> Column[int]:
    return Column("session_id", Integer, ForeignKey("sessions.id"), nullable=False)


def _session_key() -> Column[int]:
    return Column("session_id", Integer, ForeignKey("sessions.id"), primary_key=True)


def _stay() -> Column[int]:
    return Column("stay_id", Integer, ForeignKey("stays.id"))


installation = _table(
    "installation",
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
)

beds = _table(
    "beds",
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
)

stays = _table(
    "stays",
    Column("id", Integer, primary_key=True),
    Column("bed_id", Integer, ForeignKey("beds.id"), nullable=False),
    Column("admitted_s", REAL, nullable=False),
    Column("discharged_s", REAL),
    Column("limits", Text),  # JSON: the alarm limits of this patient's own, by key; NULL: none
)
Index("open_stay", stays.c.bed_id, unique=True, sqlite_where=stays.c.discharged_s.is_(None))

sensors = _table(
    "sensors",
    Column("device_id", Integer, primary_key=True, autoincrement=False),
    Column("first_seen_s", REAL, nullable=False),
)

assignments = _table(
    "assignments",
    Column("id", Integer, primary_key=True),
    Column("device_id", Integer, ForeignKey("sensors.device_id"), nullable=False),
    Column("bed_id", Integer, ForeignKey("beds.id"), nullable=False),
    Column("assigned_s", REAL, nullable=False),
    Column("released_s", REAL),
)
_STILL_ASSIGNED = assignments.c.released_s.is_(None)
Index("sensor_bed", assignments.c.device_id, unique=True, sqlite_where=_STILL_ASSIGNED)
Index("bed_sensor", assignments.c.bed_id, unique=True, sqlite_where=_STILL_ASSIGNED)

sessions = _table(
    "sessions",
    Column("id", Integer, primary_key=True),
    Column("device_id", Integer, ForeignKey("sensors.device_id"), nullable=False),
    Column("boot_id", Integer, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("sample_rate_hz", Integer, nullable=False),
    Column("key_generation", Integer, nullable=False),
    Column("first_received_s", REAL, nullable=False),
    Column("wall_offset_s", REAL),
    _flag("finished"),
    Column("wall_fit_s", REAL),  # of sample 0, as the newest frames tell; NULL: not known
    Column("wall_error_s", REAL),
    _flag("clock_unsynced"),  # the gateway's clock was not set when this session was dated
    Column("redate_s", REAL),  # by how much its unsynced rows are wrong; NULL: none is known to be
    UniqueConstraint("device_id", "boot_id", "salt"),
)

# Frames of before there were frame files; none comes to it any more.
frames = _table(
    "frames",
    Column("journal_id", Integer, primary_key=True, autoincrement=False),
    _session(),
    Column("sequence", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("received_s", REAL, nullable=False),
    _stay(),
    _flag("late"),
    UniqueConstraint("session_id", "sequence"),
)

# Frames of one session in one block of a frame file, in order and without a break.
frame_runs = _table(
    "frame_runs",
    Column("journal_id", Integer, primary_key=True, autoincrement=False),  # of the first
    Column("last_journal_id", Integer, nullable=False),
    _session(),
    Column("first_sequence", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("file", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("received_s", REAL, nullable=False),  # when the last one came
    _stay(),
    _flag("late"),
    UniqueConstraint("session_id", "first_sequence"),
)

# What was stored and had to go: it shows as a gap.
removed_frames = _table(
    "removed_frames",
    _session_key(),
    Column("first_sequence", Integer, primary_key=True),
    Column("last_sequence", Integer, nullable=False),
    keyed_by_rowid=False,
)

gaps = _table(
    "gaps",
    Column("journal_id", Integer, primary_key=True, autoincrement=False),
    _session(),
    Column("start", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    _flag("late_analysed"),
    UniqueConstraint("session_id", "start"),
)

received_ranges = _table(
    "received_ranges",
    _session_key(),
    Column("first_sequence", Integer, primary_key=True),
    Column("last_sequence", Integer, nullable=False),
    keyed_by_rowid=False,
)

checkpoints = _table(
    "checkpoints",
    _session_key(),
    Column("journal_id", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

models = _table(
    "models",
    Column("id", Integer, primary_key=True),
    Column("short_hash", Text, nullable=False, unique=True),
)

beats = _table(
    "beats",
    _session_key(),
    Column("r_sample", Integer, primary_key=True),
    Column("amplitude_uv", REAL, nullable=False),
    Column("rr_ms", REAL),
    _flag("searched_back"),
    Column("beat_class", Text),
    Column("p_abnormal", REAL),
    _stay(),
    _flag("late"),
    Column("model_id", Integer, ForeignKey("models.id")),
    keyed_by_rowid=False,
)

events = _table(
    "events",
    _session_key(),
    Column("kind", Text, primary_key=True),
    Column("onset", Integer, primary_key=True),
    Column("decided", Integer, nullable=False),
    Column("end", Integer),
    _stay(),
    _flag("late"),
    Column("confidence", REAL),  # NULL in what was stored before events had one
    Column("evidence", Text),  # JSON: the R samples
    keyed_by_rowid=False,
)

alarms = _table(
    "alarms",
    Column("id", Integer, primary_key=True),
    Column("bed_id", Integer, ForeignKey("beds.id"), nullable=False),
    _stay(),
    Column("session_id", Integer, ForeignKey("sessions.id")),
    Column("kind", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("onset_s", REAL, nullable=False),
    Column("raised_s", REAL, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_s", REAL),
    Column("acknowledged_s", REAL),
    Column("escalated_s", REAL),
    Column("confidence", REAL),
    Column("dated_by", Integer),  # the session by whose unset clock it was dated
    Column("told_unsynced", Text),  # JSON: the messages that told of it while that was so
    UniqueConstraint("bed_id", "kind", "onset_s"),
)
Index("unsynced_alarms", alarms.c.dated_by, sqlite_where=alarms.c.told_unsynced.is_not(None))

summaries = _table(
    "summaries",
    _session_key(),
    Column("minute_s", Integer, primary_key=True),
    _stay(),
    Column("beats", Integer, nullable=False),
    Column("abnormal_beats", Integer, nullable=False),
    Column("heart_rate_min_bpm", REAL),
    Column("heart_rate_mean_bpm", REAL),
    Column("heart_rate_max_bpm", REAL),
    Column("usable_s", REAL, nullable=False),
    Column("gap_s", REAL, nullable=False),
    Column("rmssd_ms", REAL),
    Column("told_unsynced", Text),
    keyed_by_rowid=False,
)
_SUMMARY_UNSYNCED = summaries.c.told_unsynced.is_not(None)
Index("unsynced_summaries", summaries.c.session_id, sqlite_where=_SUMMARY_UNSYNCED)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_s", REAL, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("payload", Text, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,  # a number is never given twice: cloud_sync remembers where it was
)

Index("outbox_lane", outbox.c.lane)

security_events = _table(
    "security_events",
    Column("id", Integer, primary_key=True),
    Column("occurred_s", REAL, nullable=False),
    Column("device_id", Integer),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

# Alembic's own note of the schema's revision; read here so that Alembic need not be imported.
alembic_version = Table("alembic_version", MetaData(), Column("version_num", Text))
