-- Which values occur in which of a segment's 64 blocks; see journal/facet_index.rs.
CREATE TABLE journal_facet (
    segment INTEGER NOT NULL,                 -- journal.id / 8192
    facet   INTEGER NOT NULL,                 -- FNV-1a, 32 bits, of 'column:value'
    blocks  INTEGER NOT NULL,                 -- bit n: occurs in the n-th 128 records
    PRIMARY KEY (segment, facet)
) STRICT, WITHOUT ROWID;

-- How many writes and refusals each hour had (UTC), up to the record of meta 'hours_to'. Hours stay
-- when retention takes their records.
CREATE TABLE journal_hour (
    hour    INTEGER PRIMARY KEY,              -- since 1970
    writes  INTEGER NOT NULL,
    refused INTEGER NOT NULL
) STRICT;
