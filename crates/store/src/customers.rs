//! Customers: the profile, and what a customer has and owes over all accounts.

use crypto::DataKey;
use domain::{
    customers::{AccountEntry, Customer, CustomerEdit, CustomerName, Totals},
    ids::{CustomerId, Id},
    personal::Personal,
    policy::Categories,
    status::Status,
    time::Instant,
    values::{BusinessName, EmailAddress, PersonName, PhoneNumber, fold, fold_email, fold_phone},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Guarded, Session, Store, StoreError,
    accounts::{self, AccountRow},
    db::{Columns, columns, params, sql, statements},
    sealed::{self, SealedRow, reveal},
};

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
pub async fn find(session: &mut Session<'_>) -> Result<Option<Guarded<Customer>>, StoreError> {
    let rows = session.own(&FIND, params![]).await?;
    let id = session.customer();
    let mut customer: Option<Customer> = None;
    for row in rows {
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        let key = session.key(&wrapped)?;
        let CustomerRow { status, created_at, version, sealed } = CustomerRow::read(&mut row)?;
        if customer.is_none() {
            let (name, email, phone) = sealed::open::<CustomerSealedV1>(&key, id, id.get(), &sealed)?.open();
            let name = name.ok_or_else(|| row.corrupt("has no name of its kind"))?;
            customer = Some(Customer { id, name, email, phone, status, created_at, version, accounts: Vec::new() });
        }
        if let Some(customer) = &mut customer
            && let Some(account) = AccountRow::read_outer(&mut row)?
        {
            let AccountRow { account_id: account, account_number: number, status, version: _, sealed } = account;
            let nickname = accounts::open_nickname(&key, id, account, &sealed)?;
            customer.accounts.push(AccountEntry { id: account, number, nickname, status });
        }
    }
    Ok(customer.map(|customer| session.guard(customer, Categories::PROFILE | Categories::ACCOUNT)))
}

/// Stores an edit of a customer's profile, with the look-up hashes that follow from it.
pub async fn update(change: &mut Change<'_>, edit: &CustomerEdit) -> Result<(), StoreError> {
    let key = change.own_key().await?;
    let sealed = seal(&key, change.customer(), edit)?;
    let now = change.now();
    change.change_one(&UPDATE, params![sealed, now]).await?;
    change.change(&DROP_LOOKUPS, params![]).await?;
    let key_id = change.store.keyring.lookup().id();
    for (kind, hash) in lookups(change.store, edit) {
        change.change(&ADD_LOOKUP, params![kind, key_id, hash]).await?;
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
