-- Released migrations never change: expand with a new one, contract later.

-- The service's own state: one row.
CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    demo_anchor INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- A check value for each key of the keyring: another key in its place is refused.
CREATE TABLE key_check (
    purpose TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    check_value BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (purpose, key_id)
) STRICT;

-- Deleting a customer's row here erases the person: nothing sealed under the key opens again.
CREATE TABLE customer_key (
    customer_id INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY,
    type TEXT NOT NULL CONSTRAINT customer_type CHECK (type IN ('individual', 'business')),
    status TEXT NOT NULL CONSTRAINT customer_status CHECK (status IN ('pending', 'active', 'inactive')),
    inactive_since INTEGER,
    version INTEGER NOT NULL,
    event_sequence INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
-- The order of a search.
CREATE INDEX customer_created ON customer (created_at, customer_id);
CREATE INDEX customer_updated ON customer (updated_at, customer_id);

-- Keyed hashes of normalised values: equality without the value.
CREATE TABLE customer_lookup (
    customer_id INTEGER NOT NULL REFERENCES customer,
    -- The premise that it follows from; 0 for the customer's own row.
    subject_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (customer_id, subject_id, kind, hash)
) STRICT;
CREATE INDEX customer_lookup_hash ON customer_lookup (kind, hash, created_at, customer_id);

CREATE TABLE identity_link (
    issuer TEXT NOT NULL,
    subject_hash BLOB NOT NULL,
    customer_id INTEGER NOT NULL REFERENCES customer,
    identity_id INTEGER NOT NULL CONSTRAINT identity_link_id UNIQUE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject_hash)
) STRICT;
CREATE INDEX identity_link_customer ON identity_link (customer_id);

CREATE TABLE account (
    customer_id INTEGER NOT NULL REFERENCES customer,
    account_id INTEGER NOT NULL,
    account_number TEXT NOT NULL,
    status TEXT NOT NULL CONSTRAINT account_status CHECK (status IN ('pending', 'active', 'inactive')),
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- What Billing last reported, in cents; null when it never did.
    current_balance INTEGER,
    due_amount INTEGER,
    past_due_amount INTEGER,
    next_due_date INTEGER,
    last_payment_date INTEGER,
    last_payment_amount INTEGER,
    balance_as_of INTEGER,
    sealed BLOB NOT NULL,
    PRIMARY KEY (customer_id, account_id)
) STRICT;
CREATE INDEX account_updated ON account (updated_at, account_id);

-- What must be unique across customers stands in look-up tables of its own.
CREATE TABLE account_number (
    account_number TEXT PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    FOREIGN KEY (customer_id, account_id) REFERENCES account
) STRICT;

-- Ids are unique by themselves: whose they are is found without their customer.
CREATE TABLE account_owner (
    account_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    FOREIGN KEY (customer_id, account_id) REFERENCES account
) STRICT;

-- Places: they belong to no customer and outlive occupancies.
CREATE TABLE wires_company (
    wires_company_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT wires_company_name UNIQUE,
    outage_phone TEXT
) STRICT;

CREATE TABLE service_point (
    service_point_id INTEGER PRIMARY KEY,
    wires_company_id INTEGER NOT NULL REFERENCES wires_company,
    esi_hash BLOB NOT NULL CONSTRAINT service_point_esi UNIQUE,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- The ESI ID and the market's address, under the place key.
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE meter (
    meter_id INTEGER PRIMARY KEY,
    -- Null until it is installed; a removed meter stays where it was.
    service_point_id INTEGER REFERENCES service_point,
    wires_company_id INTEGER NOT NULL REFERENCES wires_company,
    meter_number TEXT NOT NULL,
    type TEXT NOT NULL CONSTRAINT meter_type CHECK (type IN ('electric')),
    status TEXT NOT NULL CONSTRAINT meter_status CHECK (status IN ('available', 'active', 'inactive')),
    multiplier INTEGER NOT NULL,
    dials INTEGER NOT NULL,
    -- 'delivered', or 'delivered,received' where generation is counted, too.
    registers TEXT NOT NULL,
    installed_on INTEGER,
    installed_at INTEGER,
    removed_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CONSTRAINT meter_number_unique UNIQUE (wires_company_id, meter_number)
) STRICT;
CREATE INDEX meter_service_point ON meter (service_point_id);
CREATE INDEX meter_updated ON meter (updated_at, meter_id);

-- A premise is one account's occupancy of a place, [start_at, end_at).
CREATE TABLE premise (
    customer_id INTEGER NOT NULL REFERENCES customer,
    premise_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    status TEXT NOT NULL CONSTRAINT premise_status CHECK (status IN ('pending', 'active', 'inactive')),
    is_primary INTEGER NOT NULL,
    service_start_date INTEGER NOT NULL,
    service_end_date INTEGER,
    start_at INTEGER NOT NULL,
    end_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (customer_id, premise_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
) STRICT;
CREATE INDEX premise_account ON premise (customer_id, account_id);
CREATE UNIQUE INDEX premise_one_primary ON premise (customer_id, account_id) WHERE is_primary;
CREATE INDEX premise_updated ON premise (updated_at, premise_id);

CREATE TABLE premise_owner (
    premise_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    FOREIGN KEY (customer_id, premise_id) REFERENCES premise
) STRICT;

CREATE TABLE premise_service_point (
    customer_id INTEGER NOT NULL,
    premise_id INTEGER NOT NULL,
    service_point_id INTEGER NOT NULL REFERENCES service_point,
    PRIMARY KEY (customer_id, premise_id, service_point_id),
    FOREIGN KEY (customer_id, premise_id) REFERENCES premise
) STRICT;
CREATE INDEX premise_service_point_place ON premise_service_point (service_point_id);

-- A service point is in force for one occupancy at a time.
CREATE TABLE service_point_holder (
    service_point_id INTEGER PRIMARY KEY REFERENCES service_point,
    customer_id INTEGER NOT NULL,
    premise_id INTEGER NOT NULL
) STRICT;

-- Register readings in thousandths of the unit. They belong to the meter; a customer reaches them only
-- through an occupancy that covers their instant, whose customer each row carries.
CREATE TABLE reading (
    meter_id INTEGER NOT NULL REFERENCES meter,
    register TEXT NOT NULL CONSTRAINT reading_register CHECK (register IN ('delivered', 'received')),
    read_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    customer_id INTEGER,
    value INTEGER NOT NULL,
    quality TEXT NOT NULL CONSTRAINT reading_quality CHECK (quality IN ('actual', 'estimated')),
    is_current INTEGER NOT NULL,
    reported_at INTEGER NOT NULL,
    corrected_at INTEGER,
    PRIMARY KEY (meter_id, register, read_at, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX reading_id ON reading (reading_id);
CREATE INDEX reading_page ON reading (meter_id, read_at, reading_id);

CREATE TABLE preference (
    customer_id INTEGER PRIMARY KEY REFERENCES customer,
    version INTEGER NOT NULL,
    bill_delivery TEXT NOT NULL CONSTRAINT preference_bill_delivery CHECK (bill_delivery IN ('email', 'mail', 'both')),
    bill_ready INTEGER NOT NULL,
    payment_due INTEGER NOT NULL,
    outage_alerts INTEGER NOT NULL,
    high_usage_alerts INTEGER NOT NULL,
    auto_pay_enabled INTEGER NOT NULL,
    payment_method_id TEXT,
    language TEXT NOT NULL CONSTRAINT preference_language CHECK (language IN ('en', 'es')),
    email_status TEXT NOT NULL CONSTRAINT preference_email_status CHECK (email_status IN ('ok', 'unverified', 'bounced')),
    sms_consent INTEGER NOT NULL,
    sms_consent_at INTEGER,
    marketing_consent INTEGER NOT NULL,
    marketing_consent_at INTEGER,
    -- Since when the e-mail address is the present one: what bounced before was another.
    email_since INTEGER,
    payment_methods_as_of INTEGER,
    updated_at INTEGER NOT NULL,
    -- The mailing address.
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE payment_method (
    customer_id INTEGER NOT NULL REFERENCES customer,
    row_id INTEGER NOT NULL,
    payment_method_id TEXT NOT NULL,
    expires TEXT,
    reported_at INTEGER NOT NULL,
    -- The label.
    sealed BLOB NOT NULL,
    PRIMARY KEY (customer_id, payment_method_id)
) STRICT;

-- Events, written in the transaction of their change. The data carries ids and names of fields only.
CREATE TABLE outbox (
    customer_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    event_id BLOB NOT NULL CONSTRAINT outbox_event UNIQUE,
    type TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    data TEXT NOT NULL,
    -- Who did it, as a kind: the timeline shows it.
    actor TEXT NOT NULL,
    position INTEGER,
    delivered_at INTEGER,
    PRIMARY KEY (customer_id, sequence)
) STRICT;
CREATE INDEX outbox_unsequenced ON outbox (occurred_at) WHERE position IS NULL;

-- The key belongs to a caller, an operation and a content; the customer is whom the answer shows.
CREATE TABLE idempotency (
    key_hash BLOB PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    -- The answer as it was given.
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX idempotency_customer ON idempotency (customer_id, created_at);

-- Whose an enrolment, a market request, a move or a question is: ids are unique by themselves.
CREATE TABLE owner (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

-- The one code of an account with which a person who signs in claims its customer.
CREATE TABLE claim_code (
    customer_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    code_hash BLOB NOT NULL,
    tries_left INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (customer_id, account_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
) STRICT;

-- How often something was tried lately, by whom or for what: a keyed hash.
CREATE TABLE attempt (
    key_hash BLOB PRIMARY KEY,
    began_at INTEGER NOT NULL,
    tries INTEGER NOT NULL
) STRICT;

-- What a person asked for: to become a customer at a place.
CREATE TABLE enrollment (
    customer_id INTEGER NOT NULL REFERENCES customer,
    enrollment_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    premise_id INTEGER NOT NULL,
    kind TEXT NOT NULL CONSTRAINT enrollment_kind CHECK (kind IN ('switch', 'move-in')),
    status TEXT NOT NULL CONSTRAINT enrollment_status CHECK (status IN ('submitted', 'approved', 'sent', 'accepted', 'active', 'rejected', 'withdrawn')),
    confirmation_number TEXT NOT NULL CONSTRAINT enrollment_confirmation UNIQUE,
    requested_start_date INTEGER NOT NULL,
    confirmed_start_date INTEGER,
    rejection_code TEXT,
    submitted_at INTEGER NOT NULL,
    approved_at INTEGER,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- The accepted terms, and what was said when it was rejected.
    sealed BLOB NOT NULL,
    PRIMARY KEY (customer_id, enrollment_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
) STRICT;
CREATE INDEX enrollment_status ON enrollment (status, enrollment_id);

-- A change of who lives where: a move-in or a move-out of one account.
CREATE TABLE move (
    customer_id INTEGER NOT NULL REFERENCES customer,
    move_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    premise_id INTEGER NOT NULL,
    kind TEXT NOT NULL CONSTRAINT move_kind CHECK (kind IN ('move-in', 'move-out')),
    status TEXT NOT NULL CONSTRAINT move_status CHECK (status IN ('planned', 'sent', 'accepted', 'rejected', 'cancelled', 'done')),
    date INTEGER NOT NULL,
    -- Whether staff or the market decided it, and not the mover alone.
    confirmed INTEGER NOT NULL,
    -- Whether the market made it, unasked: then it is not the customer's to change.
    by_market INTEGER NOT NULL,
    rejection_code TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- The forwarding address, and what was said when it was rejected.
    sealed BLOB NOT NULL,
    PRIMARY KEY (customer_id, move_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
) STRICT;
CREATE INDEX move_premise ON move (customer_id, premise_id);
CREATE INDEX move_status ON move (status, move_id);
CREATE UNIQUE INDEX move_by_id ON move (move_id);

-- What the market has to do: it follows from an approved enrolment or a move.
CREATE TABLE market_request (
    customer_id INTEGER NOT NULL REFERENCES customer,
    request_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    premise_id INTEGER NOT NULL,
    enrollment_id INTEGER,
    move_id INTEGER,
    kind TEXT NOT NULL CONSTRAINT market_request_kind CHECK (kind IN ('switch', 'move-in', 'move-out', 'cancel')),
    status TEXT NOT NULL CONSTRAINT market_request_status CHECK (status IN ('open', 'sent', 'accepted', 'rejected', 'cancelled', 'done')),
    requested_date INTEGER NOT NULL,
    rejection_code TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (customer_id, request_id)
) STRICT;
CREATE INDEX market_request_status ON market_request (status, request_id);
CREATE INDEX market_request_premise ON market_request (customer_id, premise_id);
CREATE UNIQUE INDEX market_request_by_id ON market_request (request_id);

-- The service points that a request was about when it was made.
CREATE TABLE market_request_place (
    customer_id INTEGER NOT NULL,
    request_id INTEGER NOT NULL,
    service_point_id INTEGER NOT NULL REFERENCES service_point,
    PRIMARY KEY (customer_id, request_id, service_point_id),
    FOREIGN KEY (customer_id, request_id) REFERENCES market_request
) STRICT;

CREATE INDEX market_request_place_point ON market_request_place (service_point_id);

-- What Market reported: the same id again does nothing.
CREATE TABLE market_transaction (
    transaction_id TEXT PRIMARY KEY,
    content_hash BLOB NOT NULL,
    customer_id INTEGER,
    received_at INTEGER NOT NULL
) STRICT;

-- A service point is promised to one newcomer at a time, from approval to move-in.
CREATE TABLE service_point_wanted (
    service_point_id INTEGER PRIMARY KEY REFERENCES service_point,
    customer_id INTEGER NOT NULL,
    premise_id INTEGER NOT NULL
) STRICT;

-- What staff have to decide or look at: ids and listed codes only.
CREATE TABLE task (
    task_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CONSTRAINT task_kind CHECK (kind IN ('enrollment', 'suspect-reading', 'unmatched-reading', 'questioned-reading', 'rejected-move', 'bounced-address')),
    customer_id INTEGER,
    subject_kind TEXT NOT NULL,
    subject_id INTEGER NOT NULL,
    status TEXT NOT NULL CONSTRAINT task_status CHECK (status IN ('open', 'done')),
    opened_at INTEGER NOT NULL,
    closed_at INTEGER
) STRICT;
CREATE INDEX task_open ON task (status, opened_at, task_id);
CREATE INDEX task_subject ON task (subject_kind, subject_id, kind);

-- What a customer asked about a reading, and what was answered; its id is its task's.
CREATE TABLE question (
    customer_id INTEGER NOT NULL REFERENCES customer,
    question_id INTEGER NOT NULL,
    meter_id INTEGER NOT NULL REFERENCES meter,
    reading_id INTEGER NOT NULL,
    status TEXT NOT NULL CONSTRAINT question_status CHECK (status IN ('open', 'answered')),
    asked_at INTEGER NOT NULL,
    answered_at INTEGER,
    -- The question and the answer.
    sealed BLOB NOT NULL,
    PRIMARY KEY (customer_id, question_id)
) STRICT;
CREATE INDEX question_meter ON question (customer_id, meter_id, question_id);

-- Readings of meters that are not registered yet, for 14 days.
CREATE TABLE parked_reading (
    parked_id INTEGER PRIMARY KEY,
    meter_id INTEGER,
    esi_hash BLOB,
    meter_number TEXT,
    register TEXT NOT NULL CONSTRAINT parked_register CHECK (register IN ('delivered', 'received')),
    read_at INTEGER NOT NULL,
    value INTEGER NOT NULL,
    quality TEXT NOT NULL CONSTRAINT parked_quality CHECK (quality IN ('actual', 'estimated')),
    reported_at INTEGER NOT NULL,
    parked_at INTEGER NOT NULL,
    task_id INTEGER
) STRICT;
-- One value of a meter, by our id or by its plate, of a register and an instant.
CREATE UNIQUE INDEX parked_reading_key ON parked_reading
    ((coalesce(meter_id, 0)), (coalesce(meter_number, '')), (coalesce(esi_hash, x'')), register, read_at);
CREATE INDEX parked_reading_number ON parked_reading (meter_number);
CREATE INDEX parked_reading_meter ON parked_reading (meter_id);
CREATE INDEX parked_reading_age ON parked_reading (parked_at);

-- What was decided and takes effect later: ids and listed codes only.
CREATE TABLE job (
    job_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    kind TEXT NOT NULL CONSTRAINT job_kind CHECK (kind IN ('deactivate-account', 'start-service', 'end-service')),
    subject_id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    -- Not tried before: the due instant, or later after a failure.
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    -- Who is at it, and for how long nobody else takes it.
    lease BLOB,
    leased_until INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX job_due ON job (not_before);
CREATE INDEX job_subject ON job (customer_id, kind, subject_id);

-- The last id of each kind.
CREATE TABLE id_sequence (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
INSERT INTO id_sequence (name, last) VALUES ('customer', 0), ('account', 1000), ('premise', 2000), ('service_point', 0),
    ('meter', 3000), ('reading', 0), ('job', 0),
    ('enrollment', 5000), ('request', 6000), ('move', 7000), ('task', 4000), ('identity', 0), ('parked', 0),
    ('wires_company', 99);

-- Audit records of changes, written in their transaction; a lane moves them to the log.
CREATE TABLE audit_intake (
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
    record_id BLOB PRIMARY KEY,
    -- Over every column, under the audit key: nobody else's record gets into a chain.
    key_id INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

-- The last checkpoint of the audit log: a log that holds less is not this database's.
CREATE TABLE audit_signed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

-- The index of the audit log by customer, built behind the appends, and how far each lane is in it. It proves nothing:
-- verification does not read it.
CREATE TABLE audit_by_customer (
    customer_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (customer_id, at, lane, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_indexed (
    lane INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
