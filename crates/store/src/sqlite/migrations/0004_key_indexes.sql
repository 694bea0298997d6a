CREATE INDEX key_prefix ON key (prefix);
CREATE INDEX key_locked ON key (id) WHERE lock IS NOT NULL;
CREATE INDEX key_usable ON key (application) WHERE revoked IS NULL;
CREATE INDEX key_plan ON key (plan) WHERE revoked IS NULL;
CREATE INDEX event_kind ON event (kind, id);
CREATE INDEX key_ended ON key (id) WHERE revoked IS NOT NULL OR expires IS NOT NULL;
