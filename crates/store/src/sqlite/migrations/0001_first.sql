CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE application (
    id       INTEGER PRIMARY KEY,
    uid      TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL UNIQUE,
    plan     TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE key (
    id           INTEGER PRIMARY KEY,
    uid          TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL UNIQUE,
    prefix       TEXT NOT NULL,
    application  INTEGER NOT NULL REFERENCES application (id),
    plan         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER,                     -- a rolled key is revoked from then on
    revoked      INTEGER,                     -- since when
    lock         TEXT,                        -- JSON of the lock that is on it
    locks        INTEGER NOT NULL DEFAULT 0,  -- how often a budget locked it
    counts_after INTEGER NOT NULL DEFAULT 0   -- records up to this one left its budgets by an owner's act
) STRICT;
CREATE INDEX key_application ON key (application);

-- Append-only: what happened to keys and applications, and what is to be told.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY,
    time         INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    key          INTEGER REFERENCES key (id),
    application  INTEGER REFERENCES application (id),
    actor        TEXT NOT NULL,               -- JSON
    detail       TEXT NOT NULL
) STRICT;
CREATE INDEX event_key ON event (key, id) WHERE key IS NOT NULL;

-- One row for each write, inserted before its first byte is sent; also refusals, several in one row.
-- Later rows never have earlier times, so a time is found by searching the ids.
CREATE TABLE journal (
    id             INTEGER PRIMARY KEY,
    time           INTEGER NOT NULL,
    subject        INTEGER NOT NULL,          -- key.id; negative for an address, 0 for nobody known
    plan           TEXT,
    api            TEXT NOT NULL,
    operation      TEXT NOT NULL,
    method         TEXT NOT NULL,
    path           TEXT NOT NULL,
    address        TEXT NOT NULL,
    user_agent     TEXT,
    request_bytes  INTEGER,
    response_bytes INTEGER,
    status         INTEGER,
    duration_ms    INTEGER,
    outcome        INTEGER NOT NULL,          -- in words: see the view `writes`
    reason         TEXT,
    cost           INTEGER NOT NULL,
    count          INTEGER NOT NULL
) STRICT;
-- Pending and applied rows are not in it, so the way of a usual write never touches it.
CREATE INDEX journal_outcome ON journal (outcome, id) WHERE outcome >= 2;

-- The journal by subject, filled in bulk some time after the rows (meta 'indexed_to'): row by row it
-- would dirty one page for each key in every commit.
CREATE TABLE journal_by_subject (
    subject INTEGER NOT NULL,
    id      INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    cost    INTEGER NOT NULL,
    PRIMARY KEY (subject, id)
) STRICT, WITHOUT ROWID;

-- For people who open the file.
CREATE VIEW writes AS
SELECT 'write_' || journal.id AS id,
       strftime('%Y-%m-%dT%H:%M:%fZ', journal.time / 1000.0, 'unixepoch') AS time,
       key.uid AS key, application.name AS application, journal.plan, api, operation, method, path,
       address, user_agent, request_bytes, response_bytes, status, duration_ms,
       CASE outcome WHEN 0 THEN 'pending' WHEN 1 THEN 'applied' WHEN 2 THEN 'refused_by_upstream'
                    WHEN 3 THEN 'not_sent' WHEN 4 THEN 'unknown' ELSE 'refused' END AS outcome,
       reason, cost, count
FROM journal
LEFT JOIN key ON key.id = journal.subject
LEFT JOIN application ON application.id = key.application;
