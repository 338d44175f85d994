//! One audit record: who did what to whose data, when, from where, with which outcome. It carries ids and
//! categories, never the data.
//!
//! In the database it is a list of cells, the same in `audit_log` and `audit_intake`: [`Record::into_cells`] takes
//! a record apart exhaustively, the statements bind its cells, and the MAC goes over them. So no column can be
//! stored and not be covered.

use std::borrow::Cow;

use domain::{
    ids::{CustomerId, Id},
    named_enum,
    policy::{Categories, Role},
    time::Instant,
};

use crate::db::{DbError, Param, Reader, params};

named_enum! {
    /// What kind of caller acted.
    ActorKind {
        /// A customer, on their own data.
        Customer = "customer",
        /// Someone signed in who is not a customer (yet).
        Person = "person",
        /// Staff.
        Staff = "staff",
        /// A neighbouring service.
        Service = "service",
        /// A neighbouring service, through a message of its topic.
        Topic = "topic",
        /// An operator at the command line.
        Operator = "operator",
        /// The service itself: a job, its upkeep, its sample data.
        System = "system",
        /// Nobody who could prove who they are.
        Stranger = "stranger",
    }
}

named_enum! {
    /// How it ended.
    Outcome {
        /// Data was asked for, and the caller may have it: the record of a read that begins beside its statement.
        /// A read that then fails, or finds nothing, leaves a second record of the same request.
        Asked = "asked",
        /// Data was given out.
        Read = "read",
        /// Data was changed (and given out, as it is now).
        Changed = "changed",
        /// A request was refused, or what it asked for is not there.
        Refused = "refused",
        /// Somebody could not prove who they are.
        Unauthenticated = "unauthenticated",
        /// A long answer ended; the detail has its counts.
        Ended = "ended",
    }
}

/// One record of the audit log. [`Record::new`] makes one that names nothing but what was done; the rest by
/// struct update: `Record { customer, ..Record::new(at, ActorKind::Operator, "audit.show", Outcome::Read) }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, by the service's clock.
    pub at: Instant,
    /// Who, as a kind.
    pub actor: ActorKind,
    /// The role that was used.
    pub role: Option<Role>,
    /// Which member of staff, operator or service: see [`super::who::actor_hash`]. `None` for everybody else, of
    /// whom the log keeps nothing that outlives an erasure.
    pub actor_hash: Option<[u8; 32]>,
    /// Whose data.
    pub customer: Option<CustomerId>,
    /// Whose data, of a chunk of a batch that touched several: sorted, each once. Empty otherwise.
    pub customers: Vec<CustomerId>,
    /// What: the operation's name in the API, or the operator's command.
    pub action: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the answer, 0 where there is none.
    pub status: u16,
    /// Why staff looked, as the code of a reason.
    pub reason: Option<String>,
    /// The ticket that staff named.
    pub ticket: Option<String>,
    /// Which resource was asked for, as `account/1001`: ids only.
    pub resource: Option<String>,
    /// The categories of data that the answer holds.
    pub categories: Categories,
    /// The request's id.
    pub request_id: String,
    /// Bounds and counts, for streams and counting records.
    pub detail: Option<String>,
    /// Issuer, subject and shortened client address, sealed; see [`super::who`].
    pub who: Option<Vec<u8>>,
}

/// The columns that hold a record, in the order of [`Record::into_cells`].
macro_rules! record_columns {
    () => {
        "at, actor, role, actor_hash, customer_id, customers, action, outcome, status, reason, ticket, resource, \
         categories, request_id, detail, who, record_id, key_id"
    };
}
pub(super) use record_columns;

/// The longest text of a record in bytes; ids and names of operations are far shorter.
const LONGEST: usize = 512;

impl Record {
    /// What was done, when and by what kind of caller.
    pub fn new(at: Instant, actor: ActorKind, action: impl Into<Cow<'static, str>>, outcome: Outcome) -> Self {
        Self {
            at,
            actor,
            role: None,
            actor_hash: None,
            customer: None,
            customers: Vec::new(),
            action: action.into(),
            outcome,
            status: 0,
            reason: None,
            ticket: None,
            resource: None,
            categories: Categories::NONE,
            request_id: String::new(),
            detail: None,
            who: None,
        }
    }

    /// The cells of `record_columns!`. Texts are made to fit both engines: one record that cannot be written must
    /// not take the rest of its batch with it.
    pub(super) fn into_cells(self, record_id: Option<[u8; 16]>, key_id: u32) -> Vec<Param> {
        let Self {
            at,
            actor,
            role,
            actor_hash,
            customer,
            customers,
            action,
            outcome,
            status,
            reason,
            ticket,
            resource,
            categories,
            request_id,
            detail,
            who,
        } = self;
        let customers: Vec<u8> = customers.iter().flat_map(|id| id.get().to_be_bytes()).collect();
        params![
            at,
            actor,
            role,
            actor_hash,
            customer,
            (!customers.is_empty()).then_some(customers),
            fitting(action.into_owned()),
            outcome,
            i64::from(status),
            reason.map(fitting),
            ticket.map(fitting),
            resource.map(fitting),
            i64::from(categories.bits()),
            fitting(request_id),
            detail.map(fitting),
            who,
            record_id,
            key_id,
        ]
    }

    /// Reads `record_columns!`: the record, and the id that a change gave it.
    pub(super) fn read(row: &mut Reader) -> Result<(Self, Option<[u8; 16]>), DbError> {
        let record = Self {
            at: row.get()?,
            actor: row.get()?,
            role: row.get()?,
            actor_hash: row.get()?,
            customer: row.get()?,
            customers: customers(row)?,
            action: row.get::<String>()?.into(),
            outcome: row.get()?,
            status: u16::try_from(row.get::<i64>()?).map_err(|_| row.corrupt("is no status"))?,
            reason: row.get()?,
            ticket: row.get()?,
            resource: row.get()?,
            categories: categories(row.get()?),
            request_id: row.get()?,
            detail: row.get()?,
            who: row.get()?,
        };
        let record_id = row.get()?;
        row.skip(1);
        Ok((record, record_id))
    }
}

/// Bits that this binary does not know are dropped.
fn categories(bits: i64) -> Categories {
    Categories::from_bits_truncate(u32::try_from(bits & i64::from(u32::MAX)).unwrap_or_default())
}

/// Reads `customers`.
pub(super) fn customers(row: &mut Reader) -> Result<Vec<CustomerId>, DbError> {
    let bytes: Vec<u8> = row.get::<Option<_>>()?.unwrap_or_default();
    let (ids, rest) = bytes.as_chunks::<8>();
    let ids: Option<Vec<_>> = ids.iter().map(|id| CustomerId::new(i64::from_be_bytes(*id))).collect();
    ids.filter(|_| rest.is_empty()).ok_or_else(|| row.corrupt("holds no ids"))
}

/// PostgreSQL refuses NUL in a text.
fn fitting(mut text: String) -> String {
    if text.len() > LONGEST || text.as_bytes().contains(&0) {
        text = text.replace('\0', "\u{fffd}");
        let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
    }
    text
}
