-- What a write takes from each budget of its plan, by the budget's name: a JSON object of numbers. NULL where
-- that is `cost` for every budget that counts the write.
ALTER TABLE journal ADD COLUMN amounts TEXT;
ALTER TABLE journal_by_subject ADD COLUMN amounts TEXT;

DROP VIEW writes;
CREATE VIEW writes AS
SELECT 'write_' || journal.id AS id,
       strftime('%Y-%m-%dT%H:%M:%fZ', journal.time / 1000.0, 'unixepoch') AS time,
       key.uid AS key, application.name AS application, journal.plan, api, operation, method, path,
       address, user_agent, request_bytes, response_bytes, status, duration_ms,
       CASE outcome WHEN 0 THEN 'pending' WHEN 1 THEN 'applied' WHEN 2 THEN 'refused_by_upstream'
                    WHEN 3 THEN 'not_sent' WHEN 4 THEN 'unknown' WHEN 5 THEN 'refused'
                    WHEN 6 THEN 'handed_over' ELSE 'pending' END AS outcome,
       reason, cost, amounts, count
FROM journal
LEFT JOIN key ON key.id = journal.subject
LEFT JOIN application ON application.id = key.application;
