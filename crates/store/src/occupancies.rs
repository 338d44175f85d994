//! Occupancies: which premise is at which place, from when to when.
//!
//! A service point belongs to no customer. It is promised to one premise that is yet to come (`service_point_wanted`),
//! and in force for one that is in service (`service_point_holder`). A pending premise knows its service points, and
//! sees no meter and no reading; a premise that never came to service has none left. Service is half open, [start,
//! end): where one leaves and another comes, both have the instant of the boundary, and a reading carries the customer
//! of its instant.

use std::sync::Arc;

use domain::{
    ids::{AccountId, CustomerId, Id, PremiseId, ServicePointId, WiresCompanyId},
    premises::Address,
    time::{Instant, LocalDate},
    values::{EsiId, WiresCompanies},
};

use crate::{
    Change, Session, Store, StoreError,
    db::{DbError, Row, params, statements},
    premises::{self, ServicePointSealedV1},
    sealed::{self, reveal},
};

statements! {
    POINT = {"SELECT service_point_id FROM service_point WHERE esi_hash = $1"};
    // Whoever comes second waits for the first, and finds their row.
    NEW_POINT = {"INSERT INTO service_point (service_point_id, wires_company_id, esi_hash, version, created_at, sealed)
        VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT (esi_hash) DO NOTHING"};
    SEALED_POINT = {"SELECT sealed FROM service_point WHERE service_point_id = $1"};
    COMPANY = {"SELECT wires_company_id FROM wires_company WHERE name = $1"};
    NEW_COMPANY = {"INSERT INTO wires_company (wires_company_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING"};
    OCCUPANT = {"SELECT h.customer_id FROM service_point s
        JOIN service_point_holder h ON h.service_point_id = s.service_point_id WHERE s.esi_hash = $1"};
    INSERT = {"INSERT INTO premise (customer_id, premise_id, account_id, status, is_primary, service_start_date,
            start_at, version, created_at, updated_at, sealed)
        VALUES ($1, $2, $3, 'pending', FALSE, $4, $5, 1, $6, $6, $7)"};
    OWNER = {"INSERT INTO premise_owner (customer_id, premise_id) VALUES ($1, $2)"};
    PLACE = {"INSERT INTO premise_service_point (customer_id, premise_id, service_point_id) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING"};
    LEAVE = {"DELETE FROM premise_service_point WHERE customer_id = $1 AND premise_id = $2"};
    PLACES = {"SELECT service_point_id FROM premise_service_point WHERE customer_id = $1 AND premise_id = $2
        ORDER BY service_point_id"};
    PROMISE = {"INSERT INTO service_point_wanted (customer_id, premise_id, service_point_id) VALUES ($1, $2, $3)
        ON CONFLICT (service_point_id) DO NOTHING"};
    KEEP_PROMISE = {"DELETE FROM service_point_wanted WHERE customer_id = $1 AND premise_id = $2
        AND service_point_id = $3"};
    DROP_PROMISE = {"DELETE FROM service_point_wanted WHERE customer_id = $1 AND premise_id = $2"};
    OCCUPANTS = {"SELECT DISTINCT h.customer_id, h.premise_id FROM premise_service_point ps
        JOIN service_point_holder h ON h.service_point_id = ps.service_point_id
        WHERE ps.customer_id = $1 AND ps.premise_id = $2 ORDER BY h.customer_id, h.premise_id"};
    // Whoever was, or is, at the place at this instant or later.
    OVERLAP = {"SELECT count(*) FROM premise_service_point mine
        JOIN premise_service_point ps ON ps.service_point_id = mine.service_point_id AND ps.premise_id <> mine.premise_id
        JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
        WHERE mine.customer_id = $1 AND mine.premise_id = $2 AND p.status <> 'pending'
            AND (p.start_at >= $3 OR p.end_at > $3)"};
    BOUNDARY = {"SELECT min(r.read_at) FROM premise_service_point ps
        JOIN meter m ON m.service_point_id = ps.service_point_id
        JOIN reading r ON r.meter_id = m.meter_id AND r.is_current AND r.quality = 'actual'
            AND r.read_at >= $3 AND r.read_at < $4
        WHERE ps.customer_id = $1 AND ps.premise_id = $2"};
    HAS_PRIMARY = {"SELECT count(*) FROM premise WHERE customer_id = $1 AND account_id = $2 AND is_primary"};
    START = {"UPDATE premise SET status = 'active', is_primary = $3, service_start_date = $4, start_at = $5,
            version = version + 1, updated_at = $6
        WHERE customer_id = $1 AND premise_id = $2 AND status = 'pending' RETURNING version"};
    HOLD = {"INSERT INTO service_point_holder (customer_id, premise_id, service_point_id) VALUES ($1, $2, $3)"};
    OCCUPY = {"UPDATE meter SET status = 'active', version = version + 1, updated_at = $3
        WHERE status = 'available' AND service_point_id IN (SELECT ps.service_point_id FROM premise_service_point ps
            WHERE ps.customer_id = $1 AND ps.premise_id = $2)"};
    STAMP = {"UPDATE reading SET customer_id = $1
        WHERE read_at >= $3 AND meter_id IN (SELECT m.meter_id FROM premise_service_point ps
                JOIN meter m ON m.service_point_id = ps.service_point_id
                WHERE ps.customer_id = $1 AND ps.premise_id = $2)
            AND read_at >= (SELECT m.installed_at FROM meter m WHERE m.meter_id = reading.meter_id)"};
    END = {"UPDATE premise SET status = 'inactive', is_primary = FALSE, service_end_date = $3, end_at = $4,
            version = version + 1, updated_at = $5
        WHERE customer_id = $1 AND premise_id = $2 AND status <> 'inactive' RETURNING version"};
    RELEASE = {"DELETE FROM service_point_holder WHERE customer_id = $1 AND premise_id = $2"};
    VACATE = {"UPDATE meter SET status = 'available', version = version + 1, updated_at = $3
        WHERE status = 'active' AND service_point_id IN (SELECT ps.service_point_id FROM premise_service_point ps
            WHERE ps.customer_id = $1 AND ps.premise_id = $2)"};
    UNSTAMP = {"UPDATE reading SET customer_id = NULL
        WHERE customer_id = $1 AND read_at >= $3 AND meter_id IN (SELECT m.meter_id FROM premise_service_point ps
            JOIN meter m ON m.service_point_id = ps.service_point_id
            WHERE ps.customer_id = $1 AND ps.premise_id = $2)"};
    OLDEST = {"SELECT premise_id FROM premise WHERE customer_id = $1 AND account_id = $2 AND status = 'active'
        ORDER BY service_start_date, premise_id LIMIT 1"};
    REDATE = {"UPDATE premise SET service_start_date = $3, start_at = $4, version = version + 1, updated_at = $5
        WHERE customer_id = $1 AND premise_id = $2 AND status = 'pending'"};
    OTHERS = {"SELECT (SELECT count(*) FROM premise_service_point ps WHERE ps.service_point_id = $3
                AND NOT (ps.customer_id = $1 AND ps.premise_id = $2))
            + (SELECT count(*) FROM market_request_place rp
                JOIN market_request r ON r.customer_id = rp.customer_id AND r.request_id = rp.request_id
                WHERE rp.service_point_id = $3 AND NOT (r.customer_id = $1 AND r.premise_id = $2))"};
    TOUCH = {"UPDATE premise SET version = version + 1, updated_at = $3 WHERE customer_id = $1 AND premise_id = $2"};
    CORRECT = {"UPDATE service_point SET wires_company_id = $2, esi_hash = $3, sealed = $4, version = version + 1
        WHERE service_point_id = $1"};
    PROMOTE = {"UPDATE premise SET is_primary = TRUE, version = version + 1, updated_at = $3
        WHERE customer_id = $1 AND premise_id = $2 RETURNING version"};
}

/// The name of a wires company whose prefix the table does not know.
const NOT_KNOWN: &str = "Not known";

fn one<T>(rows: Vec<Row>, read: impl FnOnce(Row) -> Result<T, DbError>) -> Result<Option<T>, DbError> {
    rows.into_iter().next().map(read).transpose()
}

fn first<T: crate::db::FromCell>(row: Row) -> Result<T, DbError> {
    row.read().get()
}

/// The hash under which a service point is found.
pub(crate) fn esi_hash(store: &Store, esi_id: &EsiId) -> [u8; 32] {
    store.keyring.lookup().tag("esi-id", &[reveal!(esi_id).as_bytes()])
}

impl Store {
    /// The customers who live at some places now: ids alone.
    pub async fn occupants(&self, esi_ids: &[EsiId]) -> Result<Vec<CustomerId>, StoreError> {
        let mut found = Vec::new();
        for esi_id in esi_ids {
            let hash = esi_hash(self, esi_id);
            let there: Option<CustomerId> = one(self.db.read(&OCCUPANT, params![hash]).await?, first)?;
            found.extend(there);
        }
        Ok(found)
    }
}

/// The service point of an ESI ID; `None` when it is not known.
pub async fn point(change: &mut Change<'_>, esi_id: &EsiId) -> Result<Option<ServicePointId>, StoreError> {
    let hash = esi_hash(change.store, esi_id);
    Ok(one(change.tx()?.rows(&POINT, params![hash]).await?, first)?)
}

/// The service point of an ESI ID; one that is new is made. It has no address before the market says one: what a
/// customer writes of a place is theirs, and stands with their premise alone.
pub async fn named(change: &mut Change<'_>, esi_id: &EsiId) -> Result<ServicePointId, StoreError> {
    if let Some(found) = point(change, esi_id).await? {
        return Ok(found);
    }
    let hash = esi_hash(change.store, esi_id);
    let company = company(change, esi_id).await?;
    let (id, now): (ServicePointId, _) = (change.new_id().await?, change.now());
    let plain = ServicePointSealedV1::of(esi_id, None);
    let sealed = sealed::seal_place(change.store.keyring.place(), id.get(), &plain)?;
    change.tx()?.execute(&NEW_POINT, params![id, company, hash, now, sealed]).await?;
    point(change, esi_id).await?.ok_or_else(|| gone().into())
}

fn gone() -> DbError {
    DbError::Corrupt("service_point: a row is not there".into())
}

/// The company that an ESI ID's prefix names.
async fn company(change: &mut Change<'_>, esi_id: &EsiId) -> Result<WiresCompanyId, StoreError> {
    let companies = WiresCompanies::default();
    let name = companies.company(esi_id).map_or(NOT_KNOWN, |company| company.name.as_str());
    if let Some(id) = one(change.tx()?.rows(&COMPANY, params![name]).await?, first)? {
        return Ok(id);
    }
    let id: WiresCompanyId = change.new_id().await?;
    change.tx()?.execute(&NEW_COMPANY, params![id, name]).await?;
    let found = one(change.tx()?.rows(&COMPANY, params![name]).await?, first)?;
    Ok(found.ok_or_else(|| DbError::Corrupt("wires_company: a row that was made is not there".into()))?)
}

/// The market's words for a place; `None` before it said them.
pub async fn market_address(change: &mut Change<'_>, point: ServicePointId) -> Result<Option<Address>, StoreError> {
    let sealed: Vec<u8> = one(change.tx()?.rows(&SEALED_POINT, params![point]).await?, first)?.ok_or_else(gone)?;
    let key = change.store.keyring.place_of(&sealed).map(Arc::as_ref);
    Ok(sealed::open_place::<ServicePointSealedV1>(key, point.get(), &sealed)?.address())
}

/// A premise that is yet to come.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The account that is to pay for it.
    pub account: AccountId,
    /// Where it is.
    pub address: &'a Address,
    /// Its service points.
    pub points: &'a [ServicePointId],
    /// The first date of service, as far as it is known.
    pub start: LocalDate,
    /// The instant at which that date begins.
    pub start_at: Instant,
}

/// Makes a pending premise.
pub async fn add(change: &mut Change<'_>, new: New<'_>) -> Result<PremiseId, StoreError> {
    let New { account, address, points, start, start_at } = new;
    let (id, now): (PremiseId, _) = (change.new_id().await?, change.now());
    let sealed = premises::seal(&*change.own_key().await?, change.customer(), id, None, address)?;
    change.change_one(&INSERT, params![id, account, start, start_at, now, sealed]).await?;
    change.change_one(&OWNER, params![id]).await?;
    premises::set_lookups(change, id, address).await?;
    for point in points {
        place(change, id, *point).await?;
    }
    Ok(id)
}

/// Adds a service point to a premise.
pub async fn place(change: &mut Change<'_>, premise: PremiseId, point: ServicePointId) -> Result<(), StoreError> {
    change.change(&PLACE, params![premise, point]).await?;
    Ok(())
}

/// The service points of a premise.
pub async fn places(session: &mut Session<'_>, premise: PremiseId) -> Result<Vec<ServicePointId>, StoreError> {
    let rows = session.own(&PLACES, params![premise]).await?;
    Ok(rows.into_iter().map(first).collect::<Result<_, _>>()?)
}

/// Promises the service points of a pending premise to it, until its service starts or it is released; `false`, and
/// the change must not commit, when one of them is promised to somebody else.
pub async fn promise(change: &mut Change<'_>, premise: PremiseId) -> Result<bool, StoreError> {
    change.change(&DROP_PROMISE, params![premise]).await?;
    for point in places(change, premise).await? {
        if change.change(&PROMISE, params![premise, point]).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Who is at the places of a premise now: customers with their premises.
pub async fn occupants(
    session: &mut Session<'_>,
    premise: PremiseId,
) -> Result<Vec<(CustomerId, PremiseId)>, StoreError> {
    let rows = session.own(&OCCUPANTS, params![premise]).await?;
    Ok(rows.into_iter().map(Row::pair).collect::<Result<_, _>>()?)
}

/// The instant at which one leaves and another comes: that of the first actual reading of the date, or its beginning.
pub async fn boundary(
    session: &mut Session<'_>,
    premise: PremiseId,
    day: (Instant, Instant),
) -> Result<Instant, StoreError> {
    let rows = session.own(&BOUNDARY, params![premise, day.0, day.1]).await?;
    let read: Option<Option<Instant>> = one(rows, first)?;
    Ok(read.flatten().unwrap_or(day.0))
}

/// Starts the service of a pending premise whose places nobody holds any more: its version, and whether it became the
/// account's primary one. `None` when its places were not promised to it, or somebody was there later.
pub async fn start(
    change: &mut Change<'_>,
    (account, premise): (AccountId, PremiseId),
    (date, at): (LocalDate, Instant),
) -> Result<Option<(i64, bool)>, StoreError> {
    let overlap: i64 = one(change.own(&OVERLAP, params![premise, at]).await?, first)?.unwrap_or_default();
    if overlap > 0 {
        return Ok(None);
    }
    for point in places(change, premise).await? {
        if change.change(&KEEP_PROMISE, params![premise, point]).await? == 0 {
            return Ok(None);
        }
        change.change_one(&HOLD, params![premise, point]).await?;
    }
    let primaries: i64 = one(change.own(&HAS_PRIMARY, params![account]).await?, first)?.unwrap_or_default();
    let (now, primary) = (change.now(), primaries == 0);
    let version = one(change.own(&START, params![premise, primary, date, at, now]).await?, first)?;
    change.change(&OCCUPY, params![premise, now]).await?;
    change.change(&STAMP, params![premise, at]).await?;
    Ok(version.map(|version| (version, primary)))
}

/// What became of a premise whose service ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Its version.
    pub version: i64,
    /// The premise that is the account's primary one instead, with its version.
    pub promoted: Option<(PremiseId, i64)>,
}

/// Ends a premise: in service, or before it came to be. `None` when it has ended already.
pub async fn end(
    change: &mut Change<'_>,
    (account, premise): (AccountId, PremiseId),
    (date, at): (LocalDate, Instant),
    was_primary: bool,
) -> Result<Option<Ended>, StoreError> {
    let now = change.now();
    let Some(version) = one(change.own(&END, params![premise, date, at, now]).await?, first)? else { return Ok(None) };
    change.change(&DROP_PROMISE, params![premise]).await?;
    if change.change(&RELEASE, params![premise]).await? > 0 {
        change.change(&VACATE, params![premise, now]).await?;
        change.change(&UNSTAMP, params![premise, at]).await?;
    }
    let oldest: Option<PremiseId> = match was_primary {
        true => one(change.own(&OLDEST, params![account]).await?, first)?,
        false => None,
    };
    let Some(oldest) = oldest else { return Ok(Some(Ended { version, promoted: None })) };
    let promoted = one(change.own(&PROMOTE, params![oldest, now]).await?, first)?;
    Ok(Some(Ended { version, promoted: promoted.map(|version| (oldest, version)) }))
}

/// Ends a premise that never came to service: it has seen no place.
pub async fn abandon(
    change: &mut Change<'_>,
    ids: (AccountId, PremiseId),
    start: (LocalDate, Instant),
    was_primary: bool,
) -> Result<Option<Ended>, StoreError> {
    change.change(&LEAVE, params![ids.1]).await?;
    end(change, ids, start, was_primary).await
}

/// Gives a pending premise another first date of service.
pub async fn redate(
    change: &mut Change<'_>,
    premise: PremiseId,
    (date, at): (LocalDate, Instant),
) -> Result<(), StoreError> {
    let now = change.now();
    Ok(change.change_one(&REDATE, params![premise, date, at, now]).await?)
}

/// Whether a place concerns nobody but one premise: no other was ever there, and no request of another's names it.
pub async fn is_alone(change: &mut Change<'_>, premise: PremiseId, point: ServicePointId) -> Result<bool, StoreError> {
    let others: i64 = one(change.own(&OTHERS, params![premise, point]).await?, first)?.unwrap_or_default();
    Ok(others == 0)
}

/// A premise is another one than it was: its place changed.
pub async fn touch(change: &mut Change<'_>, premise: PremiseId) -> Result<(), StoreError> {
    let now = change.now();
    Ok(change.change_one(&TOUCH, params![premise, now]).await?)
}

/// Corrects the market's words for a place: its ESI ID, with the company that this names, or its address.
pub async fn correct(
    change: &mut Change<'_>,
    point: ServicePointId,
    esi_id: &EsiId,
    address: Option<&Address>,
) -> Result<(), StoreError> {
    let company = company(change, esi_id).await?;
    let hash = esi_hash(change.store, esi_id);
    let plain = ServicePointSealedV1::of(esi_id, address);
    let sealed = sealed::seal_place(change.store.keyring.place(), point.get(), &plain)?;
    change.tx()?.execute_one(&CORRECT, params![point, company, hash, sealed]).await?;
    Ok(())
}

/// Takes a pending premise to another place.
pub async fn relocate(change: &mut Change<'_>, premise: PremiseId, point: ServicePointId) -> Result<(), StoreError> {
    change.change(&DROP_PROMISE, params![premise]).await?;
    change.change(&LEAVE, params![premise]).await?;
    place(change, premise, point).await
}
