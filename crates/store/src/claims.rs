//! Claim codes, and how often somebody tried one.

use domain::{
    claims::{ClaimCode, IssuedCode, LIFETIME, TRIES},
    ids::{AccountId, CustomerId, Id},
    policy::{Categories, Identity},
    time::{HOUR, Instant},
    values::AccountNumber,
};

use crate::{
    Change, Guarded, Session, Store, StoreError,
    db::{DbError, params, statements},
};

statements! {
    ISSUE = {"INSERT INTO claim_code (customer_id, account_id, code_hash, tries_left, expires_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (customer_id, account_id) DO UPDATE SET code_hash = excluded.code_hash,
            tries_left = excluded.tries_left, expires_at = excluded.expires_at, created_at = excluded.created_at"};
    ISSUED = {"SELECT account_id FROM claim_code WHERE customer_id = $1 AND account_id = $2 AND code_hash = $3"};
    // The row is locked: of many guesses at once each takes its try.
    FIND = {
        sqlite "SELECT c.customer_id, c.account_id, c.code_hash FROM account_number n
            JOIN claim_code c ON c.customer_id = n.customer_id AND c.account_id = n.account_id
            WHERE n.account_number = $1 AND c.tries_left > 0 AND c.expires_at > $2",
        postgres "SELECT c.customer_id, c.account_id, c.code_hash FROM account_number n
            JOIN claim_code c ON c.customer_id = n.customer_id AND c.account_id = n.account_id
            WHERE n.account_number = $1 AND c.tries_left > 0 AND c.expires_at > $2 FOR UPDATE OF c"
    };
    MISSED = {"UPDATE claim_code SET tries_left = tries_left - 1 WHERE customer_id = $1 AND account_id = $2"};
    TAKE = {"DELETE FROM claim_code WHERE customer_id = $1 AND account_id = $2 AND code_hash = $3
        AND tries_left > 0 AND expires_at > $4"};
    FORGET = {"DELETE FROM attempt WHERE began_at <= $1"};
    COUNT = {"INSERT INTO attempt (key_hash, began_at, tries) VALUES ($1, $2, 1)
        ON CONFLICT (key_hash) DO UPDATE SET tries = attempt.tries + 1
        RETURNING tries, began_at"};
}

/// For how long tries are counted together.
const WINDOW: i64 = HOUR;
/// Tries of one caller, and at one account, within the window.
const MOST: i64 = 10;

fn hash(store: &Store, account: AccountId, code: &ClaimCode) -> [u8; 32] {
    store.keyring.lookup().tag("claim-code", &[&account.get().to_be_bytes(), code.bytes()])
}

/// Issues a code for an account of the customer; one that was issued before counts no more.
pub async fn issue(change: &mut Change<'_>, account: AccountId) -> Result<IssuedCode, StoreError> {
    let code = loop {
        let mut random = [0; 32];
        change.store.random.fill(&mut random)?;
        if let Some(code) = ClaimCode::of(&random) {
            break code;
        }
    };
    let (now, hash) = (change.now(), hash(change.store, account, &code));
    let issued = IssuedCode { account, code, expires_at: now.plus(LIFETIME) };
    change.change_one(&ISSUE, params![account, hash, TRIES, issued.expires_at, now]).await?;
    Ok(issued)
}

/// A code that was issued just now, as its answer shows it.
pub async fn issued(session: &mut Session<'_>, code: IssuedCode) -> Result<Option<Guarded<IssuedCode>>, StoreError> {
    let hash = hash(session.store, code.account, &code.code);
    let found = session.own(&ISSUED, params![code.account, hash]).await?;
    Ok((!found.is_empty()).then(|| session.guard(code, Categories::ACCOUNT)))
}

/// Takes a code: it counts once.
pub async fn take(change: &mut Change<'_>, account: AccountId, code: &ClaimCode) -> Result<bool, StoreError> {
    let (now, hash) = (change.now(), hash(change.store, account, code));
    Ok(change.change(&TAKE, params![account, hash, now]).await? == 1)
}

impl Store {
    /// Counts a try of a caller at an account number, whether there is such an account or not. When there were too
    /// many, the instant from which on there may be more.
    pub async fn attempt(&self, who: &Identity, number: &AccountNumber) -> Result<Option<Instant>, StoreError> {
        let tags = self.keyring.lookup();
        let mut keys = [
            tags.tag("claim-by-caller", &[who.issuer().as_bytes(), who.subject().as_bytes()]),
            tags.tag("claim-at-account", &[number.as_str().as_bytes()]),
        ];
        // Everybody locks in one order.
        keys.sort_unstable();
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        tx.execute(&FORGET, params![now.plus(-WINDOW)]).await?;
        let mut until = None;
        for key in keys {
            let row = tx.rows(&COUNT, params![key, now]).await?.into_iter().next();
            let mut row = row.ok_or_else(|| DbError::Corrupt("attempt: no row".into()))?.read();
            let (tries, began): (i64, Instant) = (row.get()?, row.get()?);
            until = until.max((tries > MOST).then(|| began.plus(WINDOW)));
        }
        tx.commit().await?;
        Ok(until)
    }

    /// Whose code this is. A wrong one uses up a try of the account's code.
    pub async fn claim(
        &self,
        number: &AccountNumber,
        code: Option<&ClaimCode>,
    ) -> Result<Option<(CustomerId, AccountId)>, StoreError> {
        let mut tx = self.db.begin().await?;
        let found = tx.rows(&FIND, params![number.clone(), self.clock.now()]).await?;
        let Some(row) = found.into_iter().next() else { return Ok(None) };
        let mut row = row.read();
        let (customer, account): (CustomerId, AccountId) = (row.get()?, row.get()?);
        let right: Vec<u8> = row.get()?;
        if code.is_some_and(|code| hash(self, account, code) == *right) {
            return Ok(Some((customer, account)));
        }
        tx.execute_one(&MISSED, params![customer, account]).await?;
        tx.commit().await?;
        Ok(None)
    }
}
