//! What Billing and Notifications report of customers' preferences, in batches: payment methods, and mail that came back.

use domain::{
    input::{At, FieldError, FromInput, Node, object},
    policy::{Categories, Roles},
    preferences::{Bounce, PaymentMethodsReport},
};
use schemars::JsonSchema;
use store::{Crowd, accounts::Booked};

use super::{
    batch::{Batch, BatchResult, Fate, Lines},
    call::{Call, Given},
    problem::Problem,
    route::{Route, example, group},
};
use crate::app::{
    Failure,
    preferences::{Report, report},
};

/// Lines of such a batch at most: each locks its customer and is a commit of its own.
const MOST_LINES: usize = 1_000;

/// Reads the list `name`.
fn lines<T: FromInput>(node: &Node, at: &mut At<'_>, name: &'static str) -> Option<Lines<T>> {
    object(node, at, |members| {
        let Batch(lines) = members.given(name)?;
        if lines.len() > MOST_LINES {
            let message = format!("Write at most {MOST_LINES} lines in one batch.");
            members.refuse(name, FieldError::new("too-many-lines", message));
        }
        Some(lines)
    })
}

/// A batch of payment methods: one list in an envelope.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[schemars(rename = "PaymentMethodsBatch")]
struct Methods {
    /// Each customer's methods replace what was known of them.
    #[schemars(with = "Vec<PaymentMethodsReport>", length(max = 1_000))]
    customers: Lines<PaymentMethodsReport>,
}

impl FromInput for Methods {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        lines(node, at, "customers").map(|customers| Self { customers })
    }
}

/// A batch of bounces: one list in an envelope.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Bounces {
    /// Messages that came back.
    #[schemars(with = "Vec<Bounce>", length(max = 1_000))]
    bounces: Lines<Bounce>,
}

impl FromInput for Bounces {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        lines(node, at, "bounces").map(|bounces| Self { bounces })
    }
}

type Reported = Call<(), (), Given, Crowd>;

async fn store<R: Report>(call: &Reported, lines: Lines<R>) -> Result<BatchResult, Problem> {
    let store = async |reports: Vec<R>| {
        let booked = report(&call.app, &call.scope, &reports).await?;
        Ok::<_, Failure>(booked.into_iter().map(fate).collect())
    };
    Ok(BatchResult::of(lines, store).await?)
}

fn fate(booked: Booked) -> Fate {
    match booked {
        Booked::Accepted => Fate::Accepted,
        Booked::Unchanged => Fate::Unchanged,
        Booked::Unknown => Fate::Rejected("/customerId", "unknown-customer", "There is no such customer."),
        Booked::TooLate => Fate::Rejected("", "in-the-future", "It is reported as of a day that has not come."),
        Booked::Contradicts => Fate::Rejected(
            "/paymentMethods",
            "contradiction",
            "Another list was reported for this customer and instant.",
        ),
    }
}

async fn report_payment_methods(call: Reported) -> Result<BatchResult, Problem> {
    let Methods { customers } = call.body.read_as()?;
    store(&call, customers).await
}

async fn report_bounces(call: Reported) -> Result<BatchResult, Problem> {
    let Bounces { bounces } = call.body.read_as()?;
    store(&call, bounces).await
}

/// The operations of those who report.
pub fn routes() -> Vec<Route> {
    let methods = Route::batch::<Methods, _, _>(
        "/api/integration/payment-methods",
        "reportPaymentMethods",
        "Report the payment methods of customers",
        report_payment_methods,
    );
    let methods = methods
        .roles(Roles::BILLING)
        .reveals(Categories::PREFERENCE | Categories::PAYMENT_METHOD)
        .input_example(example!("reportPaymentMethods.input"))
        .example(example!("reportPaymentMethods"));
    let bounces = Route::batch::<Bounces, _, _>(
        "/api/integration/bounces",
        "reportBounces",
        "Report messages that came back",
        report_bounces,
    );
    let bounces = bounces
        .roles(Roles::NOTIFICATIONS)
        .input_example(example!("reportBounces.input"))
        .example(example!("reportBounces"));
    // Whoever left still gets the last bill.
    group("Integration", Categories::PREFERENCE, [methods, bounces].map(Route::while_inactive))
}
