-- Where a key comes from that another system issued; NULL for Keystile's own.
ALTER TABLE key ADD COLUMN origin TEXT;
