//! What neighbouring services fetch: rows of many customers, each with the version that events carry, in the order of
//! (updatedAt, id) or by their ids. What a role may not see is not opened.
//!
//! Who asked to become a customer is nobody's business but Notifications' until it is approved: nothing else was told
//! of them. An approved enrolment has a market request, which tells it from one that never got so far.

use std::sync::Arc;

use crypto::DataKey;
use domain::{
    ids::{AccountId, CustomerId, Id, MeterId, PremiseId, ServicePointId},
    input::Named,
    integration::{Account, Customer, Meter, PostalAddress, Premise, Which},
    meters::{MeterStatus, MeterType},
    personal::Personal,
    policy::{Categories, Role},
    preferences::{AutoPay, Communication, MailingAddress, Notifications},
    premises::Address,
    readings::{Dial, Register},
    status::Status,
    time::Instant,
    values::{AccountNumber, EsiId, MeterNumber, StreetLines},
};

use crate::{
    Crowd, Guarded, Store, StoreError,
    customers::{self, CustomerRow},
    db::{Columns, Param, Reader, Row, Sql, columns, params, sql, statements},
    preferences::{self, PreferenceRow},
    premises::{self, PremiseRow, ServicePointSealedV1},
    sealed::{self, reveal},
};

columns! {
    /// What is fetched of an account.
    AccountRow of "a" { number as "account_number": AccountNumber, status: Status, version: i64 }
}

columns! {
    /// What is fetched of a meter.
    MeterRow of "m" {
        number as "meter_number": MeterNumber, kind as "type": MeterType, status: MeterStatus, registers: String,
        dials: i64, multiplier: i64, version: i64,
    }
}

/// Whether something was told of: no enrolment stands behind it that was never approved.
macro_rules! told {
    ($customer:literal, $column:literal = $id:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM enrollment e WHERE e.customer_id = ",
            $customer,
            " AND e.",
            $column,
            " = ",
            $id,
            " AND e.approved_at IS NULL)"
        )
    };
}

/// `$1` is whether also those are shown of whom nothing was told yet.
const CUSTOMERS: &str = sql!("SELECT c.updated_at, c.customer_id, k.wrapped, " [CustomerRow] ", p.version, "
    [PreferenceRow] ", " [AutoPay] ", " [Notifications] ", " [Communication] "
    FROM customer c JOIN customer_key k ON k.customer_id = c.customer_id
    JOIN preference p ON p.customer_id = c.customer_id
    WHERE ($1 OR c.status = 'active'
        OR NOT EXISTS (SELECT 1 FROM enrollment e WHERE e.customer_id = c.customer_id)
        OR (SELECT count(*) FROM account a WHERE a.customer_id = c.customer_id)
            > (SELECT count(*) FROM enrollment e WHERE e.customer_id = c.customer_id AND e.approved_at IS NULL)) AND ");
const ACCOUNT: &str = sql!("SELECT a.updated_at, a.account_id, a.customer_id, k.wrapped, " [AccountRow] ",
    q.sealed, p.premise_id, p.sealed FROM ");
/// The mailing address of its customer, and its primary premise.
const ACCOUNT_WITH: &str = sql!(" JOIN customer_key k ON k.customer_id = a.customer_id
    JOIN preference q ON q.customer_id = a.customer_id
    LEFT JOIN premise p ON p.customer_id = a.customer_id AND p.account_id = a.account_id AND p.is_primary
    WHERE " (told!("a.customer_id", "account_id" = "a.account_id")) " AND ");
const PREMISE: &str =
    sql!("SELECT p.updated_at, p.customer_id, k.wrapped, " [PremiseRow] ", s.service_point_id, s.sealed FROM ");
/// One row a service point.
const PREMISE_WITH: &str = " p JOIN customer_key k ON k.customer_id = p.customer_id
    LEFT JOIN premise_service_point ps ON ps.customer_id = p.customer_id AND ps.premise_id = p.premise_id
    LEFT JOIN service_point s ON s.service_point_id = ps.service_point_id
    ORDER BY p.updated_at, p.premise_id, s.service_point_id";
const PREMISE_TOLD: &str = told!("x.customer_id", "premise_id" = "x.premise_id");
/// Meters in use, and those removed from a place whose occupant had them: an available one is nobody's.
const METER: &str = sql!("SELECT m.updated_at, m.meter_id, p.customer_id, " [MeterRow] ", p.premise_id,
    s.service_point_id, s.sealed, p.service_start_date, p.service_end_date
    FROM meter m JOIN service_point s ON s.service_point_id = m.service_point_id
    JOIN service_point_holder h ON h.service_point_id = m.service_point_id
    JOIN premise p ON p.customer_id = h.customer_id AND p.premise_id = h.premise_id
    JOIN customer_key k ON k.customer_id = p.customer_id
    WHERE m.status <> 'available' AND (m.removed_at IS NULL OR m.removed_at > p.start_at) AND ");

statements! {
    [heavy] CUSTOMERS_BEHIND = {sql!((CUSTOMERS) "(c.updated_at, c.customer_id) > ($2, $3)
        ORDER BY c.updated_at, c.customer_id LIMIT $4")};
    [heavy] CUSTOMERS_BY_ID = {
        sqlite sql!((CUSTOMERS) "c.customer_id IN (SELECT value FROM json_each($2)) ORDER BY c.updated_at, c.customer_id"),
        postgres sql!((CUSTOMERS) "c.customer_id = ANY($2) ORDER BY c.updated_at, c.customer_id")
    };
    [heavy] ACCOUNTS_BEHIND = {sql!((ACCOUNT) "account a" (ACCOUNT_WITH) "(a.updated_at, a.account_id) > ($1, $2)
        ORDER BY a.updated_at, a.account_id LIMIT $3")};
    [heavy] ACCOUNTS_BY_ID = {
        sqlite sql!((ACCOUNT) "account_owner o JOIN account a ON a.customer_id = o.customer_id AND a.account_id = o.account_id"
            (ACCOUNT_WITH) "o.account_id IN (SELECT value FROM json_each($1)) ORDER BY a.updated_at, a.account_id"),
        postgres sql!((ACCOUNT) "account_owner o JOIN account a ON a.customer_id = o.customer_id AND a.account_id = o.account_id"
            (ACCOUNT_WITH) "o.account_id = ANY($1) ORDER BY a.updated_at, a.account_id")
    };
    // Who was erased has no key: they take no place on the page.
    [heavy] PREMISES_BEHIND = {sql!((PREMISE) "(SELECT x.* FROM premise x JOIN customer_key y ON y.customer_id = x.customer_id
        WHERE " (PREMISE_TOLD) " AND (x.updated_at, x.premise_id) > ($1, $2)
        ORDER BY x.updated_at, x.premise_id LIMIT $3)" (PREMISE_WITH))};
    [heavy] PREMISES_BY_ID = {
        sqlite sql!((PREMISE) "(SELECT x.* FROM premise_owner o
            JOIN premise x ON x.customer_id = o.customer_id AND x.premise_id = o.premise_id
            WHERE " (PREMISE_TOLD) " AND o.premise_id IN (SELECT value FROM json_each($1)))" (PREMISE_WITH)),
        postgres sql!((PREMISE) "(SELECT x.* FROM premise_owner o
            JOIN premise x ON x.customer_id = o.customer_id AND x.premise_id = o.premise_id
            WHERE " (PREMISE_TOLD) " AND o.premise_id = ANY($1))" (PREMISE_WITH))
    };
    [heavy] METERS_BEHIND = {sql!((METER) "(m.updated_at, m.meter_id) > ($1, $2) ORDER BY m.updated_at, m.meter_id LIMIT $3")};
    [heavy] METERS_BY_ID = {
        sqlite sql!((METER) "m.meter_id IN (SELECT value FROM json_each($1)) ORDER BY m.updated_at, m.meter_id"),
        postgres sql!((METER) "m.meter_id = ANY($1) ORDER BY m.updated_at, m.meter_id")
    };
}

/// One of a list, which opens once its customer's record is durable.
#[derive(Debug)]
pub struct Found<T> {
    /// Its place in the list: (updatedAt, id).
    pub position: (Instant, i64),
    /// What was found.
    pub guarded: Guarded<T>,
}

/// What neighbouring services fetch by lists.
pub trait Fetched: Sized + Send {
    /// Finds them, as far as the crowd's rule shows them.
    fn find(
        store: &Store,
        crowd: &Crowd,
        which: &Which,
    ) -> impl Future<Output = Result<Vec<Found<Self>>, StoreError>> + Send;
}

/// Runs one of a list's two statements.
async fn rows(
    store: &Store,
    [behind, by_id]: [&'static Sql; 2],
    mut params: Vec<Param>,
    which: &Which,
) -> Result<Vec<Row>, StoreError> {
    Ok(match which {
        Which::Ids(ids) => {
            params.extend(params![ids.clone()]);
            store.db.read(by_id, params).await?
        }
        Which::Behind { position: (at, id), limit } => {
            params.extend(params![*at, *id, *limit]);
            store.db.read(behind, params).await?
        }
    })
}

fn found<T>(position: (Instant, i64), customer: CustomerId, categories: Categories, value: T) -> Found<T> {
    Found { position, guarded: Guarded::new(value, customer, categories) }
}

fn key(store: &Store, customer: CustomerId, row: &mut Reader) -> Result<Arc<DataKey>, StoreError> {
    let wrapped: Vec<u8> = row.get()?;
    Ok(store.keyring.data_key(customer, &wrapped)?)
}

impl Fetched for Customer {
    async fn find(store: &Store, crowd: &Crowd, which: &Which) -> Result<Vec<Found<Self>>, StoreError> {
        // Who enrols gets mail before anything else is told of them.
        let all = crowd.role() == Some(Role::Notifications);
        let shown = crowd.rule().categories;
        let read = |row: Row| {
            let mut row = row.read();
            let (at, id): (Instant, CustomerId) = (row.get()?, row.get()?);
            let key = key(store, id, &mut row)?;
            let CustomerRow { status, created_at: _, version, sealed } = Columns::read(&mut row)?;
            let (name, email, phone) = customers::open_profile(&key, id, &sealed)?;
            let name = name.ok_or_else(|| row.corrupt("has no name of its kind"))?;
            let mut categories = Categories::PROFILE;
            let mut preferences = None;
            if shown.contains(Categories::PREFERENCE) {
                categories |= Categories::PREFERENCE;
                preferences = Some(preferences::read(&mut row, &key, id)?);
            }
            let customer = Self { id, name, email, phone, status, version, preferences };
            Ok(found((at, id.get()), id, categories, customer))
        };
        let rows = rows(store, [&CUSTOMERS_BEHIND, &CUSTOMERS_BY_ID], params![all], which).await?;
        rows.into_iter().map(read).collect()
    }
}

impl Fetched for Account {
    async fn find(store: &Store, crowd: &Crowd, which: &Which) -> Result<Vec<Found<Self>>, StoreError> {
        let to_letters = Categories::PREFERENCE | Categories::PREMISE;
        let letters = crowd.rule().categories.contains(to_letters);
        let read = |row: Row| {
            let mut row = row.read();
            let (at, id, customer): (Instant, AccountId, CustomerId) = (row.get()?, row.get()?, row.get()?);
            let key = key(store, customer, &mut row)?;
            let AccountRow { number, status, version } = Columns::read(&mut row)?;
            let mut mailing = None;
            if letters {
                let own: Vec<u8> = row.get()?;
                let premise: Option<(PremiseId, Vec<u8>)> = row.get::<Option<_>>()?.zip(row.get::<Option<_>>()?);
                let at_home = |(premise, sealed): (PremiseId, Vec<u8>)| {
                    premises::open_address(&key, customer, premise, &sealed).map(as_letter)
                };
                mailing = match preferences::open_mailing(&key, customer, &own)? {
                    MailingAddress::Own { street, city, state, zip } => {
                        Some(PostalAddress { street, city, state, zip })
                    }
                    MailingAddress::SameAsPrimaryPremise => premise.map(at_home).transpose()?,
                };
            }
            let categories = if letters { Categories::ACCOUNT | to_letters } else { Categories::ACCOUNT };
            let account = Self { id, customer, number, status, version, mailing };
            Ok(found((at, id.get()), customer, categories, account))
        };
        let rows = rows(store, [&ACCOUNTS_BEHIND, &ACCOUNTS_BY_ID], params![], which).await?;
        rows.into_iter().map(read).collect()
    }
}

/// An address as it stands on a letter: the unit is the second line.
fn as_letter(address: Address) -> PostalAddress {
    let Address { street, unit, city, state, zip } = address;
    let street = match unit {
        Some(unit) => format!("{}\n{}", reveal!(&street), reveal!(&unit)),
        None => reveal!(&street),
    };
    PostalAddress { street: StreetLines::from_record(street), city, state, zip }
}

impl Fetched for Premise {
    async fn find(store: &Store, _: &Crowd, which: &Which) -> Result<Vec<Found<Self>>, StoreError> {
        let mut premises: Vec<(Instant, Self)> = Vec::new();
        for row in rows(store, [&PREMISES_BEHIND, &PREMISES_BY_ID], params![], which).await? {
            let mut row = row.read();
            let (at, customer): (Instant, CustomerId) = (row.get()?, row.get()?);
            let key = key(store, customer, &mut row)?;
            let premise: PremiseRow = Columns::read(&mut row)?;
            if premises.last().is_none_or(|(_, last)| last.id != premise.premise_id) {
                let domain::premises::Premise {
                    id,
                    account,
                    status,
                    is_primary,
                    service_start,
                    service_end,
                    address,
                    version,
                    ..
                } = premise.open(customer, &key)?;
                let esi_ids = Vec::new();
                let premise = Self {
                    id,
                    customer,
                    account,
                    status,
                    is_primary,
                    service_start,
                    service_end,
                    address,
                    esi_ids,
                    version,
                };
                premises.push((at, premise));
            }
            if let Some((_, premise)) = premises.last_mut()
                && !row.is_null()
            {
                premise.esi_ids.push(esi_id(store, &mut row)?);
            }
        }
        let guarded = |(at, premise): (Instant, Self)| {
            found((at, premise.id.get()), premise.customer, Categories::PREMISE, premise)
        };
        Ok(premises.into_iter().map(guarded).collect())
    }
}

/// Reads a service point's id and sealed record.
fn esi_id(store: &Store, row: &mut Reader) -> Result<EsiId, StoreError> {
    let (id, sealed): (ServicePointId, Vec<u8>) = (row.get()?, row.get()?);
    let key = store.keyring.place_of(&sealed).map(Arc::as_ref);
    let place = sealed::open_place::<ServicePointSealedV1>(key, id.get(), &sealed)?;
    Ok(EsiId::from_record(place.esi_id))
}

impl Fetched for Meter {
    async fn find(store: &Store, crowd: &Crowd, which: &Which) -> Result<Vec<Found<Self>>, StoreError> {
        let place = crowd.rule().categories.contains(Categories::PREMISE);
        let read = |row: Row| {
            let mut row = row.read();
            let (at, id, customer): (Instant, MeterId, CustomerId) = (row.get()?, row.get()?, row.get()?);
            let MeterRow { number, kind, status, registers, dials, multiplier, version } = Columns::read(&mut row)?;
            let registers: Option<Vec<Register>> = registers.split(',').map(Named::named).collect();
            let registers = registers.ok_or_else(|| row.corrupt("names a register that nobody knows"))?;
            let dials = u32::try_from(dials).map_err(|_| row.corrupt("has dials that are no number"))?;
            let dial = Dial { dials, multiplier };
            let premise = row.get()?;
            let (mut esi, mut categories) = (None, Categories::METER);
            if place {
                esi = Some(esi_id(store, &mut row)?);
                categories |= Categories::PREMISE;
            } else {
                row.skip(2);
            }
            let (service_start, service_end) = (row.get()?, row.get()?);
            let meter = Self {
                id,
                customer,
                premise,
                number,
                kind,
                status,
                registers,
                dial,
                esi_id: esi,
                service_start,
                service_end,
                version,
            };
            Ok(found((at, id.get()), customer, categories, meter))
        };
        let rows = rows(store, [&METERS_BEHIND, &METERS_BY_ID], params![], which).await?;
        rows.into_iter().map(read).collect()
    }
}
