-- The log. AUTOINCREMENT keeps positions from being reused when the newest row is deleted, and VACUUM from renumbering.
-- They are called rowid because the eventsourcing library asks for them by that name.
CREATE TABLE stored_events (
    rowid INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL CHECK (originator_version > 0),
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version)
);

CREATE INDEX runs_by_start ON stored_events (rowid) WHERE topic = 'run.started';

-- The end of every stream: an append must name the head it builds on, and moves it in the same transaction.
CREATE TABLE stream_heads (
    stream TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    hash TEXT NOT NULL
) WITHOUT ROWID;

-- Payloads too large to stand in an event, stored once under their SHA-256.
CREATE TABLE large_payloads (
    hash TEXT PRIMARY KEY,
    data BLOB NOT NULL
);

-- Which streams hold events that may point to a large payload.
CREATE TABLE large_references (
    hash TEXT NOT NULL,
    stream TEXT NOT NULL,
    PRIMARY KEY (hash, stream)
) WITHOUT ROWID;

CREATE INDEX large_references_stream ON large_references (stream);

-- What of a stream lies in an archive: its events 1 to `version`, whose last has the chain hash `hash`, in `length` bytes
-- of `file`. While it is not settled, some of these events may stand in stored_events as well: the last ones.
CREATE TABLE archived (
    stream TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    hash TEXT NOT NULL,
    settled INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX archived_first ON archived (first_position);

CREATE INDEX archived_last ON archived (last_position);

CREATE INDEX archived_file ON archived (file);

CREATE INDEX archived_unsettled ON archived (stream) WHERE NOT settled;

-- Where in archives large payloads lie.
CREATE TABLE archived_payloads (
    hash TEXT NOT NULL,
    file TEXT NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (hash, file)
) WITHOUT ROWID;

-- One row, whose number grows whenever streams go into an archive or come back: who reads both notices.
CREATE TABLE archive_moves (
    id INTEGER PRIMARY KEY,
    moves INTEGER NOT NULL
);

-- One row for each run that has not ended: from when on it may be worked on, and who holds it until when. Times are
-- seconds since 1970-01-01 UTC; a run that only a message brings back is due at the end of time.
CREATE TABLE dispatch (
    stream TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    needs TEXT NOT NULL,
    due_at REAL NOT NULL,
    owner TEXT,
    lease_until REAL NOT NULL
) WITHOUT ROWID;

-- In groups that are claimed alike: see eventstore/dispatch.py.
CREATE INDEX dispatch_due ON dispatch (queue, needs, priority, due_at);

-- Runs that an emergency stop holds back: see held_at in core/ports.py.
CREATE INDEX dispatch_held ON dispatch (due_at) WHERE due_at >= 2000000000000 AND due_at < 3000000000000;

-- The processes that work on runs, as they last reported themselves.
CREATE TABLE workers (
    owner TEXT PRIMARY KEY,
    report TEXT NOT NULL,
    beat_at REAL NOT NULL
) WITHOUT ROWID;

-- Queries of runs on their way to workers that have the code, and the answers; rows live for a minute at most.
CREATE TABLE queries (
    id TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    needs TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments TEXT NOT NULL,
    asked_at REAL NOT NULL,
    claimed_until REAL NOT NULL,
    answer TEXT,
    answered_at REAL
) WITHOUT ROWID;

-- Keys of runs that hold sensitive data, wrapped (eventstore/data_keys.py); without the key: it was destroyed.
CREATE TABLE data_keys (
    stream TEXT PRIMARY KEY,
    parent TEXT,
    subject TEXT,
    key_id TEXT NOT NULL,
    wrapped BLOB,
    made_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX data_keys_by_subject ON data_keys (subject) WHERE subject IS NOT NULL;
CREATE INDEX data_keys_by_parent ON data_keys (parent) WHERE parent IS NOT NULL;

-- When keys of the HTTP API were last used, in microseconds since 1970-01-01 UTC.
CREATE TABLE key_uses (
    key_id TEXT PRIMARY KEY,
    used_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Budgets, rates and places: see core/ledger.py.
CREATE TABLE ledger_accounts (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    reserved INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    extra INTEGER NOT NULL,
    full_at INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    token_seconds REAL NOT NULL
) WITHOUT ROWID;

-- What attempts of steps hold of accounts, or wait for in the order of their tickets until they ask again.
CREATE TABLE ledger_holds (
    stream TEXT NOT NULL,
    step TEXT NOT NULL,
    account TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    ticket INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (stream, step, account)
) WITHOUT ROWID;

CREATE INDEX ledger_holds_ticket ON ledger_holds (ticket);

CREATE INDEX ledger_lines ON ledger_holds (account, ticket, until, amount, granted) WHERE NOT granted;

-- How far each projection has followed the log.
CREATE TABLE tracking (
    application_name TEXT PRIMARY KEY,
    notification_id INTEGER
) WITHOUT ROWID;

-- The generations of each projection's tables, which are called p_{table}_{generation}: how far each has followed
-- the log, and who carries it on until when.
CREATE TABLE projections (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    tables TEXT NOT NULL,
    active INTEGER NOT NULL,
    position INTEGER NOT NULL,
    position_at INTEGER NOT NULL,
    owner TEXT,
    lease_until REAL NOT NULL,
    paused INTEGER NOT NULL,
    error TEXT,
    updated INTEGER NOT NULL,
    PRIMARY KEY (name, generation)
) WITHOUT ROWID;

-- The parts of generations that several processes fill at once: how far each has come, and who carries it on.
CREATE TABLE projection_parts (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    position INTEGER NOT NULL,
    until INTEGER NOT NULL,
    owner TEXT,
    lease_until REAL NOT NULL,
    error TEXT,
    PRIMARY KEY (name, generation, part)
) WITHOUT ROWID;

-- Streams that a projection has left aside, because it could not take in an event of theirs.
CREATE TABLE parked (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    reason TEXT NOT NULL,
    seen INTEGER NOT NULL,
    retry INTEGER NOT NULL,
    PRIMARY KEY (name, generation, stream)
) WITHOUT ROWID;

-- The outbox of webhooks (eventstore/outbox.py): one row, how far the log was looked through, and what of it is history.
CREATE TABLE webhook_outbox (
    id INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    quiet_until INTEGER NOT NULL
);

-- Where webhooks are sent, as of that position, and who sends there until when.
CREATE TABLE webhook_endpoints (
    endpoint_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    data TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    owner TEXT,
    lease_until REAL NOT NULL
) WITHOUT ROWID;

-- What is to be sent there, and what came of it. Times are in microseconds since 1970-01-01 UTC.
CREATE TABLE webhook_deliveries (
    endpoint_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    message_id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    since INTEGER NOT NULL,
    due INTEGER NOT NULL,
    code INTEGER,
    error TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    tried_at INTEGER,
    PRIMARY KEY (endpoint_id, position)
) WITHOUT ROWID;

CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (endpoint_id, position) WHERE status = 'waiting';

CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint_id, position) WHERE status = 'dead';

CREATE INDEX webhook_deliveries_of_tenant ON webhook_deliveries (tenant, position);

CREATE INDEX webhook_deliveries_done ON webhook_deliveries (tried_at) WHERE status = 'delivered';

-- The events as a person reads them.
CREATE VIEW events AS
SELECT
    rowid AS position,
    originator_id AS stream,
    originator_version AS version,
    topic,
    strftime('%Y-%m-%dT%H:%M:%fZ', json_extract(CAST(state AS TEXT), '$.at') / 1000000.0, 'unixepoch') AS recorded_at,
    json_extract(CAST(state AS TEXT), '$.data') AS data,
    json_extract(CAST(state AS TEXT), '$.prev') AS predecessor,
    json_extract(CAST(state AS TEXT), '$.build') AS build
FROM stored_events;
