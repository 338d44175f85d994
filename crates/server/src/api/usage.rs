//! Usage of a meter, an account, or of all a customer has, in buckets or by part.

use std::collections::BTreeMap;

use domain::{
    ids::{AccountId, MeterId, PremiseId},
    input::Named,
    policy::Categories,
    time::{Instant, LocalDate},
    usage::{Bucket, GroupBy, UsageQuality, WindowUsage},
    values::Quantity,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::Call,
    params::{FromQuery, Moment, Parameter, Query},
    problem::Problem,
    route::{Route, example, group},
};
use crate::app::usage::{self, By, ByType, Part, Window};

/// The days that usage covers unless `from` and `to` say otherwise.
const TRAILING_DAYS: i64 = 30;

/// The parameter of a window's end.
pub fn moment_parameter(name: &'static str, about: &'static str) -> Parameter {
    let pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2}))?$";
    let schema = serde_json::json!({"type": "string", "pattern": pattern, "examples": ["2025-01-15"]});
    Parameter { name, about, schema }
}

/// The window of a query, with its local dates.
#[derive(Debug, Clone, Copy)]
pub struct UsageWindow {
    /// The instants.
    pub window: Window,
    /// The first local date.
    pub from: LocalDate,
    /// The local date at which it ends, exclusive.
    pub to: LocalDate,
}

impl FromQuery for UsageWindow {
    fn parameters() -> Vec<Parameter> {
        vec![
            moment_parameter("from", "The first local date or instant, inclusive; 30 days before `to` unless given."),
            moment_parameter("to", "The last local date or instant, exclusive; today unless given."),
        ]
    }

    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (from, to) = (query.moment("from"), query.moment("to"));
        let start = |query: &Query<'_>, date: LocalDate| Moment { instant: query.zone().start(date), date };
        let to = to?.unwrap_or_else(|| start(query, query.today()));
        let from = from?.unwrap_or_else(|| start(query, to.date.plus_days(-TRAILING_DAYS)));
        if from.instant >= to.instant {
            query.refuse("from", "invalid-window", "Write a from that lies before to, which is today unless given.");
            return None;
        }
        Some(Self { window: Window { from: from.instant, to: to.instant }, from: from.date, to: to.date })
    }
}

/// Delivered usage of one type of meter.
#[derive(Serialize, JsonSchema)]
pub struct TypeUsage {
    /// Null when no reading says.
    usage: Option<Quantity>,
    unit: &'static str,
}

/// Usage by type on the wire.
pub fn type_usages(by_type: &ByType) -> BTreeMap<&'static str, TypeUsage> {
    by_type.iter().map(|(kind, (usage, unit))| (*kind, TypeUsage { usage: usage.total, unit })).collect()
}

/// A window and how it is cut.
#[derive(Debug, Clone, Copy)]
struct BucketQuery {
    over: UsageWindow,
    by: GroupBy,
}

impl FromQuery for BucketQuery {
    fn parameters() -> Vec<Parameter> {
        let names: Vec<_> = GroupBy::ALL.iter().map(|(_, name)| *name).collect();
        let schema = serde_json::json!({"type": "string", "enum": names, "default": "day"});
        let about = "The length of a bucket in the market's zone; `reading` gives one a reading.";
        let mut parameters = UsageWindow::parameters();
        parameters.push(Parameter { name: "groupBy", about, schema });
        parameters
    }
    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (over, by) = (UsageWindow::read(query), query.named("groupBy", GroupBy::Day));
        Some(Self { over: over?, by: by? })
    }
}

/// A window and the parts it is told by.
#[derive(Debug, Clone, Copy)]
struct PartQuery {
    over: UsageWindow,
    by: By,
}

impl FromQuery for PartQuery {
    fn parameters() -> Vec<Parameter> {
        let names: Vec<_> = By::ALL.iter().map(|(_, name)| *name).collect();
        let schema = serde_json::json!({"type": "string", "enum": names, "default": "account"});
        let mut parameters = UsageWindow::parameters();
        parameters.push(Parameter { name: "by", about: "One row an account, a premise or a meter.", schema });
        parameters
    }
    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (over, by) = (UsageWindow::read(query), query.named("by", By::Account));
        Some(Self { over: over?, by: by? })
    }
}

/// Usage in buckets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Usage {
    /// Of one meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MeterId")]
    meter_id: Option<MeterId>,
    /// Of one account's meters together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AccountId")]
    account_id: Option<AccountId>,
    unit: &'static str,
    /// The zone in which days are counted.
    time_zone: String,
    group_by: GroupBy,
    from: LocalDate,
    /// Exclusive.
    to: LocalDate,
    /// Delivered in the whole window, its edges interpolated where that is possible.
    total: Option<Quantity>,
    /// Received from the customer's generation; never netted.
    received: Option<Quantity>,
    /// Whether readings cover the whole window.
    complete: bool,
    quality: UsageQuality,
    /// Oldest first.
    buckets: Vec<UsageBucket>,
}

/// One bucket.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct UsageBucket {
    start: Instant,
    /// Exclusive.
    end: Instant,
    local_date: LocalDate,
    /// Null where readings do not say: never invented.
    usage: Option<Quantity>,
    received: Option<Quantity>,
    quality: UsageQuality,
}

impl UsageBucket {
    fn of((delivered, received): &(Bucket, Option<Bucket>)) -> Self {
        let Bucket { start, end, local_date, usage, quality } = *delivered;
        Self { start, end, local_date, usage, received: received.and_then(|r| r.usage), quality }
    }
}

fn wire<P>(
    call: &Call<P, BucketQuery>,
    of: (Option<MeterId>, Option<AccountId>),
    unit: &'static str,
    usage: &usage::Usage,
) -> Usage {
    let BucketQuery { over, by } = call.query;
    let WindowUsage { total, quality, complete } = usage.total;
    Usage {
        meter_id: of.0,
        account_id: of.1,
        unit,
        time_zone: call.app.zone.name().to_owned(),
        group_by: by,
        from: over.from,
        to: over.to,
        total,
        received: usage.received.and_then(|received| received.total),
        complete,
        quality,
        buckets: usage.buckets.iter().map(UsageBucket::of).collect(),
    }
}

async fn of_meter(call: Call<MeterId, BucketQuery>) -> Result<Usage, Problem> {
    let BucketQuery { over, by } = call.query;
    let found = usage::of_meter(&call.app, &call.scope, call.path, over.window, by).await?;
    let (served, usage) = call.open(found).await?;
    Ok(wire(&call, (Some(call.path), None), served.meter.kind.unit(), &usage))
}

async fn of_account(call: Call<AccountId, BucketQuery>) -> Result<Usage, Problem> {
    let BucketQuery { over, by } = call.query;
    let usage = call.open(usage::of_account(&call.app, &call.scope, call.path, over.window, by).await?).await?;
    Ok(wire(&call, (None, Some(call.path)), "kWh", &usage))
}

/// A customer's usage by part.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Aggregate {
    unit: &'static str,
    time_zone: String,
    by: By,
    from: LocalDate,
    /// Exclusive.
    to: LocalDate,
    /// Delivered by all parts together.
    total: Option<Quantity>,
    /// Received by all parts together; never netted.
    received: Option<Quantity>,
    /// By id.
    usage: Vec<PartUsage>,
}

/// The usage of one part: one of the three ids is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PartUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AccountId")]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PremiseId")]
    premise_id: Option<PremiseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MeterId")]
    meter_id: Option<MeterId>,
    total: Option<Quantity>,
    received: Option<Quantity>,
    complete: bool,
    quality: UsageQuality,
}

async fn of_all(call: Call<(), PartQuery>) -> Result<Aggregate, Problem> {
    let PartQuery { over, by } = call.query;
    let parts = call.open(usage::by_part(&call.app, &call.scope, over.window, by).await?).await?;
    let all = domain::usage::sum(parts.iter().map(|(_, usage, _)| *usage));
    let received: Vec<WindowUsage> = parts.iter().filter_map(|(_, _, received)| *received).collect();
    let row = |(part, usage, received): &(Part, WindowUsage, Option<WindowUsage>)| {
        let (account_id, premise_id, meter_id) = match *part {
            Part::Account(id) => (Some(id), None, None),
            Part::Premise(id) => (None, Some(id), None),
            Part::Meter(id) => (None, None, Some(id)),
        };
        let WindowUsage { total, quality, complete } = *usage;
        let received = received.and_then(|received| received.total);
        PartUsage { account_id, premise_id, meter_id, total, received, complete, quality }
    };
    Ok(Aggregate {
        unit: "kWh",
        time_zone: call.app.zone.name().to_owned(),
        by,
        from: over.from,
        to: over.to,
        total: all.total,
        received: if received.is_empty() { None } else { domain::usage::sum(received).total },
        usage: parts.iter().map(row).collect(),
    })
}

/// The operations on usage.
pub fn routes() -> Vec<Route> {
    const USAGE: Categories = Categories::METER.union(Categories::USAGE);
    const ACCOUNT: Categories = USAGE.union(Categories::ACCOUNT).union(Categories::BALANCE).union(Categories::PREMISE);
    let routes = [
        Route::get("/api/meters/{meterId}/usage", "getMeterUsage", "Usage of a meter in buckets", of_meter)
            .reveals(USAGE | Categories::PREMISE)
            .example(example!("getMeterUsage")),
        Route::get(
            "/api/accounts/{accountId}/usage",
            "getAccountUsage",
            "Usage of an account's meters together, in buckets",
            of_account,
        )
        .reveals(ACCOUNT)
        .example(example!("getAccountUsage")),
        Route::get("/api/usage", "getUsage", "Usage of all meters, by account, premise or meter", of_all)
            .example(example!("getUsage")),
    ];
    group("Usage", USAGE, routes)
}
