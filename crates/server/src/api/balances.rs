//! Balances, as Billing reports them in batches.

use domain::{
    accounts::BalanceReport,
    input::{At, FieldError, FromInput, Node, object},
    policy::{Categories, Roles},
};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Crowd, accounts::Booked};

use super::{
    call::{Call, Given},
    problem::Problem,
    route::{Route, example, group},
};
use crate::app::balances;

/// Lines of one batch at most: more of them would hold up everybody else.
const MOST_LINES: usize = 10_000;

/// Lines of a batch, each as far as it can be read.
type Lines<T> = Vec<Result<T, FieldError>>;

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

/// The list of a batch. A line that is wrong is one of the batch's errors, and the others count.
struct Batch<T>(Lines<T>);

impl<T: FromInput> FromInput for Batch<T> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Node::List(lines) = node else {
            at.refuse(FieldError::new("wrong-type", "Write a list here."));
            return None;
        };
        if lines.len() > MOST_LINES {
            at.refuse(FieldError::new("too-many-lines", format!("Write at most {MOST_LINES} lines in one batch.")));
            return None;
        }
        let read = |line: &Node| {
            let mut errors = Vec::new();
            let read = T::from_input(line, &mut At::root(&mut errors));
            read.ok_or_else(|| errors.into_iter().next().unwrap_or_else(|| FieldError::new("wrong-type", "")))
        };
        Some(Self(lines.iter().map(read).collect()))
    }
}

/// What became of a batch. Lines count one by one: what was accepted stays, whatever became of the others.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BatchResult {
    /// Lines that were stored.
    accepted: usize,
    /// Lines that were known already, or older than what is stored.
    unchanged: usize,
    /// Lines that wait for what they are about.
    parked: usize,
    /// Lines that were not taken.
    rejected: usize,
    /// Why not.
    errors: Vec<LineError>,
}

/// Why a line was not taken.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LineError {
    /// The line's place in the batch, from 0.
    index: usize,
    /// The member that is wrong, as a JSON pointer into the line; empty for the whole.
    pointer: String,
    /// What, for programs: stable.
    code: &'static str,
    /// What to do, for people.
    message: String,
}

async fn report_balances(call: Call<(), (), Given, Crowd>) -> Result<BatchResult, Problem> {
    let Balances { balances } = call.body.read_as()?;
    let (mut reports, mut errors) = (Vec::with_capacity(balances.len()), Vec::new());
    for (index, line) in balances.into_iter().enumerate() {
        match line {
            Ok(report) => reports.push((index, report)),
            Err(FieldError { pointer, code, message }) => errors.push(LineError { index, pointer, code, message }),
        }
    }
    let (places, reports): (Vec<usize>, Vec<BalanceReport>) = reports.into_iter().unzip();
    let (mut accepted, mut unchanged) = (0, 0);
    for (index, booked) in places.into_iter().zip(balances::report(&call.app, &call.scope, &reports).await?) {
        let (code, message) = match booked {
            Booked::Accepted => {
                accepted += 1;
                continue;
            }
            Booked::Unchanged => {
                unchanged += 1;
                continue;
            }
            Booked::Unknown => ("unknown-account", "There is no such account."),
            Booked::TooLate => ("in-the-future", "It is reported as of a day that has not come."),
            Booked::Contradicts => ("contradiction", "Another balance was reported for this account and instant."),
        };
        let (pointer, message) = ("/accountId".to_owned(), message.to_owned());
        errors.push(LineError { index, pointer, code, message });
    }
    errors.sort_by_key(|error| error.index);
    Ok(BatchResult { accepted, unchanged, parked: 0, rejected: errors.len(), errors })
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
