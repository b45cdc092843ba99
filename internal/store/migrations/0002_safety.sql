-- What undo, held deletes, settings and the audit of links need.

-- Settings that somebody has set. A value that is not set is inherited from the level
-- above, the last of which is built in.
CREATE TABLE settings (
	level TEXT NOT NULL CHECK (level IN ('all', 'org', 'group', 'user')),
	-- The organization's name, the group's name or the user's number; nothing for all.
	subject TEXT NOT NULL,
	key TEXT NOT NULL CHECK (key <> ''),
	value TEXT NOT NULL,
	CHECK ((level = 'all') = (subject = '')),
	PRIMARY KEY (level, subject, key)
) STRICT, WITHOUT ROWID;

INSERT INTO settings (level, subject, key, value)
SELECT 'org', name, 'contacts.create_in_crm', 'true' FROM organizations WHERE create_in_crm = 1;

ALTER TABLE organizations DROP COLUMN create_in_crm;

-- What an item held before a write of ours, and what the write left there, so that it
-- can be taken back. Ids, hashes and operations are packed as images.go says, values and
-- labels sealed. Images are made in the order of time.
CREATE TABLE images (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	replica_id INTEGER NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
	session INTEGER NOT NULL,
	op BLOB NOT NULL CHECK (op <> x''),
	time INTEGER NOT NULL,
	side TEXT NOT NULL CHECK (side IN ('crm', 'mailbox')),
	kind TEXT NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
	crm_id TEXT NOT NULL,
	mailbox BLOB NOT NULL,
	-- What the write left in the fields that it wrote.
	remains BLOB NOT NULL,
	body BLOB NOT NULL,
	-- The write was applied.
	written INTEGER NOT NULL DEFAULT 0 CHECK (written IN (0, 1)),
	-- The operation that takes it back; empty for none.
	undone BLOB NOT NULL DEFAULT x''
) STRICT;

CREATE UNIQUE INDEX images_op ON images (replica_id, op);
CREATE INDEX images_session ON images (session);
CREATE INDEX images_undone ON images (replica_id, undone) WHERE undone <> x'';

-- Deletes that the guard holds, until somebody decides.
CREATE TABLE held_2 (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	-- The side that the delete is for.
	side TEXT NOT NULL CHECK (side IN ('crm', 'mailbox')),
	crm_id TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	-- Empty in a state of version 1.
	label BLOB NOT NULL,
	-- Why it is to be deleted, and which limit holds it.
	reason TEXT NOT NULL,
	held_by TEXT NOT NULL CHECK (held_by IN ('user', 'run', 'rules')),
	since INTEGER NOT NULL,
	-- When it was last found to be wanted still.
	checked INTEGER NOT NULL DEFAULT 0,
	session INTEGER NOT NULL,
	decision TEXT NOT NULL DEFAULT '' CHECK (decision IN ('', 'allow', 'discard')),
	CHECK (crm_id <> '' OR mailbox_id <> '')
) STRICT;

INSERT INTO held_2 (user_id, entity, side, crm_id, mailbox_id, label, reason, held_by, since, session)
SELECT user_id, entity, side, crm_id, mailbox_id, x'', '', 'user', 0, session
FROM held;

-- Until now they were issues.
INSERT OR IGNORE INTO held_2 (user_id, entity, side, crm_id, mailbox_id, label, reason, held_by, since, session)
SELECT user_id, entity, substr(direction, 4), crm_id, mailbox_id, x'', '', 'user', first_seen, session
FROM issues
WHERE code = 'CS2105'
AND state <> 'resolved';

UPDATE issues
SET
	state = 'resolved',
	next_retry = 0
WHERE code = 'CS2105'
AND state <> 'resolved';

DROP TABLE held;
ALTER TABLE held_2 RENAME TO held;

CREATE UNIQUE INDEX held_item ON held (user_id, entity, side, crm_id, mailbox_id);

-- Whose records, and which mailbox, a user's entity was last reconciled with: a user may
-- be tied to others.
ALTER TABLE replicas ADD COLUMN crm_user TEXT NOT NULL DEFAULT '';
ALTER TABLE replicas ADD COLUMN mailbox_id TEXT NOT NULL DEFAULT '';

-- The rules by which a user's entity was last reconciled, as a hash, and how far his
-- links and records have been audited.
ALTER TABLE replicas ADD COLUMN rules TEXT NOT NULL DEFAULT '';
-- Where the comparison of links goes on, and when it last took place; when all records
-- were last listed.
ALTER TABLE replicas ADD COLUMN audit_after TEXT NOT NULL DEFAULT '';
ALTER TABLE replicas ADD COLUMN audited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
-- The policy by which conflicts were last decided, in words.
ALTER TABLE replicas ADD COLUMN conflict_policy TEXT NOT NULL DEFAULT '';

-- An issue can be ignored until its record changes, and a record that waits for an edit
-- is known by its version.
CREATE TABLE issues_2 (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	direction TEXT NOT NULL CHECK (direction IN ('to-crm', 'to-mailbox')),
	crm_id TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	version TEXT NOT NULL DEFAULT '',
	label BLOB NOT NULL,
	code TEXT NOT NULL,
	cause TEXT NOT NULL,
	attempts INTEGER NOT NULL CHECK (attempts >= 0),
	first_seen INTEGER NOT NULL,
	next_retry INTEGER NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'parked', 'info', 'ignored', 'resolved')),
	session INTEGER NOT NULL
) STRICT;

INSERT INTO issues_2 (
	id, user_id, entity, direction, crm_id, mailbox_id, label, code, cause, attempts,
	first_seen, next_retry, state, session
)
SELECT
	id, user_id, entity, direction, crm_id, mailbox_id, label, code, cause, attempts,
	first_seen, next_retry, state, session
FROM issues;

DELETE FROM sqlite_sequence WHERE name = 'issues_2';
INSERT INTO sqlite_sequence (name, seq) SELECT 'issues_2', seq FROM sqlite_sequence WHERE name = 'issues';
DROP TABLE issues;
ALTER TABLE issues_2 RENAME TO issues;

CREATE INDEX issues_user ON issues (user_id);
CREATE UNIQUE INDEX issues_open ON issues (user_id, entity, direction, crm_id, mailbox_id) WHERE state <> 'resolved';

-- A session may also be one that takes another back, or restores a value.
CREATE TABLE sessions_2 (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'force', 'apply', 'undo', 'restore', 'merge')),
	started INTEGER NOT NULL,
	ended INTEGER NOT NULL DEFAULT 0,
	result TEXT NOT NULL DEFAULT ''
		CHECK (result IN ('', 'done', 'unchanged', 'failed', 'refused', 'skipped', 'interrupted', 'not started')),
	code TEXT NOT NULL DEFAULT '',
	message TEXT NOT NULL DEFAULT '',
	created_crm INTEGER NOT NULL DEFAULT 0,
	created_mailbox INTEGER NOT NULL DEFAULT 0,
	updated_crm INTEGER NOT NULL DEFAULT 0,
	updated_mailbox INTEGER NOT NULL DEFAULT 0,
	deleted_crm INTEGER NOT NULL DEFAULT 0,
	deleted_mailbox INTEGER NOT NULL DEFAULT 0,
	linked INTEGER NOT NULL DEFAULT 0,
	conflicts INTEGER NOT NULL DEFAULT 0,
	held INTEGER NOT NULL DEFAULT 0,
	issues INTEGER NOT NULL DEFAULT 0,
	requests INTEGER NOT NULL DEFAULT 0,
	log TEXT NOT NULL DEFAULT '',
	-- A session has a result when it has ended, and not before.
	CHECK ((ended = 0) = (result = ''))
) STRICT;

INSERT INTO sessions_2 SELECT
	id, user_id, trigger, started, ended, result, code, message, created_crm,
	created_mailbox, updated_crm, updated_mailbox, deleted_crm, deleted_mailbox, linked,
	conflicts, held, issues, requests, log
FROM sessions;

DELETE FROM sqlite_sequence WHERE name = 'sessions_2';
INSERT INTO sqlite_sequence (name, seq) SELECT 'sessions_2', seq FROM sqlite_sequence WHERE name = 'sessions';
DROP TABLE sessions;
ALTER TABLE sessions_2 RENAME TO sessions;

CREATE INDEX sessions_user ON sessions (user_id);
CREATE UNIQUE INDEX sessions_running ON sessions (user_id) WHERE ended = 0;

-- A conflict is restored once; 0 for not yet.
ALTER TABLE conflicts ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
-- What was put back: the value that lost, or of one that was on hold, that of a side.
ALTER TABLE conflicts ADD COLUMN how TEXT NOT NULL DEFAULT '' CHECK (how IN ('', 'lost', 'crm', 'mailbox'));
CREATE INDEX conflicts_time ON conflicts (time) WHERE winner <> '';

-- A conflict that is met again is looked up by its record.
DROP INDEX conflicts_user;
CREATE INDEX conflicts_record ON conflicts (user_id, crm_id);
-- What is known of a connection beyond its description.
CREATE TABLE health (
	connection TEXT NOT NULL PRIMARY KEY REFERENCES connections (name) ON DELETE CASCADE,
	-- Why the system as a whole refuses us, and since when; nothing if it does not.
	code TEXT NOT NULL,
	message TEXT NOT NULL,
	since INTEGER NOT NULL,
	-- How many requests of how many were used, how many of them are others', and when the
	-- system told; 0 of 0 if it never did.
	used INTEGER NOT NULL,
	most INTEGER NOT NULL,
	reserve INTEGER NOT NULL,
	told INTEGER NOT NULL,
	CHECK ((code = '') = (since = 0))
) STRICT;

-- How many requests a session made to the mailbox as the service counts them, for the
-- budget that all processes share.
ALTER TABLE sessions ADD COLUMN mailbox_calls INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_ended ON sessions (ended);
-- What is forgotten first.
CREATE INDEX sessions_idle ON sessions (ended) WHERE result = 'unchanged';
CREATE INDEX issues_resolved ON issues (session) WHERE state = 'resolved';
