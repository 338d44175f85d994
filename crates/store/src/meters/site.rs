//! Work at places: meters are registered, installed, removed and exchanged. The same for a change of the customer who
//! lives there and for a batch, where nobody does: [`Site`] is the transaction of either.
//!
//! A meter's row is locked before anything is decided about it. Of two exchanges of one meter, or of an exchange and a
//! chunk of readings, one comes first, and the other sees what it did.

use domain::{
    ids::{CustomerId, MeterId, PremiseId, ServicePointId},
    input::Named,
    meters::{MeterStatus, MeterType, Plate, RegisterValue, Registers},
    readings::{Dial, Quality, ReadingReport},
    time::{Instant, LocalDate},
    values::{EsiId, MeterNumber},
};

use crate::{
    Batch, Change, DbError, Session, Store, StoreError,
    db::{Columns, Reader, Row, Tx, columns, params, sql, statements},
    ids,
    occupancies::esi_hash,
    readings::{Received, Taken, parked, take},
};

columns! {
    /// A meter's columns, wherever it is.
    AnyRow of "m" {
        meter_id: MeterId, meter_number: MeterNumber, kind as "type": MeterType, status: MeterStatus, multiplier: i64,
        dials: i64, registers: Registers, service_point_id: Option<ServicePointId>, installed_on: Option<LocalDate>,
        installed_at: Option<Instant>, removed_at: Option<Instant>, version: i64, wires_company_id: i64,
        created_at: Instant,
    }
}

statements! {
    ANY = { sql!("SELECT " [AnyRow] ", w.name, w.outage_phone, h.customer_id, h.premise_id FROM meter m
        JOIN wires_company w ON w.wires_company_id = m.wires_company_id
        LEFT JOIN service_point_holder h ON h.service_point_id = m.service_point_id WHERE m.meter_id = $1") };
    LOCK = {
        sqlite "SELECT meter_id FROM meter WHERE meter_id = $1",
        postgres "SELECT meter_id FROM meter WHERE meter_id = $1 FOR UPDATE"
    };
    COMPANY = {"SELECT wires_company_id FROM wires_company WHERE name = $1 ORDER BY wires_company_id LIMIT 1"};
    REGISTER = {"INSERT INTO meter (meter_id, wires_company_id, meter_number, type, status, multiplier, dials, registers,
        version, created_at, updated_at) VALUES ($1, $2, $3, $4, 'available', $5, $6, $7, 1, $8, $8)
        ON CONFLICT DO NOTHING"};
    INSTALL = {"UPDATE meter SET service_point_id = $2, status = $3, installed_on = $4, installed_at = $5,
        version = version + 1, updated_at = $6 WHERE meter_id = $1 AND service_point_id IS NULL RETURNING version"};
    REMOVE = {"UPDATE meter SET status = 'inactive', removed_at = $2, version = version + 1, updated_at = $3
        WHERE meter_id = $1 AND removed_at IS NULL AND service_point_id IS NOT NULL RETURNING version"};
    LATER = {"SELECT count(*) FROM reading WHERE meter_id = $1 AND is_current AND read_at > $2"};
    POINT_OF = {"SELECT s.service_point_id, s.wires_company_id FROM premise_service_point ps
        JOIN service_point s ON s.service_point_id = ps.service_point_id
        WHERE ps.customer_id = $1 AND ps.premise_id = $2 AND s.esi_hash = $3"};
    HASH_OF = {"SELECT esi_hash FROM service_point WHERE service_point_id = $1"};
}

/// A meter, wherever it is: what belongs to no customer.
#[derive(Debug, Clone)]
pub struct AnyMeter {
    /// Its id.
    pub id: MeterId,
    /// The number on its plate.
    pub number: MeterNumber,
    /// What it measures.
    pub kind: MeterType,
    /// Where it is in its life.
    pub status: MeterStatus,
    /// Dials and multiplier.
    pub dial: Dial,
    /// Its registers.
    pub registers: Registers,
    /// Where it is, or was.
    pub service_point: Option<ServicePointId>,
    /// The date of its installation.
    pub installed_on: Option<LocalDate>,
    /// The instant of its installation.
    pub installed_at: Option<Instant>,
    /// When it was removed.
    pub removed_at: Option<Instant>,
    /// Counts the changes of its row.
    pub version: i64,
    /// Whose wires.
    pub company: (i64, String, Option<String>),
    /// When it was registered.
    pub registered_at: Instant,
    /// Who lives there.
    pub holder: Option<(CustomerId, PremiseId)>,
}

fn decode(row: Row) -> Result<AnyMeter, DbError> {
    let mut row: Reader = row.read();
    let AnyRow {
        meter_id: id,
        meter_number: number,
        kind,
        status,
        multiplier,
        dials,
        registers,
        service_point_id: service_point,
        installed_on,
        installed_at,
        removed_at,
        version,
        wires_company_id,
        created_at: registered_at,
    } = AnyRow::read(&mut row)?;
    let dials = u32::try_from(dials).map_err(|_| row.corrupt("is no number of dials"))?;
    let company = (wires_company_id, row.get()?, row.get()?);
    let holder: (Option<CustomerId>, Option<PremiseId>) = (row.get()?, row.get()?);
    Ok(AnyMeter {
        id,
        number,
        kind,
        status,
        dial: Dial { dials, multiplier },
        registers,
        service_point,
        installed_on,
        installed_at,
        removed_at,
        version,
        company,
        registered_at,
        holder: holder.0.zip(holder.1),
    })
}

impl Store {
    /// A meter, wherever it is.
    pub async fn any_meter(&self, meter: MeterId) -> Result<Option<AnyMeter>, StoreError> {
        Ok(self.db.read(&ANY, params![meter]).await?.into_iter().next().map(decode).transpose()?)
    }
}

/// The service point of a premise with an ESI ID, and whose wires it is at.
pub async fn point_of(
    session: &mut Session<'_>,
    premise: PremiseId,
    esi_id: &EsiId,
) -> Result<Option<(ServicePointId, i64)>, StoreError> {
    let hash = esi_hash(session.store, esi_id);
    let rows = session.own(&POINT_OF, params![premise, hash]).await?;
    let read = |row: Row| {
        let mut row = row.read();
        Ok::<_, DbError>((row.get()?, row.get()?))
    };
    Ok(rows.into_iter().next().map(read).transpose()?)
}

/// The transaction in which something is done at a place.
pub struct Site<'t> {
    store: &'t Store,
    tx: &'t mut Tx,
    now: Instant,
}

impl std::fmt::Debug for Site<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Change<'_> {
    /// The change, for what is done at a place.
    pub fn site(&mut self) -> Result<Site<'_>, StoreError> {
        let (store, now) = (self.store, self.now());
        Ok(Site { store, tx: self.tx()?, now })
    }
}

impl Batch<'_> {
    /// The batch, for what is done at a place.
    pub fn site(&mut self) -> Site<'_> {
        let now = self.now();
        self.changed();
        let (store, tx) = self.parts();
        Site { store, tx, now }
    }
}

impl Site<'_> {
    /// The instant of the transaction.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Locks a meter, and reads it.
    pub async fn meter(&mut self, meter: MeterId) -> Result<Option<AnyMeter>, StoreError> {
        self.tx.rows(&LOCK, params![meter]).await?;
        Ok(self.tx.rows(&ANY, params![meter]).await?.into_iter().next().map(decode).transpose()?)
    }

    /// The id of a wires company by its name.
    pub async fn company(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let rows = self.tx.rows(&COMPANY, params![name]).await?;
        Ok(rows.into_iter().next().map(|row| row.read().get()).transpose()?)
    }

    /// Registers a meter; `None` when the company has one of this number.
    pub async fn register(&mut self, company: i64, plate: Plate<'_>) -> Result<Option<MeterId>, StoreError> {
        let Plate { number, kind, dial, registers } = plate;
        let (id, now): (MeterId, _) = (ids::next(self.tx).await?, self.now);
        let Dial { dials, multiplier } = dial;
        let row = params![id, company, number.as_str(), kind.name(), multiplier, dials, registers.name(), now];
        Ok((self.tx.execute(&REGISTER, row).await? == 1).then_some(id))
    }

    /// Installs a meter, and takes in what waited for it: its version. `None` when it was installed before.
    pub async fn install(
        &mut self,
        meter: &AnyMeter,
        point: ServicePointId,
        occupied: bool,
        (date, at): (LocalDate, Instant),
    ) -> Result<Option<i64>, StoreError> {
        let status = if occupied { MeterStatus::Active } else { MeterStatus::Available };
        let row = params![meter.id, point, status, date, at, self.now];
        let Some(row) = self.tx.rows(&INSTALL, row).await?.into_iter().next() else { return Ok(None) };
        let version = row.read().get()?;
        let hash = self.tx.rows(&HASH_OF, params![point]).await?;
        let hash: Option<Vec<u8>> = hash.into_iter().next().map(|row| row.read().get()).transpose()?;
        let waits = parked::Waits { meter: meter.id, number: &meter.number, registered: meter.registered_at };
        parked::take_parked(self.store, self.tx, self.now, &waits, &hash.unwrap_or_default()).await?;
        Ok(Some(version))
    }

    /// Removes a meter: its version. `None` when it is installed nowhere.
    pub async fn remove(&mut self, meter: MeterId, at: Instant) -> Result<Option<i64>, StoreError> {
        let rows = self.tx.rows(&REMOVE, params![meter, at, self.now]).await?;
        Ok(rows.into_iter().next().map(|row| row.read().get()).transpose()?)
    }

    /// Whether a meter has readings after an instant.
    pub async fn read_later(&mut self, meter: MeterId, at: Instant) -> Result<bool, StoreError> {
        let rows = self.tx.rows(&LATER, params![meter, at]).await?;
        let later: Option<i64> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
        Ok(later.is_some_and(|later| later > 0))
    }

    /// Stores what somebody read at the meter: what became of each value.
    pub async fn read(
        &mut self,
        meter: MeterId,
        at: Instant,
        values: &[RegisterValue],
        quality: Quality,
    ) -> Result<Vec<Received>, StoreError> {
        let report = |&RegisterValue { register, value }: &RegisterValue| ReadingReport {
            meter_id: Some(meter),
            esi_id: None,
            meter_number: None,
            register,
            read_at: at,
            value,
            quality,
            reported_at: self.now,
        };
        let reports: Vec<ReadingReport> = values.iter().map(report).collect();
        let Taken { received, .. } = take(self.store, self.tx, self.now, &reports).await?;
        Ok(received)
    }
}
