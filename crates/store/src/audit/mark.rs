//! What the main database knows of its audit log: the last checkpoint. On SQLite the log is a file of its own, which
//! can be deleted or exchanged: a start that finds less than was signed refuses, instead of beginning a new log in
//! silence.

use super::{chain::Mac, index};
use crate::db::{Db, DbError, Tx, params, statements};

statements! {
    NOTE = {"INSERT INTO audit_signed (one, number, mac) VALUES (1, $1, $2)
        ON CONFLICT (one) DO UPDATE SET number = excluded.number, mac = excluded.mac
        WHERE audit_signed.number < excluded.number"};
    NOTED = {"SELECT number, mac FROM audit_signed"};
    FORGET = {"DELETE FROM audit_signed"};
    [audit] AT = {"SELECT mac FROM audit_checkpoint WHERE number = $1"};
    [audit] NEWEST = {"SELECT max(number) FROM audit_checkpoint"};
}

/// Notes a checkpoint that is durable. A failure makes the mark an older one: the next checkpoint moves it.
pub(super) async fn note(db: &Db, number: i64, mac: Vec<u8>) {
    let noted = async {
        let mut tx = db.begin().await?;
        tx.execute(&NOTE, params![number, mac]).await?;
        tx.commit().await
    };
    if let Err(failed) = noted.await {
        tracing::warn!(error = %failed, checkpoint = number, "the database does not know its newest checkpoint yet");
    }
}

/// What is wrong when the log holds less than the database saw signed.
pub(crate) async fn missing(db: &Db) -> Result<Option<String>, DbError> {
    let Some(noted) = db.read(&NOTED, Vec::new()).await?.into_iter().next() else { return Ok(None) };
    let mut noted = noted.read();
    let (number, mac): (i64, Mac) = (noted.get()?, noted.get()?);
    let newest: Option<Option<i64>> =
        db.read_audit(&NEWEST, Vec::new()).await?.into_iter().next().map(|row| row.read().get()).transpose()?;
    let newest = newest.flatten().unwrap_or_default();
    let inside = db.read_audit(&AT, params![number]).await?.into_iter().next();
    let inside: Option<Vec<u8>> = inside.map(|row| row.read().get()).transpose()?;
    // An old one may have been dropped with its time; then there are newer ones.
    let right = inside.map_or(newest > number, |inside| inside == mac);
    let there = match newest {
        0 => "has none".to_owned(),
        newest if newest < number => format!("ends with {newest}"),
        _ => "has another one of that number".to_owned(),
    };
    Ok((!right).then(|| {
        format!(
            "the audit log is not the one of this database, or an older copy of it: the database saw checkpoint \
             {number} signed, the log {there}. Put the right one back (of a backup both files); where it is lost, \
             `customer-service audit begin-anew --reason TEXT` says so and begins another"
        )
    }))
}

/// Forgets the log that was, and what was known of it.
pub(crate) async fn forget(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute(&FORGET, Vec::new()).await?;
    index::forget_all(tx).await
}
