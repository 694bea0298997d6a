-- A write that another gateway sends is `handed_over` (6) at last, and stands as 7 until then.
DROP VIEW writes;
CREATE VIEW writes AS
SELECT 'write_' || journal.id AS id,
       strftime('%Y-%m-%dT%H:%M:%fZ', journal.time / 1000.0, 'unixepoch') AS time,
       key.uid AS key, application.name AS application, journal.plan, api, operation, method, path,
       address, user_agent, request_bytes, response_bytes, status, duration_ms,
       CASE outcome WHEN 0 THEN 'pending' WHEN 1 THEN 'applied' WHEN 2 THEN 'refused_by_upstream'
                    WHEN 3 THEN 'not_sent' WHEN 4 THEN 'unknown' WHEN 5 THEN 'refused'
                    WHEN 6 THEN 'handed_over' ELSE 'pending' END AS outcome,
       reason, cost, count
FROM journal
LEFT JOIN key ON key.id = journal.subject
LEFT JOIN application ON application.id = key.application;
