//! The tables of customers and what is theirs, of places, and the service's own.

use super::{Class, File, Rights, Table, Type, column, optional, table};

pub(super) const ID: &str = "an id of ours: meaningless outside the service";
pub(super) const STATE: &str = "the service's own state";
pub(super) const LIFE: &str = "kind, status and dates of a customer name nobody, and staff count by them";
const BILL: &str = "an account number names nobody by itself; Billing and imports find accounts by it";
pub(super) const PLATE: &str = "a meter number stands on the outside of a house; readings are matched by it";
const BALANCE: &str = "amounts name nobody by themselves; totals are sums of them";
pub(super) const READING: &str = "register values name nobody by themselves; usage is calculated over ranges of them";
pub(super) const OCCUPANCY: &str =
    "dates of service bound what is visible in every statement; the address beside them is sealed";
const PLACE: &str = "belongs to a place, not to a person; bounds what is visible";
const CHOICE: &str = "choices without content; the mailing address beside them is sealed";
const PAYMENT: &str = "Billing's own id and a month; the label beside them is sealed";
const ISSUER: &str = "the address of an identity provider, the same for all its users";
const RECORD: &str = "audit records carry ids and categories, never data; who acted is sealed";
const EVENT: &str = "events carry ids and names of fields, never values";

use Class::{Hash, Internal, Key, Open, Public, Sealed};
use File::{Audit, Main};
use Type::{Boolean, Bytes, Date, Instant, Integer, Text};

/// Tables of what there is.
pub(super) const TABLES: &[Table] = &[
    table(
        "installation",
        Main,
        &[
            column("one", Integer, Internal(STATE)),
            optional("demo_anchor", Instant, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
        ],
    ),
    Table {
        rights: Rights::Append,
        ..table(
            "key_check",
            Main,
            &[
                column("purpose", Text, Internal(STATE)),
                column("key_id", Integer, Internal(STATE)),
                column("check_value", Bytes, Hash),
                column("created_at", Instant, Internal(STATE)),
            ],
        )
    },
    table(
        "customer_key",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("wrapped", Bytes, Key),
            column("created_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "customer",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("type", Text, Open(LIFE)),
            column("status", Text, Open(LIFE)),
            optional("inactive_since", Instant, Open(LIFE)),
            column("version", Integer, Internal(STATE)),
            column("event_sequence", Integer, Internal(STATE)),
            column("created_at", Instant, Open(LIFE)),
            column("updated_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "customer_lookup",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("subject_id", Integer, Internal(ID)),
            column("kind", Text, Internal(STATE)),
            column("key_id", Integer, Internal(STATE)),
            column("hash", Bytes, Hash),
            column("created_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "identity_link",
        Main,
        &[
            column("issuer", Text, Open(ISSUER)),
            column("subject_hash", Bytes, Hash),
            column("customer_id", Integer, Internal(ID)),
            column("identity_id", Integer, Internal(ID)),
            column("created_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "account",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
            column("account_number", Text, Open(BILL)),
            column("status", Text, Internal(STATE)),
            column("version", Integer, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
            optional("current_balance", Integer, Open(BALANCE)),
            optional("due_amount", Integer, Open(BALANCE)),
            optional("past_due_amount", Integer, Open(BALANCE)),
            optional("next_due_date", Date, Open(BALANCE)),
            optional("last_payment_date", Date, Open(BALANCE)),
            optional("last_payment_amount", Integer, Open(BALANCE)),
            optional("balance_as_of", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "account_number",
        Main,
        &[
            column("account_number", Text, Open(BILL)),
            column("customer_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
        ],
    ),
    table(
        "account_owner",
        Main,
        &[column("account_id", Integer, Internal(ID)), column("customer_id", Integer, Internal(ID))],
    ),
    table(
        "wires_company",
        Main,
        &[
            column("wires_company_id", Integer, Internal(ID)),
            column("name", Text, Public),
            optional("outage_phone", Text, Public),
        ],
    ),
    table(
        "service_point",
        Main,
        &[
            column("service_point_id", Integer, Internal(ID)),
            column("wires_company_id", Integer, Internal(ID)),
            column("esi_hash", Bytes, Hash),
            column("version", Integer, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "meter",
        Main,
        &[
            column("meter_id", Integer, Internal(ID)),
            optional("service_point_id", Integer, Internal(ID)),
            column("wires_company_id", Integer, Internal(ID)),
            column("meter_number", Text, Open(PLATE)),
            column("type", Text, Internal(STATE)),
            column("status", Text, Internal(STATE)),
            column("multiplier", Integer, Internal(STATE)),
            column("dials", Integer, Internal(STATE)),
            column("registers", Text, Internal(STATE)),
            optional("installed_on", Date, Open(PLACE)),
            optional("installed_at", Instant, Open(PLACE)),
            optional("removed_at", Instant, Open(PLACE)),
            column("version", Integer, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "premise",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
            column("account_id", Integer, Internal(ID)),
            column("status", Text, Internal(STATE)),
            column("is_primary", Boolean, Internal(STATE)),
            column("service_start_date", Date, Open(OCCUPANCY)),
            optional("service_end_date", Date, Open(OCCUPANCY)),
            column("start_at", Instant, Open(OCCUPANCY)),
            optional("end_at", Instant, Open(OCCUPANCY)),
            column("version", Integer, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "premise_owner",
        Main,
        &[column("premise_id", Integer, Internal(ID)), column("customer_id", Integer, Internal(ID))],
    ),
    table(
        "premise_service_point",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
            column("service_point_id", Integer, Internal(ID)),
        ],
    ),
    table(
        "service_point_holder",
        Main,
        &[
            column("service_point_id", Integer, Internal(ID)),
            column("customer_id", Integer, Internal(ID)),
            column("premise_id", Integer, Internal(ID)),
        ],
    ),
    table(
        "reading",
        Main,
        &[
            column("meter_id", Integer, Internal(ID)),
            column("register", Text, Internal(STATE)),
            column("read_at", Instant, Open(READING)),
            column("revision", Integer, Internal(STATE)),
            column("reading_id", Integer, Internal(ID)),
            optional("customer_id", Integer, Internal(ID)),
            column("value", Integer, Open(READING)),
            column("quality", Text, Open(READING)),
            column("is_current", Boolean, Internal(STATE)),
            column("reported_at", Instant, Internal(STATE)),
            optional("corrected_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "preference",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("version", Integer, Internal(STATE)),
            column("bill_delivery", Text, Open(CHOICE)),
            column("bill_ready", Boolean, Open(CHOICE)),
            column("payment_due", Boolean, Open(CHOICE)),
            column("outage_alerts", Boolean, Open(CHOICE)),
            column("high_usage_alerts", Boolean, Open(CHOICE)),
            column("auto_pay_enabled", Boolean, Open(CHOICE)),
            optional("payment_method_id", Text, Open(CHOICE)),
            column("language", Text, Open(CHOICE)),
            column("email_status", Text, Open(CHOICE)),
            column("sms_consent", Boolean, Open(CHOICE)),
            optional("sms_consent_at", Instant, Open(CHOICE)),
            column("marketing_consent", Boolean, Open(CHOICE)),
            optional("marketing_consent_at", Instant, Open(CHOICE)),
            optional("email_since", Instant, Open(CHOICE)),
            optional("payment_methods_as_of", Instant, Internal(STATE)),
            column("updated_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "payment_method",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("row_id", Integer, Internal(ID)),
            column("payment_method_id", Text, Open(PAYMENT)),
            optional("expires", Text, Open(PAYMENT)),
            column("reported_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "outbox",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("sequence", Integer, Internal(STATE)),
            column("event_id", Bytes, Internal(ID)),
            column("type", Text, Open(EVENT)),
            column("occurred_at", Instant, Internal(STATE)),
            column("data", Text, Open(EVENT)),
            column("actor", Text, Internal(STATE)),
            optional("position", Integer, Internal(STATE)),
            optional("delivered_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "idempotency",
        Main,
        &[
            column("key_hash", Bytes, Hash),
            column("customer_id", Integer, Internal(ID)),
            column("row_id", Integer, Internal(STATE)),
            column("content_hash", Bytes, Hash),
            column("created_at", Instant, Internal(STATE)),
            column("sealed", Bytes, Sealed),
        ],
    ),
    table(
        "job",
        Main,
        &[
            column("job_id", Integer, Internal(ID)),
            column("customer_id", Integer, Internal(ID)),
            column("kind", Text, Internal(STATE)),
            column("subject_id", Integer, Internal(ID)),
            column("reason", Text, Open(LIFE)),
            column("due_at", Instant, Open(LIFE)),
            column("not_before", Instant, Internal(STATE)),
            column("attempts", Integer, Internal(STATE)),
            optional("lease", Bytes, Internal(STATE)),
            optional("leased_until", Instant, Internal(STATE)),
            column("created_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "audit_intake",
        Main,
        &[
            column("at", Instant, Open(RECORD)),
            column("actor", Text, Open(RECORD)),
            optional("role", Text, Open(RECORD)),
            optional("actor_hash", Bytes, Hash),
            optional("customer_id", Integer, Internal(ID)),
            optional("customers", Bytes, Internal(ID)),
            column("action", Text, Open(RECORD)),
            column("outcome", Text, Open(RECORD)),
            column("status", Integer, Open(RECORD)),
            optional("reason", Text, Open(RECORD)),
            optional("ticket", Text, Open(RECORD)),
            optional("resource", Text, Open(RECORD)),
            column("categories", Integer, Open(RECORD)),
            column("request_id", Text, Open(RECORD)),
            optional("detail", Text, Open(RECORD)),
            optional("who", Bytes, Sealed),
            column("record_id", Bytes, Internal(ID)),
            column("key_id", Integer, Internal(STATE)),
            column("mac", Bytes, Hash),
        ],
    ),
    table(
        "audit_signed",
        Main,
        &[
            column("one", Integer, Internal(STATE)),
            column("number", Integer, Internal(STATE)),
            column("mac", Bytes, Hash),
        ],
    ),
    table(
        "audit_by_customer",
        Main,
        &[
            column("customer_id", Integer, Internal(ID)),
            column("at", Instant, Open(RECORD)),
            column("lane", Integer, Internal(STATE)),
            column("number", Integer, Internal(STATE)),
        ],
    ),
    table(
        "audit_indexed",
        Main,
        &[column("lane", Integer, Internal(STATE)), column("number", Integer, Internal(STATE))],
    ),
    table(
        "audit_log",
        Audit,
        &[
            column("lane", Integer, Internal(STATE)),
            column("number", Integer, Internal(STATE)),
            column("at", Instant, Open(RECORD)),
            column("actor", Text, Open(RECORD)),
            optional("role", Text, Open(RECORD)),
            optional("actor_hash", Bytes, Hash),
            optional("customer_id", Integer, Internal(ID)),
            optional("customers", Bytes, Internal(ID)),
            column("action", Text, Open(RECORD)),
            column("outcome", Text, Open(RECORD)),
            column("status", Integer, Open(RECORD)),
            optional("reason", Text, Open(RECORD)),
            optional("ticket", Text, Open(RECORD)),
            optional("resource", Text, Open(RECORD)),
            column("categories", Integer, Open(RECORD)),
            column("request_id", Text, Open(RECORD)),
            optional("detail", Text, Open(RECORD)),
            optional("who", Bytes, Sealed),
            optional("record_id", Bytes, Internal(ID)),
            column("key_id", Integer, Internal(STATE)),
            column("mac", Bytes, Hash),
        ],
    ),
    table(
        "audit_lane",
        Audit,
        &[
            column("lane", Integer, Internal(STATE)),
            column("opened_at", Instant, Internal(STATE)),
            optional("closed_at", Instant, Internal(STATE)),
        ],
    ),
    table(
        "audit_checkpoint",
        Audit,
        &[
            column("number", Integer, Internal(STATE)),
            column("at", Instant, Internal(STATE)),
            column("body", Text, Internal(STATE)),
            column("key_id", Integer, Internal(STATE)),
            column("mac", Bytes, Hash),
        ],
    ),
];
