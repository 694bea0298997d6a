-- One message to one receiver.
CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY,
    uid          TEXT NOT NULL UNIQUE,        -- the other side knows the message by it, however often it is sent
    message      INTEGER NOT NULL,            -- the first delivery of the same message on the same channel
    rule         TEXT NOT NULL,
    channel      TEXT NOT NULL,
    receiver     TEXT,                        -- an address or a subscription, where the channel has several
    kind         TEXT NOT NULL,
    thread       TEXT NOT NULL,               -- what belongs together
    payload      TEXT NOT NULL,               -- JSON of the notice
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
    first_due    INTEGER NOT NULL,            -- since when it is tried
    not_before   INTEGER NOT NULL,
    lease_until  INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,  -- also the number of the last claim
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    last_said    TEXT
) STRICT;
-- What is open is little, however much was sent.
CREATE INDEX delivery_open ON delivery (channel, id) WHERE state IN ('waiting', 'sending');
-- How many messages a channel carried in the last hour.
CREATE INDEX delivery_message ON delivery (channel, created) WHERE id = message;
CREATE INDEX delivery_failed ON delivery (id) WHERE state = 'failed';

CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY,
    delivery     INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    time         INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    said         TEXT NOT NULL,
    duration_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX attempt_delivery ON attempt (delivery, id);

-- The open window of a rule on a channel.
CREATE TABLE digest (
    rule     TEXT NOT NULL,
    channel  TEXT NOT NULL,
    kind     TEXT NOT NULL,
    thread   TEXT NOT NULL,
    opened   INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    tally     TEXT NOT NULL,                   -- JSON: exact count, who caused most, the latest
    PRIMARY KEY (rule, channel)
) STRICT, WITHOUT ROWID;

-- Channels whose other side said that it is no longer there.
CREATE TABLE channel_gone (
    channel  TEXT PRIMARY KEY,
    since    INTEGER NOT NULL,
    said     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A browser or phone that takes Web Push.
CREATE TABLE subscription (
    id        INTEGER PRIMARY KEY,
    uid       TEXT NOT NULL UNIQUE,
    owner     INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    endpoint  TEXT NOT NULL UNIQUE,
    p256dh    TEXT NOT NULL,
    auth      TEXT NOT NULL,
    label     TEXT NOT NULL,
    created   INTEGER NOT NULL,
    used      INTEGER
) STRICT;
CREATE INDEX subscription_owner ON subscription (owner);

-- Action links that acted; kept until they would have expired.
CREATE TABLE action_used (
    hash     BLOB PRIMARY KEY,
    time     INTEGER NOT NULL,
    expires  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys and operations whose first write is past.
CREATE TABLE seen_first (
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

-- Records that were passed while their writes were under way, and that a rule waits for.
CREATE TABLE watch_late (record INTEGER PRIMARY KEY) STRICT;

-- The last level of a budget that a rule told.
CREATE TABLE level_told (
    rule    TEXT NOT NULL,
    key     INTEGER NOT NULL REFERENCES key (id),
    budget  TEXT NOT NULL,
    level   INTEGER NOT NULL,
    until   INTEGER NOT NULL,                 -- when the budget's window has passed since
    PRIMARY KEY (rule, key, budget)
) STRICT, WITHOUT ROWID;
