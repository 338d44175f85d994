//! Premises: one account's occupancies of places, with the customer's spelling of the address sealed
//! under the customer's key, and the ESI IDs of the places under the place key.

use std::sync::Arc;

use crypto::DataKey;
use domain::{
    ids::{AccountId, CustomerId, Id, PremiseId, ServicePointId},
    personal::Personal,
    policy::Categories,
    premises::{Address, Premise, PremiseEdit, ServicePoint},
    time::{HOUR, Instant},
    values::{City, EsiId, Nickname, State, Street, Unit, Zip},
};
use serde::{Deserialize, Serialize};

use crate::{
    Guarded, Session, StoreError, Transaction,
    db::{Reader, Row, params, statements},
    meters::{self, meter_columns, meters_of_premise},
    sealed::{self, SealedRow, reveal},
};

/// The columns of a premise `p`; [`decode`] takes them apart.
macro_rules! premise_columns {
    () => {
        "p.premise_id, p.account_id, p.status, p.is_primary, p.service_start_date, p.service_end_date, p.start_at, \
         p.end_at, p.version, p.sealed"
    };
}
pub(crate) use premise_columns;

/// How many columns [`premise_columns!`] names.
pub(crate) const COLUMNS: usize = 10;

statements! {
    FIND = { concat!("SELECT k.wrapped, ", premise_columns!(), ", s.service_point_id, s.sealed, w.name, w.outage_phone, ",
        meter_columns!(), "
        FROM premise p JOIN customer_key k ON k.customer_id = p.customer_id ", meters_of_premise!(), "
        LEFT JOIN service_point s ON s.service_point_id = ps.service_point_id
        LEFT JOIN wires_company w ON w.wires_company_id = s.wires_company_id
        WHERE p.customer_id = $1 AND p.premise_id = $2 AND (p.end_at IS NULL OR p.end_at > $3)
        ORDER BY s.service_point_id, m.meter_id") };
    OF_ACCOUNT = { concat!("SELECT k.wrapped, ", premise_columns!(), ", s.service_point_id, s.sealed, w.name, w.outage_phone, ",
        meter_columns!(), "
        FROM account a
        JOIN customer_key k ON k.customer_id = a.customer_id
        LEFT JOIN (SELECT * FROM premise WHERE customer_id = $1 AND account_id = $2 AND premise_id > $3
            AND (end_at IS NULL OR end_at > $4) ORDER BY premise_id LIMIT $5) p
            ON p.customer_id = a.customer_id AND p.account_id = a.account_id ", meters_of_premise!(), "
        LEFT JOIN service_point s ON s.service_point_id = ps.service_point_id
        LEFT JOIN wires_company w ON w.wires_company_id = s.wires_company_id
        WHERE a.customer_id = $1 AND a.account_id = $2
        ORDER BY p.premise_id, s.service_point_id, m.meter_id") };
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

/// What is sealed of a place, under the place key: the market's words for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServicePointSealedV1 {
    pub(crate) esi_id: String,
    pub(crate) street: String,
    pub(crate) unit: Option<String>,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) zip: String,
}

impl SealedRow for ServicePointSealedV1 {
    const TABLE: &'static str = "service_point";
    const VERSION: u8 = 1;
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

/// Takes [`premise_columns!`] apart; `None` where the outer join found no premise.
pub(crate) fn decode(row: &mut Reader, customer: CustomerId, key: &DataKey) -> Result<Option<Premise>, StoreError> {
    let Some(id) = row.optional_id::<PremiseId>()? else {
        row.skip(COLUMNS - 1);
        return Ok(None);
    };
    let (account, status, is_primary) = (row.id()?, row.named()?, row.get()?);
    let (service_start, service_end, start_at, end_at) = (row.get()?, row.get()?, row.get()?, row.get()?);
    let (version, record): (i64, Vec<u8>) = (row.get()?, row.get()?);
    let (nickname, address) = sealed::open::<PremiseSealedV1>(key, customer, id.get(), &record)?.open();
    Ok(Some(Premise {
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
    }))
}

/// Appends a premise, or returns the one that the row before was about: joined rows repeat it.
pub(crate) fn group(premises: &mut Vec<Premise>, found: Premise) -> &mut Premise {
    let same = premises.last().is_some_and(|last| last.id == found.id);
    if !same {
        premises.push(found);
    }
    // There is a last element: it was the same, or was pushed just now.
    let last = premises.len() - 1;
    #[expect(clippy::indexing_slicing, reason = "the index of the last element of a list that has one")]
    &mut premises[last]
}

impl Session<'_> {
    /// Since when an ended occupancy must have lasted to be readable by its owner.
    pub(crate) fn readable_since(&self) -> Instant {
        self.store.clock.now().plus(-domain::accounts::READABLE_DAYS * 24 * HOUR)
    }

    fn service_point(&self, row: &mut Reader) -> Result<Option<ServicePoint>, StoreError> {
        let Some(id) = row.optional_id::<ServicePointId>()? else {
            row.skip(3);
            return Ok(None);
        };
        let record: Vec<u8> = row.get()?;
        let place = self.store.keyring.place_of(&record).map(Arc::as_ref);
        let place = sealed::open_place::<ServicePointSealedV1>(place, id.get(), &record)?;
        let esi_id = EsiId::from_record(place.esi_id);
        Ok(Some(ServicePoint { id, esi_id, wires_company: row.get()?, outage_phone: row.get()? }))
    }

    fn collect(&self, rows: Vec<Row>) -> Result<Vec<Premise>, StoreError> {
        let mut premises = Vec::new();
        for row in rows {
            let mut row = row.read();
            let wrapped: Vec<u8> = row.get()?;
            let key = self.key(&wrapped)?;
            let Some(premise) = decode(&mut row, self.customer(), &key)? else { continue };
            let premise = group(&mut premises, premise);
            if let Some(point) = self.service_point(&mut row)?
                && premise.service_points.last().is_none_or(|last| last.id != point.id)
            {
                premise.service_points.push(point);
            }
            premise.meters.extend(meters::decode(&mut row, premise.occupancy)?);
        }
        Ok(premises)
    }
}

const CATEGORIES: Categories = Categories::PREMISE.and(Categories::METER);

/// A premise with its service points and meters.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn find(session: &mut Session<'_>, premise: PremiseId) -> Result<Option<Guarded<Premise>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&FIND, params![premise.get(), cutoff]).await?;
    let premise = session.collect(rows)?.into_iter().next();
    Ok(premise.map(|premise| Guarded::new(premise, session.customer(), CATEGORIES)))
}

/// A page of an account's premises, after a premise id; `None` when the account is not the scope's.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn of_account(
    session: &mut Session<'_>,
    account: AccountId,
    after: Option<PremiseId>,
    limit: i64,
) -> Result<Option<Guarded<Vec<Premise>>>, StoreError> {
    let (cutoff, after) = (session.readable_since(), after.map_or(0, Id::get));
    let rows = session.own(&OF_ACCOUNT, params![account.get(), after, cutoff, limit]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let premises = session.collect(rows)?;
    Ok(Some(Guarded::new(premises, session.customer(), CATEGORIES)))
}

/// Stores an edit of a premise.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn update(tx: &mut Transaction<'_>, premise: PremiseId, edit: &PremiseEdit) -> Result<(), StoreError> {
    let key = tx.own_key().await?;
    let sealed = seal(&key, tx.customer(), premise, edit.nickname.as_ref(), &edit.address)?;
    let now = tx.now();
    Ok(tx.change_one(&UPDATE, params![premise.get(), sealed, now]).await?)
}

/// Moves the primary flag to a premise of the account. Returns the premises that lost it, with their versions.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn make_primary(
    tx: &mut Transaction<'_>,
    account: AccountId,
    premise: PremiseId,
) -> Result<Vec<(PremiseId, i64)>, StoreError> {
    let now = tx.now();
    let demoted = tx.own(&CLEAR_PRIMARY, params![account.get(), now]).await?;
    tx.change_one(&SET_PRIMARY, params![premise.get(), now]).await?;
    let decode = |row: Row| {
        let mut row = row.read();
        Ok((row.id()?, row.get()?))
    };
    demoted.into_iter().map(decode).collect()
}
