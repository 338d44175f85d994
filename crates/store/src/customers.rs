//! Customers: the profile, and what a customer has and owes over all accounts.

use crypto::DataKey;
use domain::{
    accounts::Balance,
    customers::{AccountEntry, Customer, CustomerEdit, CustomerName, Totals},
    ids::{CustomerId, Id},
    personal::Personal,
    policy::Categories,
    time::LocalDate,
    values::{AccountNumber, BusinessName, EmailAddress, PersonName, PhoneNumber, fold, fold_email, fold_phone},
};
use serde::{Deserialize, Serialize};

use crate::{
    Guarded, Session, Store, StoreError, Transaction, accounts,
    db::{DbError, params, statements},
    sealed::{self, SealedRow, reveal},
};

statements! {
    FIND = {"SELECT k.wrapped, c.type, c.status, c.created_at, c.version, c.sealed,
            a.account_id, a.account_number, a.status, a.sealed
        FROM customer c
        JOIN customer_key k ON k.customer_id = c.customer_id
        LEFT JOIN account a ON a.customer_id = c.customer_id
        WHERE c.customer_id = $1
        ORDER BY a.account_id"};
    UPDATE = {"UPDATE customer SET sealed = $2, version = version + 1, updated_at = $3 WHERE customer_id = $1"};
    DROP_LOOKUPS = {"DELETE FROM customer_lookup WHERE customer_id = $1"};
    ADD_LOOKUP = {"INSERT INTO customer_lookup (customer_id, kind, key_id, hash) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING"};
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
    ACCOUNT_TOTALS = {"SELECT a.current_balance, a.due_amount, a.past_due_amount, a.next_due_date, a.last_payment_date,
            a.last_payment_amount, a.balance_as_of,
            (SELECT count(*) FROM premise p WHERE p.customer_id = a.customer_id AND p.account_id = a.account_id
                AND p.status = 'active'),
            (SELECT count(DISTINCT m.meter_id) FROM premise p
                JOIN premise_service_point ps ON ps.customer_id = p.customer_id AND ps.premise_id = p.premise_id
                JOIN meter m ON m.service_point_id = ps.service_point_id AND m.status = 'active'
                WHERE p.customer_id = a.customer_id AND p.account_id = a.account_id AND p.status = 'active')
        FROM account a WHERE a.customer_id = $1 AND a.account_id = $2"};
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

    fn open(self) -> (Option<CustomerName>, Option<EmailAddress>, Option<PhoneNumber>) {
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

/// The look-up hashes of a customer: (kind, hash). Whole words here; the search brings its prefixes.
pub(crate) fn lookups(store: &Store, edit: &CustomerEdit) -> Vec<(&'static str, [u8; 32])> {
    let CustomerSealedV1 { first_name, last_name, business_name, email, phone } = CustomerSealedV1::of(edit);
    let key = store.keyring.lookup();
    let mut hashes = Vec::new();
    for name in [first_name, last_name, business_name].into_iter().flatten() {
        let folded = fold(&name);
        hashes.extend(folded.split(' ').map(|word| ("name", key.tag("name", &[word.as_bytes()]))));
    }
    hashes.extend(email.map(|email| ("email", key.tag("email", &[fold_email(&email).as_bytes()]))));
    let phone = phone.and_then(|phone| fold_phone(&phone));
    hashes.extend(phone.map(|phone| ("phone", key.tag("phone", &[phone.as_bytes()]))));
    hashes
}

/// A customer's profile with the list of accounts.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn find(session: &mut Session<'_>) -> Result<Option<Guarded<Customer>>, StoreError> {
    let rows = session.own(&FIND, Vec::new()).await?;
    let id = session.customer();
    let mut customer: Option<Customer> = None;
    for row in rows {
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        let key = session.key(&wrapped)?;
        row.skip(1);
        let (status, created_at, version, record) = (row.named()?, row.get()?, row.get()?, row.get::<Vec<u8>>()?);
        if customer.is_none() {
            let (name, email, phone) = sealed::open::<CustomerSealedV1>(&key, id, id.get(), &record)?.open();
            let name = name.ok_or_else(|| row.corrupt("has no name of its kind"))?;
            customer = Some(Customer { id, name, email, phone, status, created_at, version, accounts: Vec::new() });
        }
        if let Some(customer) = &mut customer
            && let Some(account) = row.optional_id()?
        {
            let (number, status) = (AccountNumber::from_record(row.get()?), row.named()?);
            let nickname = accounts::open_nickname(&key, id, account, &row.get::<Vec<u8>>()?)?;
            customer.accounts.push(AccountEntry { id: account, number, nickname, status });
        }
    }
    Ok(customer.map(|customer| Guarded::new(customer, id, Categories::PROFILE.and(Categories::ACCOUNT))))
}

/// Stores an edit of a customer's profile, with the look-up hashes that follow from it.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn update(tx: &mut Transaction<'_>, edit: &CustomerEdit) -> Result<(), StoreError> {
    let key = tx.own_key().await?;
    let sealed = seal(&key, tx.customer(), edit)?;
    let now = tx.now();
    tx.change_one(&UPDATE, params![sealed, now]).await?;
    tx.change(&DROP_LOOKUPS, Vec::new()).await?;
    let key_id = tx.store.keyring.lookup().id();
    for (kind, hash) in lookups(tx.store, edit) {
        tx.change(&ADD_LOOKUP, params![kind, key_id, hash]).await?;
    }
    Ok(())
}

/// What a customer has and owes, and the earliest date on which something is due.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn totals(session: &mut Session<'_>) -> Result<Guarded<(Totals, Option<LocalDate>)>, StoreError> {
    let rows = session.own(&TOTALS, Vec::new()).await?;
    let row = rows.into_iter().next().ok_or_else(|| DbError::Corrupt("customer: a linked row is missing".into()))?;
    let mut row = row.read();
    let totals = Totals {
        accounts: row.get()?,
        premises: row.get()?,
        meters: row.get()?,
        current_balance: row.get()?,
        due_amount: row.get()?,
    };
    let categories = Categories::BALANCE.and(Categories::ACCOUNT);
    Ok(Guarded::new((totals, row.get()?), session.customer(), categories))
}

/// What one account owes, and how many premises and meters of it are in service.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn account_totals(
    session: &mut Session<'_>,
    account: domain::ids::AccountId,
) -> Result<Option<Guarded<(Balance, i64, i64)>>, StoreError> {
    let rows = session.own(&ACCOUNT_TOTALS, params![account.get()]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let totals = (accounts::decode_balance(&mut row)?, row.get()?, row.get()?);
    Ok(Some(Guarded::new(totals, session.customer(), Categories::BALANCE.and(Categories::ACCOUNT))))
}
