//! Accounts.

use domain::{
    accounts::{Account, AccountEdit, Balance},
    ids::{AccountId, CustomerId, Id},
    personal::Personal,
    policy::Categories,
    values::{AccountNumber, Nickname},
};
use serde::{Deserialize, Serialize};

use crate::{
    Guarded, Session, StoreError, Transaction,
    db::{DbError, Reader, Row, params, statements},
    meters::{self, meter_columns, meters_of_premise},
    premises::{self, premise_columns},
    sealed::{self, SealedRow, reveal},
};

macro_rules! account_columns {
    () => {
        "a.account_id, a.account_number, a.status, a.version, a.current_balance, a.due_amount, a.past_due_amount, \
         a.next_due_date, a.last_payment_date, a.last_payment_amount, a.balance_as_of, a.sealed"
    };
}
/// An account with premises and meters, one row a meter.
macro_rules! nested {
    ($accounts:literal, $cutoff:literal) => {
        concat!(
            "SELECT k.wrapped, ",
            account_columns!(),
            ", ",
            premise_columns!(),
            ", ",
            meter_columns!(),
            "
            FROM ",
            $accounts,
            " a
            JOIN customer_key k ON k.customer_id = a.customer_id
            LEFT JOIN premise p ON p.customer_id = a.customer_id AND p.account_id = a.account_id
                AND (p.end_at IS NULL OR p.end_at > ",
            $cutoff,
            ") ",
            meters_of_premise!()
        )
    };
}

/// The statement of one account on PostgreSQL, which the benchmarks run bare.
pub const SELECT: &str = concat!(
    nested!("account", "$3"),
    " WHERE a.customer_id = $1 AND a.account_id = $2
        ORDER BY p.premise_id, m.meter_id"
);

statements! {
    FIND = { SELECT };
    LIST = { concat!(nested!("(SELECT * FROM account WHERE customer_id = $1 AND account_id > $2
        ORDER BY account_id LIMIT $3)", "$4"), " ORDER BY a.account_id, p.premise_id, m.meter_id") };
    UPDATE = {"UPDATE account SET sealed = $3, version = version + 1, updated_at = $4
        WHERE customer_id = $1 AND account_id = $2"};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct AccountSealedV1 {
    nickname: Option<String>,
}

impl SealedRow for AccountSealedV1 {
    const TABLE: &'static str = "account";
    const VERSION: u8 = 1;
}

/// Seals the personal columns of an account.
pub(crate) fn seal(
    key: &crypto::DataKey,
    customer: CustomerId,
    account: AccountId,
    nickname: Option<&Nickname>,
) -> Result<Vec<u8>, StoreError> {
    let row = AccountSealedV1 { nickname: nickname.map(|n| reveal!(n)) };
    sealed::seal(key, customer, account.get(), &row)
}

/// Opens the nickname of an account's sealed record.
pub(crate) fn open_nickname(
    key: &crypto::DataKey,
    customer: CustomerId,
    account: AccountId,
    record: &[u8],
) -> Result<Option<Nickname>, StoreError> {
    let AccountSealedV1 { nickname } = sealed::open(key, customer, account.get(), record)?;
    Ok(nickname.map(Nickname::from_record))
}

/// Takes the balance's columns apart, in the order of [`account_columns!`].
pub(crate) fn decode_balance(row: &mut Reader) -> Result<Balance, DbError> {
    Ok(Balance {
        current: row.get()?,
        due: row.get()?,
        past_due: row.get()?,
        next_due_date: row.get()?,
        last_payment_date: row.get()?,
        last_payment_amount: row.get()?,
        as_of: row.get()?,
    })
}

fn collect(session: &Session<'_>, rows: Vec<Row>) -> Result<Vec<Account>, StoreError> {
    let customer = session.customer();
    let mut accounts: Vec<Account> = Vec::new();
    for row in rows {
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        let key = session.key(&wrapped)?;
        let id: AccountId = row.id()?;
        if accounts.last().is_some_and(|last| last.id == id) {
            row.skip(ACCOUNT_COLUMNS - 1);
        } else {
            let (number, status, version) = (AccountNumber::from_record(row.get()?), row.named()?, row.get()?);
            let (balance, record): (_, Vec<u8>) = (decode_balance(&mut row)?, row.get()?);
            let nickname = open_nickname(&key, customer, id, &record)?;
            accounts.push(Account { id, customer, number, nickname, status, balance, version, premises: Vec::new() });
        }
        if let Some(account) = accounts.last_mut()
            && let Some(premise) = premises::decode(&mut row, customer, &key)?
        {
            let premise = premises::group(&mut account.premises, premise);
            premise.meters.extend(meters::decode(&mut row, premise.occupancy)?);
        }
    }
    Ok(accounts)
}

const ACCOUNT_COLUMNS: usize = 12;

/// What the detail of an account reveals.
const CATEGORIES: Categories =
    Categories::ACCOUNT.and(Categories::BALANCE).and(Categories::PREMISE).and(Categories::METER);

/// An account with its premises and meters.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn find(session: &mut Session<'_>, account: AccountId) -> Result<Option<Guarded<Account>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&FIND, params![account.get(), cutoff]).await?;
    let account = collect(session, rows)?.into_iter().next();
    Ok(account.map(|account| Guarded::new(account, session.customer(), CATEGORIES)))
}

/// A page of accounts with their premises and meters, after an account id.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn list(
    session: &mut Session<'_>,
    after: Option<AccountId>,
    limit: i64,
) -> Result<Guarded<Vec<Account>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&LIST, params![after.map_or(0, Id::get), limit, cutoff]).await?;
    Ok(Guarded::new(collect(session, rows)?, session.customer(), CATEGORIES))
}

/// Stores an edit of an account.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn update(tx: &mut Transaction<'_>, account: AccountId, edit: &AccountEdit) -> Result<(), StoreError> {
    let AccountEdit { nickname } = edit;
    let key = tx.own_key().await?;
    let sealed = seal(&key, tx.customer(), account, nickname.as_ref())?;
    let now = tx.now();
    Ok(tx.change_one(&UPDATE, params![account.get(), sealed, now]).await?)
}
