//! Monthly partitions of `audit_log` and `reading` on PostgreSQL.
//!
//! They are made ahead, at start and daily. Should nobody have made one in time, its rows are in the
//! DEFAULT partition: nothing is refused, but the month cannot get a partition of its own any more, and
//! retention cannot drop it as one. That is reported, not an error.

use std::time::Duration;

use domain::time::{HOUR, Instant, LocalDate};

use crate::db::{Db, DbError, Param, params, postgres::Connection, statements};

/// Tables by month, and the column that says the month.
const TABLES: [&str; 2] = ["audit_log", "reading"];
/// Months made ahead of the present one.
const AHEAD: i32 = 3;
const DAY: i64 = 24 * HOUR;
/// How often a partition in use is tried, and the pause between.
const DROP_TRIES: usize = 10;
const DROP_PAUSE: Duration = Duration::from_millis(500);

statements! {
    PARTITIONS = {
        sqlite "SELECT name FROM sqlite_schema WHERE type = 'none'",
        postgres "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent IN (to_regclass('audit_log'), to_regclass('reading'))"
    };
    [audit] STAYS = {
        sqlite "SELECT lane FROM audit_log WHERE lane IN (SELECT value FROM json_each($1))
            AND number IN (SELECT value FROM json_each($2)) AND at >= $3 AND at < $4 LIMIT 1",
        postgres "SELECT r.lane FROM audit_log r
            LEFT JOIN unnest($1::int8[], $2::int8[]) AS dropped (lane, number) ON dropped.lane = r.lane
            WHERE r.at >= $3 AND r.at < $4 AND (dropped.lane IS NULL OR r.number > dropped.number) LIMIT 1"
    };
}

/// What there is and what there is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partitions {
    /// Partitions that were made.
    pub(crate) made: Vec<String>,
    /// Months that have none and cannot get one, with the reason: their rows are in the DEFAULT partition,
    /// or the role may not make tables.
    pub(crate) missing: Vec<(String, String)>,
}

/// Makes this month's and the next three months' partitions where they are missing. A month that cannot be made
/// is in the result.
pub(crate) async fn ensure_partitions(connection: &Connection, now: Instant) -> Result<Partitions, DbError> {
    let mut known = Vec::new();
    for row in connection.rows(&PARTITIONS, &[]).await? {
        known.push(row.read().get::<String>()?);
    }
    let Some(today) = LocalDate::from_days(now.micros().div_euclid(DAY)) else {
        return Err(DbError::Engine("the clock is beyond the calendar".into()));
    };
    let mut result = Partitions::default();
    for table in TABLES {
        for ahead in 0..=AHEAD {
            let (from, to) = (today.month_start(ahead), today.month_start(ahead + 1));
            let name = format!("{table}_{}", from.to_string().get(..7).unwrap_or_default().replace('-', "_"));
            if known.contains(&name) {
                continue;
            }
            // Not CREATE .. PARTITION OF, which locks out every reader of the table. A transaction, so that a
            // refused ATTACH leaves no stray table.
            let make = format!(
                "BEGIN; CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
                 ALTER TABLE {table} ATTACH PARTITION {name}
                 FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00'); COMMIT"
            );
            match connection.batch(&make).await {
                Ok(()) => result.made.push(name),
                Err(refused) => {
                    connection.batch("ROLLBACK").await?;
                    tracing::warn!(partition = name, error = %refused, "a month has no partition of its own");
                    result.missing.push((name, refused.to_string()));
                }
            }
        }
    }
    // Another process may have made some at the same time: then they are there, and nothing is missing.
    if !result.missing.is_empty() {
        for row in connection.rows(&PARTITIONS, &[]).await? {
            let name = row.read().get::<String>()?;
            result.missing.retain(|(missing, _)| *missing != name);
        }
    }
    Ok(result)
}

/// Drops the partitions of `audit_log` that end at an instant or before and hold nothing but dropped records:
/// those of `ends`, which are lanes and the last number dropped from each. Their names; on SQLite there are none.
///
/// # Errors
/// [`DbError`] when one is in use too long, or the role does not own it.
pub(crate) async fn drop_before(db: &Db, before: Instant, ends: &[(i64, i64)]) -> Result<Vec<String>, DbError> {
    let Db::Postgres(server) = db else { return Ok(Vec::new()) };
    let connection = server.connector().connect().await?;
    let mut old = Vec::new();
    for row in connection.rows(&PARTITIONS, &[]).await? {
        let name: String = row.read().get()?;
        let month = name.strip_prefix("audit_log_").map(|month| format!("{}-01", month.replace('_', "-")));
        let month = month.and_then(|month| LocalDate::parse(&month));
        if let Some(month) = month.filter(|month| month.month_start(1).start_utc() <= before) {
            old.push((name, month));
        }
    }
    old.sort();
    let mut dropped = Vec::new();
    for (name, month) in old {
        let mut tries = DROP_TRIES;
        let done = loop {
            match drop_one(&connection, &name, month, ends).await {
                Err(_) if tries > 1 => {
                    connection.batch("ROLLBACK").await?;
                    tries -= 1;
                    tokio::time::sleep(DROP_PAUSE).await;
                }
                done => break done?,
            }
        };
        if done {
            dropped.push(name);
        }
    }
    Ok(dropped)
}

/// Drops one partition, unless it holds a record that stays.
async fn drop_one(connection: &Connection, name: &str, month: LocalDate, ends: &[(i64, i64)]) -> Result<bool, DbError> {
    // The first lock keeps late records out of this month alone. DROP takes the one that every append needs:
    // rather try again than hold them up.
    let lock = format!(
        "BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = 0; LOCK TABLE {name} IN SHARE MODE"
    );
    connection.batch(&lock).await?;
    let (lanes, numbers): (Vec<i64>, Vec<i64>) = ends.iter().copied().unzip();
    let (from, to) = (month.start_utc(), month.month_start(1).start_utc());
    let stated: Vec<Param> = params![lanes, numbers, from, to];
    let stays = !connection.rows(&STAYS, &stated).await?.is_empty();
    let end = if stays { "ROLLBACK".to_owned() } else { format!("DROP TABLE {name}; COMMIT") };
    connection.batch(&end).await?;
    Ok(!stays)
}

/// The daily call. A failure is only noted: the partitions reach three months ahead.
pub(crate) async fn daily(db: &Db, now: Instant) {
    let Db::Postgres(server) = db else { return };
    let made = async {
        let connection = server.connector().connect().await?;
        ensure_partitions(&connection, now).await
    };
    if let Err(failed) = made.await {
        tracing::warn!(error = %failed, "partitions could not be looked after");
    }
}
