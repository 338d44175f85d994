//! The market: its requests, and what it reports.

use domain::{
    ids::{AccountId, CustomerId, PremiseId, RequestId},
    input::{At, FromInput, Node, object},
    market::{Acknowledge, MarketRequest, MarketTransaction, RequestKind, RequestStatus},
    policy::{Categories, Roles},
    time::LocalDate,
    values::EsiId,
};
use schemars::JsonSchema;
use serde::Serialize;
use store::Crowd;

use super::{
    batch::{Batch, BatchResult, Fate, Lines},
    call::{Call, Given},
    params::StatusQuery,
    problem::{self, Problem},
    route::{Route, example, group},
    wire::{Listed, Listing, Represents, Shown, View},
};
use crate::app::market;

/// What the market has to do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MarketRequest")]
struct RequestDetail {
    request_id: RequestId,
    kind: RequestKind,
    customer_id: CustomerId,
    account_id: AccountId,
    premise_id: PremiseId,
    /// The places, as the market names them.
    esi_ids: Vec<Shown<EsiId>>,
    /// The date that was asked for.
    requested_date: LocalDate,
    /// Where it is in its life.
    status: RequestStatus,
    /// Counts the changes of its row: that of the newest event of it that may be heard.
    version: i64,
}

impl Represents for RequestDetail {
    type Of = MarketRequest;
    type At = RequestId;
    fn of(request: MarketRequest, _: View<'_>) -> Self {
        let MarketRequest { id, customer, account, premise, cause: _, kind, status, requested_date, esi_ids, version } =
            request;
        Self {
            request_id: id,
            kind,
            customer_id: customer,
            account_id: account,
            premise_id: premise,
            esi_ids: esi_ids.into_iter().map(Shown).collect(),
            requested_date,
            status,
            version,
        }
    }
}

impl Listed for RequestDetail {
    const PLURAL: &'static str = "requests";
    const ENVELOPE: &'static str = "MarketRequests";
}

async fn list_requests(
    call: Call<(), StatusQuery<RequestStatus>, (), Crowd>,
) -> Result<Listing<RequestDetail>, Problem> {
    let StatusQuery { status, page } = &call.query;
    let after = call.position::<1>(page.cursor.as_deref())?.and_then(|[id]| domain::ids::Id::new(id));
    let found = store::market::of_all(&call.app.store, *status, after, page.limit.saturating_add(1)).await?;
    let mut found = call.app.store.disclose(&call.scope, found).await?;
    let next_cursor = call.next(&mut found, page.limit, |request| [domain::ids::Id::get(request.id)]);
    Ok(Listing {
        items: found.into_iter().map(|request| RequestDetail::of(request, call.view())).collect(),
        next_cursor,
    })
}

/// A batch of what the market reports: one list in an envelope.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Transactions {
    #[schemars(with = "Vec<MarketTransaction>")]
    transactions: Lines<MarketTransaction>,
}

impl FromInput for Transactions {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| members.given("transactions").map(|Batch(transactions)| Self { transactions }))
    }
}

async fn report_transactions(call: Call<(), (), Given, Crowd>) -> Result<BatchResult, Problem> {
    let Transactions { transactions } = call.body.read_as()?;
    let (mut result, lines) = (BatchResult::new(), transactions.len());
    for (index, line) in transactions.into_iter().enumerate() {
        let taken = match line {
            Ok(line) => market::take(&call.app, &call.scope, &line).await?,
            Err(error) => Err(error),
        };
        match taken {
            Ok(true) => result.add(index, Fate::Accepted),
            Ok(false) => result.add(index, Fate::Unchanged),
            Err(error) => result.unreadable(index, error),
        }
    }
    // Each line has the record of its customer; this one is of the batch, in which there may have been nothing else.
    call.app.store.batch(&call.scope).await?.commit(format!("transactions={lines}")).await?;
    Ok(result.sorted())
}

/// The operations of the market.
pub fn routes() -> Vec<Route> {
    let list = Route::get(
        "/api/integration/market-requests",
        "listMarketRequests",
        "List what the market has to do",
        list_requests,
    );
    let acknowledge = Route::operation::<RequestDetail, Acknowledge>(
        "/api/integration/market-requests/{requestId}/acknowledge",
        "acknowledgeMarketRequest",
        "Say that the market has a request",
    );
    let report = Route::batch::<Transactions, _, _>(
        "/api/integration/market-transactions",
        "reportMarketTransactions",
        "Report what the market answered, and who moved",
        report_transactions,
    );
    let market = [
        list.roles(Roles::MARKET).reveals(Categories::PREMISE).example(example!("listMarketRequests")),
        acknowledge.service(Roles::MARKET).reveals(Categories::PREMISE).refuses(&[problem::INVALID_TRANSITION]),
        report
            .roles(Roles::MARKET)
            .while_inactive()
            .input_example(example!("reportMarketTransactions.input"))
            .example(example!("reportMarketTransactions")),
    ];
    group("Integration", Categories::PREMISE | Categories::METER, market)
}
