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
    BLOCK = {
        sqlite "UPDATE id_sequence SET last = last + $2 WHERE name = $1 RETURNING last",
        postgres "SELECT nextval(CAST(CAST($1 AS text) || '_id_sequence' AS regclass)) FROM generate_series(1, CAST($2 AS bigint))"
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

/// Some new ids.
pub(crate) async fn block<I: Allocated>(tx: &mut Tx, count: usize) -> Result<Vec<I>, StoreError> {
    let count = i64::try_from(count).map_err(|_| DbError::Engine("too many ids at once".into()))?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let rows = tx.rows(&BLOCK, params![I::SEQUENCE, count]).await?;
    let numbers: Vec<i64> = match rows.len() {
        // One engine gives the last one, the other all of them.
        1 => {
            let last: i64 = rows.into_iter().next().map(|row| row.read().get()).transpose()?.unwrap_or_default();
            (last - count + 1..=last).collect()
        }
        _ => rows.into_iter().map(|row| row.read().get()).collect::<Result<_, _>>()?,
    };
    let missing = || DbError::Corrupt(format!("the sequence of {} is missing", I::SEQUENCE));
    let ids: Option<Vec<I>> = numbers.into_iter().map(I::new).collect();
    Ok(ids.ok_or_else(missing)?)
}

/// Makes later ids greater than one that was brought along.
pub(crate) async fn pass<I: Allocated>(tx: &mut Tx, largest: Option<I>) -> Result<(), DbError> {
    let Some(largest) = largest else { return Ok(()) };
    // One engine answers with a row, the other with a count.
    tx.rows(&PASS, params![I::SEQUENCE, largest.get()]).await.map(drop)
}
