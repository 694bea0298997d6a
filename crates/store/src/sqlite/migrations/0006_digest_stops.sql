-- A receiver that takes no more digests of a rule; what begins a storm, and what is told at once, goes on.
CREATE TABLE digest_stop (
    channel   TEXT NOT NULL,
    rule      TEXT NOT NULL,
    receiver  TEXT NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (channel, rule, receiver)
) STRICT, WITHOUT ROWID;
