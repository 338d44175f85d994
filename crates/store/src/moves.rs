//! Moves, with the forwarding address and the market's words sealed under the customer's key.

use crypto::DataKey;
use domain::{
    ids::{AccountId, CustomerId, Id, MoveId, PremiseId},
    market::Rejection,
    moves::{ForwardingAddress, Move, MoveKind, MoveStatus},
    personal::Personal,
    policy::Categories,
    time::LocalDate,
    values::{City, RejectionCode, Remark, State, StreetLines, Zip},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Guarded, Session, Store, StoreError,
    db::{Columns, Reader, Row, Text, columns, params, sql, statements},
    sealed::{self, SealedRow, reveal},
};

columns! {
    /// A move's own columns.
    MoveRow of "v" {
        move_id: MoveId, account_id: AccountId, premise_id: PremiseId, kind: MoveKind, status: MoveStatus,
        date: LocalDate, confirmed: bool, by_market: bool, rejection_code: Option<RejectionCode>, version: i64,
        sealed: Vec<u8>,
    }
}

const NEW: &[(&str, &str)] = &[("customer_id", "int8"), ("created_at", "timestamptz"), ("updated_at", "timestamptz")];

statements! {
    INSERT = { Text::insert("move", &[NEW, MoveRow::COLUMNS]).as_str() };
    FIND = {sql!("SELECT k.wrapped, " [MoveRow] " FROM move v JOIN customer_key k ON k.customer_id = v.customer_id
        WHERE v.customer_id = $1 AND v.move_id = $2")};
    LIST = {sql!("SELECT k.wrapped, " [MoveRow] " FROM move v JOIN customer_key k ON k.customer_id = v.customer_id
        WHERE v.customer_id = $1 AND v.move_id > $2 ORDER BY v.move_id LIMIT $3")};
    LIVE = {sql!("SELECT k.wrapped, " [MoveRow] " FROM move v JOIN customer_key k ON k.customer_id = v.customer_id
        WHERE v.customer_id = $1 AND v.premise_id = $2 AND v.status IN ('planned', 'sent', 'accepted')
        ORDER BY v.move_id LIMIT 1")};
    OCCUPANTS = {"SELECT DISTINCT h.customer_id FROM move v
        JOIN premise_service_point ps ON ps.customer_id = v.customer_id AND ps.premise_id = v.premise_id
        JOIN service_point_holder h ON h.service_point_id = ps.service_point_id
        WHERE v.customer_id = $1 AND v.move_id = $2 AND v.kind = 'move-in'"};
    UPDATE = {"UPDATE move SET status = $3, date = $4, confirmed = $5, by_market = $6, rejection_code = $7,
            sealed = $8, version = version + 1, updated_at = $9
        WHERE customer_id = $1 AND move_id = $2"};
    [heavy] OF_ALL = {sql!("SELECT v.customer_id, k.wrapped, " [MoveRow] " FROM move v
        JOIN customer_key k ON k.customer_id = v.customer_id WHERE v.move_id > $1 ORDER BY v.move_id LIMIT $2")};
    [heavy] OF_STATUS = {sql!("SELECT v.customer_id, k.wrapped, " [MoveRow] " FROM move v
        JOIN customer_key k ON k.customer_id = v.customer_id WHERE v.move_id > $1 AND v.status = $3
        ORDER BY v.move_id LIMIT $2")};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MoveSealedV1 {
    forwarding: Option<ForwardingSealed>,
    message: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ForwardingSealed {
    street: String,
    city: String,
    state: String,
    zip: String,
}

impl SealedRow for MoveSealedV1 {
    const TABLE: &'static str = "move";
    const VERSION: u8 = 1;
}

impl MoveSealedV1 {
    fn of(forwarding: Option<&ForwardingAddress>, rejection: Option<&Rejection>) -> Self {
        let forwarding = forwarding.map(|ForwardingAddress { street, city, state, zip }| ForwardingSealed {
            street: reveal!(street),
            city: reveal!(city),
            state: reveal!(state),
            zip: reveal!(zip),
        });
        let message = rejection.and_then(|rejection| rejection.message.as_ref()).map(|message| reveal!(message));
        Self { forwarding, message }
    }

    fn open(self) -> (Option<ForwardingAddress>, Option<Remark>) {
        let Self { forwarding, message } = self;
        let forwarding = forwarding.map(|ForwardingSealed { street, city, state, zip }| ForwardingAddress {
            street: StreetLines::from_record(street),
            city: City::from_record(city),
            state: State::from_record(state),
            zip: Zip::from_record(zip),
        });
        (forwarding, message.map(Remark::from_record))
    }
}

fn decode(row: &mut Reader, customer: CustomerId, key: &DataKey) -> Result<Move, StoreError> {
    let MoveRow {
        move_id: id,
        account_id: account,
        premise_id: premise,
        kind,
        status,
        date,
        confirmed,
        by_market,
        rejection_code,
        version,
        sealed,
    } = MoveRow::read(row)?;
    let (forwarding, message) = sealed::open::<MoveSealedV1>(key, customer, id.get(), &sealed)?.open();
    let rejection = rejection_code.map(|code| Rejection { code, message });
    Ok(Move {
        id,
        customer,
        account,
        premise,
        kind,
        status,
        date,
        confirmed,
        by_market,
        rejection,
        forwarding,
        version,
    })
}

impl Session<'_> {
    fn moves(&self, rows: Vec<Row>) -> Result<Vec<Move>, StoreError> {
        let read = |row: Row| {
            let mut row = row.read();
            let wrapped: Vec<u8> = row.get()?;
            decode(&mut row, self.customer(), &*self.key(&wrapped)?)
        };
        rows.into_iter().map(read).collect()
    }
}

const CATEGORIES: Categories = Categories::PREMISE;

/// A move.
pub async fn find(session: &mut Session<'_>, id: MoveId) -> Result<Option<Guarded<Move>>, StoreError> {
    let rows = session.own(&FIND, params![id]).await?;
    let found = session.moves(rows)?.into_iter().next();
    Ok(found.map(|found| session.guard(found, CATEGORIES)))
}

/// A page of the customer's moves, after one.
pub async fn list(
    session: &mut Session<'_>,
    after: Option<MoveId>,
    limit: i64,
) -> Result<Guarded<Vec<Move>>, StoreError> {
    let rows = session.own(&LIST, params![after.map_or(0, Id::get), limit]).await?;
    let found = session.moves(rows)?;
    Ok(session.guard(found, CATEGORIES))
}

/// What is to happen to a premise, and has not taken effect.
pub async fn live(change: &mut Change<'_>, premise: PremiseId) -> Result<Option<Move>, StoreError> {
    let rows = change.own(&LIVE, params![premise]).await?;
    Ok(change.moves(rows)?.into_iter().next())
}

/// The customers who live where a move-in leads to.
pub async fn occupants(session: &mut Session<'_>, id: MoveId) -> Result<Vec<CustomerId>, StoreError> {
    let rows = session.own(&OCCUPANTS, params![id]).await?;
    Ok(rows.into_iter().map(|row| row.read().get()).collect::<Result<_, _>>()?)
}

/// A page of everybody's moves, after one, the oldest first.
pub async fn of_all(
    store: &Store,
    status: Option<MoveStatus>,
    after: Option<MoveId>,
    limit: i64,
) -> Result<Vec<Guarded<Move>>, StoreError> {
    let after = after.map_or(0, Id::get);
    let rows = match status {
        Some(status) => store.db.read(&OF_STATUS, params![after, limit, status]).await?,
        None => store.db.read(&OF_ALL, params![after, limit]).await?,
    };
    let read = |row: Row| {
        let mut row = row.read();
        let (customer, wrapped): (CustomerId, Vec<u8>) = (row.get()?, row.get()?);
        let found = decode(&mut row, customer, &*store.keyring.data_key(customer, &wrapped)?)?;
        Ok(Guarded::new(found, customer, CATEGORIES))
    };
    rows.into_iter().map(read).collect()
}

/// A move to be made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The account that pays for the premise.
    pub account: AccountId,
    /// The premise that begins or ends.
    pub premise: PremiseId,
    /// Which way.
    pub kind: MoveKind,
    /// Where its life begins.
    pub status: MoveStatus,
    /// The first local date with service, or without it.
    pub date: LocalDate,
    /// Whether somebody other than the mover decided it.
    pub confirmed: bool,
    /// Whether the market made it, unasked.
    pub by_market: bool,
    /// Where letters go afterwards.
    pub forwarding: Option<&'a ForwardingAddress>,
}

/// Makes a move.
pub async fn insert(change: &mut Change<'_>, new: New<'_>) -> Result<Move, StoreError> {
    let New { account, premise, kind, status, date, confirmed, by_market, forwarding } = new;
    let (id, now, customer): (MoveId, _, _) = (change.new_id().await?, change.now(), change.customer());
    let key = change.own_key().await?;
    let sealed = sealed::seal(&key, customer, id.get(), &MoveSealedV1::of(forwarding, None))?;
    let row = MoveRow {
        move_id: id,
        account_id: account,
        premise_id: premise,
        kind,
        status,
        date,
        confirmed,
        by_market,
        rejection_code: None,
        version: 1,
        sealed,
    };
    let mut params = params![now, now];
    params.extend(row.bind());
    change.change_one(&INSERT, params).await?;
    change.owns("move", id).await?;
    let (rejection, forwarding, version) = (None, forwarding.cloned(), 1);
    Ok(Move {
        id,
        customer,
        account,
        premise,
        kind,
        status,
        date,
        confirmed,
        by_market,
        rejection,
        forwarding,
        version,
    })
}

/// Stores a move as it has become.
pub async fn update(change: &mut Change<'_>, moved: &Move) -> Result<(), StoreError> {
    let Move { id, status, date, confirmed, by_market, rejection, forwarding, .. } = moved;
    let key = change.own_key().await?;
    let plain = MoveSealedV1::of(forwarding.as_ref(), rejection.as_ref());
    let sealed = sealed::seal(&key, change.customer(), id.get(), &plain)?;
    let (now, code) = (change.now(), rejection.as_ref().map(|rejection| rejection.code.clone()));
    Ok(change.change_one(&UPDATE, params![*id, *status, *date, *confirmed, *by_market, code, sealed, now]).await?)
}
