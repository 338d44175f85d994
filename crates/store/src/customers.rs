//! Customers: the profile, and what a customer has and owes over all accounts.

use crypto::DataKey;
use domain::{
    customers::{AccountEntry, Customer, CustomerEdit, CustomerName, CustomerType, Totals},
    ids::{CustomerId, Id},
    personal::Personal,
    policy::Categories,
    preferences::Preferences,
    search::name_words,
    status::Status,
    time::Instant,
    values::{BusinessName, EmailAddress, PersonName, PhoneNumber},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Founder, Guarded, Scope, Session, Store, StoreError,
    accounts::{self, AccountRow},
    db::{Columns, Reader, Text, Tx, columns, named_columns, params, sql, statements},
    ids, preferences,
    sealed::{self, SealedRow, reveal},
    search::{self, Lookup},
};

named_columns! { CustomerType }

columns! {
    /// A customer's own columns.
    CustomerRow of "c" {
        status: Status, created_at: Instant, version: i64, sealed: Vec<u8>,
    }
}

statements! {
    FIND = {sql!("SELECT k.wrapped, " [CustomerRow] ", " [AccountRow] "
        FROM customer c
        JOIN customer_key k ON k.customer_id = c.customer_id
        LEFT JOIN account a ON a.customer_id = c.customer_id
        WHERE c.customer_id = $1
        ORDER BY a.account_id")};
    [heavy] MANY = {
        sqlite sql!("SELECT c.customer_id, k.wrapped, " [CustomerRow] ", " [AccountRow] "
            FROM customer c
            JOIN customer_key k ON k.customer_id = c.customer_id
            LEFT JOIN account a ON a.customer_id = c.customer_id
            WHERE c.customer_id IN (SELECT value FROM json_each($1))
            ORDER BY c.created_at, c.customer_id, a.account_id"),
        postgres sql!("SELECT c.customer_id, k.wrapped, " [CustomerRow] ", " [AccountRow] "
            FROM customer c
            JOIN customer_key k ON k.customer_id = c.customer_id
            LEFT JOIN account a ON a.customer_id = c.customer_id
            WHERE c.customer_id = ANY($1)
            ORDER BY c.created_at, c.customer_id, a.account_id")
    };
    INSERT_KEY = {"INSERT INTO customer_key (customer_id, wrapped, created_at) VALUES ($1, $2, $3)"};
    INSERT = {"INSERT INTO customer (customer_id, type, status, version, event_sequence, created_at, updated_at, sealed)
        VALUES ($1, $2, $3, 1, 0, $4, $4, $5)"};
    INSERT_PREFERENCE = { Text::insert("preference", preferences::COLUMNS).as_str() };
    FOUNDED = {"SELECT k.wrapped, c.status FROM customer c JOIN customer_key k ON k.customer_id = c.customer_id
        WHERE c.customer_id = $1"};
    STATUS = {"SELECT status FROM customer WHERE customer_id = $1"};
    SET_STATUS = {"UPDATE customer SET status = $2, inactive_since = $3, version = version + 1, updated_at = $4
        WHERE customer_id = $1"};
    UPDATE = {"UPDATE customer SET sealed = $2, version = version + 1, updated_at = $3 WHERE customer_id = $1"};
    DROP_LOOKUPS = {"DELETE FROM customer_lookup WHERE customer_id = $1 AND subject_id = $2"};
    ADD_LOOKUP = {"INSERT INTO customer_lookup (customer_id, subject_id, kind, key_id, hash, created_at)
        SELECT c.customer_id, CAST($2 AS bigint), CAST($3 AS text), CAST($4 AS bigint), $5, c.created_at
        FROM customer c WHERE c.customer_id = $1 ON CONFLICT DO NOTHING"};
    // Sums skip nulls and are null over nothing. One account's credit never lowers another's due amount.
    TOTALS = {"SELECT
            (SELECT count(*) FROM account a WHERE a.customer_id = c.customer_id AND a.status = 'active'),
            (SELECT count(*) FROM premise p WHERE p.customer_id = c.customer_id AND p.status = 'active'),
            (SELECT count(DISTINCT m.meter_id) FROM premise p
                JOIN premise_service_point ps ON ps.customer_id = p.customer_id AND ps.premise_id = p.premise_id
                JOIN meter m ON m.service_point_id = ps.service_point_id AND m.status = 'active'
                WHERE p.customer_id = c.customer_id AND p.status = 'active'),
            (SELECT CAST(sum(a.current_balance) AS BIGINT) FROM account a WHERE a.customer_id = c.customer_id),
            (SELECT CAST(sum(CASE WHEN a.due_amount < 0 THEN 0 ELSE a.due_amount END) AS BIGINT)
                FROM account a WHERE a.customer_id = c.customer_id),
            (SELECT min(a.next_due_date) FROM account a WHERE a.customer_id = c.customer_id AND a.due_amount > 0)
        FROM customer c WHERE c.customer_id = $1"};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CustomerSealedV1 {
    first_name: Option<String>,
    last_name: Option<String>,
    business_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

impl SealedRow for CustomerSealedV1 {
    const TABLE: &'static str = "customer";
    const VERSION: u8 = 1;
}

/// Name, e-mail and telephone; no name where the record holds that of neither kind.
type Profile = (Option<CustomerName>, Option<EmailAddress>, Option<PhoneNumber>);

impl CustomerSealedV1 {
    fn of(edit: &CustomerEdit) -> Self {
        let CustomerEdit { name, email, phone } = edit;
        let (first_name, last_name, business_name) = match name {
            CustomerName::Individual { first, last } => (Some(reveal!(first)), Some(reveal!(last)), None),
            CustomerName::Business { name } => (None, None, Some(reveal!(name))),
        };
        let (email, phone) = (email.as_ref().map(|e| reveal!(e)), phone.as_ref().map(|p| reveal!(p)));
        Self { first_name, last_name, business_name, email, phone }
    }

    fn open(self) -> Profile {
        let Self { first_name, last_name, business_name, email, phone } = self;
        let name = match (first_name, last_name, business_name) {
            (Some(first), Some(last), None) => Some(CustomerName::Individual {
                first: PersonName::from_record(first),
                last: PersonName::from_record(last),
            }),
            (None, None, Some(name)) => Some(CustomerName::Business { name: BusinessName::from_record(name) }),
            _ => None,
        };
        (name, email.map(EmailAddress::from_record), phone.map(PhoneNumber::from_record))
    }
}

/// Seals the personal columns of a customer.
pub(crate) fn seal(key: &DataKey, customer: CustomerId, edit: &CustomerEdit) -> Result<Vec<u8>, StoreError> {
    sealed::seal(key, customer, customer.get(), &CustomerSealedV1::of(edit))
}

/// Opens name, e-mail and telephone of a customer's sealed record.
pub(crate) fn open_profile(key: &DataKey, customer: CustomerId, record: &[u8]) -> Result<Profile, StoreError> {
    Ok(sealed::open::<CustomerSealedV1>(key, customer, customer.get(), record)?.open())
}

/// The look-up rows of a customer's own row.
pub(crate) fn lookups(store: &Store, edit: &CustomerEdit) -> Vec<Lookup> {
    let CustomerSealedV1 { first_name, last_name, business_name, email, phone } = CustomerSealedV1::of(edit);
    let names = [first_name, last_name, business_name].into_iter().flatten();
    let mut rows: Vec<Lookup> =
        names.flat_map(|name| search::of_words(store, search::NAME, name_words(&name))).collect();
    rows.extend(email.map(|email| search::of_email(store, &email)));
    rows.extend(phone.and_then(|phone| search::of_phone(store, &phone)));
    rows
}

/// A customer's profile with the list of accounts.
pub async fn find(session: &mut Session<'_>) -> Result<Option<Guarded<Customer>>, StoreError> {
    let rows = session.own(&FIND, params![]).await?;
    let (id, mut found) = (session.customer(), Vec::new());
    for row in rows {
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        add(&mut found, id, &*session.key(&wrapped)?, &mut row)?;
    }
    Ok(found.into_iter().next().map(|customer| session.guard(customer, CATEGORIES)))
}

/// The profiles of many customers, in the order in which they came.
pub(crate) async fn many(store: &Store, ids: Vec<i64>) -> Result<Vec<Guarded<Customer>>, StoreError> {
    let mut found = Vec::new();
    for row in store.db.read(&MANY, params![ids]).await? {
        let mut row = row.read();
        let (id, wrapped): (CustomerId, Vec<u8>) = (row.get()?, row.get()?);
        add(&mut found, id, &*store.keyring.data_key(id, &wrapped)?, &mut row)?;
    }
    Ok(found
        .into_iter()
        .map(|customer| (customer.id, customer))
        .map(|(id, c)| Guarded::new(c, id, CATEGORIES))
        .collect())
}

/// What a profile reveals.
const CATEGORIES: Categories = Categories::PROFILE.union(Categories::ACCOUNT);

/// Adds a row: a customer whom the row before was not about, or one more account of them.
fn add(found: &mut Vec<Customer>, id: CustomerId, key: &DataKey, row: &mut Reader) -> Result<(), StoreError> {
    let CustomerRow { status, created_at, version, sealed } = CustomerRow::read(row)?;
    if found.last().is_none_or(|last| last.id != id) {
        let (name, email, phone) = sealed::open::<CustomerSealedV1>(key, id, id.get(), &sealed)?.open();
        let name = name.ok_or_else(|| row.corrupt("has no name of its kind"))?;
        found.push(Customer { id, name, email, phone, status, created_at, version, accounts: Vec::new() });
    }
    if let Some(customer) = found.last_mut()
        && let Some(account) = AccountRow::read_outer(row)?
    {
        let AccountRow { account_id: account, account_number: number, status, version: _, sealed } = account;
        let nickname = accounts::open_nickname(key, id, account, &sealed)?;
        customer.accounts.push(AccountEntry { id: account, number, nickname, status });
    }
    Ok(())
}

/// A customer to be made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Name, e-mail and telephone.
    pub profile: &'a CustomerEdit,
    /// Where the customer's life begins: pending until something is approved, active where staff say so.
    pub status: Status,
    /// What else is known of them.
    pub preferences: &'a Preferences,
}

/// Makes a customer with a data key of its own; a person who makes themselves one is linked to it.
pub(crate) async fn insert(
    store: &Store,
    tx: &mut Tx,
    founder: &Founder,
    new: &New<'_>,
    now: Instant,
) -> Result<Scope, StoreError> {
    let New { profile, status, preferences } = *new;
    let id: CustomerId = ids::next(tx).await?;
    let wrapped = store.keyring.new_data_key(id, &*store.random)?;
    let key = store.keyring.data_key(id, &wrapped)?;
    tx.execute_one(&INSERT_KEY, params![id, wrapped, now]).await?;
    let row = params![id, profile.name.kind(), status, now, seal(&key, id, profile)?];
    tx.execute_one(&INSERT, row).await?;
    let mut row = params![id, 1_i64, now];
    row.extend(preferences::bind(preferences, &key, id)?);
    tx.execute_one(&INSERT_PREFERENCE, row).await?;
    let scope = founder.of(id, &key, status);
    let mut change = Change::new(Session::new(store, &scope, Some(tx)), now);
    set_lookups(&mut change, OWN_ROW, lookups(store, profile)).await?;
    if founder.is_person() {
        let who = founder.identity();
        change.link(who.issuer(), who.subject()).await?;
    }
    Ok(scope)
}

/// The right of who made this customer, or became it.
pub(crate) async fn founded(store: &Store, founder: &Founder, customer: CustomerId) -> Result<Scope, StoreError> {
    let row = store.db.read(&FOUNDED, params![customer]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
    let mut row = row.read();
    let (wrapped, status): (Vec<u8>, Status) = (row.get()?, row.get()?);
    Ok(founder.of(customer, &store.keyring.data_key(customer, &wrapped)?, status))
}

/// Stores an edit of a customer's profile, with the look-up hashes that follow from it.
pub async fn update(change: &mut Change<'_>, edit: &CustomerEdit) -> Result<(), StoreError> {
    let key = change.own_key().await?;
    let sealed = seal(&key, change.customer(), edit)?;
    let now = change.now();
    change.change_one(&UPDATE, params![sealed, now]).await?;
    let lookups = lookups(change.store, edit);
    set_lookups(change, OWN_ROW, lookups).await
}

/// Where the customer is in their life.
///
/// # Errors
/// [`StoreError::NoCustomer`] when there is none.
pub async fn status(session: &mut Session<'_>) -> Result<Status, StoreError> {
    let row = session.own(&STATUS, params![]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
    Ok(row.read().get()?)
}

/// Stores the customer's new status; `since` is when an inactive one ended.
pub async fn set_status(change: &mut Change<'_>, status: Status, since: Option<Instant>) -> Result<(), StoreError> {
    let now = change.now();
    Ok(change.change_one(&SET_STATUS, params![status, since, now]).await?)
}

/// What look-ups follow from a customer's own row, and not from a premise.
pub(crate) const OWN_ROW: i64 = 0;

/// Replaces the look-up hashes that follow from one row: the customer's own, or a premise's.
pub(crate) async fn set_lookups(change: &mut Change<'_>, subject: i64, lookups: Vec<Lookup>) -> Result<(), StoreError> {
    change.change(&DROP_LOOKUPS, params![subject]).await?;
    let key_id = change.store.keyring.lookup().id();
    for (kind, hash) in lookups {
        change.change(&ADD_LOOKUP, params![subject, kind, key_id, hash]).await?;
    }
    Ok(())
}

/// What a customer has and owes.
pub async fn totals(session: &mut Session<'_>) -> Result<Option<Guarded<Totals>>, StoreError> {
    let rows = session.own(&TOTALS, params![]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let totals = Totals {
        accounts: row.get()?,
        premises: row.get()?,
        meters: row.get()?,
        current_balance: row.get()?,
        due_amount: row.get()?,
        next_due_date: row.get()?,
    };
    Ok(Some(session.guard(totals, Categories::BALANCE | Categories::ACCOUNT)))
}
