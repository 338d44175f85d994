//! The rows of whole customers, table by table in the order in which they refer to each other.

use std::sync::Arc;

use crypto::DataKey;

use super::{
    AccountId, Address, CustomerId, Dial, Id, Instant, MeterId, MeterStatus, Named, NewAccount, NewCustomer, NewMeter,
    NewPremise, NewReading, NewServicePoint, Param, PaymentMethod, PremiseId, Register, Sql, Store, StoreError, params,
    statements,
};
use crate::{
    accounts, customers,
    db::{Columns, Text},
    links, preferences,
    premises::{self, ServicePointSealedV1},
    sealed,
    search::Lookup,
};

/// Inserts of whole tables: rows one by one on SQLite, one array a column on PostgreSQL. Each column has its
/// parameter's number and PostgreSQL's type.
macro_rules! inserts {
    ($($table:ident { $name:ident: $column:ident $n:literal $type:ident $(, $more:ident $m:literal $next:ident)* })+) => {
        statements! {
            $($name = {
                sqlite concat!("INSERT INTO ", stringify!($table), " (", stringify!($column), $(", ", stringify!($more),)*
                    ") VALUES ($", $n, $(", $", $m,)* ")"),
                postgres concat!("INSERT INTO ", stringify!($table), " (", stringify!($column), $(", ", stringify!($more),)*
                    ") SELECT * FROM unnest($", $n, "::", stringify!($type), "[]",
                    $(", $", $m, "::", stringify!($next), "[]",)* ")")
            };)+
        }
    };
}

inserts! {
    customer_key { CUSTOMER_KEY: customer_id 1 int8, wrapped 2 bytea, created_at 3 timestamptz }
    customer { CUSTOMER: customer_id 1 int8, type 2 text, status 3 text, inactive_since 4 timestamptz, version 5 int8,
        event_sequence 6 int8, created_at 7 timestamptz, updated_at 8 timestamptz, sealed 9 bytea }
    customer_lookup { LOOKUP: customer_id 1 int8, subject_id 2 int8, kind 3 text, key_id 4 int8, hash 5 bytea,
        created_at 6 timestamptz }
    account { ACCOUNT: customer_id 1 int8, account_id 2 int8, account_number 3 text, status 4 text, version 5 int8,
        created_at 6 timestamptz, updated_at 7 timestamptz, sealed 8 bytea, current_balance 9 int8, due_amount 10 int8,
        past_due_amount 11 int8, next_due_date 12 date, last_payment_date 13 date, last_payment_amount 14 int8,
        balance_as_of 15 timestamptz }
    account_owner { ACCOUNT_OWNER: account_id 1 int8, customer_id 2 int8 }
    premise_owner { PREMISE_OWNER: premise_id 1 int8, customer_id 2 int8 }
    account_number { ACCOUNT_NUMBER: account_number 1 text, customer_id 2 int8, account_id 3 int8 }
    service_point { SERVICE_POINT: service_point_id 1 int8, wires_company_id 2 int8, esi_hash 3 bytea, version 4 int8,
        created_at 5 timestamptz, sealed 6 bytea }
    meter { METER: meter_id 1 int8, service_point_id 2 int8, wires_company_id 3 int8, meter_number 4 text, type 5 text,
        status 6 text, multiplier 7 int8, dials 8 int8, installed_on 9 date, installed_at 10 timestamptz,
        removed_at 11 timestamptz, version 12 int8, registers 13 text, created_at 14 timestamptz,
        updated_at 15 timestamptz }
    premise { PREMISE: customer_id 1 int8, premise_id 2 int8, account_id 3 int8, status 4 text, is_primary 5 bool,
        service_start_date 6 date, service_end_date 7 date, start_at 8 timestamptz, end_at 9 timestamptz, version 10 int8,
        created_at 11 timestamptz, updated_at 12 timestamptz, sealed 13 bytea }
    premise_service_point { AT_PREMISE: customer_id 1 int8, premise_id 2 int8, service_point_id 3 int8 }
    service_point_holder { HOLDER: service_point_id 1 int8, customer_id 2 int8, premise_id 3 int8 }
    reading { READING: meter_id 1 int8, register 2 text, read_at 3 timestamptz, revision 4 int8, reading_id 5 int8,
        customer_id 6 int8, value 7 int8, quality 8 text, is_current 9 bool, reported_at 10 timestamptz,
        corrected_at 11 timestamptz }
    payment_method { PAYMENT_METHOD: customer_id 1 int8, row_id 2 int8, payment_method_id 3 text, expires 4 text,
        reported_at 5 timestamptz, sealed 6 bytea }
}

const ONE_PREFERENCE: Text = Text::insert("preference", preferences::COLUMNS);
const MANY_PREFERENCES: Text = Text::insert_arrays("preference", preferences::COLUMNS);

// An identity's id comes from the sequence, or from the rows that are there.
static LINK: Sql = Sql::new(
    "LINK",
    "INSERT INTO identity_link (issuer, subject_hash, customer_id, created_at, identity_id)
        VALUES ($1, $2, $3, $4, (SELECT coalesce(max(identity_id), 0) + 1 FROM identity_link))",
    "INSERT INTO identity_link (issuer, subject_hash, customer_id, created_at, identity_id)
        SELECT l.*, nextval('identity_id_sequence')
        FROM unnest($1::text[], $2::bytea[], $3::int8[], $4::timestamptz[]) AS l",
    false,
);
static PREFERENCE: Sql = Sql::new("PREFERENCE", ONE_PREFERENCE.as_str(), MANY_PREFERENCES.as_str(), false);
pub(super) static OWN: &[&Sql] = &[&LINK, &PREFERENCE];

/// The insert of readings, which also come alone.
pub(crate) fn readings() -> &'static Sql {
    &READING
}

type Table = Vec<Vec<Param>>;

/// The rows by table.
#[derive(Default)]
pub(super) struct Rows {
    keys: Table,
    customers: Table,
    lookups: Table,
    links: Table,
    accounts: Table,
    owners: Table,
    numbers: Table,
    service_points: Table,
    meters: Table,
    premises: Table,
    premise_owners: Table,
    at_premises: Table,
    holders: Table,
    readings: Table,
    preferences: Table,
    payment_methods: Table,
}

impl Rows {
    /// The tables, each after those that it refers to.
    pub(super) fn into_tables(self) -> [(&'static Sql, Table); 16] {
        let Self {
            keys,
            customers,
            lookups,
            links,
            accounts,
            owners,
            numbers,
            service_points,
            meters,
            premises,
            premise_owners,
            at_premises,
            holders,
            readings,
            preferences,
            payment_methods,
        } = self;
        [
            (&CUSTOMER_KEY, keys),
            (&CUSTOMER, customers),
            (&LOOKUP, lookups),
            (&LINK, links),
            (&ACCOUNT, accounts),
            (&ACCOUNT_OWNER, owners),
            (&ACCOUNT_NUMBER, numbers),
            (&SERVICE_POINT, service_points),
            (&METER, meters),
            (&PREMISE, premises),
            (&PREMISE_OWNER, premise_owners),
            (&AT_PREMISE, at_premises),
            (&HOLDER, holders),
            (&READING, readings),
            (&PREFERENCE, preferences),
            (&PAYMENT_METHOD, payment_methods),
        ]
    }
}

/// Whose row is being made.
struct Owner<'a> {
    store: &'a Store,
    id: CustomerId,
    key: Arc<DataKey>,
    /// When the customer came: look-up rows carry it.
    created_at: Instant,
}

/// Makes the rows of some customers, each under a data key of its own.
pub(super) fn of(store: &Store, list: &[NewCustomer]) -> Result<Rows, StoreError> {
    let mut rows = Rows::default();
    for customer in list {
        rows.customer(store, customer)?;
    }
    Ok(rows)
}

impl Rows {
    fn customer(&mut self, store: &Store, customer: &NewCustomer) -> Result<(), StoreError> {
        let NewCustomer { id, edit, status, inactive_since, created_at, links, accounts, preferences, payment_methods } =
            customer;
        let (id, created_at, number) = (*id, *created_at, id.get());
        let wrapped = store.keyring.new_data_key(id, &*store.random)?;
        let owner = Owner { store, id, key: store.keyring.data_key(id, &wrapped)?, created_at };
        self.keys.push(params![number, wrapped, created_at]);
        let kind = edit.name.kind();
        let sealed = customers::seal(&owner.key, id, edit)?;
        let (since, name) = (*inactive_since, status.name());
        self.customers.push(params![number, kind, name, since, 1_i64, 0_i64, created_at, created_at, sealed]);
        self.look_up(&owner, customers::OWN_ROW, customers::lookups(store, edit));
        for (issuer, subject) in links {
            let hash = links::subject_hash(store, issuer, subject);
            self.links.push(params![issuer.as_str(), hash, number, created_at]);
        }
        let mut row = params![number, 1_i64, created_at];
        row.extend(preferences::bind(preferences, &owner.key, id)?);
        self.preferences.push(row);
        for (row_id, PaymentMethod { id: method, label, expires }) in (1_i64..).zip(payment_methods) {
            let sealed = preferences::seal_label(&owner.key, id, row_id, label)?;
            self.payment_methods.push(params![number, row_id, method.as_str(), expires.clone(), created_at, sealed]);
        }
        accounts.iter().try_for_each(|account| self.account(&owner, account))
    }

    fn look_up(&mut self, owner: &Owner<'_>, subject: i64, mut lookups: Vec<Lookup>) {
        // A person may be called one word twice; the array insert has no ON CONFLICT.
        lookups.sort_unstable();
        lookups.dedup();
        let key_id = owner.store.keyring.lookup().id();
        let row = |(kind, hash)| params![owner.id, subject, kind, key_id, hash, owner.created_at];
        self.lookups.extend(lookups.into_iter().map(row));
    }

    fn account(&mut self, owner: &Owner<'_>, account: &NewAccount) -> Result<(), StoreError> {
        let NewAccount { id, number, nickname, status, created_at, balance, premises } = account;
        let sealed = accounts::seal(&owner.key, owner.id, *id, nickname.as_ref())?;
        let (customer, created_at) = (owner.id.get(), *created_at);
        let mut row =
            params![customer, id.get(), number.as_str(), status.name(), 1_i64, created_at, created_at, sealed];
        row.extend(balance.bind());
        self.accounts.push(row);
        self.owners.push(params![*id, customer]);
        self.numbers.push(params![number.as_str(), customer, id.get()]);
        premises.iter().try_for_each(|premise| self.premise(owner, *id, premise))
    }

    fn premise(&mut self, owner: &Owner<'_>, account: AccountId, premise: &NewPremise) -> Result<(), StoreError> {
        let NewPremise {
            id,
            nickname,
            address,
            is_primary,
            status,
            service_start,
            service_end,
            occupancy: (start, end),
            created_at,
            service_points,
        } = premise;
        let sealed = premises::seal(&owner.key, owner.id, *id, nickname.as_ref(), address)?;
        self.premises.push(params![
            owner.id.get(),
            id.get(),
            account.get(),
            status.name(),
            *is_primary,
            *service_start,
            *service_end,
            *start,
            *end,
            1_i64,
            *created_at,
            *created_at,
            sealed
        ]);
        self.premise_owners.push(params![*id, owner.id]);
        self.look_up(owner, id.get(), premises::lookups(owner.store, address));
        service_points.iter().try_for_each(|point| self.service_point(owner, (*id, address), (*start, *end), point))
    }

    fn service_point(
        &mut self,
        owner: &Owner<'_>,
        (premise, address): (PremiseId, &Address),
        (start, end): (Instant, Option<Instant>),
        point: &NewServicePoint,
    ) -> Result<(), StoreError> {
        let NewServicePoint { id, esi_id, wires_company, meters } = point;
        let keyring = &owner.store.keyring;
        let plain = ServicePointSealedV1::of(esi_id, Some(address));
        let hash = keyring.lookup().tag("esi-id", &[plain.esi_id.as_bytes()]);
        let sealed = sealed::seal_place(keyring.place(), id.get(), &plain)?;
        self.service_points.push(params![id.get(), *wires_company, hash, 1_i64, start, sealed]);
        self.at_premises.push(params![owner.id.get(), premise.get(), id.get()]);
        if end.is_none() {
            self.holders.push(params![id.get(), owner.id.get(), premise.get()]);
        }
        for meter in meters {
            let NewMeter { id: meter_id, number, kind, status, dial, installed_on, installed_at, removed_at, readings } =
                meter;
            let Dial { dials, multiplier } = *dial;
            debug_assert!(*status != MeterStatus::Available || end.is_some(), "an available meter has no occupant");
            self.meters.push(params![
                meter_id.get(),
                id.get(),
                *wires_company,
                number.as_str(),
                kind.name(),
                status.name(),
                multiplier,
                dials,
                *installed_on,
                *installed_at,
                *removed_at,
                1_i64,
                registers(readings),
                *installed_at,
                *installed_at
            ]);
            // A reading carries the customer of its instant; the boundaries are shared.
            let of = |at: Instant| (start <= at && end.is_none_or(|end| at <= end)).then_some(owner.id);
            self.readings.extend(readings.iter().map(|r| reading(*meter_id, of(r.read_at), r)));
        }
        Ok(())
    }
}

/// The registers that a meter counts: generation where a reading says so.
fn registers(readings: &[NewReading]) -> &'static str {
    let received = readings.iter().any(|reading| reading.register == Register::Received);
    if received { "delivered,received" } else { "delivered" }
}

/// A reading's row.
pub(crate) fn reading(meter: MeterId, customer: Option<CustomerId>, reading: &NewReading) -> Vec<Param> {
    let NewReading { id, register, read_at, value, quality, revision, is_current, reported_at, corrected_at } =
        *reading;
    params![
        meter.get(),
        register.name(),
        read_at,
        revision,
        id.get(),
        customer.map(Id::get),
        value,
        quality.name(),
        is_current,
        reported_at,
        corrected_at
    ]
}
