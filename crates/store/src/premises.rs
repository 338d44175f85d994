//! Premises: one account's occupancies of places, with the customer's spelling of the address sealed
//! under the customer's key, and the ESI IDs of the places under the place key.

use std::sync::Arc;

use crypto::DataKey;
use domain::{
    ids::{AccountId, CustomerId, Id, PremiseId, ServicePointId},
    personal::Personal,
    policy::Categories,
    premises::{Address, Premise, PremiseEdit, ServicePoint},
    search::street_words,
    status::Status,
    time::{Instant, LocalDate},
    values::{City, EsiId, Nickname, State, Street, Unit, Zip},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Guarded, Session, Store, StoreError, customers,
    db::{Columns, Row, columns, params, sql, statements},
    meters::{METERS_OF_PREMISE, MeterRow},
    sealed::{self, SealedRow, reveal},
    search::{self, Lookup},
};

columns! {
    /// A premise's own columns.
    PremiseRow of "p" {
        premise_id: PremiseId, account_id: AccountId, status: Status, is_primary: bool, service_start_date: LocalDate,
        service_end_date: Option<LocalDate>, start_at: Instant, end_at: Option<Instant>, version: i64, sealed: Vec<u8>,
    }
}

columns! {
    /// A service point's own columns.
    ServicePointRow of "s" { service_point_id: ServicePointId, sealed: Vec<u8> }
}

statements! {
    FIND = { sql!("SELECT k.wrapped, " [PremiseRow] ", " [ServicePointRow] ", w.name, w.outage_phone, " [MeterRow] "
        FROM premise p JOIN customer_key k ON k.customer_id = p.customer_id " (METERS_OF_PREMISE) "
        LEFT JOIN service_point s ON s.service_point_id = ps.service_point_id
        LEFT JOIN wires_company w ON w.wires_company_id = s.wires_company_id
        WHERE p.customer_id = $1 AND p.premise_id = $2 AND (p.end_at IS NULL OR p.end_at > $3)
        ORDER BY s.service_point_id, m.meter_id") };
    [heavy] OF_ACCOUNT = { sql!("SELECT k.wrapped, " [PremiseRow] ", " [ServicePointRow] ", w.name, w.outage_phone, " [MeterRow] "
        FROM account a
        JOIN customer_key k ON k.customer_id = a.customer_id
        LEFT JOIN (SELECT * FROM premise WHERE customer_id = $1 AND account_id = $2 AND premise_id > $3
            AND (end_at IS NULL OR end_at > $4) ORDER BY premise_id LIMIT $5) p
            ON p.customer_id = a.customer_id AND p.account_id = a.account_id " (METERS_OF_PREMISE) "
        LEFT JOIN service_point s ON s.service_point_id = ps.service_point_id
        LEFT JOIN wires_company w ON w.wires_company_id = s.wires_company_id
        WHERE a.customer_id = $1 AND a.account_id = $2
        ORDER BY p.premise_id, s.service_point_id, m.meter_id") };
    IN_SERVICE = {"SELECT count(*) FROM premise WHERE customer_id = $1 AND account_id = $2 AND status <> 'inactive'
        AND (service_end_date IS NULL OR service_end_date > $3)"};
    UPDATE = {"UPDATE premise SET sealed = $3, version = version + 1, updated_at = $4
        WHERE customer_id = $1 AND premise_id = $2"};
    // The flag leaves first: a unique index allows one primary premise an account at any moment.
    CLEAR_PRIMARY = {"UPDATE premise SET is_primary = FALSE, version = version + 1, updated_at = $3
        WHERE customer_id = $1 AND account_id = $2 AND is_primary
        RETURNING premise_id, version"};
    SET_PRIMARY = {"UPDATE premise SET is_primary = TRUE, version = version + 1, updated_at = $3
        WHERE customer_id = $1 AND premise_id = $2"};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PremiseSealedV1 {
    nickname: Option<String>,
    street: String,
    unit: Option<String>,
    city: String,
    state: String,
    zip: String,
}

impl SealedRow for PremiseSealedV1 {
    const TABLE: &'static str = "premise";
    const VERSION: u8 = 1;
}

impl PremiseSealedV1 {
    fn of(nickname: Option<&Nickname>, address: &Address) -> Self {
        let Address { street, unit, city, state, zip } = address;
        Self {
            nickname: nickname.map(|n| reveal!(n)),
            street: reveal!(street),
            unit: unit.as_ref().map(|u| reveal!(u)),
            city: reveal!(city),
            state: reveal!(state),
            zip: reveal!(zip),
        }
    }

    fn open(self) -> (Option<Nickname>, Address) {
        let Self { nickname, street, unit, city, state, zip } = self;
        let address = Address {
            street: Street::from_record(street),
            unit: unit.map(Unit::from_record),
            city: City::from_record(city),
            state: State::from_record(state),
            zip: Zip::from_record(zip),
        };
        (nickname.map(Nickname::from_record), address)
    }
}

/// What is sealed of a place, under the place key: the market's words for it, the address as far as it said one.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServicePointSealedV1 {
    pub(crate) esi_id: String,
    street: Option<String>,
    unit: Option<String>,
    city: Option<String>,
    state: Option<String>,
    zip: Option<String>,
}

impl SealedRow for ServicePointSealedV1 {
    const TABLE: &'static str = "service_point";
    const VERSION: u8 = 1;
}

impl ServicePointSealedV1 {
    /// The market's words for a place.
    pub(crate) fn of(esi_id: &EsiId, address: Option<&Address>) -> Self {
        Self {
            esi_id: reveal!(esi_id),
            street: address.map(|address| reveal!(&address.street)),
            unit: address.and_then(|address| address.unit.as_ref()).map(|unit| reveal!(unit)),
            city: address.map(|address| reveal!(&address.city)),
            state: address.map(|address| reveal!(&address.state)),
            zip: address.map(|address| reveal!(&address.zip)),
        }
    }

    /// The market's address; `None` before it said one.
    pub(crate) fn address(self) -> Option<Address> {
        let Self { esi_id: _, street, unit, city, state, zip } = self;
        Some(Address {
            street: Street::from_record(street?),
            unit: unit.map(Unit::from_record),
            city: City::from_record(city?),
            state: State::from_record(state?),
            zip: Zip::from_record(zip?),
        })
    }
}

/// Seals the personal columns of a premise.
pub(crate) fn seal(
    key: &DataKey,
    customer: CustomerId,
    premise: PremiseId,
    nickname: Option<&Nickname>,
    address: &Address,
) -> Result<Vec<u8>, StoreError> {
    sealed::seal(key, customer, premise.get(), &PremiseSealedV1::of(nickname, address))
}

/// Opens the address of a premise's sealed record.
pub(crate) fn open_address(
    key: &DataKey,
    customer: CustomerId,
    premise: PremiseId,
    record: &[u8],
) -> Result<Address, StoreError> {
    Ok(sealed::open::<PremiseSealedV1>(key, customer, premise.get(), record)?.open().1)
}

impl PremiseRow {
    /// Opens the row.
    pub(crate) fn open(self, customer: CustomerId, key: &DataKey) -> Result<Premise, StoreError> {
        let Self {
            premise_id: id,
            account_id: account,
            status,
            is_primary,
            service_start_date: service_start,
            service_end_date: service_end,
            start_at,
            end_at,
            version,
            sealed,
        } = self;
        let (nickname, address) = sealed::open::<PremiseSealedV1>(key, customer, id.get(), &sealed)?.open();
        Ok(Premise {
            id,
            customer,
            account,
            nickname,
            address,
            is_primary,
            status,
            service_start,
            service_end,
            occupancy: (start_at, end_at),
            version,
            service_points: Vec::new(),
            meters: Vec::new(),
        })
    }
}

/// Opens and appends a premise, or returns the one that the row before was about: joined rows repeat it.
pub(crate) fn group<'p>(
    premises: &'p mut Vec<Premise>,
    found: PremiseRow,
    customer: CustomerId,
    key: &DataKey,
) -> Result<&'p mut Premise, StoreError> {
    if premises.last().is_none_or(|last| last.id != found.premise_id) {
        premises.push(found.open(customer, key)?);
    }
    // There is a last element: it was the same, or was pushed just now.
    let last = premises.len() - 1;
    #[expect(clippy::indexing_slicing, reason = "the index of the last element of a list that has one")]
    Ok(&mut premises[last])
}

impl Session<'_> {
    fn collect(&self, rows: Vec<Row>) -> Result<Vec<Premise>, StoreError> {
        let (customer, mut premises) = (self.customer(), Vec::new());
        for row in rows {
            let mut row = row.read();
            let wrapped: Vec<u8> = row.get()?;
            let key = self.key(&wrapped)?;
            let Some(premise) = PremiseRow::read_outer(&mut row)? else { continue };
            let premise = group(&mut premises, premise, customer, &key)?;
            let point = ServicePointRow::read_outer(&mut row)?;
            let (company, phone): (Option<String>, Option<String>) = (row.get()?, row.get()?);
            if let Some((point, company)) = point.zip(company)
                && premise.service_points.last().is_none_or(|last| last.id != point.service_point_id)
            {
                premise.service_points.push(self.service_point(point, company, phone)?);
            }
            let meter = MeterRow::read_outer(&mut row)?.map(|meter| meter.seen_from(premise.occupancy)).transpose()?;
            premise.meters.extend(meter);
        }
        Ok(premises)
    }

    fn service_point(
        &self,
        row: ServicePointRow,
        wires_company: String,
        outage_phone: Option<String>,
    ) -> Result<ServicePoint, StoreError> {
        let ServicePointRow { service_point_id: id, sealed } = row;
        let key = self.store.keyring.place_of(&sealed).map(Arc::as_ref);
        let place = sealed::open_place::<ServicePointSealedV1>(key, id.get(), &sealed)?;
        Ok(ServicePoint { id, esi_id: EsiId::from_record(place.esi_id), wires_company, outage_phone })
    }
}

const CATEGORIES: Categories = Categories::PREMISE.union(Categories::METER);

/// A premise with its service points and meters.
pub async fn find(session: &mut Session<'_>, premise: PremiseId) -> Result<Option<Guarded<Premise>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&FIND, params![premise, cutoff]).await?;
    let premise = session.collect(rows)?.into_iter().next();
    Ok(premise.map(|premise| session.guard(premise, CATEGORIES)))
}

/// A page of an account's premises, after a premise id; `None` when the account is not the scope's.
pub async fn of_account(
    session: &mut Session<'_>,
    account: AccountId,
    after: Option<PremiseId>,
    limit: i64,
) -> Result<Option<Guarded<Vec<Premise>>>, StoreError> {
    let (cutoff, after) = (session.readable_since(), after.map_or(0, Id::get));
    let rows = session.own(&OF_ACCOUNT, params![account, after, cutoff, limit]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let premises = session.collect(rows)?;
    Ok(Some(session.guard(premises, CATEGORIES)))
}

/// How many premises of an account are, or are yet to come, in service on a date: they keep it from ending.
pub async fn in_service(change: &mut Change<'_>, account: AccountId, on: LocalDate) -> Result<i64, StoreError> {
    let rows = change.own(&IN_SERVICE, params![account, on]).await?;
    Ok(rows.into_iter().next().map(|row| row.read().get()).transpose()?.unwrap_or_default())
}

/// The look-up rows of a premise. They stand under its id, so that another address replaces them.
pub(crate) fn lookups(store: &Store, address: &Address) -> Vec<Lookup> {
    search::of_words(store, search::STREET, street_words(&reveal!(&address.street)))
}

/// Replaces the look-up rows of a premise, wherever its address is written.
pub(crate) async fn set_lookups(
    change: &mut Change<'_>,
    premise: PremiseId,
    address: &Address,
) -> Result<(), StoreError> {
    let rows = lookups(change.store, address);
    customers::set_lookups(change, premise.get(), rows).await
}

/// Stores an edit of a premise.
pub async fn update(change: &mut Change<'_>, premise: PremiseId, edit: &PremiseEdit) -> Result<(), StoreError> {
    let PremiseEdit { nickname, street, unit, city, state, zip } = edit.clone();
    let (key, address) = (change.own_key().await?, Address { street, unit, city, state, zip });
    let sealed = seal(&key, change.customer(), premise, nickname.as_ref(), &address)?;
    let now = change.now();
    change.change_one(&UPDATE, params![premise, sealed, now]).await?;
    set_lookups(change, premise, &address).await
}

/// Moves the primary flag to a premise of the account. Returns the premises that lost it, with their versions.
pub async fn make_primary(
    change: &mut Change<'_>,
    account: AccountId,
    premise: PremiseId,
) -> Result<Vec<(PremiseId, i64)>, StoreError> {
    let now = change.now();
    let demoted = change.own(&CLEAR_PRIMARY, params![account, now]).await?;
    change.change_one(&SET_PRIMARY, params![premise, now]).await?;
    Ok(demoted.into_iter().map(Row::pair).collect::<Result<_, _>>()?)
}
