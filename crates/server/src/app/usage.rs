//! Usage: what registers advanced in a window, never a sum of readings.

use std::collections::BTreeMap;

use domain::{
    ids::{AccountId, MeterId, PremiseId},
    meters::{MeterType, Served},
    readings::{Advance, Register, RegisterReading, advances},
    time::Instant,
    usage::{Bucket, Cut, GroupBy, WindowUsage, sum, window},
};
use store::{DbError, Guarded, Scope, Session, StoreError, meters, readings};
use tokio::sync::Semaphore;

use super::{App, Failure};

/// From an instant, inclusive, to an instant, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Inclusive.
    pub from: Instant,
    /// Exclusive.
    pub to: Instant,
}

/// Delivered usage by type of meter.
pub type ByType = BTreeMap<&'static str, (WindowUsage, &'static str)>;

/// Readings of one request at most: ten years of a meter's quarter-hours.
const MOST: i64 = 400_000;
/// Buckets of single meters that one request adds up at most: a year of 114 meters by the hour.
const MOST_CUTS: usize = 1_000_000;

/// Requests that hold readings for their buckets at the same time: each may have [`MOST`] of them in memory.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Meters, and their readings in a window with one before and one after it.
type Read = (Vec<Served>, Vec<(MeterId, RegisterReading)>);

async fn read(session: &mut Session<'_>, of: Guarded<Vec<Served>>, over: Window) -> Result<Guarded<Read>, StoreError> {
    let found = readings::series(session, &of, over.from, over.to, MOST).await?;
    of.and(found)
}

/// The same by meter and register.
struct Series {
    meters: Vec<Served>,
    readings: BTreeMap<(MeterId, Register), Vec<RegisterReading>>,
}

impl Series {
    /// Calculates with what was read, on a thread where that may take its time.
    async fn calculated<T: Send + 'static>(
        read: Guarded<Read>,
        calculate: impl FnOnce(Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Guarded<T>, Failure> {
        let work = tokio::task::spawn_blocking(move || {
            read.try_map(|(meters, found)| {
                let mut readings: BTreeMap<_, Vec<_>> = BTreeMap::new();
                for (meter, reading) in found {
                    readings.entry((meter, reading.register)).or_default().push(reading);
                }
                calculate(Self { meters, readings })
            })
        });
        work.await.unwrap_or_else(|ended| match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(ended) => Err(StoreError::from(DbError::Unavailable(ended.to_string())).into()),
        })
    }

    /// The advances of a register. Every meter has the delivered one, read or not.
    fn advances(&self, served: &Served, register: Register) -> Option<Vec<Advance>> {
        let (start, end) = served.meter.visible;
        let seen = self.readings.get(&(served.meter.id, register)).map(Vec::as_slice);
        let seen = seen.or((register == Register::Delivered).then_some(&[]))?;
        let seen: Vec<_> =
            seen.iter().filter(|r| r.read_at >= start && end.is_none_or(|end| r.read_at <= end)).copied().collect();
        Some(advances(&seen, served.meter.dial))
    }

    fn window(&self, served: &Served, register: Register, over: Window) -> Option<WindowUsage> {
        let (from, to) = part(served, over)?;
        Some(window(&self.advances(served, register)?, from, to))
    }
}

/// The part of a window in which a meter serves the occupancy: it counts only then, and its successor's days are not
/// missing ones.
fn part(served: &Served, over: Window) -> Option<(Instant, Instant)> {
    let (start, end) = served.meter.visible;
    let (from, to) = (over.from.max(start), end.map_or(over.to, |end| end.min(over.to)));
    (from < to).then_some((from, to))
}

/// Delivered usage in a window by type, of all meters or of one account's.
pub(super) async fn by_type(
    session: &mut Session<'_>,
    account: Option<AccountId>,
    over: Window,
) -> Result<Guarded<ByType>, Failure> {
    let of = meters::served(session, account).await?;
    let calculate = move |series: Series| {
        let mut by_type: BTreeMap<MeterType, Vec<WindowUsage>> = BTreeMap::new();
        for served in &series.meters {
            let usages = by_type.entry(served.meter.kind).or_default();
            let usage = series.window(served, Register::Delivered, over);
            // Who serves and was never read is missed; who does not serve is not.
            usages.extend(usage.or_else(|| part(served, over).map(|(from, to)| window(&[], from, to))));
        }
        let named = |(kind, usages): (MeterType, Vec<_>)| {
            let usage = if usages.is_empty() { window(&[], over.from, over.to) } else { sum(usages) };
            (domain::input::Named::name(kind), (usage, kind.unit()))
        };
        Ok(by_type.into_iter().map(named).collect())
    };
    Series::calculated(read(session, of, over).await?, calculate).await
}

/// Usage of one or several meters in buckets; delivered and received apart.
#[derive(Debug)]
pub struct Usage {
    /// The whole window, delivered.
    pub total: WindowUsage,
    /// The whole window, received; `None` without such a register.
    pub received: Option<WindowUsage>,
    /// The buckets: delivered, and received where there is such a register.
    pub buckets: Vec<(Bucket, Option<Bucket>)>,
}

impl Series {
    /// The usage of all meters together.
    fn usage(&self, over: Window, cut: Cut) -> Result<Usage, Failure> {
        let added = |register| {
            let mut cut = cut.clone();
            for served in &self.meters {
                if let Some(advances) = self.advances(served, register) {
                    cut.add(&advances, served.meter.visible).map_err(|_| Failure::TooMuch)?;
                }
            }
            Ok::<_, Failure>(cut.buckets())
        };
        let mut delivered = added(Register::Delivered)?;
        let mut received = added(Register::Received)?.into_iter().peekable();
        if delivered.is_empty() {
            delivered = cut.missing();
        }
        let pairs = delivered.into_iter().map(|bucket| {
            // Buckets of readings may have no partner.
            while received.next_if(|r| r.start < bucket.start).is_some() {}
            let other = received.next_if(|r| (r.start, r.end) == (bucket.start, bucket.end));
            (bucket, other)
        });
        let none = window(&[], over.from, over.to);
        let all: Vec<&Served> = self.meters.iter().collect();
        Ok(Usage {
            buckets: pairs.collect(),
            total: self.total(&all, Register::Delivered, over).unwrap_or(none),
            received: self.total(&all, Register::Received, over),
        })
    }

    fn total(&self, of: &[&Served], register: Register, over: Window) -> Option<WindowUsage> {
        let windows: Vec<_> = of.iter().filter_map(|served| self.window(served, register, over)).collect();
        (!windows.is_empty()).then(|| sum(windows))
    }
}

/// A window cut into buckets, for some meters: too many are refused before anything is read for them.
struct Plan {
    over: Window,
    cut: Cut,
}

impl Plan {
    fn new(app: &App, over: Window, by: GroupBy) -> Result<Self, Failure> {
        let cut = Cut::new((over.from, over.to), by, &app.zone).map_err(|_| Failure::TooMuch)?;
        Ok(Self { over, cut })
    }

    async fn read(&self, session: &mut Session<'_>, of: Guarded<Vec<Served>>) -> Result<Guarded<Read>, Failure> {
        let few = |meters: &[Served]| meters.len().saturating_mul(self.cut.parts()) <= MOST_CUTS;
        let of = of.try_map(|meters| if few(&meters) { Ok(meters) } else { Err(Failure::TooMuch) })?;
        Ok(read(session, of, self.over).await?)
    }

    async fn calculated(self, read: Guarded<Read>) -> Result<Guarded<(Vec<Served>, Usage)>, Failure> {
        let Self { over, cut } = self;
        let calculate = move |series: Series| {
            let usage = series.usage(over, cut)?;
            Ok((series.meters, usage))
        };
        Series::calculated(read, calculate).await
    }
}

/// The usage of one meter.
pub async fn of_meter(
    app: &App,
    scope: &Scope,
    id: MeterId,
    over: Window,
    by: GroupBy,
) -> Result<Guarded<(Served, Usage)>, Failure> {
    let plan = Plan::new(app, over, by)?;
    // It is never closed.
    let _place = PLACES.acquire().await.ok();
    let read = {
        let mut snapshot = app.store.snapshot(scope).await?;
        let mut session = snapshot.session();
        let meter = meters::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
        let of = meter.map(|(meter, premise)| vec![Served { account: premise.account, premise: premise.id, meter }]);
        plan.read(&mut session, of).await?
    };
    let usage = plan.calculated(read).await?;
    usage.try_map(|(meters, usage)| Ok((meters.into_iter().next().ok_or(Failure::NotFound)?, usage)))
}

/// The usage of an account's meters together.
pub async fn of_account(
    app: &App,
    scope: &Scope,
    id: AccountId,
    over: Window,
    by: GroupBy,
) -> Result<Guarded<Usage>, Failure> {
    let plan = Plan::new(app, over, by)?;
    // It is never closed.
    let _place = PLACES.acquire().await.ok();
    let (account, read) = {
        let mut snapshot = app.store.snapshot(scope).await?;
        let mut session = snapshot.session();
        let account = store::accounts::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
        let of = meters::served(&mut session, Some(id)).await?;
        (account, plan.read(&mut session, of).await?)
    };
    let usage = plan.calculated(read).await?;
    Ok(account.map(drop).and(usage)?.map(|((), (_, usage))| usage))
}

/// What a business's aggregate is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An account.
    Account(AccountId),
    /// A premise.
    Premise(PremiseId),
    /// A meter.
    Meter(MeterId),
}

domain::named_enum! {
    /// The parts that a customer's usage is told by.
    By {
        /// One row an account.
        Account = "account",
        /// One row a premise.
        Premise = "premise",
        /// One row a meter.
        Meter = "meter",
    }
}

/// The usage of one part, delivered and received.
pub type PartUsage = (Part, WindowUsage, Option<WindowUsage>);

/// The usage of each part in a window.
pub async fn by_part(app: &App, scope: &Scope, over: Window, by: By) -> Result<Guarded<Vec<PartUsage>>, Failure> {
    let read = {
        let mut snapshot = app.store.snapshot(scope).await?;
        let mut session = snapshot.session();
        let of = meters::served(&mut session, None).await?;
        read(&mut session, of, over).await?
    };
    Series::calculated(read, move |series| Ok(series.parts(over, by))).await
}

impl Series {
    fn parts(&self, over: Window, by: By) -> Vec<PartUsage> {
        let mut parts: BTreeMap<Part, Vec<&Served>> = BTreeMap::new();
        for served in &self.meters {
            let part = match by {
                By::Account => Part::Account(served.account),
                By::Premise => Part::Premise(served.premise),
                By::Meter => Part::Meter(served.meter.id),
            };
            parts.entry(part).or_default().push(served);
        }
        let none = window(&[], over.from, over.to);
        let row = |(part, of): (Part, Vec<&Served>)| {
            let delivered = self.total(&of, Register::Delivered, over).unwrap_or(none);
            (part, delivered, self.total(&of, Register::Received, over))
        };
        parts.into_iter().map(row).collect()
    }
}
