-- Budgets that the keys of an application, or all keys of a plan, share.
ALTER TABLE application ADD COLUMN lock TEXT;                             -- JSON of the lock that is on it
ALTER TABLE application ADD COLUMN locks INTEGER NOT NULL DEFAULT 0;      -- how often a budget locked it
ALTER TABLE application ADD COLUMN counts_after INTEGER NOT NULL DEFAULT 0;  -- records up to this one left the budgets that its keys share
CREATE INDEX application_locked ON application (id) WHERE lock IS NOT NULL;

CREATE TABLE budget_level (
    rule    TEXT NOT NULL,
    subject TEXT NOT NULL,                    -- whose budget, as in key:7, application:3 or plan:open
    budget  TEXT NOT NULL,
    level   INTEGER NOT NULL,
    until   INTEGER NOT NULL,                 -- when the budget's window has passed since
    PRIMARY KEY (rule, subject, budget)
) STRICT, WITHOUT ROWID;
INSERT INTO budget_level SELECT rule, 'key:' || key, budget, level, until FROM level_told;
DROP TABLE level_told;
