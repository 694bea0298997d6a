ALTER TABLE key ADD COLUMN note TEXT;
ALTER TABLE application ADD COLUMN note TEXT;

ALTER TABLE event ADD COLUMN subject TEXT;    -- the name of an owner or token
ALTER TABLE event ADD COLUMN hash BLOB;       -- NULL for events from before the chain
CREATE INDEX event_application ON event (application, id) WHERE application IS NOT NULL;

-- The end of the events' chain, in one row; the seal is NULL until the store is first opened.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    older  INTEGER NOT NULL,                  -- events from before the chain
    count  INTEGER NOT NULL,                  -- events in it
    last   INTEGER NOT NULL,                  -- the last event
    hash   BLOB NOT NULL,                     -- its hash
    seal   BLOB                               -- the hash of all this
) STRICT;
INSERT INTO audit SELECT 1, count(*), 0, coalesce(max(id), 0), zeroblob(32), NULL FROM event;

CREATE TRIGGER event_stays BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER event_is_kept BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
-- Also what replaces a row, which is not a deletion to SQLite.
CREATE TRIGGER event_comes_last BEFORE INSERT ON event
WHEN NEW.id <= (SELECT max(id) FROM event)
BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;

CREATE TABLE owner (
    id        INTEGER PRIMARY KEY,
    uid       TEXT NOT NULL UNIQUE,
    name      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    handle    BLOB NOT NULL UNIQUE,           -- what passkeys know the owner by
    password  TEXT,                           -- argon2id
    created   INTEGER NOT NULL
) STRICT;

CREATE TABLE passkey (
    id          INTEGER PRIMARY KEY,
    uid         TEXT NOT NULL UNIQUE,
    owner       INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    credential  BLOB NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    data        TEXT NOT NULL,                -- JSON
    created     INTEGER NOT NULL,
    used        INTEGER
) STRICT;
CREATE INDEX passkey_owner ON passkey (owner);

CREATE TABLE recovery_code (
    hash   BLOB PRIMARY KEY,
    owner  INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    used   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_code_owner ON recovery_code (owner);

CREATE TABLE session (
    hash     BLOB PRIMARY KEY,
    owner    INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    created  INTEGER NOT NULL,
    seen     INTEGER NOT NULL,
    proved   INTEGER NOT NULL,                -- when the owner last proved who they are
    address  TEXT NOT NULL,
    agent    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_owner ON session (owner);

CREATE TABLE claim (
    hash     BLOB PRIMARY KEY,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    used     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id       INTEGER PRIMARY KEY,
    uid      TEXT NOT NULL UNIQUE,
    hash     BLOB NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    scope    TEXT NOT NULL,
    actor    TEXT NOT NULL,                   -- JSON of who made it
    created  INTEGER NOT NULL,
    expires  INTEGER,
    used     INTEGER,
    revoked  INTEGER
) STRICT;
-- A name says who did something, so it names one token that works.
CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked IS NULL;
