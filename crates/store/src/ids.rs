//! Ids come from one allocator on both engines: a sequence for each kind of row. Gaps are normal: a transaction that
//! is rolled back has used up its ids.

use domain::ids::{
    AccountId, CustomerId, EnrollmentId, Id, JobId, MeterId, MoveId, PremiseId, ReadingId, RequestId, ServicePointId,
    TaskId, WiresCompanyId,
};

use crate::{
    Change, StoreError,
    db::{DbError, Tx, params, statements},
};

statements! {
    NEXT = {
        sqlite "UPDATE id_sequence SET last = last + 1 WHERE name = $1 RETURNING last",
        postgres "SELECT nextval(CAST(CAST($1 AS text) || '_id_sequence' AS regclass))"
    };
    PASS = {
        sqlite "UPDATE id_sequence SET last = max(last, $2) WHERE name = $1",
        postgres "SELECT setval(sequence, greatest($2, nextval(sequence)))
            FROM (SELECT CAST(CAST($1 AS text) || '_id_sequence' AS regclass) AS sequence) AS named"
    };
}

/// An id that the allocator gives.
pub(crate) trait Allocated: Id {
    /// The sequence's name, without its ending.
    const SEQUENCE: &'static str;
}

macro_rules! allocated {
    ($($id:ident $name:literal;)+) => {
        $(impl Allocated for $id {
            const SEQUENCE: &'static str = $name;
        })+
    };
}
allocated! {
    CustomerId "customer";
    AccountId "account";
    PremiseId "premise";
    ServicePointId "service_point";
    MeterId "meter";
    ReadingId "reading";
    JobId "job";
    EnrollmentId "enrollment";
    MoveId "move";
    RequestId "request";
    TaskId "task";
    WiresCompanyId "wires_company";
}

impl Change<'_> {
    /// A new id.
    pub(crate) async fn new_id<I: Allocated>(&mut self) -> Result<I, StoreError> {
        next(self.tx()?).await
    }
}

/// A new id.
pub(crate) async fn next<I: Allocated>(tx: &mut Tx) -> Result<I, StoreError> {
    let rows = tx.rows(&NEXT, params![I::SEQUENCE]).await?;
    let id: Option<I> = rows.into_iter().next().map(|row| row.read().id()).transpose()?;
    Ok(id.ok_or_else(|| DbError::Corrupt(format!("the sequence of {} is missing", I::SEQUENCE)))?)
}

/// Makes later ids greater than one that was brought along.
pub(crate) async fn pass<I: Allocated>(tx: &mut Tx, largest: Option<I>) -> Result<(), DbError> {
    let Some(largest) = largest else { return Ok(()) };
    // One engine answers with a row, the other with a count.
    tx.rows(&PASS, params![I::SEQUENCE, largest.get()]).await.map(drop)
}
