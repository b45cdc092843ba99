-- The state. Rules for every table:
--   times are nanoseconds since 1970 in UTC, 0 stands for the zero time;
--   an empty text stands for nothing; there is no NULL but where it is said;
--   labels and values of records are sealed (BLOB), bases are keyed hashes.

CREATE TABLE meta (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	install TEXT NOT NULL CHECK (install <> ''),
	key_check BLOB NOT NULL
) STRICT;

-- Names of record fields, by the small numbers that stand for them in bases.
CREATE TABLE fields (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE CHECK (name <> '')
) STRICT;

CREATE TABLE connections (
	name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
	kind TEXT NOT NULL CHECK (kind <> ''),
	endpoint TEXT NOT NULL,
	token_endpoint TEXT NOT NULL,
	auth TEXT NOT NULL,
	tenant TEXT NOT NULL,
	client_id TEXT NOT NULL,
	username TEXT NOT NULL,
	-- References to secrets, never the secrets.
	secret TEXT NOT NULL
		CHECK (secret = '' OR substr(secret, 1, instr(secret, ':')) IN ('env:', 'file:', 'cmd:', 'keyring:')),
	token TEXT NOT NULL
		CHECK (token = '' OR substr(token, 1, instr(token, ':')) IN ('env:', 'file:', 'cmd:', 'keyring:')),
	certificate TEXT NOT NULL
		CHECK (certificate NOT LIKE '-----BEGIN%'),
	stamp_field TEXT NOT NULL,
	app_id TEXT NOT NULL
) STRICT;

CREATE TABLE organizations (
	name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
	crm TEXT NOT NULL REFERENCES connections (name),
	mail TEXT NOT NULL REFERENCES connections (name),
	access TEXT NOT NULL CHECK (access IN ('application', 'delegated')),
	enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
	is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
	region TEXT NOT NULL,
	create_in_crm INTEGER NOT NULL CHECK (create_in_crm IN (0, 1)),
	UNIQUE (name, mail)
) STRICT;

CREATE UNIQUE INDEX organizations_default ON organizations (is_default) WHERE is_default = 1;
CREATE INDEX organizations_crm ON organizations (crm);
CREATE INDEX organizations_mail ON organizations (mail);

CREATE TABLE users (
	-- A number is never given twice: sessions and leases of a deleted user must not
	-- become those of another.
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	email TEXT NOT NULL CHECK (email <> ''),
	-- The address in lower case.
	email_key TEXT NOT NULL,
	name TEXT NOT NULL,
	org TEXT NOT NULL,
	-- The organization's mail connection, within which a mailbox is one user's.
	mail TEXT NOT NULL,
	plan TEXT NOT NULL,
	crm_user TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	sync TEXT NOT NULL CHECK (sync IN ('disabled', 'enabled', 'suspended')),
	cause TEXT NOT NULL CHECK (cause IN ('', 'authorization', 'throttling', 'other')),
	reason TEXT NOT NULL,
	locked INTEGER NOT NULL CHECK (locked IN (0, 1)),
	mailbox TEXT NOT NULL CHECK (mailbox IN ('not-initialized', 'initialized', 'resetting')),
	addin TEXT NOT NULL CHECK (addin IN ('unknown', 'requested', 'installed', 'removed', 'failed')),
	addin_read INTEGER NOT NULL,
	last_start INTEGER NOT NULL DEFAULT 0,
	last_success INTEGER NOT NULL DEFAULT 0,
	next_due INTEGER NOT NULL,
	forced_at INTEGER NOT NULL,
	queued INTEGER NOT NULL CHECK (queued IN (0, 1)),
	failures INTEGER NOT NULL CHECK (failures >= 0),
	pressure_since INTEGER NOT NULL DEFAULT 0,
	-- A suspended user has a cause, and nobody else has.
	CHECK ((sync = 'suspended') = (cause <> '')),
	FOREIGN KEY (org, mail) REFERENCES organizations (name, mail) ON UPDATE CASCADE
) STRICT;

CREATE UNIQUE INDEX users_email ON users (email_key);
CREATE UNIQUE INDEX users_mailbox ON users (mailbox_id, mail) WHERE mailbox_id <> '';
CREATE INDEX users_crm_user ON users (crm_user);
CREATE INDEX users_org ON users (org, mail);

CREATE TABLE leases (
	user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	holder TEXT NOT NULL CHECK (holder <> ''),
	until INTEGER NOT NULL CHECK (until <> 0)
) STRICT;

-- One user's entity. Everything that is known of its synchronization hangs on it.
CREATE TABLE replicas (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	container_id TEXT NOT NULL DEFAULT '',
	container_name TEXT NOT NULL DEFAULT '',
	mailbox_cursor TEXT NOT NULL DEFAULT '',
	crm_cursor TEXT NOT NULL DEFAULT '',
	first_done INTEGER NOT NULL DEFAULT 0 CHECK (first_done IN (0, 1)),
	off TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX replicas_user ON replicas (user_id, entity);

CREATE TABLE shared_cursors (
	connection TEXT NOT NULL REFERENCES connections (name) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	cursor TEXT NOT NULL,
	PRIMARY KEY (connection, entity)
) STRICT;

-- What the ids and versions of one replica's items begin with, kept once.
CREATE TABLE prefixes (
	replica_id INTEGER NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
	n INTEGER NOT NULL CHECK (n > 0),
	bytes BLOB NOT NULL,
	PRIMARY KEY (replica_id, n)
) STRICT, WITHOUT ROWID;

-- A link has no more than 350 bytes with its indexes; halves and bases are packed as
-- links.go says.
CREATE TABLE links (
	id INTEGER PRIMARY KEY,
	replica_id INTEGER NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
	crm_id TEXT NOT NULL CHECK (crm_id <> ''),
	-- A hash of the mailbox id; NULL if the link has none, or has given it free.
	mailbox_key INTEGER,
	-- 1 linked, 2 unlinked, 3 ended
	state INTEGER NOT NULL CHECK (state IN (1, 2, 3)),
	since INTEGER NOT NULL,
	crm BLOB NOT NULL,
	mailbox BLOB NOT NULL,
	base BLOB NOT NULL,
	-- Whatever is linked has both ids.
	CHECK (state <> 1 OR mailbox_key IS NOT NULL)
) STRICT;

-- The CRM id leads, so that one index finds a user's link and all users of a record.
CREATE UNIQUE INDEX links_crm ON links (crm_id, replica_id);
CREATE UNIQUE INDEX links_mailbox ON links (replica_id, mailbox_key);
CREATE INDEX links_parted ON links (replica_id, state, since) WHERE state <> 1;

CREATE TABLE intents (
	id INTEGER PRIMARY KEY,
	replica_id INTEGER NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
	op TEXT NOT NULL CHECK (op <> ''),
	side TEXT NOT NULL CHECK (side IN ('crm', 'mailbox')),
	kind TEXT NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
	crm_id TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	body BLOB NOT NULL,
	created INTEGER NOT NULL,
	-- What is to be created has no id yet; all else has.
	CHECK ((kind = 'create') = (CASE side WHEN 'crm' THEN crm_id ELSE mailbox_id END = ''))
) STRICT;

CREATE UNIQUE INDEX intents_op ON intents (replica_id, op);

-- An operation that was given up keeps what its intent said, so that an item it writes
-- after all can be told from one that a person has edited since.
CREATE TABLE expired_ops (
	replica_id INTEGER NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
	op TEXT NOT NULL CHECK (op <> ''),
	expired INTEGER NOT NULL,
	side TEXT NOT NULL CHECK (side IN ('crm', 'mailbox')),
	kind TEXT NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
	body BLOB NOT NULL,
	PRIMARY KEY (replica_id, op)
) STRICT, WITHOUT ROWID;

CREATE TABLE issues (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	direction TEXT NOT NULL CHECK (direction IN ('to-crm', 'to-mailbox')),
	crm_id TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	label BLOB NOT NULL,
	code TEXT NOT NULL,
	cause TEXT NOT NULL,
	attempts INTEGER NOT NULL CHECK (attempts >= 0),
	first_seen INTEGER NOT NULL,
	next_retry INTEGER NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'parked', 'info', 'resolved')),
	session INTEGER NOT NULL
) STRICT;

CREATE INDEX issues_user ON issues (user_id);
CREATE UNIQUE INDEX issues_open ON issues (user_id, entity, direction, crm_id, mailbox_id) WHERE state <> 'resolved';

CREATE TABLE conflicts (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	session INTEGER NOT NULL,
	time INTEGER NOT NULL,
	crm_id TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	field TEXT NOT NULL CHECK (field <> ''),
	winner TEXT NOT NULL CHECK (winner IN ('', 'crm', 'mailbox')),
	lost BLOB NOT NULL,
	kept BLOB NOT NULL
) STRICT;

CREATE INDEX conflicts_user ON conflicts (user_id);

-- Deletes that the guard holds.
CREATE TABLE held (
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	entity TEXT NOT NULL CHECK (entity IN ('contacts', 'events', 'tasks', 'emails')),
	side TEXT NOT NULL CHECK (side IN ('crm', 'mailbox')),
	crm_id TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	session INTEGER NOT NULL,
	PRIMARY KEY (user_id, entity, side, crm_id, mailbox_id),
	CHECK (crm_id <> '' OR mailbox_id <> '')
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'force')),
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

CREATE INDEX sessions_user ON sessions (user_id);
-- One cycle per user at a time.
CREATE UNIQUE INDEX sessions_running ON sessions (user_id) WHERE ended = 0;

-- The audit. It outlives the users it speaks of and is only ever appended to.
CREATE TABLE activities (
	id INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	actor TEXT NOT NULL,
	type TEXT NOT NULL CHECK (type <> ''),
	user TEXT NOT NULL,
	org TEXT NOT NULL,
	details TEXT NOT NULL,
	hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX activities_user ON activities (user COLLATE NOCASE);

CREATE TRIGGER activities_not_changed BEFORE UPDATE ON activities
BEGIN
	SELECT RAISE(ABORT, 'the audit is only appended to');
END;

CREATE TRIGGER activities_not_removed BEFORE DELETE ON activities
BEGIN
	SELECT RAISE(ABORT, 'the audit is only appended to');
END;

-- What deleted users left behind in their mailboxes.
CREATE TABLE orphans (
	email_key TEXT NOT NULL PRIMARY KEY CHECK (email_key <> ''),
	email TEXT NOT NULL,
	mailbox_id TEXT NOT NULL,
	org TEXT NOT NULL,
	-- A JSON object: entity to mailbox ids.
	items TEXT NOT NULL CHECK (json_valid(items)),
	deleted INTEGER NOT NULL
) STRICT;
