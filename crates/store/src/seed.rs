//! Writing whole customers: the demonstration's data, benchmarks, tests, and imports to come.
//!
//! Nobody's request is behind it, so there is no scope: one audit record of the system says that it
//! happened and how many customers it made. What is personal is sealed by the codecs of the slices.

use domain::{
    accounts::Balance,
    customers::CustomerEdit,
    enrollments::Enrollment,
    ids::{AccountId, CustomerId, Id, MeterId, PremiseId, ReadingId, ServicePointId},
    input::Named,
    meters::{MeterStatus, MeterType},
    preferences::{PaymentMethod, Preferences},
    premises::Address,
    readings::{Dial, Quality, Register},
    status::Status,
    time::{Instant, LocalDate},
    values::{AccountNumber, EsiId, MeterNumber, Nickname, Quantity},
};

use crate::{
    Store, StoreError, accounts,
    audit::{self, ActorKind, Outcome, Record},
    db::{Columns, Param, Row, Sql, Tx, params, statements},
    enrollments, ids, links, open,
};

pub(crate) mod rows;

/// A company that owns wires.
#[derive(Debug, Clone)]
pub struct WiresCompany {
    /// Its id.
    pub id: i64,
    /// Its name, as customers know it.
    pub name: String,
    /// Where to report an outage.
    pub outage_phone: Option<String>,
}

/// A customer with everything that is theirs, every version 1 and without events.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// Its id.
    pub id: CustomerId,
    /// Name, e-mail and telephone.
    pub edit: CustomerEdit,
    /// Where the customer is in its life.
    pub status: Status,
    /// Since when inactive.
    pub inactive_since: Option<Instant>,
    /// When the customer came.
    pub created_at: Instant,
    /// Who may sign in for the customer: (issuer, subject).
    pub links: Vec<(String, String)>,
    /// The accounts.
    pub accounts: Vec<NewAccount>,
    /// The preferences.
    pub preferences: Preferences,
    /// The ways to pay, as Billing reported them.
    pub payment_methods: Vec<PaymentMethod>,
}

/// An account with its premises.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// The number on the bill, unique over all customers.
    pub number: AccountNumber,
    /// What the customer calls it.
    pub nickname: Option<Nickname>,
    /// Where it is in its life.
    pub status: Status,
    /// When it was made.
    pub created_at: Instant,
    /// What Billing last reported.
    pub balance: Balance,
    /// Its premises; one of them at most is primary.
    pub premises: Vec<NewPremise>,
}

/// A premise at service points of its own: nobody lived there before.
#[derive(Debug, Clone)]
pub struct NewPremise {
    /// Its id.
    pub id: PremiseId,
    /// What the customer calls it.
    pub nickname: Option<Nickname>,
    /// Where it is; the market's words for the service points are the same.
    pub address: Address,
    /// Whether it is the account's primary premise.
    pub is_primary: bool,
    /// Where it is in its life.
    pub status: Status,
    /// The first date of service.
    pub service_start: LocalDate,
    /// The first date without service.
    pub service_end: Option<LocalDate>,
    /// The occupancy's instants, half open: [start, end).
    pub occupancy: (Instant, Option<Instant>),
    /// When it was made.
    pub created_at: Instant,
    /// Its service points.
    pub service_points: Vec<NewServicePoint>,
}

/// A service point with its meters.
#[derive(Debug, Clone)]
pub struct NewServicePoint {
    /// Its id.
    pub id: ServicePointId,
    /// The market's id of it, unique.
    pub esi_id: EsiId,
    /// Whose wires.
    pub wires_company: i64,
    /// The meters, present and past.
    pub meters: Vec<NewMeter>,
}

/// A meter with its readings.
#[derive(Debug, Clone)]
pub struct NewMeter {
    /// Its id.
    pub id: MeterId,
    /// The number on its plate, unique per wires company.
    pub number: MeterNumber,
    /// What it measures.
    pub kind: MeterType,
    /// Where it is in its life.
    pub status: MeterStatus,
    /// Dials and multiplier.
    pub dial: Dial,
    /// The date of its installation.
    pub installed_on: LocalDate,
    /// The instant of its installation.
    pub installed_at: Instant,
    /// When it was removed.
    pub removed_at: Option<Instant>,
    /// Its readings.
    pub readings: Vec<NewReading>,
}

/// One revision of a reading.
#[derive(Debug, Clone, Copy)]
pub struct NewReading {
    /// Its id, unique.
    pub id: ReadingId,
    /// Which register.
    pub register: Register,
    /// When it was read.
    pub read_at: Instant,
    /// What the dials showed.
    pub value: Quantity,
    /// How the value came about.
    pub quality: Quality,
    /// 1 for the first value of its instant.
    pub revision: i64,
    /// Whether this is the revision in force.
    pub is_current: bool,
    /// When it was reported.
    pub reported_at: Instant,
    /// When a correction made this revision.
    pub corrected_at: Option<Instant>,
}

/// How far a register has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The meter.
    pub meter: MeterId,
    /// The register.
    pub register: Register,
    /// The instant of its newest reading.
    pub read_at: Instant,
    /// That reading's value.
    pub value: Quantity,
    /// The largest id among the readings of all meters.
    pub last_id: i64,
}

/// Rows written by one statement at most: each must end well within the statement time-out.
const AT_ONCE: usize = 10_000;

/// Writes customers whose ids, numbers and service points are new, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is written then.
pub async fn write(store: &Store, companies: &[WiresCompany], customers: &[NewCustomer]) -> Result<(), StoreError> {
    let rows = rows::of(store, customers)?;
    let mut tx = store.db.begin().await?;
    for WiresCompany { id, name, outage_phone } in companies {
        tx.execute(&COMPANY, params![*id, name.as_str(), outage_phone.clone()]).await?;
    }
    for (sql, rows) in rows.into_tables() {
        insert(&mut tx, sql, rows).await?;
    }
    pass_ids(&mut tx, customers).await?;
    finish(store, tx, format!("customers={}", customers.len())).await
}

/// What is made later gets other ids than those that were brought along.
async fn pass_ids(tx: &mut Tx, customers: &[NewCustomer]) -> Result<(), StoreError> {
    let accounts = || customers.iter().flat_map(|customer| &customer.accounts);
    let premises = || accounts().flat_map(|account| &account.premises);
    let points = || premises().flat_map(|premise| &premise.service_points);
    let meters = || points().flat_map(|point| &point.meters);
    ids::pass(tx, customers.iter().map(|customer| customer.id).max()).await?;
    ids::pass(tx, accounts().map(|account| account.id).max()).await?;
    ids::pass(tx, premises().map(|premise| premise.id).max()).await?;
    ids::pass(tx, points().map(|point| point.id).max()).await?;
    ids::pass(tx, meters().map(|meter| meter.id).max()).await?;
    Ok(ids::pass(tx, meters().flat_map(|meter| &meter.readings).map(|reading| reading.id).max()).await?)
}

async fn insert(tx: &mut Tx, sql: &'static Sql, mut rows: Vec<Vec<Param>>) -> Result<(), StoreError> {
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(AT_ONCE));
        tx.insert_many(sql, rows).await?;
        rows = rest;
    }
    Ok(())
}

/// Commits, with the record of what was written.
async fn finish(store: &Store, mut tx: Tx, detail: String) -> Result<(), StoreError> {
    let id = store.random_id()?;
    let record = Record {
        request_id: hex::encode(id),
        detail: Some(detail),
        ..Record::new(store.clock.now(), ActorKind::System, "seed", Outcome::Changed)
    };
    audit::intake::insert(&mut tx, store.keyring.audit(), id, record).await?;
    tx.commit().await?;
    store.audit.notify_intake();
    Ok(())
}

statements! {
    KEY = {"SELECT wrapped FROM customer_key WHERE customer_id = $1"};
    COMPANY = {"INSERT INTO wires_company (wires_company_id, name, outage_phone) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING"};
    PROGRESS = {"SELECT r.meter_id, r.register, r.read_at, r.value, (SELECT max(reading_id) FROM reading)
        FROM reading r
        WHERE r.is_current AND r.read_at = (SELECT max(n.read_at) FROM reading n
            WHERE n.meter_id = r.meter_id AND n.register = r.register AND n.is_current)
        ORDER BY r.meter_id, r.register"};
}

/// How far each register of the database has been read; it reads everything, for small databases.
pub async fn progress(store: &Store) -> Result<Vec<Progress>, StoreError> {
    let decode = |row: Row| {
        let mut row = row.read();
        let (meter, register) = (row.get()?, row.get()?);
        Ok(Progress { meter, register, read_at: row.get()?, value: row.get()?, last_id: row.get()? })
    };
    store.db.read(&PROGRESS, Vec::new()).await?.into_iter().map(decode).collect()
}

/// Appends readings to meters and stores newer balances, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is written then.
pub async fn append(
    store: &Store,
    readings: &[(CustomerId, MeterId, NewReading)],
    balances: &[(CustomerId, AccountId, Balance)],
) -> Result<(), StoreError> {
    let rows = readings.iter().map(|(customer, meter, reading)| rows::reading(*meter, Some(*customer), reading));
    let rows = rows.collect();
    let mut tx = store.db.begin().await?;
    insert(&mut tx, rows::readings(), rows).await?;
    ids::pass(&mut tx, readings.iter().map(|(_, _, reading)| reading.id).max()).await?;
    for (customer, account, balance) in balances {
        let mut row = params![*customer, *account];
        row.extend(balance.bind());
        tx.execute(accounts::report_one(), row).await?;
    }
    finish(store, tx, format!("readings={} balances={}", readings.len(), balances.len())).await
}

/// Writes enrolments of customers who are there, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing is written then.
pub async fn enrollments(store: &Store, list: &[Enrollment]) -> Result<(), StoreError> {
    let mut tx = store.db.begin().await?;
    for one in list {
        let key = tx.rows(&KEY, params![one.customer]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
        let key = store.keyring.data_key(one.customer, &key.read().get::<Vec<u8>>()?)?;
        let row = params![one.customer].into_iter().chain(enrollments::bind(&key, one)?).collect();
        tx.execute_one(enrollments::insert(), row).await?;
        tx.execute_one(links::own(), params![one.customer, "enrollment", one.id]).await?;
    }
    ids::pass(&mut tx, list.iter().map(|one| one.id).max()).await?;
    finish(store, tx, format!("enrollments={}", list.len())).await
}

impl Store {
    /// Marks the database as made for the demonstration, anchored at an instant.
    pub async fn mark_demo(&self, anchor: Instant) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute_one(open::mark_demo(), params![anchor]).await?;
        Ok(tx.commit().await?)
    }
}

/// Every statement of this slice.
pub(crate) static LISTS: &[&[&Sql]] = &[STATEMENTS, rows::STATEMENTS, rows::OWN];

#[cfg(test)]
mod tests;
