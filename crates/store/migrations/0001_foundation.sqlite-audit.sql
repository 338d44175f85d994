-- Released migrations never change: expand with a new one, contract later.

-- One chain a lane: numbers without gaps, each MAC over every column and the MAC before.
CREATE TABLE audit_log (
    lane INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    -- The role that was used.
    role TEXT,
    -- Which member of staff, operator or service: a keyed hash.
    actor_hash BLOB,
    customer_id INTEGER,
    -- Of a batch: the sorted ids, eight bytes each.
    customers BLOB,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT,
    ticket TEXT,
    resource TEXT,
    categories INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    detail TEXT,
    -- Who acted from where, sealed under the customer's data key or the actor key.
    who BLOB,
    -- The id of a change's record, which came through audit_intake.
    record_id BLOB,
    key_id INTEGER NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (lane, number)
) STRICT;
CREATE UNIQUE INDEX audit_log_record ON audit_log (record_id, at) WHERE record_id IS NOT NULL;

CREATE TABLE audit_lane (
    lane INTEGER PRIMARY KEY,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER
) STRICT;

CREATE TABLE audit_checkpoint (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;
