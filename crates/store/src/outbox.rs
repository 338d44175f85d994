//! The outbox: events, written in the transaction of their change.

use domain::{
    history::Happening,
    ids::{CustomerId, Id},
    policy::Categories,
    time::Instant,
};
use serde::Deserialize;

use crate::{
    Guarded, Session, Store, StoreError, customers,
    db::{Row, Sql, params, statements},
};

statements! {
    INSERT = {"INSERT INTO outbox (customer_id, sequence, event_id, type, occurred_at, data, actor)
        VALUES ($1, $2, $3, $4, $5, $6, $7)"};
    // Nothing is told of who was erased.
    HAPPENED = {"SELECT o.sequence, o.occurred_at, o.type, o.actor, o.data
        FROM outbox o JOIN customer_key k ON k.customer_id = o.customer_id
        WHERE o.customer_id = $1 AND o.sequence < $2 ORDER BY o.sequence DESC LIMIT $3"};
    // The clocks of two processes may differ: an event is no older than those of its customer before it.
    LIST = {"SELECT event_id, customer_id, sequence, type, occurred_at, data, position, delivered_at FROM (
            SELECT *, max(occurred_at) OVER (PARTITION BY customer_id ORDER BY sequence) AS latest FROM outbox
            WHERE ($1 OR delivered_at IS NULL) AND (customer_id = $2 OR $2 = 0)) o
        ORDER BY latest, customer_id, sequence LIMIT $3"};
}

pub(crate) fn insert() -> &'static Sql {
    &INSERT
}

/// An event as it waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The event's id, which makes duplicates harmless.
    pub event_id: [u8; 16],
    /// The customer, the key of its order.
    pub customer: CustomerId,
    /// Counts the customer's events without gaps.
    pub sequence: i64,
    /// What happened.
    pub kind: String,
    /// When.
    pub occurred_at: Instant,
    /// The data as JSON: ids, versions and names of fields.
    pub data: String,
    /// Its place in the feed, once it has one.
    pub position: Option<i64>,
    /// When a broker took it.
    pub delivered_at: Option<Instant>,
}

/// Lists the oldest events, for operators, each customer's in their order. They hold no personal data.
pub async fn list(
    store: &Store,
    delivered_too: bool,
    customer: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<OutboxRow>, StoreError> {
    let customer = customer.map_or(0, Id::get);
    let rows = store.db.read(&LIST, params![delivered_too, customer, limit]).await?;
    let decode = |row: crate::db::Row| {
        let mut row = row.read();
        Ok(OutboxRow {
            event_id: row.get()?,
            customer: row.get()?,
            sequence: row.get()?,
            kind: row.get()?,
            occurred_at: row.get()?,
            data: row.get()?,
            position: row.get()?,
            delivered_at: row.get()?,
        })
    };
    rows.into_iter().map(decode).collect()
}

/// The data of an event, as far as the timeline shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    customer_id: i64,
    account_id: Option<i64>,
    premise_id: Option<i64>,
    meter_id: Option<i64>,
    enrollment_id: Option<i64>,
    request_id: Option<i64>,
    #[serde(default)]
    changed: Vec<String>,
    from: Option<String>,
    to: Option<String>,
    reason: Option<String>,
}

impl Told {
    /// What it is about: the innermost thing that it names.
    fn resource(&self) -> String {
        let named = [
            ("meter", self.meter_id),
            ("request", self.request_id),
            ("enrollment", self.enrollment_id),
            ("premise", self.premise_id),
            ("account", self.account_id),
        ];
        let innermost = named.into_iter().find_map(|(kind, id)| id.map(|id| (kind, id)));
        let (kind, id) = innermost.unwrap_or(("customer", self.customer_id));
        format!("{kind}/{id}")
    }
}

/// What happened to a customer, the newest first, before a place in the customer's order; `None` when there is no such
/// customer.
pub async fn timeline(
    session: &mut Session<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<Option<Guarded<Vec<Happening>>>, StoreError> {
    let rows = session.own(&HAPPENED, params![before.unwrap_or(i64::MAX), limit]).await?;
    if rows.is_empty() && customers::find(session).await?.is_none() {
        return Ok(None);
    }
    let decode = |row: Row| {
        let mut row = row.read();
        let (sequence, at, kind, by) = (row.get()?, row.get()?, row.get()?, row.get()?);
        let data: String = row.get()?;
        let told: Told = serde_json::from_str(&data).map_err(|_| row.corrupt("holds no data of an event"))?;
        let resource = told.resource();
        let Told { changed, from, to, reason, .. } = told;
        Ok(Happening { sequence, at, kind, resource, by, changed, from, to, reason })
    };
    let happened = rows.into_iter().map(decode).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Some(session.guard(happened, Categories::HISTORY)))
}
