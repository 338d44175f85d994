//! What neighbouring services fetch: lists to begin with and to reconcile by, and single things by their ids.
//!
//! Each item holds ids, status, `version` and the members of the role that asks, which stand in a struct of their own:
//! a role that is not listed at a route's row has no such struct, and no rule.

mod items;

use domain::{
    ids::{CustomerId, Id, MAX_ID},
    integration::Which,
    policy::{Categories, Roles},
    time::Instant,
};
use serde_json::json;
use store::{Crowd, integration::Found};

use self::items::{AccountItem, CustomerItem, Item, MeterItem, PremiseItem};
use super::{
    call::Call,
    params::{FromQuery, MOST, PAGE, Parameter, Query, cursor_parameter, limit_parameter},
    problem::Problem,
    route::{Route, example, group},
    wire::Listing,
};
use crate::app::integration;

/// Ids that one request may name.
const MOST_IDS: usize = 200;

/// Which items: some by their ids, or a page of all that have changed since.
#[derive(Debug, Clone)]
struct FetchQuery {
    ids: Option<Vec<i64>>,
    since: Instant,
    limit: i64,
    cursor: Option<String>,
}

impl FromQuery for FetchQuery {
    fn parameters() -> Vec<Parameter> {
        let text = json!({"type": "string", "examples": ["2025-01-15T12:00:00-06:00"]});
        let since = "Only what has changed since this local date or instant; all there is without it.";
        let ids = json!({"type": "string", "pattern": "^[1-9][0-9]*(,[1-9][0-9]*)*$", "examples": ["1,2,3"]});
        let by_id = "These ids, 200 at most, instead of a page; what is not there is not in the answer.";
        vec![
            Parameter { name: "ids", about: by_id, schema: ids },
            Parameter { name: "updatedSince", about: since, schema: text },
            limit_parameter(PAGE, MOST),
            cursor_parameter(),
        ]
    }

    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (ids, since) = (query.text("ids"), query.moment("updatedSince"));
        let (limit, cursor) = (query.limit("limit", PAGE, MOST), query.text("cursor"));
        let since = since?;
        let ids = match ids {
            None => None,
            Some(_) if since.is_some() || cursor.is_some() => {
                query.refuse("ids", "contradicting-parameters", "Ask for ids, or for a page.");
                return None;
            }
            Some(ids) => Some(read_ids(query, &ids)?),
        };
        Some(Self { ids, since: since.map_or(Instant::EARLIEST, |since| since.instant), limit: limit?, cursor })
    }
}

fn read_ids(query: &mut Query<'_>, text: &str) -> Option<Vec<i64>> {
    let ids: Option<Vec<i64>> = text.split(',').map(|id| CustomerId::parse(id).ok().map(Id::get)).collect();
    match ids {
        None => query.refuse("ids", "invalid-id", format!("Write ids from 1 to {MAX_ID}, with commas between them.")),
        Some(ids) if ids.len() > MOST_IDS => {
            query.refuse("ids", "too-many-ids", format!("Name at most {MOST_IDS} ids."));
        }
        Some(ids) => return Some(ids),
    }
    None
}

async fn fetch<R: Item>(call: Call<(), FetchQuery, (), Crowd>) -> Result<Listing<R>, Problem> {
    let FetchQuery { ids, since, limit, cursor } = &call.query;
    let position = match call.position::<2>(cursor.as_deref())? {
        Some([at, id]) => (Instant::from_micros(at), id),
        // Ids begin at 1: what changed at this very instant is behind it.
        None => (*since, 0),
    };
    let which = match ids {
        Some(ids) => Which::Ids(ids.clone()),
        None => Which::Behind { position, limit: limit.saturating_add(1) },
    };
    let mut found = integration::find::<R::Of>(&call.app, &call.scope, &which).await?;
    // What is cut off is not opened, and recorded as nobody's look.
    let next_cursor = match which {
        Which::Ids(_) => None,
        Which::Behind { .. } => call.next(&mut found, *limit, |Found { position: (at, id), .. }| [at.micros(), *id]),
    };
    let items = integration::open(&call.app, &call.scope, found).await?;
    let role = call.scope.role();
    Ok(Listing { items: items.into_iter().map(|one| R::of(one, role)).collect(), next_cursor })
}

/// The lists that neighbouring services fetch.
pub fn routes() -> Vec<Route> {
    let (profile, letters) = (Categories::PROFILE, Categories::PREFERENCE | Categories::PREMISE);
    let place = Categories::METER | Categories::PREMISE;
    let customers = Route::get(
        "/api/integration/customers",
        "fetchCustomers",
        "Fetch customers, as far as the role sees them",
        fetch::<CustomerItem>,
    )
    .by_role(&[(Roles::BILLING | Roles::NOTIFICATIONS, profile | Categories::PREFERENCE), (Roles::MARKET, profile)])
    .example(example!("fetchCustomers"));
    let accounts = Route::get(
        "/api/integration/accounts",
        "fetchAccounts",
        "Fetch accounts, as far as the role sees them",
        fetch::<AccountItem>,
    )
    .by_role(&[(Roles::BILLING, Categories::ACCOUNT | letters), (Roles::MARKET, Categories::ACCOUNT)])
    .example(example!("fetchAccounts"));
    let premises = Route::get(
        "/api/integration/premises",
        "fetchPremises",
        "Fetch premises, as far as the role sees them",
        fetch::<PremiseItem>,
    )
    .by_role(&[(Roles::BILLING | Roles::METER | Roles::MARKET, Categories::PREMISE)])
    .example(example!("fetchPremises"));
    let meters = Route::get(
        "/api/integration/meters",
        "fetchMeters",
        "Fetch meters, as far as the role sees them",
        fetch::<MeterItem>,
    )
    .by_role(&[(Roles::METER | Roles::MARKET, place), (Roles::BILLING, Categories::METER)])
    .example(example!("fetchMeters"));
    group("Integration", Categories::NONE, [customers, accounts, premises, meters])
}
