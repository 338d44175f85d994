//! One audit record: who did what to whose data, when, from where, with which outcome. It carries ids and
//! categories, never the data.

use std::borrow::Cow;

use domain::{ids::CustomerId, named_enum, policy::Categories, time::Instant};

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
        /// An operator at the command line, or the service itself.
        System = "system",
        /// Nobody who could prove who they are.
        Stranger = "stranger",
    }
}

named_enum! {
    /// How it ended.
    Outcome {
        /// Data was given out.
        Read = "read",
        /// Data was changed (and given out, as it is now).
        Changed = "changed",
        /// A request was refused.
        Refused = "refused",
        /// Somebody could not prove who they are.
        Unauthenticated = "unauthenticated",
        /// A long answer ended; the detail has its counts.
        Ended = "ended",
    }
}

/// One record of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, by the service's clock.
    pub at: Instant,
    /// Who, as a kind.
    pub actor: ActorKind,
    /// Whose data.
    pub customer: Option<CustomerId>,
    /// What: the operation's name in the API, or the operator's command.
    pub action: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the answer, 0 where there is none.
    pub status: u16,
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

/// The longest text of a record in bytes; ids and names of operations are far shorter.
const LONGEST: usize = 512;

impl Record {
    /// Makes every text fit both engines: PostgreSQL refuses NUL in a text, and one record that cannot be
    /// written must not take the rest of its batch with it.
    pub(crate) fn fit(&mut self) {
        let Self {
            at: _,
            actor: _,
            customer: _,
            action,
            outcome: _,
            status: _,
            resource,
            categories: _,
            request_id,
            detail,
            who: _,
        } = self;
        if !fits(action) {
            fit(action.to_mut());
        }
        for text in [Some(request_id), resource.as_mut(), detail.as_mut()].into_iter().flatten() {
            if !fits(text) {
                fit(text);
            }
        }
    }
}

fn fits(text: &str) -> bool {
    text.len() <= LONGEST && !text.as_bytes().contains(&0)
}

fn fit(text: &mut String) {
    *text = text.replace('\0', "\u{fffd}");
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
}
