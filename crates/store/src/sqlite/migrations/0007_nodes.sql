-- Programs that write to a store. A database in a file has one, because its directory is held by one.
CREATE TABLE node (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    lease_until INTEGER NOT NULL              -- what it has under way is left alone until then
) STRICT;

-- Which node recorded it, and settles it.
ALTER TABLE journal ADD COLUMN node INTEGER;
-- Which node claimed it last.
ALTER TABLE delivery ADD COLUMN node INTEGER;
