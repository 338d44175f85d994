//! The outbox: events, written in the transaction of their change.

use domain::{
    ids::{CustomerId, Id},
    time::Instant,
};

use crate::{
    Store, StoreError,
    db::{Sql, params, statements},
};

statements! {
    INSERT = {"INSERT INTO outbox (customer_id, sequence, event_id, type, occurred_at, data) VALUES ($1, $2, $3, $4, $5, $6)"};
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
