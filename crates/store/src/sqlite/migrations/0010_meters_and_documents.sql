-- What is counted outside of budgets: one row for each owner, name and window. Rows of one owner lie together, so
-- that what one call counts lies on one page.
CREATE TABLE meter (
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    starts  INTEGER NOT NULL,
    value   INTEGER NOT NULL,
    ends    INTEGER,                          -- NULL for a window without an end
    PRIMARY KEY (owner, name, starts)
) STRICT, WITHOUT ROWID;
-- What has ended, to delete it, and what has not, to read it at the start. A value changes without touching it.
CREATE INDEX meter_ends ON meter (ends) WHERE ends IS NOT NULL;

-- What was put and is not in the table yet, in the order of commits. Row by row the table would dirty one page for
-- each owner in every commit.
CREATE TABLE meter_log (
    id        INTEGER PRIMARY KEY,
    owner     TEXT NOT NULL,
    name      TEXT NOT NULL,
    starts    INTEGER NOT NULL,
    ends      INTEGER,
    value     INTEGER NOT NULL,
    replaces  INTEGER NOT NULL                -- 1 where it takes the place of a larger one too
) STRICT;

-- What a part of the program keeps of its own, in words that only it understands.
CREATE TABLE document (
    collection  TEXT NOT NULL,
    id          TEXT NOT NULL,
    version     INTEGER NOT NULL,             -- given once in the life of a store (meta 'document_version')
    body        TEXT NOT NULL,                -- JSON
    changed     INTEGER NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT;
