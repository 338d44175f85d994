//! The keys that a database knows: a check value for each key of the keyring, written when it first comes.
//!
//! Without them a ring with another key would open: a wrong audit key breaks the chains for good, under a wrong
//! actor or place key nobody finds out before the first record is read.

use crypto::{KeyCheck, Keyring, OtherKeys, Purpose};
use domain::time::Instant;

use crate::{
    OpenError,
    db::{Db, DbError, Row, Tx, params, statements},
};

statements! {
    KNOWN = {"SELECT purpose, key_id, check_value FROM key_check ORDER BY purpose, key_id"};
    NOTE = {"INSERT INTO key_check (purpose, key_id, check_value, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING"};
}

/// Refuses a ring that is not the database's, and notes those of its keys that are new.
pub(crate) async fn admit(tx: &mut Tx, keyring: &Keyring, now: Instant) -> Result<(), OpenError> {
    let before = known(tx.rows(&KNOWN, Vec::new()).await?)?;
    for key in keyring.compare(&before)? {
        tx.execute(&NOTE, params![key.purpose.name(), i64::from(key.id), key.value, now]).await?;
    }
    // Another process may have noted others of the same name meanwhile; those stay.
    keyring.compare(&known(tx.rows(&KNOWN, Vec::new()).await?)?)?;
    Ok(())
}

/// Refuses a ring that is not the database's. A database that knows no keys yet refuses none.
pub(crate) async fn compare(db: &Db, keyring: &Keyring) -> Result<Result<(), OtherKeys>, DbError> {
    let known = known(db.read(&KNOWN, Vec::new()).await?)?;
    Ok(keyring.compare(&known).map(drop))
}

/// Rows of [`KNOWN`].
pub(crate) fn known(rows: Vec<Row>) -> Result<Vec<KeyCheck>, DbError> {
    let key = |row: Row| {
        let mut row = row.read();
        let purpose: String = row.get()?;
        let purpose = Purpose::named(&purpose).ok_or_else(|| row.corrupt("is no purpose of a key"))?;
        let id: i64 = row.get()?;
        let id = u32::try_from(id).map_err(|_| row.corrupt("is no id of a key"))?;
        Ok(KeyCheck { purpose, id, value: row.get()? })
    };
    rows.into_iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crypto::SystemRandom;
    use domain::time::SystemClock;

    use super::*;
    use crate::{Location, Options, Store, inspect, testing::TestDb};

    async fn open(location: &Location, text: &str) -> Result<Store, OpenError> {
        let keyring = Arc::new(text.parse::<Keyring>().unwrap());
        let options = Options { checkpoint_file: None, pool_size: 2 };
        Store::open(location, keyring, Arc::new(SystemClock), Arc::new(SystemRandom), options).await
    }

    async fn noted(location: &Location) -> Vec<String> {
        let keys = inspect::inspect(location).await.unwrap().installed.unwrap().keys;
        keys.iter().map(|key| format!("{} {}", key.purpose.name(), key.id)).collect()
    }

    async fn a_ring_is_compared_key_by_key(db: TestDb) {
        let text = || Keyring::generate(&SystemRandom, "test").unwrap().reveal().to_owned();
        let (own, other) = (text(), text());
        let line = |text: &str, purpose: &str| text.lines().find(|l| l.starts_with(purpose)).unwrap().to_owned();
        let at = db.location();
        open(at, &own).await.unwrap().audit_log().close().await;
        let first = ["actor 1", "audit 1", "lookup 1", "master 1", "place 1", "token 1"];
        assert_eq!(noted(at).await, first);
        for purpose in Purpose::ALL.map(Purpose::name) {
            let mixed = own.replace(&line(&own, purpose), &line(&other, purpose));
            let refused = open(at, &mixed).await.unwrap_err();
            assert!(matches!(refused, OpenError::Keys(_)), "{purpose}: {refused}");
            assert!(refused.to_string().contains(&format!("its {purpose} key 1 is another one")), "{refused}");
            // Nobody may judge the log under a key that did not write it.
            let ring = Arc::new(mixed.parse::<Keyring>().unwrap());
            let refused = crate::verify_audit(at, &ring, None).await.unwrap_err().to_string();
            assert!(refused.contains(&format!("its {purpose} key 1 is another one")), "{refused}");
        }
        assert_eq!(noted(at).await, first, "a refused ring leaves nothing");
        let second = |purpose: &str| line(&other, purpose).replacen(" 1 ", " 2 ", 1);
        let rotated = format!("{own}{}\n{}\n", second("master"), second("audit"));
        open(at, &rotated).await.unwrap().audit_log().close().await;
        assert!(noted(at).await.contains(&"audit 2".to_owned()));
        let refused = open(at, &own).await.unwrap_err().to_string();
        assert!(refused.contains("audit key 2 is missing, master key 2 is missing"), "{refused}");
        open(at, &rotated).await.unwrap().audit_log().close().await;
    }

    #[tokio::test]
    async fn sqlite_compares_key_by_key() {
        a_ring_is_compared_key_by_key(TestDb::sqlite().unwrap()).await;
    }

    #[tokio::test]
    async fn postgres_compares_key_by_key() {
        a_ring_is_compared_key_by_key(TestDb::postgres().await.unwrap()).await;
    }
}
