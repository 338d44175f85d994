//! Accounts.

use domain::{
    accounts::{Account, AccountEdit, AccountTotals, Balance, BalanceReport},
    ids::{AccountId, CustomerId, Id},
    personal::Personal,
    policy::Categories,
    status::Status,
    time::{HOUR, Instant, LocalDate},
    values::{AccountNumber, Money, Nickname},
};
use serde::{Deserialize, Serialize};

use crate::{
    Batch, Change, DbError, Guarded, Session, StoreError,
    db::{Columns, Row, Text, columns, params, sql, statements},
    meters::{METERS_OF_PREMISE, MeterRow},
    premises::{self, PremiseRow},
    sealed::{self, SealedRow, reveal},
};

columns! {
    /// An account's own columns.
    AccountRow of "a" {
        account_id: AccountId, account_number: AccountNumber, status: Status, version: i64, sealed: Vec<u8>,
    }
}

columns! {
    for Balance of "a" {
        current_balance: Option<Money>, due_amount: Option<Money>, past_due_amount: Option<Money>,
        next_due_date: Option<LocalDate>, last_payment_date: Option<LocalDate>, last_payment_amount: Option<Money>,
        balance_as_of: Option<Instant>,
    }
}

/// An account with premises and meters, one row a meter.
const fn nested(accounts: &str, cutoff: &str, rest: &str) -> Text {
    let text = Text::new().add("SELECT k.wrapped, ").columns(AccountRow::ALIAS, AccountRow::COLUMNS).add(", ");
    let text = text.columns(Balance::ALIAS, Balance::COLUMNS).add(", ");
    let text = text.columns(PremiseRow::ALIAS, PremiseRow::COLUMNS).add(", ");
    let text = text.columns(MeterRow::ALIAS, MeterRow::COLUMNS).add(" FROM ").add(accounts);
    let text = text.add(
        " a JOIN customer_key k ON k.customer_id = a.customer_id
            LEFT JOIN premise p ON p.customer_id = a.customer_id AND p.account_id = a.account_id
                AND (p.end_at IS NULL OR p.end_at > ",
    );
    text.add(cutoff).add(") ").add(METERS_OF_PREMISE).add(rest)
}

const ONE: Text =
    nested("account", "$3", " WHERE a.customer_id = $1 AND a.account_id = $2 ORDER BY p.premise_id, m.meter_id");
const PAGE: Text = nested(
    "(SELECT * FROM account WHERE customer_id = $1 AND account_id > $2 ORDER BY account_id LIMIT $3)",
    "$4",
    " ORDER BY a.account_id, p.premise_id, m.meter_id",
);

/// The statement of one account on PostgreSQL, which the benchmarks run bare.
pub const SELECT: &str = ONE.as_str();

const UPDATE_BALANCE: Text = Text::update(
    "account",
    &[Balance::COLUMNS],
    3,
    " WHERE customer_id = $1 AND account_id = $2 AND (balance_as_of IS NULL OR balance_as_of < $9)",
);

statements! {
    FIND = { SELECT };
    [heavy] LIST = { PAGE.as_str() };
    UPDATE = {"UPDATE account SET sealed = $3, version = version + 1, updated_at = $4
        WHERE customer_id = $1 AND account_id = $2"};
    INSERT = {"INSERT INTO account (customer_id, account_id, account_number, status, version, created_at, updated_at, sealed)
        VALUES ($1, $2, $3, $4, 1, $5, $5, $6)"};
    INSERT_NUMBER = {"INSERT INTO account_number (customer_id, account_id, account_number) VALUES ($1, $2, $3)"};
    INSERT_OWNER = {"INSERT INTO account_owner (customer_id, account_id) VALUES ($1, $2)"};
    SET_STATUS = {"UPDATE account SET status = $3, version = version + 1, updated_at = $4
        WHERE customer_id = $1 AND account_id = $2"};
    TOTALS = {sql!("SELECT " [Balance] ",
            (SELECT count(*) FROM premise p WHERE p.customer_id = a.customer_id AND p.account_id = a.account_id
                AND p.status = 'active'),
            (SELECT count(DISTINCT m.meter_id) FROM premise p
                JOIN premise_service_point ps ON ps.customer_id = p.customer_id AND ps.premise_id = p.premise_id
                JOIN meter m ON m.service_point_id = ps.service_point_id AND m.status = 'active'
                WHERE p.customer_id = a.customer_id AND p.account_id = a.account_id AND p.status = 'active')
        FROM account a WHERE a.customer_id = $1 AND a.account_id = $2")};
    REPORT = { UPDATE_BALANCE.as_str() };
    // Of a batch's accounts: whose they are, and what was reported last.
    REPORTED = {
        sqlite sql!("SELECT o.account_id, o.customer_id, " [Balance] " FROM account_owner o
            JOIN account a ON a.customer_id = o.customer_id AND a.account_id = o.account_id
            WHERE o.account_id IN (SELECT value FROM json_each($1)) ORDER BY o.account_id"),
        postgres sql!("SELECT o.account_id, o.customer_id, " [Balance] " FROM account_owner o
            JOIN account a ON a.customer_id = o.customer_id AND a.account_id = o.account_id
            WHERE o.account_id = ANY($1) ORDER BY o.account_id FOR UPDATE OF a")
    };
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

fn collect(session: &Session<'_>, rows: Vec<Row>) -> Result<Vec<Account>, StoreError> {
    let customer = session.customer();
    let mut accounts: Vec<Account> = Vec::new();
    for row in rows {
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        let key = session.key(&wrapped)?;
        let AccountRow { account_id: id, account_number: number, status, version, sealed } =
            AccountRow::read(&mut row)?;
        let balance = Balance::read(&mut row)?;
        if accounts.last().is_none_or(|last| last.id != id) {
            let nickname = open_nickname(&key, customer, id, &sealed)?;
            accounts.push(Account { id, customer, number, nickname, status, balance, version, premises: Vec::new() });
        }
        if let Some(account) = accounts.last_mut()
            && let Some(premise) = PremiseRow::read_outer(&mut row)?
        {
            let premise = premises::group(&mut account.premises, premise, customer, &key)?;
            let meter = MeterRow::read_outer(&mut row)?.map(|meter| meter.seen_from(premise.occupancy)).transpose()?;
            premise.meters.extend(meter);
        }
    }
    Ok(accounts)
}

/// What the detail of an account reveals.
const CATEGORIES: Categories =
    Categories::ACCOUNT.union(Categories::BALANCE).union(Categories::PREMISE).union(Categories::METER);

/// An account with its premises and meters.
pub async fn find(session: &mut Session<'_>, account: AccountId) -> Result<Option<Guarded<Account>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&FIND, params![account, cutoff]).await?;
    let account = collect(session, rows)?.into_iter().next();
    Ok(account.map(|account| session.guard(account, CATEGORIES)))
}

/// A page of accounts with their premises and meters, after an account id.
pub async fn list(
    session: &mut Session<'_>,
    after: Option<AccountId>,
    limit: i64,
) -> Result<Guarded<Vec<Account>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&LIST, params![after.map_or(0, Id::get), limit, cutoff]).await?;
    Ok(session.guard(collect(session, rows)?, CATEGORIES))
}

/// What one account owes, and how many premises and meters of it are in service.
pub async fn totals(
    session: &mut Session<'_>,
    account: AccountId,
) -> Result<Option<Guarded<AccountTotals>>, StoreError> {
    let rows = session.own(&TOTALS, params![account]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let balance = Balance::read(&mut row)?;
    let totals = AccountTotals { balance, premises: row.get()?, meters: row.get()? };
    Ok(Some(session.guard(totals, Categories::BALANCE | Categories::ACCOUNT)))
}

/// Stores an edit of an account.
pub async fn update(change: &mut Change<'_>, account: AccountId, edit: &AccountEdit) -> Result<(), StoreError> {
    let AccountEdit { nickname } = edit;
    let key = change.own_key().await?;
    let sealed = seal(&key, change.customer(), account, nickname.as_ref())?;
    let now = change.now();
    Ok(change.change_one(&UPDATE, params![account, sealed, now]).await?)
}

/// Opens an account of the customer, with a new number.
///
/// # Errors
/// [`DbError::Conflict`] when the number is somebody's already: another try draws another one.
pub async fn open(
    change: &mut Change<'_>,
    status: Status,
    nickname: Option<&Nickname>,
) -> Result<AccountId, StoreError> {
    let mut random = [0; 8];
    change.store.random.fill(&mut random)?;
    let number = AccountNumber::issued(u64::from_be_bytes(random));
    let (account, now): (AccountId, _) = (change.new_id().await?, change.now());
    let key = change.own_key().await?;
    let sealed = seal(&key, change.customer(), account, nickname)?;
    change.change_one(&INSERT, params![account, number.clone(), status, now, sealed]).await?;
    match change.change_one(&INSERT_NUMBER, params![account, number]).await {
        Err(DbError::Constraint(_)) => return Err(DbError::Conflict.into()),
        inserted => inserted?,
    }
    change.change_one(&INSERT_OWNER, params![account]).await?;
    Ok(account)
}

/// Stores an account's new status.
pub async fn set_status(change: &mut Change<'_>, account: AccountId, status: Status) -> Result<(), StoreError> {
    let now = change.now();
    Ok(change.change_one(&SET_STATUS, params![account, status, now]).await?)
}

/// The update of one account's balance, unless a newer one is stored.
pub(crate) fn report_one() -> &'static crate::db::Sql {
    &REPORT
}

/// How far a report may lie ahead of our clock.
const AHEAD: i64 = 24 * HOUR;

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    /// It is stored.
    Accepted,
    /// It was stored before, or a newer one is.
    Unchanged,
    /// There is no such account.
    Unknown,
    /// Another balance was reported for the same instant.
    Contradicts,
    /// It is reported as of a later day.
    TooLate,
}

/// Stores reported balances: the newest of an account counts. The rows are locked in the order of their ids.
pub async fn report(batch: &mut Batch<'_>, reports: &[BalanceReport]) -> Result<Vec<Booked>, StoreError> {
    let ids: Vec<i64> = reports.iter().map(|report| report.account_id.get()).collect();
    let mut known = std::collections::BTreeMap::new();
    for row in batch.rows(&REPORTED, params![ids]).await? {
        let mut row = row.read();
        let (account, customer): (AccountId, CustomerId) = (row.get()?, row.get()?);
        known.insert(account, (customer, Balance::read(&mut row)?));
    }
    let latest = batch.now().plus(AHEAD);
    let mut booked = Vec::with_capacity(reports.len());
    for report in reports {
        let (account, balance) = (report.account_id, report.balance());
        let Some((customer, last)) = known.get_mut(&account) else {
            booked.push(Booked::Unknown);
            continue;
        };
        batch.compared(*customer);
        booked.push(match balance.balance_as_of.cmp(&last.balance_as_of) {
            // A clock that is wrong must not silence every later report.
            _ if report.as_of > latest => Booked::TooLate,
            std::cmp::Ordering::Less => Booked::Unchanged,
            std::cmp::Ordering::Equal if balance == *last => Booked::Unchanged,
            std::cmp::Ordering::Equal => Booked::Contradicts,
            std::cmp::Ordering::Greater => {
                let mut row = params![account];
                row.extend(balance.bind());
                batch.change(*customer, &REPORT, row).await?;
                *last = balance;
                Booked::Accepted
            }
        });
    }
    Ok(booked)
}
