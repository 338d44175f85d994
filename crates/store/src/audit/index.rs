//! The log's index by customer, built behind the appends: an index on the log itself would cost each of them a page
//! somewhere in the middle of it.
//!
//! It stands in the main database, and is filled in order and in bulk, with a mark for each lane of how far it has
//! come. Look-ups read it, and scan each lane behind its mark. It proves nothing: verification does not read it, and
//! whoever looks a customer up gets the records of the log itself. A lost one is built anew.
//!
//! The invariant: below its mark a lane is indexed completely. So rows and mark commit together, and a mark moves only
//! from where its rows began: who was overtaken begins again from the database's mark.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use domain::{ids::CustomerId, time::Instant};
use tokio::{sync::watch, time::sleep};

use super::{lane::ended, log::Shared, record, retention::Retention, upkeep::ticks};
use crate::db::{Db, DbError, Row, Tx, params, statements};

/// Records of one transaction.
const CHUNK: i64 = 2000;
/// Between two of them, so that changes have their turn.
const BREATH: Duration = Duration::from_millis(10);
/// Rounds between two looks at the lanes of other processes, which mostly look after themselves.
const OTHERS: u32 = 720;
/// The end of a look at all rows.
const LATEST: Instant = Instant::from_micros(253_402_300_799_000_000);

statements! {
    MARKS = {"SELECT lane, number FROM audit_indexed"};
    [audit] LANES = {"SELECT lane FROM audit_lane ORDER BY lane"};
    [audit] NEXT = {"SELECT number, at, customer_id, customers FROM audit_log WHERE lane = $1 AND number > $2
        ORDER BY number LIMIT $3"};
    ADD = {
        sqlite "INSERT INTO audit_by_customer (customer_id, at, lane, number) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING",
        postgres "INSERT INTO audit_by_customer (customer_id, at, lane, number)
            SELECT * FROM unnest($1::int8[], $2::timestamptz[], $3::int8[], $4::int8[]) ON CONFLICT DO NOTHING"
    };
    MOVE_MARK = {"INSERT INTO audit_indexed (lane, number) SELECT CAST($1 AS bigint), CAST($3 AS bigint)
        WHERE CAST($2 AS bigint) = 0 OR EXISTS (SELECT 1 FROM audit_indexed WHERE lane = $1)
        ON CONFLICT (lane) DO UPDATE SET number = excluded.number WHERE audit_indexed.number = CAST($2 AS bigint)"};
    UNMARK = {"DELETE FROM audit_indexed WHERE lane = $1"};
    UNMARK_ALL = {"DELETE FROM audit_indexed"};
    ROWS = {"SELECT customer_id, at, lane, number FROM audit_by_customer
        WHERE (customer_id, at, lane, number) > ($1, $2, $3, $4) AND at < $5
        ORDER BY customer_id, at, lane, number LIMIT $6"};
    REMOVE = {
        sqlite "DELETE FROM audit_by_customer WHERE customer_id = $1 AND at = $2 AND lane = $3 AND number = $4",
        postgres "DELETE FROM audit_by_customer i
            USING unnest($1::int8[], $2::timestamptz[], $3::int8[], $4::int8[]) AS gone (customer_id, at, lane, number)
            WHERE i.customer_id = gone.customer_id AND i.at = gone.at AND i.lane = gone.lane AND i.number = gone.number"
    };
    REMOVE_ALL = {"DELETE FROM audit_by_customer"};
}

/// How far each lane is indexed.
pub(super) async fn marks(db: &Db) -> Result<HashMap<i64, i64>, DbError> {
    db.read(&MARKS, Vec::new()).await?.into_iter().map(Row::pair).collect()
}

/// Every lane that was opened.
pub(super) async fn lanes(db: &Db) -> Result<Vec<i64>, DbError> {
    db.read_audit(&LANES, Vec::new()).await?.into_iter().map(|row| row.read().get()).collect()
}

/// Builds the index.
pub(super) struct Indexer {
    shared: Arc<Shared>,
    marks: HashMap<i64, i64>,
}

impl Indexer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, marks: HashMap::new() }
    }

    /// Brings every lane up to date.
    pub(super) async fn all(&mut self) -> Result<(), DbError> {
        self.marks = marks(&self.shared.db).await?;
        for lane in lanes(&self.shared.db).await? {
            self.lane(lane).await?;
        }
        Ok(())
    }

    async fn own(&mut self) -> Result<(), DbError> {
        match self.shared.head() {
            Some(head) if head.number > self.marks.get(&head.lane).copied().unwrap_or_default() => {
                self.lane(head.lane).await
            }
            _ => Ok(()),
        }
    }

    async fn lane(&mut self, lane: i64) -> Result<(), DbError> {
        loop {
            let from = self.marks.get(&lane).copied().unwrap_or_default();
            match chunk(&self.shared.db, lane, from).await? {
                Chunk::Done(to) => {
                    self.marks.insert(lane, to);
                    return Ok(());
                }
                Chunk::More(to) => drop(self.marks.insert(lane, to)),
                Chunk::Overtaken => self.marks = marks(&self.shared.db).await?,
            }
            sleep(BREATH).await;
        }
    }
}

enum Chunk {
    /// Indexed to here, the end of the lane.
    Done(i64),
    /// Indexed to here; there is more.
    More(i64),
    /// Somebody else moved the mark.
    Overtaken,
}

async fn chunk(db: &Db, lane: i64, from: i64) -> Result<Chunk, DbError> {
    let next = params![lane, from, CHUNK];
    // On PostgreSQL not on a connection that others share; SQLite's writer is not taken before there is something.
    let mut tx = if matches!(db, Db::Postgres(_)) { Some(db.begin().await?) } else { None };
    let page = match &mut tx {
        Some(tx) => tx.rows(&NEXT, next).await?,
        None => db.read_audit(&NEXT, next).await?,
    };
    let (mut to, full) = (from, i64::try_from(page.len()).is_ok_and(|read| read >= CHUNK));
    let mut found = BTreeSet::new();
    for row in page {
        let mut row = row.read();
        let at: Instant;
        (to, at) = (row.get()?, row.get()?);
        let customer: Option<CustomerId> = row.get()?;
        found.extend(customer.into_iter().chain(record::customers(&mut row)?).map(|id| (id, at, to)));
    }
    let mut tx = match tx {
        Some(tx) => tx,
        None if to == from => return Ok(Chunk::Done(to)),
        None => db.begin().await?,
    };
    // In the order of the index, whose neighbours stand on one page.
    let rows = found.into_iter().map(|(id, at, number)| params![id, at, lane, number]).collect();
    tx.insert_many(&ADD, rows).await?;
    if to > from && tx.execute(&MOVE_MARK, params![lane, from, to]).await? == 0 {
        return Ok(Chunk::Overtaken);
    }
    tx.commit().await?;
    Ok(if full { Chunk::More(to) } else { Chunk::Done(to) })
}

/// Builds until the log is closed.
pub(super) async fn run(shared: Arc<Shared>, mut end: watch::Receiver<bool>) {
    let mut rounds = ticks(shared.options.index_every);
    let mut indexer = Indexer::new(shared);
    let mut others = 0;
    loop {
        tokio::select! {
            _ = rounds.tick() => {
                let indexed = if others == 0 { indexer.all().await } else { indexer.own().await };
                match indexed {
                    Ok(()) => others = (others + 1) % OTHERS,
                    Err(failed) => tracing::warn!(error = %failed, "the index of the audit log could not be built on"),
                }
            }
            () = ended(&mut end) => return,
        }
    }
}

/// Removes the rows before an instant for which `gone` holds, lane and number.
async fn remove(db: &Db, before: Instant, gone: impl Fn(i64, i64) -> bool) -> Result<(), DbError> {
    let mut last = (0_i64, Instant::from_micros(0), 0_i64, 0_i64);
    loop {
        let (customer, at, lane, number) = last;
        let page = db.read(&ROWS, params![customer, at, lane, number, before, CHUNK]).await?;
        if page.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::new();
        for row in page {
            let mut row = row.read();
            last = (row.get()?, row.get()?, row.get()?, row.get()?);
            let (customer, at, lane, number) = last;
            if gone(lane, number) {
                rows.push(params![customer, at, lane, number]);
            }
        }
        let mut tx = db.begin().await?;
        tx.insert_many(&REMOVE, rows).await?;
        tx.commit().await?;
    }
}

/// Removes what was dropped from the log.
pub(super) async fn drop_stated(db: &Db, stated: &Retention) -> Result<(), DbError> {
    let ends: HashMap<i64, i64> = stated.lanes.iter().map(|lane| (lane.lane, lane.through)).collect();
    let gone = |lane, number| ends.get(&lane).is_some_and(|through| number <= *through);
    remove(db, Instant::from_micros(stated.before), gone).await?;
    let listed: BTreeSet<i64> = lanes(db).await?.into_iter().collect();
    for lane in marks(db).await?.into_keys().filter(|lane| !listed.contains(lane)) {
        let mut tx = db.begin().await?;
        tx.execute(&UNMARK, params![lane]).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Removes everything and builds it anew. Meanwhile look-ups scan the log.
pub(super) async fn rebuild(shared: &Arc<Shared>) -> Result<(), DbError> {
    let mut tx = shared.db.begin().await?;
    tx.execute(&UNMARK_ALL, Vec::new()).await?;
    tx.commit().await?;
    remove(&shared.db, LATEST, |_, _| true).await?;
    Indexer::new(Arc::clone(shared)).all().await
}

/// Forgets the index of a log that is no more.
pub(super) async fn forget_all(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute(&UNMARK_ALL, Vec::new()).await?;
    tx.execute(&REMOVE_ALL, Vec::new()).await.map(drop)
}
