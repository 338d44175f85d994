//! What is asked of the market, and what it reported. A request holds the service points that it was about when it was
//! made: a premise that never came to service has none any more.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    ids::{AccountId, CustomerId, EnrollmentId, Id, MoveId, PremiseId, RequestId, ServicePointId},
    input::Named,
    market::{Cause, MarketRequest, MarketTransaction, Rejection, RequestKind, RequestStatus},
    personal::Personal,
    policy::Categories,
    premises::Address,
    time::LocalDate,
    values::{EsiId, RejectionCode},
};

use crate::{
    Change, Guarded, Session, Store, StoreError,
    db::{Columns, DbError, Row, columns, params, sql, statements},
    occupancies::esi_hash,
    premises::ServicePointSealedV1,
    sealed::{self, reveal},
};

columns! {
    /// A request's own columns.
    RequestRow of "r" {
        request_id: RequestId, customer_id: CustomerId, account_id: AccountId, premise_id: PremiseId,
        enrollment_id: Option<EnrollmentId>, move_id: Option<MoveId>, kind: RequestKind, status: RequestStatus,
        requested_date: LocalDate, version: i64,
    }
}

const PLACES: &str = " r
        LEFT JOIN market_request_place rp ON rp.customer_id = r.customer_id AND rp.request_id = r.request_id
        LEFT JOIN service_point s ON s.service_point_id = rp.service_point_id ";

statements! {
    INSERT = {"INSERT INTO market_request (customer_id, request_id, account_id, premise_id, enrollment_id, move_id,
            kind, status, requested_date, created_at, updated_at, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $9, 1)"};
    INSERT_PLACES = {"INSERT INTO market_request_place (customer_id, request_id, service_point_id)
        SELECT ps.customer_id, CAST($2 AS bigint), ps.service_point_id FROM premise_service_point ps
        WHERE ps.customer_id = $1 AND ps.premise_id = $3"};
    DROP_PLACES = {"DELETE FROM market_request_place WHERE customer_id = $1 AND request_id = $2"};
    FIND = {sql!("SELECT " [RequestRow] ", s.service_point_id, s.sealed FROM market_request" (PLACES)
        "WHERE r.customer_id = $1 AND r.request_id = $2 ORDER BY s.service_point_id")};
    OF_CAUSE = {sql!("SELECT " [RequestRow] ", s.service_point_id, s.sealed FROM market_request" (PLACES)
        "WHERE r.customer_id = $1 AND (r.enrollment_id = $2 OR r.move_id = $3)
            AND r.status IN ('open', 'sent', 'accepted') AND r.kind <> 'cancel'
        ORDER BY r.request_id, s.service_point_id")};
    SET = {"UPDATE market_request SET status = $3, requested_date = $4, rejection_code = $5, version = version + 1,
            updated_at = $6
        WHERE customer_id = $1 AND request_id = $2"};
    [heavy] OF_ALL = {sql!("SELECT " [RequestRow] ", s.service_point_id, s.sealed
        FROM (SELECT * FROM market_request WHERE request_id > $1 ORDER BY request_id LIMIT $2)" (PLACES)
        "ORDER BY r.request_id, s.service_point_id")};
    [heavy] OF_STATUS = {sql!("SELECT " [RequestRow] ", s.service_point_id, s.sealed
        FROM (SELECT * FROM market_request WHERE request_id > $1 AND status = $3 ORDER BY request_id LIMIT $2)"
        (PLACES) "ORDER BY r.request_id, s.service_point_id")};
    AT_PLACE = {"SELECT w.customer_id, r.request_id FROM service_point s
        JOIN service_point_wanted w ON w.service_point_id = s.service_point_id
        JOIN market_request r ON r.customer_id = w.customer_id AND r.premise_id = w.premise_id
            AND r.kind IN ('switch', 'move-in') AND r.status IN ('open', 'sent', 'accepted')
        WHERE s.esi_hash = $1 ORDER BY r.request_id DESC LIMIT 1"};
    OCCUPANT = {"SELECT h.customer_id, h.premise_id FROM service_point s
        JOIN service_point_holder h ON h.service_point_id = s.service_point_id WHERE s.esi_hash = $1"};
    KNOWN = {"SELECT content_hash FROM market_transaction WHERE transaction_id = $1"};
    RECEIVE = {"INSERT INTO market_transaction (customer_id, transaction_id, content_hash, received_at)
        VALUES ($1, $2, $3, $4) ON CONFLICT (transaction_id) DO NOTHING"};
}

const CATEGORIES: Categories = Categories::PREMISE;

/// Requests of joined rows, which repeat them for each service point.
fn collect(store: &Store, rows: Vec<Row>) -> Result<Vec<MarketRequest>, StoreError> {
    let mut found: BTreeMap<RequestId, MarketRequest> = BTreeMap::new();
    for row in rows {
        let mut row = row.read();
        let RequestRow {
            request_id: id,
            customer_id: customer,
            account_id: account,
            premise_id: premise,
            enrollment_id,
            move_id,
            kind,
            status,
            requested_date,
            version,
        } = RequestRow::read(&mut row)?;
        let (point, sealed): (Option<ServicePointId>, Option<Vec<u8>>) = (row.get()?, row.get()?);
        let cause = match (enrollment_id, move_id) {
            (Some(enrollment), None) => Cause::Enrollment(enrollment),
            (None, Some(moved)) => Cause::Move(moved),
            _ => return Err(DbError::Corrupt(format!("market_request {id}: it has not one cause")).into()),
        };
        let request = found.entry(id).or_insert_with(|| MarketRequest {
            id,
            customer,
            account,
            premise,
            cause,
            kind,
            status,
            requested_date,
            esi_ids: Vec::new(),
            version,
        });
        if let Some((point, sealed)) = point.zip(sealed) {
            let key = store.keyring.place_of(&sealed).map(Arc::as_ref);
            let place: ServicePointSealedV1 = sealed::open_place(key, point.get(), &sealed)?;
            request.esi_ids.push(EsiId::from_record(place.esi_id));
        }
    }
    Ok(found.into_values().collect())
}

/// A request.
pub async fn find(session: &mut Session<'_>, id: RequestId) -> Result<Option<Guarded<MarketRequest>>, StoreError> {
    let rows = session.own(&FIND, params![id]).await?;
    let found = collect(session.store, rows)?.into_iter().next();
    Ok(found.map(|found| session.guard(found, CATEGORIES)))
}

/// The requests that follow from something and of which something may still become.
pub async fn live(change: &mut Change<'_>, cause: Cause) -> Result<Vec<MarketRequest>, StoreError> {
    let (enrollment, moved) = parts(cause);
    let rows = change.own(&OF_CAUSE, params![enrollment, moved]).await?;
    collect(change.store, rows)
}

fn parts(cause: Cause) -> (Option<EnrollmentId>, Option<MoveId>) {
    match cause {
        Cause::Enrollment(id) => (Some(id), None),
        Cause::Move(id) => (None, Some(id)),
    }
}

/// A page of everybody's requests, after one, the oldest first.
pub async fn of_all(
    store: &Store,
    status: Option<RequestStatus>,
    after: Option<RequestId>,
    limit: i64,
) -> Result<Vec<Guarded<MarketRequest>>, StoreError> {
    let after = after.map_or(0, Id::get);
    let rows = match status {
        Some(status) => store.db.read(&OF_STATUS, params![after, limit, status]).await?,
        None => store.db.read(&OF_ALL, params![after, limit]).await?,
    };
    let guard = |request: MarketRequest| {
        let customer = request.customer;
        Guarded::new(request, customer, CATEGORIES)
    };
    Ok(collect(store, rows)?.into_iter().map(guard).collect())
}

/// Opens a request for a premise, about the service points that it has now.
pub async fn open(
    change: &mut Change<'_>,
    cause: Cause,
    kind: RequestKind,
    (account, premise): (AccountId, PremiseId),
    date: LocalDate,
) -> Result<RequestId, StoreError> {
    let (id, now): (RequestId, _) = (change.new_id().await?, change.now());
    let (enrollment, moved) = parts(cause);
    change.change_one(&INSERT, params![id, account, premise, enrollment, moved, kind, date, now]).await?;
    change.owns("request", id).await?;
    change.change(&INSERT_PLACES, params![id, premise]).await?;
    Ok(id)
}

/// A request is about other service points than before: those that its premise has now.
pub async fn relocate(change: &mut Change<'_>, request: RequestId, premise: PremiseId) -> Result<(), StoreError> {
    change.change(&DROP_PLACES, params![request]).await?;
    change.change(&INSERT_PLACES, params![request, premise]).await?;
    Ok(())
}

/// Stores what became of a request.
pub async fn set(
    change: &mut Change<'_>,
    request: RequestId,
    status: RequestStatus,
    date: LocalDate,
    code: Option<&RejectionCode>,
) -> Result<(), StoreError> {
    let now = change.now();
    Ok(change.change_one(&SET, params![request, status, date, code.cloned(), now]).await?)
}

fn pair<A: crate::db::FromCell, B: crate::db::FromCell>(rows: Vec<Row>) -> Result<Option<(A, B)>, StoreError> {
    let read = |row: Row| {
        let mut row = row.read();
        Ok((row.get()?, row.get()?))
    };
    rows.into_iter().next().map(read).transpose()
}

impl Store {
    /// The request to which the market's news of a newcomer at a place belongs, with its customer.
    pub async fn request_at(&self, esi_id: &EsiId) -> Result<Option<(CustomerId, RequestId)>, StoreError> {
        let hash = esi_hash(self, esi_id);
        pair(self.db.read(&AT_PLACE, params![hash]).await?)
    }

    /// The premise in service at a place, with its customer.
    pub async fn occupant_at(&self, esi_id: &EsiId) -> Result<Option<(CustomerId, PremiseId)>, StoreError> {
        let hash = esi_hash(self, esi_id);
        pair(self.db.read(&OCCUPANT, params![hash]).await?)
    }

    /// Whether a transaction was received before, and if so, whether with this content.
    pub async fn received(&self, transaction: &MarketTransaction) -> Result<Option<bool>, StoreError> {
        let rows = self.db.read(&KNOWN, params![transaction.transaction_id.clone()]).await?;
        let known: Option<[u8; 32]> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
        Ok(known.map(|known| known == content(self, transaction)))
    }
}

/// Notes a transaction as received, in the change that follows from it; `false` when it was received meanwhile.
pub async fn receive(change: &mut Change<'_>, transaction: &MarketTransaction) -> Result<bool, StoreError> {
    let (hash, now) = (content(change.store, transaction), change.now());
    let row = params![transaction.transaction_id.clone(), hash, now];
    Ok(change.change(&RECEIVE, row).await? > 0)
}

/// A keyed hash of everything that a transaction says: it names places.
fn content(store: &Store, transaction: &MarketTransaction) -> [u8; 32] {
    let MarketTransaction { transaction_id, kind, request_id, esi_id, effective_date, occurred_at, rejection, address } =
        transaction;
    let number = |id: Option<RequestId>| id.map_or(0, Id::get).to_be_bytes();
    let mut parts: Vec<Vec<u8>> = vec![
        transaction_id.as_str().into(),
        kind.name().into(),
        number(*request_id).into(),
        esi_id.as_ref().map(|esi_id| reveal!(esi_id)).unwrap_or_default().into(),
        effective_date.map_or(i64::MIN, LocalDate::days).to_be_bytes().into(),
        occurred_at.micros().to_be_bytes().into(),
    ];
    match rejection {
        Some(Rejection { code, message }) => {
            parts.push(code.as_str().into());
            parts.push(message.as_ref().map(|message| reveal!(message)).unwrap_or_default().into());
        }
        None => parts.push(Vec::new()),
    }
    if let Some(Address { street, unit, city, state, zip }) = address {
        let unit = unit.as_ref().map(|unit| reveal!(unit)).unwrap_or_default();
        parts.extend([reveal!(street), unit, reveal!(city), reveal!(state), reveal!(zip)].map(String::into_bytes));
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    store.keyring.lookup().tag("market-transaction", &parts)
}
