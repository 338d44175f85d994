-- Released migrations never change: expand with a new one, contract later.

-- The service's own state: one row.
CREATE TABLE installation (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    demo_anchor TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);

-- A check value for each key of the keyring: another key in its place is refused.
CREATE TABLE key_check (
    purpose TEXT NOT NULL,
    key_id BIGINT NOT NULL,
    check_value BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (purpose, key_id)
);

-- Deleting a customer's row here erases the person: nothing sealed under the key opens again.
CREATE TABLE customer_key (
    customer_id BIGINT PRIMARY KEY,
    wrapped BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE customer (
    customer_id BIGINT PRIMARY KEY,
    type TEXT NOT NULL CONSTRAINT customer_type CHECK (type IN ('individual', 'business')),
    status TEXT NOT NULL CONSTRAINT customer_status CHECK (status IN ('pending', 'active', 'inactive')),
    inactive_since TIMESTAMPTZ,
    version BIGINT NOT NULL,
    event_sequence BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL
);
-- The order of a search.
CREATE INDEX customer_created ON customer (created_at, customer_id);
CREATE INDEX customer_updated ON customer (updated_at, customer_id);

-- Keyed hashes of normalised values: equality without the value.
CREATE TABLE customer_lookup (
    customer_id BIGINT NOT NULL REFERENCES customer,
    -- The premise that it follows from; 0 for the customer's own row.
    subject_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    key_id BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (customer_id, subject_id, kind, hash)
);
CREATE INDEX customer_lookup_hash ON customer_lookup (kind, hash, created_at, customer_id);

CREATE TABLE identity_link (
    issuer TEXT NOT NULL,
    subject_hash BYTEA NOT NULL,
    customer_id BIGINT NOT NULL REFERENCES customer,
    identity_id BIGINT NOT NULL CONSTRAINT identity_link_id UNIQUE,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (issuer, subject_hash)
);
CREATE INDEX identity_link_customer ON identity_link (customer_id);

CREATE TABLE account (
    customer_id BIGINT NOT NULL REFERENCES customer,
    account_id BIGINT NOT NULL,
    account_number TEXT NOT NULL,
    status TEXT NOT NULL CONSTRAINT account_status CHECK (status IN ('pending', 'active', 'inactive')),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- What Billing last reported, in cents; null when it never did.
    current_balance BIGINT,
    due_amount BIGINT,
    past_due_amount BIGINT,
    next_due_date DATE,
    last_payment_date DATE,
    last_payment_amount BIGINT,
    balance_as_of TIMESTAMPTZ,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (customer_id, account_id)
);
CREATE INDEX account_updated ON account (updated_at, account_id);

-- What must be unique across customers stands in look-up tables of its own.
CREATE TABLE account_number (
    account_number TEXT PRIMARY KEY,
    customer_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    FOREIGN KEY (customer_id, account_id) REFERENCES account
);

-- Ids are unique by themselves: whose they are is found without their customer.
CREATE TABLE account_owner (
    account_id BIGINT PRIMARY KEY,
    customer_id BIGINT NOT NULL,
    FOREIGN KEY (customer_id, account_id) REFERENCES account
);

-- Places: they belong to no customer and outlive occupancies.
CREATE TABLE wires_company (
    wires_company_id BIGINT PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT wires_company_name UNIQUE,
    outage_phone TEXT
);

CREATE TABLE service_point (
    service_point_id BIGINT PRIMARY KEY,
    wires_company_id BIGINT NOT NULL REFERENCES wires_company,
    esi_hash BYTEA NOT NULL CONSTRAINT service_point_esi UNIQUE,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- The ESI ID and the market's address, under the place key.
    sealed BYTEA NOT NULL
);

CREATE TABLE meter (
    meter_id BIGINT PRIMARY KEY,
    -- Null until it is installed; a removed meter stays where it was.
    service_point_id BIGINT REFERENCES service_point,
    wires_company_id BIGINT NOT NULL REFERENCES wires_company,
    meter_number TEXT NOT NULL,
    type TEXT NOT NULL CONSTRAINT meter_type CHECK (type IN ('electric')),
    status TEXT NOT NULL CONSTRAINT meter_status CHECK (status IN ('available', 'active', 'inactive')),
    multiplier BIGINT NOT NULL,
    dials BIGINT NOT NULL,
    -- 'delivered', or 'delivered,received' where generation is counted, too.
    registers TEXT NOT NULL,
    installed_on DATE,
    installed_at TIMESTAMPTZ,
    removed_at TIMESTAMPTZ,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT meter_number_unique UNIQUE (wires_company_id, meter_number)
);
CREATE INDEX meter_service_point ON meter (service_point_id);
CREATE INDEX meter_updated ON meter (updated_at, meter_id);

-- A premise is one account's occupancy of a place, [start_at, end_at).
CREATE TABLE premise (
    customer_id BIGINT NOT NULL REFERENCES customer,
    premise_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    status TEXT NOT NULL CONSTRAINT premise_status CHECK (status IN ('pending', 'active', 'inactive')),
    is_primary BOOLEAN NOT NULL,
    service_start_date DATE NOT NULL,
    service_end_date DATE,
    start_at TIMESTAMPTZ NOT NULL,
    end_at TIMESTAMPTZ,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (customer_id, premise_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
);
CREATE INDEX premise_account ON premise (customer_id, account_id);
CREATE UNIQUE INDEX premise_one_primary ON premise (customer_id, account_id) WHERE is_primary;
CREATE INDEX premise_updated ON premise (updated_at, premise_id);

CREATE TABLE premise_owner (
    premise_id BIGINT PRIMARY KEY,
    customer_id BIGINT NOT NULL,
    FOREIGN KEY (customer_id, premise_id) REFERENCES premise
);

CREATE TABLE premise_service_point (
    customer_id BIGINT NOT NULL,
    premise_id BIGINT NOT NULL,
    service_point_id BIGINT NOT NULL REFERENCES service_point,
    PRIMARY KEY (customer_id, premise_id, service_point_id),
    FOREIGN KEY (customer_id, premise_id) REFERENCES premise
);
CREATE INDEX premise_service_point_place ON premise_service_point (service_point_id);

-- A service point is in force for one occupancy at a time.
CREATE TABLE service_point_holder (
    service_point_id BIGINT PRIMARY KEY REFERENCES service_point,
    customer_id BIGINT NOT NULL,
    premise_id BIGINT NOT NULL
);

-- Register readings in thousandths of the unit. They belong to the meter; a customer reaches them only
-- through an occupancy that covers their instant, whose customer each row carries.
CREATE TABLE reading (
    meter_id BIGINT NOT NULL REFERENCES meter,
    register TEXT NOT NULL CONSTRAINT reading_register CHECK (register IN ('delivered', 'received')),
    read_at TIMESTAMPTZ NOT NULL,
    revision BIGINT NOT NULL,
    reading_id BIGINT NOT NULL,
    customer_id BIGINT,
    value BIGINT NOT NULL,
    quality TEXT NOT NULL CONSTRAINT reading_quality CHECK (quality IN ('actual', 'estimated')),
    is_current BOOLEAN NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL,
    corrected_at TIMESTAMPTZ,
    PRIMARY KEY (meter_id, register, read_at, revision)
) PARTITION BY RANGE (read_at);
CREATE TABLE reading_default PARTITION OF reading DEFAULT;
CREATE INDEX reading_id ON reading (reading_id);
CREATE INDEX reading_page ON reading (meter_id, read_at, reading_id);

CREATE TABLE preference (
    customer_id BIGINT PRIMARY KEY REFERENCES customer,
    version BIGINT NOT NULL,
    bill_delivery TEXT NOT NULL CONSTRAINT preference_bill_delivery CHECK (bill_delivery IN ('email', 'mail', 'both')),
    bill_ready BOOLEAN NOT NULL,
    payment_due BOOLEAN NOT NULL,
    outage_alerts BOOLEAN NOT NULL,
    high_usage_alerts BOOLEAN NOT NULL,
    auto_pay_enabled BOOLEAN NOT NULL,
    payment_method_id TEXT,
    language TEXT NOT NULL CONSTRAINT preference_language CHECK (language IN ('en', 'es')),
    email_status TEXT NOT NULL CONSTRAINT preference_email_status CHECK (email_status IN ('ok', 'unverified', 'bounced')),
    sms_consent BOOLEAN NOT NULL,
    sms_consent_at TIMESTAMPTZ,
    marketing_consent BOOLEAN NOT NULL,
    marketing_consent_at TIMESTAMPTZ,
    -- Since when the e-mail address is the present one: what bounced before was another.
    email_since timestamptz,
    payment_methods_as_of timestamptz,
    updated_at TIMESTAMPTZ NOT NULL,
    -- The mailing address.
    sealed BYTEA NOT NULL
);

CREATE TABLE payment_method (
    customer_id BIGINT NOT NULL REFERENCES customer,
    row_id BIGINT NOT NULL,
    payment_method_id TEXT NOT NULL,
    expires TEXT,
    reported_at TIMESTAMPTZ NOT NULL,
    -- The label.
    sealed BYTEA NOT NULL,
    PRIMARY KEY (customer_id, payment_method_id)
);

-- Events, written in the transaction of their change. The data carries ids and names of fields only.
CREATE TABLE outbox (
    customer_id BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    event_id BYTEA NOT NULL CONSTRAINT outbox_event UNIQUE,
    type TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    data TEXT NOT NULL,
    -- Who did it, as a kind: the timeline shows it.
    actor text NOT NULL,
    position BIGINT,
    delivered_at TIMESTAMPTZ,
    PRIMARY KEY (customer_id, sequence)
);
CREATE INDEX outbox_unsequenced ON outbox (occurred_at) WHERE position IS NULL;

-- The key belongs to a caller, an operation and a content; the customer is whom the answer shows.
CREATE TABLE idempotency (
    key_hash BYTEA PRIMARY KEY,
    customer_id BIGINT NOT NULL,
    row_id BIGINT NOT NULL,
    content_hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- The answer as it was given.
    sealed BYTEA NOT NULL
);
CREATE INDEX idempotency_customer ON idempotency (customer_id, created_at);

-- Whose an enrolment, a market request, a move or a question is: ids are unique by themselves.
CREATE TABLE owner (
    kind TEXT NOT NULL,
    id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- The one code of an account with which a person who signs in claims its customer.
CREATE TABLE claim_code (
    customer_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    code_hash BYTEA NOT NULL,
    tries_left BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (customer_id, account_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
);

-- How often something was tried lately, by whom or for what: a keyed hash.
CREATE TABLE attempt (
    key_hash BYTEA PRIMARY KEY,
    began_at TIMESTAMPTZ NOT NULL,
    tries BIGINT NOT NULL
);

-- What a person asked for: to become a customer at a place.
CREATE TABLE enrollment (
    customer_id BIGINT NOT NULL REFERENCES customer,
    enrollment_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    premise_id BIGINT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT enrollment_kind CHECK (kind IN ('switch', 'move-in')),
    status TEXT NOT NULL CONSTRAINT enrollment_status CHECK (status IN ('submitted', 'approved', 'sent', 'accepted', 'active', 'rejected', 'withdrawn')),
    confirmation_number TEXT NOT NULL CONSTRAINT enrollment_confirmation UNIQUE,
    requested_start_date DATE NOT NULL,
    confirmed_start_date DATE,
    rejection_code TEXT,
    submitted_at TIMESTAMPTZ NOT NULL,
    approved_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL,
    -- The accepted terms, and what was said when it was rejected.
    sealed BYTEA NOT NULL,
    PRIMARY KEY (customer_id, enrollment_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
);
CREATE INDEX enrollment_status ON enrollment (status, enrollment_id);

-- A change of who lives where: a move-in or a move-out of one account.
CREATE TABLE move (
    customer_id BIGINT NOT NULL REFERENCES customer,
    move_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    premise_id BIGINT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT move_kind CHECK (kind IN ('move-in', 'move-out')),
    status TEXT NOT NULL CONSTRAINT move_status CHECK (status IN ('planned', 'sent', 'accepted', 'rejected', 'cancelled', 'done')),
    date DATE NOT NULL,
    -- Whether staff or the market decided it, and not the mover alone.
    confirmed BOOLEAN NOT NULL,
    -- Whether the market made it, unasked: then it is not the customer's to change.
    by_market BOOLEAN NOT NULL,
    rejection_code TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL,
    -- The forwarding address, and what was said when it was rejected.
    sealed BYTEA NOT NULL,
    PRIMARY KEY (customer_id, move_id),
    FOREIGN KEY (customer_id, account_id) REFERENCES account
);
CREATE INDEX move_premise ON move (customer_id, premise_id);
CREATE INDEX move_status ON move (status, move_id);
CREATE UNIQUE INDEX move_by_id ON move (move_id);

-- What the market has to do: it follows from an approved enrolment or a move.
CREATE TABLE market_request (
    customer_id BIGINT NOT NULL REFERENCES customer,
    request_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    premise_id BIGINT NOT NULL,
    enrollment_id BIGINT,
    move_id BIGINT,
    kind TEXT NOT NULL CONSTRAINT market_request_kind CHECK (kind IN ('switch', 'move-in', 'move-out', 'cancel')),
    status TEXT NOT NULL CONSTRAINT market_request_status CHECK (status IN ('open', 'sent', 'accepted', 'rejected', 'cancelled', 'done')),
    requested_date DATE NOT NULL,
    rejection_code TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (customer_id, request_id)
);
CREATE INDEX market_request_status ON market_request (status, request_id);
CREATE INDEX market_request_premise ON market_request (customer_id, premise_id);
CREATE UNIQUE INDEX market_request_by_id ON market_request (request_id);

-- The service points that a request was about when it was made.
CREATE TABLE market_request_place (
    customer_id BIGINT NOT NULL,
    request_id BIGINT NOT NULL,
    service_point_id BIGINT NOT NULL REFERENCES service_point,
    PRIMARY KEY (customer_id, request_id, service_point_id),
    FOREIGN KEY (customer_id, request_id) REFERENCES market_request
);

CREATE INDEX market_request_place_point ON market_request_place (service_point_id);

-- What Market reported: the same id again does nothing.
CREATE TABLE market_transaction (
    transaction_id TEXT PRIMARY KEY,
    content_hash BYTEA NOT NULL,
    customer_id BIGINT,
    received_at TIMESTAMPTZ NOT NULL
);

-- A service point is promised to one newcomer at a time, from approval to move-in.
CREATE TABLE service_point_wanted (
    service_point_id BIGINT PRIMARY KEY REFERENCES service_point,
    customer_id BIGINT NOT NULL,
    premise_id BIGINT NOT NULL
);

-- What staff have to decide or look at: ids and listed codes only.
CREATE TABLE task (
    task_id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL CONSTRAINT task_kind CHECK (kind IN ('enrollment', 'suspect-reading', 'unmatched-reading', 'questioned-reading', 'rejected-move', 'bounced-address')),
    customer_id BIGINT,
    subject_kind TEXT NOT NULL,
    subject_id BIGINT NOT NULL,
    status TEXT NOT NULL CONSTRAINT task_status CHECK (status IN ('open', 'done')),
    opened_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ
);
CREATE INDEX task_open ON task (status, opened_at, task_id);
CREATE INDEX task_subject ON task (subject_kind, subject_id, kind);

-- What a customer asked about a reading, and what was answered; its id is its task's.
CREATE TABLE question (
    customer_id BIGINT NOT NULL REFERENCES customer,
    question_id BIGINT NOT NULL,
    meter_id BIGINT NOT NULL REFERENCES meter,
    reading_id BIGINT NOT NULL,
    status TEXT NOT NULL CONSTRAINT question_status CHECK (status IN ('open', 'answered')),
    asked_at TIMESTAMPTZ NOT NULL,
    answered_at TIMESTAMPTZ,
    -- The question and the answer.
    sealed BYTEA NOT NULL,
    PRIMARY KEY (customer_id, question_id)
);
CREATE INDEX question_meter ON question (customer_id, meter_id, question_id);

-- Readings of meters that are not registered yet, for 14 days.
CREATE TABLE parked_reading (
    parked_id BIGINT PRIMARY KEY,
    meter_id BIGINT,
    esi_hash BYTEA,
    meter_number TEXT,
    register TEXT NOT NULL CONSTRAINT parked_register CHECK (register IN ('delivered', 'received')),
    read_at TIMESTAMPTZ NOT NULL,
    value BIGINT NOT NULL,
    quality TEXT NOT NULL CONSTRAINT parked_quality CHECK (quality IN ('actual', 'estimated')),
    reported_at TIMESTAMPTZ NOT NULL,
    parked_at TIMESTAMPTZ NOT NULL,
    task_id BIGINT
);
-- One value of a meter, by our id or by its plate, of a register and an instant.
CREATE UNIQUE INDEX parked_reading_key ON parked_reading
    ((coalesce(meter_id, 0)), (coalesce(meter_number, '')), (coalesce(esi_hash, ''::bytea)), register, read_at);
CREATE INDEX parked_reading_number ON parked_reading (meter_number);
CREATE INDEX parked_reading_meter ON parked_reading (meter_id);
CREATE INDEX parked_reading_age ON parked_reading (parked_at);

-- What was decided and takes effect later: ids and listed codes only.
CREATE TABLE job (
    job_id BIGINT PRIMARY KEY,
    customer_id BIGINT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT job_kind CHECK (kind IN ('deactivate-account', 'start-service', 'end-service')),
    subject_id BIGINT NOT NULL,
    reason TEXT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    -- Not tried before: the due instant, or later after a failure.
    not_before TIMESTAMPTZ NOT NULL,
    attempts BIGINT NOT NULL,
    -- Who is at it, and for how long nobody else takes it.
    lease BYTEA,
    leased_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX job_due ON job (not_before);
CREATE INDEX job_subject ON job (customer_id, kind, subject_id);

-- One sequence for each kind of id.
CREATE SEQUENCE customer_id_sequence MAXVALUE 9007199254740991;
CREATE SEQUENCE account_id_sequence START 1001 MAXVALUE 9007199254740991;
CREATE SEQUENCE premise_id_sequence START 2001 MAXVALUE 9007199254740991;
CREATE SEQUENCE service_point_id_sequence MAXVALUE 9007199254740991;
CREATE SEQUENCE meter_id_sequence START 3001 MAXVALUE 9007199254740991;
CREATE SEQUENCE reading_id_sequence CACHE 100 MAXVALUE 9007199254740991;
CREATE SEQUENCE job_id_sequence MAXVALUE 9007199254740991;
CREATE SEQUENCE enrollment_id_sequence START 5001 MAXVALUE 9007199254740991;
CREATE SEQUENCE request_id_sequence START 6001 MAXVALUE 9007199254740991;
CREATE SEQUENCE move_id_sequence START 7001 MAXVALUE 9007199254740991;
CREATE SEQUENCE task_id_sequence START 4001 MAXVALUE 9007199254740991;
CREATE SEQUENCE identity_id_sequence MAXVALUE 9007199254740991;
CREATE SEQUENCE parked_id_sequence CACHE 100 MAXVALUE 9007199254740991;
CREATE SEQUENCE wires_company_id_sequence START 100 MAXVALUE 9007199254740991;

-- Audit records of changes, written in their transaction; a lane moves them to the log.
CREATE TABLE audit_intake (
    at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    -- The role that was used.
    role TEXT,
    -- Which member of staff, operator or service: a keyed hash.
    actor_hash BYTEA,
    customer_id BIGINT,
    -- Of a batch: the sorted ids, eight bytes each.
    customers BYTEA,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status BIGINT NOT NULL,
    reason TEXT,
    ticket TEXT,
    resource TEXT,
    categories BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    detail TEXT,
    -- Who acted from where, sealed under the customer's data key or the actor key.
    who BYTEA,
    record_id BYTEA PRIMARY KEY,
    -- Over every column, under the audit key: nobody else's record gets into a chain.
    key_id BIGINT NOT NULL,
    mac BYTEA NOT NULL
);

-- The last checkpoint of the audit log: a log that holds less is not this database's.
CREATE TABLE audit_signed (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    number BIGINT NOT NULL,
    mac BYTEA NOT NULL
);

-- The index of the audit log by customer, built behind the appends, and how far each lane is in it. It proves nothing:
-- verification does not read it.
CREATE TABLE audit_by_customer (
    customer_id BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    lane BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (customer_id, at, lane, number)
);

CREATE TABLE audit_indexed (
    lane BIGINT PRIMARY KEY,
    number BIGINT NOT NULL
);

-- One chain a lane: numbers without gaps, each MAC over every column and the MAC before.
CREATE TABLE audit_log (
    lane BIGINT NOT NULL,
    number BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    -- The role that was used.
    role TEXT,
    -- Which member of staff, operator or service: a keyed hash.
    actor_hash BYTEA,
    customer_id BIGINT,
    -- Of a batch: the sorted ids, eight bytes each.
    customers BYTEA,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status BIGINT NOT NULL,
    reason TEXT,
    ticket TEXT,
    resource TEXT,
    categories BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    detail TEXT,
    -- Who acted from where, sealed under the customer's data key or the actor key.
    who BYTEA,
    -- The id of a change's record, which came through audit_intake.
    record_id BYTEA,
    key_id BIGINT NOT NULL,
    mac BYTEA NOT NULL,
    PRIMARY KEY (lane, number, at)
) PARTITION BY RANGE (at);
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
CREATE UNIQUE INDEX audit_log_record ON audit_log (record_id, at) WHERE record_id IS NOT NULL;

CREATE TABLE audit_lane (
    lane BIGINT PRIMARY KEY,
    opened_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ
);

CREATE TABLE audit_checkpoint (
    number BIGINT PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    body TEXT NOT NULL,
    key_id BIGINT NOT NULL,
    mac BYTEA NOT NULL
);
