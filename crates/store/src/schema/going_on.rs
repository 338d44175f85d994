//! The tables of enrolments, moves, requests to the market, tasks, questions and readings that wait.

use super::{
    Class, File, Table, Type, column, optional, table,
    tables::{ID, LIFE, OCCUPANCY, PLATE, READING, STATE},
};

use Class::{Hash, Internal, Open, Sealed};
use File::Main;
use Type::{Boolean, Bytes, Date, Instant, Integer, Text};

/// Tables of what goes on.
pub(super) const TABLES: &[Table] = &[
    table(
        "owner",
        Main,
        &[
            column("kind", Text, Internal(STATE)),
            column("id", Integer, Internal(ID)),
            column("customer_id", Integer, Internal(ID)),
        ],
    ),
    table(
        "claim_code",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
            column("code_hash", Bytes, Hash),
            column("tries_left", Integer, Internal(STATE)),
            column("expires_at", Instant, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "attempt",
        Main,
        &[
            column("key_hash", Bytes, Hash),
            column("began_at", Instant, Internal(STATE)),
            column("tries", Integer, Internal(STATE)),
        ],
    ),
    table(
        "enrollment",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("enrollment_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
            column("kind", Text, Internal(STATE)),
            column("status", Text, Internal(STATE)),
            column("confirmation_number", Text, Open(LIFE)),
            column("requested_start_date", Date, Open(OCCUPANCY)),
            optional("confirmed_start_date", Date, Open(OCCUPANCY)),
            optional("rejection_code", Text, Internal(STATE)),
            column("submitted_at", Instant, Internal(STATE)),
            optional("approved_at", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
            column("version", Integer, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "move",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("move_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
            column("kind", Text, Internal(STATE)),
            column("status", Text, Internal(STATE)),
            column("date", Date, Open(OCCUPANCY)),
            column("confirmed", Boolean, Internal(STATE)),
            column("by_market", Boolean, Internal(STATE)),
            optional("rejection_code", Text, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
            column("version", Integer, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "market_request",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("request_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
            optional("enrollment_id", Integer, Internal(ID)),
            optional("move_id", Integer, Internal(ID)),
            column("kind", Text, Internal(STATE)),
            column("status", Text, Internal(STATE)),
            column("requested_date", Date, Open(OCCUPANCY)),
            optional("rejection_code", Text, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
            column("version", Integer, Internal(STATE)),
        ],
    ),
    table(
        "market_request_place",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("request_id", Integer, Internal(ID)),
            column("service_point_id", Integer, Internal(ID)),
        ],
    ),
    table(
        "market_transaction",
        Main,
        &[
            column("transaction_id", Text, Internal(STATE)),
            column("content_hash", Bytes, Hash),
            optional("customer_id", Integer, Internal(ID)),
            column("received_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "service_point_wanted",
        Main,
        &[
            column("service_point_id", Integer, Internal(ID)),
            column("customer_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
        ],
    ),
    table(
        "task",
        Main,
        &[
            column("task_id", Integer, Internal(ID)),
            column("kind", Text, Internal(STATE)),
            optional("customer_id", Integer, Internal(ID)),
            column("subject_kind", Text, Internal(STATE)),
            column("subject_id", Integer, Internal(ID)),
            column("status", Text, Internal(STATE)),
            column("opened_at", Instant, Internal(STATE)),
            optional("closed_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "question",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("question_id", Integer, Internal(ID)),
            column("meter_id", Integer, Internal(ID)),
            column("reading_id", Integer, Internal(ID)),
            column("status", Text, Internal(STATE)),
            column("asked_at", Instant, Internal(STATE)),
            optional("answered_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "parked_reading",
        Main,
        &[
            column("parked_id", Integer, Internal(ID)),
            optional("meter_id", Integer, Internal(ID)),
            optional("esi_hash", Bytes, Hash),
            optional("meter_number", Text, Open(PLATE)),
            column("register", Text, Internal(STATE)),
            column("read_at", Instant, Open(READING)),
            column("value", Integer, Open(READING)),
            column("quality", Text, Open(READING)),
            column("reported_at", Instant, Internal(STATE)),
            column("parked_at", Instant, Internal(STATE)),
            optional("task_id", Integer, Internal(ID)),
        ],
    ),
];
