//! Meters.

use domain::{
    events::{Event, EventType, Events, Subject, Transition},
    ids::{MeterId, PremiseId, ServicePointId},
    input::FieldError,
    meters::{Correction, Exchange, Few, Installation, Meter, MeterRegistration, MeterStatus, RegisterValue, Removal},
    premises::Premise,
    readings::Quality,
    status::Status,
    tasks::TaskKind,
    time::{Instant, LocalDate},
};
use store::{
    Act, Crowd, Guarded, Scope, Session, StoreError, Transaction,
    meters::{self, AnyMeter, Site},
    readings::Received,
};

use super::{App, Effect, Failure, Operation, Thing, resource};

/// A meter with the premise through which the customer sees it.
impl Thing for (Meter, Premise) {
    type Id = MeterId;
    async fn find(session: &mut Session<'_>, id: MeterId) -> Result<Option<Guarded<Self>>, StoreError> {
        meters::find(session, id).await
    }
    fn resource(id: MeterId) -> Option<String> {
        resource("meter", id)
    }
    fn version(&self) -> i64 {
        self.1.version
    }
}

/// A page of the meters at a premise, after a meter.
pub async fn at_premise(
    app: &App,
    scope: &Scope,
    premise: PremiseId,
    after: Option<MeterId>,
    limit: i64,
) -> Result<Guarded<Vec<Meter>>, Failure> {
    let found = meters::at_premise(&mut app.store.session(scope), premise, after, limit).await?;
    found.ok_or(Failure::NotFound)
}

/// An error of one field.
fn wrong(pointer: impl Into<String>, code: &'static str, message: &str) -> Failure {
    Failure::Fields(vec![FieldError { pointer: pointer.into(), ..FieldError::new(code, message) }])
}

/// Registers a meter that is nowhere yet.
///
/// # Errors
/// `meter-exists` when its wires company has one of this number.
pub async fn register(app: &App, crowd: &Crowd, registration: &MeterRegistration) -> Result<AnyMeter, Failure> {
    let mut batch = app.store.batch(crowd).await?;
    let mut site = batch.site();
    let unknown = || wrong("/wiresCompany", "unknown-wires-company", "Name a wires company that we know.");
    let company = site.company(registration.wires_company.as_str()).await?.ok_or_else(unknown)?;
    let id = site.register(company, registration.plate()).await?.ok_or_else(exists)?;
    let meter = site.meter(id).await?.ok_or(Failure::NotFound)?;
    batch.commit(format!("meter={id}")).await?;
    Ok(meter)
}

fn exists() -> Failure {
    Failure::refused("meter-exists", &[])
}

/// Where a meter is, for what needs it to be somewhere.
fn in_place(meter: &AnyMeter) -> Result<ServicePointId, Failure> {
    match (meter.service_point, meter.removed_at) {
        (Some(point), None) => Ok(point),
        (None, _) => Err(Failure::refused("invalid-transition", &["install"])),
        (Some(_), Some(_)) => Err(Failure::refused("invalid-transition", &[])),
    }
}

/// Stores what was read when something happened to a meter.
async fn show(
    site: &mut Site<'_>,
    meter: MeterId,
    at: Instant,
    values: &[RegisterValue],
    pointer: &str,
) -> Result<(), Failure> {
    for (index, value) in values.iter().enumerate() {
        if values.iter().take(index).any(|before| before.register == value.register) {
            return Err(wrong(format!("{pointer}/{index}/register"), "duplicate-item", "Name each register once."));
        }
    }
    let received = site.read(meter, at, values, Quality::Actual).await?;
    let error = |(index, received): (usize, &Received)| {
        let (member, code, message) = refusal(*received)?;
        Some(FieldError { pointer: format!("{pointer}/{index}{member}"), ..FieldError::new(code, message) })
    };
    let errors: Vec<FieldError> = received.iter().enumerate().filter_map(error).collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure::Fields(errors)) }
}

/// Why a reading was not stored: the member that is wrong, the code and what to do.
pub fn refusal(received: Received) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match received {
        Received::Accepted | Received::Suspect | Received::Unchanged | Received::Parked => return None,
        Received::NoRegister => ("/register", "unknown-register", "The meter has no such register."),
        Received::OutOfRange => ("/value", "out-of-range", "The meter's dials cannot show this value."),
        Received::InTheFuture => ("/readAt", "in-the-future", "It was read more than a day after now."),
        Received::NotInstalled => ("/readAt", "not-installed", "The meter was not installed at this instant."),
    })
}

/// Removes a meter with what it shows: its version.
async fn remove(
    site: &mut Site<'_>,
    meter: &AnyMeter,
    (at, pointer): (Instant, &str),
    values: &[RegisterValue],
) -> Result<i64, Failure> {
    in_place(meter)?;
    if at > site.now() {
        return Err(wrong(pointer, "in-the-future", "Write an instant that has come."));
    }
    if meter.installed_at.is_some_and(|installed| at <= installed) {
        return Err(wrong(pointer, "not-installed", "Write an instant after the meter's installation."));
    }
    if site.read_later(meter.id, at).await? {
        return Err(wrong(pointer, "out-of-range", "The meter was read after this instant: write a later one."));
    }
    show(site, meter.id, at, values, "/finalReadings").await?;
    site.remove(meter.id, at).await?.ok_or_else(|| Failure::refused("invalid-transition", &[]))
}

/// What became of two meters: each with its version.
struct Swap {
    old: i64,
    new: (MeterId, i64),
}

/// Puts another meter in the place of one.
async fn swap(app: &App, site: &mut Site<'_>, id: MeterId, exchange: &Exchange) -> Result<Swap, Failure> {
    let Exchange { exchanged_at: at, final_readings: Few(finals), new_meter, first_readings: Few(firsts) } = exchange;
    let old = site.meter(id).await?.ok_or(Failure::NotFound)?;
    let point = in_place(&old)?;
    let version = remove(site, &old, (*at, "/exchangedAt"), finals).await?;
    let new = site.register(old.company.0, new_meter.plate()).await?.ok_or_else(exists)?;
    let meter = site.meter(new).await?.ok_or(Failure::NotFound)?;
    let since = (app.zone.date(*at), *at);
    let installed = site.install(&meter, point, old.holder.is_some(), since).await?.ok_or(Failure::NotFound)?;
    show(site, new, *at, firsts, "/firstReadings").await?;
    Ok(Swap { old: version, new: (new, installed) })
}

/// How old an installation may be, in years: longer than a meter serves.
const YEARS_BACK: i32 = 30;

/// A meter came to a premise.
fn installed(premise: PremiseId, meter: MeterId, version: i64) -> Event {
    Event::new(EventType::MeterInstalled, Subject::Meter(premise, meter)).version(version)
}

/// A meter left a premise.
fn removed(premise: PremiseId, meter: MeterId, on: LocalDate, version: i64) -> Event {
    let transition = Transition::new(MeterStatus::Active, MeterStatus::Inactive).on(on);
    Event::new(EventType::MeterRemoved, Subject::Meter(premise, meter)).transition(transition).version(version)
}

impl Operation<Premise, (Meter, Premise)> for Installation {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        current: &Premise,
    ) -> Result<Effect<MeterId>, Failure> {
        let Self { meter_id, esi_id, install_date, initial_readings: Few(values) } = self;
        if current.status != Status::Active {
            return Err(Failure::refused("invalid-transition", &["active"]));
        }
        let today = app.zone.date(tx.now());
        if *install_date > today {
            return Err(wrong("/installDate", "in-the-future", "Write a date that has come."));
        }
        if *install_date < today.month_start(-12 * YEARS_BACK) {
            return Err(wrong("/installDate", "out-of-range", "Write a date of the last 30 years."));
        }
        let mut own = tx.own();
        let elsewhere = || wrong("/esiId", "unknown-place", "The premise has no service point with this ESI ID.");
        let (point, company) = meters::point_of(&mut own, id, esi_id).await?.ok_or_else(elsewhere)?;
        let mut site = own.site()?;
        let unknown = || wrong("/meterId", "unknown-meter", "There is no such meter: register it first.");
        let meter = site.meter(*meter_id).await?.ok_or_else(unknown)?;
        if meter.company.0 != company {
            let message = "The meter is of another wires company than the place.";
            return Err(wrong("/meterId", "other-wires-company", message));
        }
        if meter.service_point.is_some() {
            let allowed: &[&str] = if meter.removed_at.is_some() { &[] } else { &["remove", "exchange"] };
            return Err(Failure::refused("invalid-transition", allowed));
        }
        let at = app.zone.start(*install_date);
        let version = site.install(&meter, point, true, (*install_date, at)).await?.ok_or(Failure::NotFound)?;
        show(&mut site, *meter_id, at, values, "/initialReadings").await?;
        Ok(Effect::Done(*meter_id, Events::Of(vec![installed(id, *meter_id, version)])))
    }
}

impl Operation<(Meter, Premise)> for Removal {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: MeterId,
        (_, premise): &(Meter, Premise),
    ) -> Result<Effect<MeterId>, Failure> {
        let Self { removed_at, final_readings: Few(values) } = self;
        let mut own = tx.own();
        let mut site = own.site()?;
        let meter = site.meter(id).await?.ok_or(Failure::NotFound)?;
        let version = remove(&mut site, &meter, (*removed_at, "/removedAt"), values).await?;
        Ok(Effect::Done(id, Events::Of(vec![removed(premise.id, id, app.zone.date(*removed_at), version)])))
    }
}

impl Operation<(Meter, Premise)> for Exchange {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: MeterId,
        (_, premise): &(Meter, Premise),
    ) -> Result<Effect<MeterId>, Failure> {
        let Swap { old, new } = swap(app, &mut tx.own().site()?, id, self).await?;
        Ok(Effect::Done(new.0, exchanged(app, premise.id, (id, old), new, self.exchanged_at)))
    }
}

fn exchanged(app: &App, premise: PremiseId, old: (MeterId, i64), new: (MeterId, i64), at: Instant) -> Events {
    let left = removed(premise, old.0, app.zone.date(at), old.1);
    Events::Of(vec![left, installed(premise, new.0, new.1)])
}

/// Carries out an exchange that Meter reports: whether it changed anything. Where somebody lives it is a change of
/// theirs, with events; where nobody does it is nobody's.
pub async fn exchange_reported(app: &App, crowd: &Crowd, id: MeterId, exchange: &Exchange) -> Result<bool, Failure> {
    let meter = app.store.any_meter(id).await?.ok_or(Failure::NotFound)?;
    if meter.removed_at == Some(exchange.exchanged_at) {
        // Sent again it changes nothing.
        return Ok(false);
    }
    let Some((customer, premise)) = meter.holder else {
        let mut batch = app.store.batch(crowd).await?;
        swap(app, &mut batch.site(), id, exchange).await?;
        batch.commit(format!("exchange={id}")).await?;
        return Ok(true);
    };
    let scope = crowd.member(customer);
    let mut tx = app.store.begin(&scope, None).await?;
    let Swap { old, new } = swap(app, &mut tx.own().site()?, id, exchange).await?;
    let answer = meters::find(&mut tx.own(), new.0).await?.ok_or(Failure::NotFound)?;
    let events = exchanged(app, premise, (id, old), new, exchange.exchanged_at);
    tx.commit(Act::changed(resource("meter", id), old, events), answer).await?;
    Ok(true)
}

/// Leaves the record of what a batch of exchanges did not change: it names whom it was compared with.
pub async fn not_exchanged(app: &App, crowd: &Crowd, ids: &[MeterId]) -> Result<(), Failure> {
    let mut batch = app.store.batch(crowd).await?;
    for id in ids {
        let holder = app.store.any_meter(*id).await?.and_then(|meter| meter.holder);
        holder.into_iter().for_each(|(customer, _)| batch.compared(customer));
    }
    Ok(batch.commit(format!("unchanged={}", ids.len())).await?)
}

impl Operation<(Meter, Premise)> for Correction {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: MeterId,
        _: &(Meter, Premise),
    ) -> Result<Effect<MeterId>, Failure> {
        let Self { register, read_at, value, quality } = *self;
        let mut own = tx.own();
        let mut site = own.site()?;
        let quality = quality.unwrap_or(Quality::Actual);
        let received = site.read(id, read_at, &[RegisterValue { register, value }], quality).await?;
        let received = received.first().copied().ok_or(Failure::NotFound)?;
        if let Some((member, code, message)) = refusal(received) {
            return Err(wrong(member, code, message));
        }
        if received == Received::Unchanged {
            return Ok(Effect::Nothing(id));
        }
        if received == Received::Accepted {
            own.close_tasks(TaskKind::SuspectReading, id).await?;
        }
        Ok(Effect::Done(id, Events::None("readings are fetched, not told")))
    }
}

/// A meter as staff find it: through the customer who lives there, or, where nobody does, by itself.
#[derive(Debug)]
pub enum Found {
    /// Somebody's, with the premise.
    Occupied(Meter, Box<Premise>),
    /// Nobody's.
    Loose(AnyMeter),
}

/// Finds a meter for staff; the record names the customer who lives there.
pub async fn for_staff(app: &App, crowd: &Crowd, id: MeterId) -> Result<Found, Failure> {
    let any = app.store.any_meter(id).await?;
    if let Some((customer, _)) = any.as_ref().and_then(|meter| meter.holder) {
        let scope = crowd.member(customer);
        let found = meters::find(&mut app.store.session(&scope), id).await?.ok_or(Failure::NotFound)?;
        let opened = app.store.disclose(crowd, vec![found]).await?;
        let (meter, premise) = opened.into_iter().next().ok_or(Failure::NotFound)?;
        return Ok(Found::Occupied(meter, Box::new(premise)));
    }
    app.store.disclose(crowd, Vec::<Guarded<()>>::new()).await?;
    any.map(Found::Loose).ok_or(Failure::NotFound)
}
