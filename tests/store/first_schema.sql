-- A store of schema 0001 (sqlite3 .dump) with two beats in it.
PRAGMA page_size = 1024;
BEGIN TRANSACTION;
CREATE TABLE alarms (
	id INTEGER NOT NULL, 
	bed_id INTEGER NOT NULL, 
	stay_id INTEGER, 
	session_id INTEGER, 
	kind TEXT NOT NULL, 
	priority TEXT NOT NULL, 
	onset_s REAL NOT NULL, 
	raised_s REAL NOT NULL, 
	state TEXT NOT NULL, 
	ended_s REAL, 
	acknowledged_s REAL, 
	PRIMARY KEY (id), 
	UNIQUE (bed_id, kind, onset_s), 
	FOREIGN KEY(bed_id) REFERENCES beds (id), 
	FOREIGN KEY(stay_id) REFERENCES stays (id), 
	FOREIGN KEY(session_id) REFERENCES sessions (id)
)
 STRICT

;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE assignments (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	bed_id INTEGER NOT NULL, 
	assigned_s REAL NOT NULL, 
	released_s REAL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(device_id) REFERENCES sensors (device_id), 
	FOREIGN KEY(bed_id) REFERENCES beds (id)
)
 STRICT

;
CREATE TABLE beats (
	session_id INTEGER NOT NULL, 
	r_sample INTEGER NOT NULL, 
	amplitude_uv REAL NOT NULL, 
	rr_ms REAL, 
	searched_back INTEGER DEFAULT 0 NOT NULL, 
	beat_class TEXT, 
	p_abnormal REAL, 
	stay_id INTEGER, 
	late INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (session_id, r_sample), 
	FOREIGN KEY(session_id) REFERENCES sessions (id), 
	FOREIGN KEY(stay_id) REFERENCES stays (id)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "beats" VALUES(1,125,900.0,NULL,0,NULL,NULL,NULL,0);
INSERT INTO "beats" VALUES(1,325,-812.5,640.0,1,'V',0.97,NULL,0);
CREATE TABLE beds (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
)
 STRICT

;
CREATE TABLE checkpoints (
	session_id INTEGER NOT NULL, 
	journal_id INTEGER NOT NULL, 
	state BLOB NOT NULL, 
	PRIMARY KEY (session_id), 
	FOREIGN KEY(session_id) REFERENCES sessions (id)
)
 STRICT

;
CREATE TABLE events (
	session_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	onset INTEGER NOT NULL, 
	decided INTEGER NOT NULL, 
	"end" INTEGER, 
	stay_id INTEGER, 
	late INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (session_id, kind, onset), 
	FOREIGN KEY(session_id) REFERENCES sessions (id), 
	FOREIGN KEY(stay_id) REFERENCES stays (id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE frames (
	journal_id INTEGER NOT NULL, 
	session_id INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	sealed BLOB NOT NULL, 
	received_s REAL NOT NULL, 
	stay_id INTEGER, 
	late INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (journal_id), 
	UNIQUE (session_id, sequence), 
	FOREIGN KEY(session_id) REFERENCES sessions (id), 
	FOREIGN KEY(stay_id) REFERENCES stays (id)
)
 STRICT

;
CREATE TABLE gaps (
	journal_id INTEGER NOT NULL, 
	session_id INTEGER NOT NULL, 
	start INTEGER NOT NULL, 
	length INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	late_analysed INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (journal_id), 
	UNIQUE (session_id, start), 
	FOREIGN KEY(session_id) REFERENCES sessions (id)
)
 STRICT

;
CREATE TABLE installation (
	id INTEGER NOT NULL CHECK (id = 1), 
	uuid TEXT NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
INSERT INTO "installation" VALUES(1,'e5d2489d0cfb3c2361ad6685d1efbdee');
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	lane TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	created_s REAL NOT NULL, 
	message_id TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	UNIQUE (message_id)
)
 STRICT

;
CREATE TABLE received_ranges (
	session_id INTEGER NOT NULL, 
	first_sequence INTEGER NOT NULL, 
	last_sequence INTEGER NOT NULL, 
	PRIMARY KEY (session_id, first_sequence), 
	FOREIGN KEY(session_id) REFERENCES sessions (id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE security_events (
	id INTEGER NOT NULL, 
	occurred_s REAL NOT NULL, 
	device_id INTEGER, 
	kind TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE sensors (
	device_id INTEGER NOT NULL, 
	first_seen_s REAL NOT NULL, 
	PRIMARY KEY (device_id)
)
 STRICT

;
INSERT INTO "sensors" VALUES(7,1000000.0);
CREATE TABLE sessions (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	boot_id INTEGER NOT NULL, 
	salt BLOB NOT NULL, 
	sample_rate_hz INTEGER NOT NULL, 
	key_generation INTEGER NOT NULL, 
	first_received_s REAL NOT NULL, 
	wall_offset_s REAL, 
	finished INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (device_id, boot_id, salt), 
	FOREIGN KEY(device_id) REFERENCES sensors (device_id)
)
 STRICT

;
INSERT INTO "sessions" VALUES(1,7,1,X'00000000000000000000000000000000',250,0,1000000.0,1000000.0,0);
CREATE TABLE stays (
	id INTEGER NOT NULL, 
	bed_id INTEGER NOT NULL, 
	admitted_s REAL NOT NULL, 
	discharged_s REAL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(bed_id) REFERENCES beds (id)
)
 STRICT

;
CREATE TABLE summaries (
	session_id INTEGER NOT NULL, 
	minute_s INTEGER NOT NULL, 
	stay_id INTEGER, 
	beats INTEGER NOT NULL, 
	abnormal_beats INTEGER NOT NULL, 
	heart_rate_min_bpm REAL, 
	heart_rate_mean_bpm REAL, 
	heart_rate_max_bpm REAL, 
	usable_s REAL NOT NULL, 
	gap_s REAL NOT NULL, 
	PRIMARY KEY (session_id, minute_s), 
	FOREIGN KEY(session_id) REFERENCES sessions (id), 
	FOREIGN KEY(stay_id) REFERENCES stays (id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE UNIQUE INDEX open_stay ON stays (bed_id) WHERE discharged_s IS NULL;
CREATE UNIQUE INDEX sensor_bed ON assignments (device_id) WHERE released_s IS NULL;
CREATE UNIQUE INDEX bed_sensor ON assignments (bed_id) WHERE released_s IS NULL;
CREATE INDEX outbox_lane ON outbox (lane);
DELETE FROM "sqlite_sequence";
COMMIT;
