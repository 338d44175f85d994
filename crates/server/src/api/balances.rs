//! Balances, as Billing reports them in batches.

use domain::{
    accounts::BalanceReport,
    input::{At, FromInput, Node, object},
    policy::{Categories, Roles},
};
use schemars::JsonSchema;
use store::{Crowd, accounts::Booked};

use super::{
    batch::{Batch, BatchResult, Fate, Lines},
    call::{Call, Given},
    problem::Problem,
    route::{Route, example, group},
};
use crate::app::{Failure, balances};

/// A batch of balances: one list in an envelope.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Balances {
    #[schemars(with = "Vec<BalanceReport>")]
    balances: Lines<BalanceReport>,
}

impl FromInput for Balances {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| members.given("balances").map(|Batch(balances)| Self { balances }))
    }
}

async fn report_balances(call: Call<(), (), Given, Crowd>) -> Result<BatchResult, Problem> {
    let Balances { balances } = call.body.read_as()?;
    let report = async |reports: Vec<BalanceReport>| {
        let booked = balances::report(&call.app, &call.scope, &reports).await?;
        Ok::<_, Failure>(booked.into_iter().map(fate).collect())
    };
    Ok(BatchResult::of(balances, report).await?)
}

fn fate(booked: Booked) -> Fate {
    let (code, message) = match booked {
        Booked::Accepted => return Fate::Accepted,
        Booked::Unchanged => return Fate::Unchanged,
        Booked::Unknown => ("unknown-account", "There is no such account."),
        Booked::TooLate => ("in-the-future", "It is reported as of a day that has not come."),
        Booked::Contradicts => ("contradiction", "Another balance was reported for this account and instant."),
    };
    Fate::Rejected("/accountId", code, message)
}

/// The operations on balances.
pub fn routes() -> Vec<Route> {
    let report = Route::batch::<Balances, _, _>(
        "/api/integration/balances",
        "reportBalances",
        "Report what accounts owe, and when something was paid",
        report_balances,
    );
    let report = report.roles(Roles::BILLING).input_example(example!("reportBalances.input"));
    group("Integration", Categories::BALANCE, [report.example(example!("reportBalances"))])
}
