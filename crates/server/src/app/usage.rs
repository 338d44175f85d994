//! Usage: what registers advanced in a window, never a sum of readings.

use std::collections::BTreeMap;

use domain::{
    ids::{AccountId, MeterId, PremiseId},
    meters::{MeterType, Served},
    readings::{Advance, Register, RegisterReading, advances},
    time::Instant,
    usage::{Bucket, GroupBy, WindowUsage, buckets, sum, sum_buckets, window},
};
use store::{Guarded, Scope, Session, StoreError, meters, readings};

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

/// The series of some meters over a window, with one reading before and after it.
struct Series {
    meters: Vec<Served>,
    readings: BTreeMap<(MeterId, Register), Vec<RegisterReading>>,
}

impl Series {
    async fn read(
        session: &mut Session<'_>,
        of: Guarded<Vec<Served>>,
        window: Window,
    ) -> Result<Guarded<Self>, StoreError> {
        let found = readings::series(session, &of, window.from, window.to, MOST).await?;
        Ok(of.and(found)?.map(|(meters, found)| {
            let mut readings: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for (meter, reading) in found {
                readings.entry((meter, reading.register)).or_default().push(reading);
            }
            Self { meters, readings }
        }))
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
        // A meter counts only while it serves the occupancy: its successor's days are not missing ones.
        let (start, end) = served.meter.visible;
        let (from, to) = (over.from.max(start), end.map_or(over.to, |end| end.min(over.to)));
        let advances = self.advances(served, register).filter(|_| from < to)?;
        Some(window(&advances, from, to))
    }
}

/// Delivered usage in a window by type, of all meters or of one account's.
pub(super) async fn by_type(
    session: &mut Session<'_>,
    account: Option<AccountId>,
    over: Window,
) -> Result<Guarded<ByType>, StoreError> {
    let of = meters::served(session, account).await?;
    let series = Series::read(session, of, over).await?;
    Ok(series.map(|series| {
        let mut by_type: BTreeMap<MeterType, Vec<WindowUsage>> = BTreeMap::new();
        for served in &series.meters {
            let usage =
                series.window(served, Register::Delivered, over).unwrap_or_else(|| window(&[], over.from, over.to));
            by_type.entry(served.meter.kind).or_default().push(usage);
        }
        let named =
            |(kind, usages): (MeterType, Vec<_>)| (domain::input::Named::name(kind), (sum(usages), kind.unit()));
        by_type.into_iter().map(named).collect()
    }))
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

fn usage_of(app: &App, series: &Series, of: &[&Served], over: Window, by: GroupBy) -> Result<Usage, Failure> {
    let total = |register| {
        let windows: Vec<_> = of.iter().filter_map(|served| series.window(served, register, over)).collect();
        (!windows.is_empty()).then(|| sum(windows))
    };
    let split = |register| {
        let mut each = Vec::with_capacity(of.len());
        for served in of {
            let Some(advances) = series.advances(served, register) else { continue };
            let (start, end) = served.meter.visible;
            let mut one = cut(app, &advances, over, (start, end), by)?;
            if of.len() > 1 {
                one.retain(|bucket| bucket.end > start && end.is_none_or(|end| bucket.start < end));
            }
            each.push(one);
        }
        Ok::<_, Failure>(if each.len() == 1 { each.into_iter().next().unwrap_or_default() } else { sum_buckets(each) })
    };
    let mut delivered = split(Register::Delivered)?;
    if delivered.is_empty() {
        delivered = cut(app, &[], over, (over.from, None), by)?;
    }
    let mut received = split(Register::Received)?.into_iter().peekable();
    let pairs = delivered.into_iter().map(|bucket| {
        // Buckets of readings may have no partner.
        while received.next_if(|r| r.start < bucket.start).is_some() {}
        let other = received.next_if(|r| (r.start, r.end) == (bucket.start, bucket.end));
        (bucket, other)
    });
    let none = window(&[], over.from, over.to);
    Ok(Usage {
        buckets: pairs.collect(),
        total: total(Register::Delivered).unwrap_or(none),
        received: total(Register::Received),
    })
}

/// Refuses windows that hold too many buckets before anything is read for them.
fn few_buckets(app: &App, over: Window, by: GroupBy) -> Result<(), Failure> {
    cut(app, &[], over, (over.from, None), by).map(drop)
}

fn cut(
    app: &App,
    advances: &[Advance],
    over: Window,
    served: (Instant, Option<Instant>),
    by: GroupBy,
) -> Result<Vec<Bucket>, Failure> {
    buckets(advances, (over.from, over.to), served, by, &app.zone).map_err(|_| Failure::TooMuch)
}

/// The usage of one meter.
pub async fn of_meter(
    app: &App,
    scope: &Scope,
    id: MeterId,
    over: Window,
    by: GroupBy,
) -> Result<Guarded<(Served, Usage)>, Failure> {
    few_buckets(app, over, by)?;
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    let meter = meters::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let of = meter.map(|(meter, premise)| vec![Served { account: premise.account, premise: premise.id, meter }]);
    let series = Series::read(&mut session, of, over).await?;
    series.try_map(|series| {
        let served = series.meters.first().cloned().ok_or(Failure::NotFound)?;
        let usage = usage_of(app, &series, &[&served], over, by)?;
        Ok((served, usage))
    })
}

/// The usage of an account's meters together.
pub async fn of_account(
    app: &App,
    scope: &Scope,
    id: AccountId,
    over: Window,
    by: GroupBy,
) -> Result<Guarded<Usage>, Failure> {
    few_buckets(app, over, by)?;
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    let account = store::accounts::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let of = meters::served(&mut session, Some(id)).await?;
    let series = Series::read(&mut session, of, over).await?;
    account
        .map(drop)
        .and(series)?
        .try_map(|((), series)| usage_of(app, &series, &series.meters.iter().collect::<Vec<_>>(), over, by))
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
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    let of = meters::served(&mut session, None).await?;
    let series = Series::read(&mut session, of, over).await?;
    Ok(series.map(|series| parts(&series, over, by)))
}

fn parts(series: &Series, over: Window, by: By) -> Vec<PartUsage> {
    let mut parts: BTreeMap<Part, Vec<&Served>> = BTreeMap::new();
    for served in &series.meters {
        let part = match by {
            By::Account => Part::Account(served.account),
            By::Premise => Part::Premise(served.premise),
            By::Meter => Part::Meter(served.meter.id),
        };
        parts.entry(part).or_default().push(served);
    }
    let total = |of: &[&Served], register| {
        let windows: Vec<_> = of.iter().filter_map(|served| series.window(served, register, over)).collect();
        (!windows.is_empty()).then(|| sum(windows))
    };
    let none = window(&[], over.from, over.to);
    let row = |(part, of): (Part, Vec<&Served>)| {
        (part, total(&of, Register::Delivered).unwrap_or(none), total(&of, Register::Received))
    };
    parts.into_iter().map(row).collect()
}
