//! Claim codes: staff issue them, and who signs in with one becomes the customer.

use domain::{
    claims::{Claim, CodeRequest, IssuedCode},
    customers::Customer,
    ids::{AccountId, CustomerId},
    policy::{Categories, Roles},
    time::Instant,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Applicant, Call, Given, Reply},
    customers::Profile,
    params::{FromPath, Leads, Parameter},
    problem::{self, ErrorAt, Problem},
    route::{Route, group},
    wire::{Represents, View},
};
use crate::app::{self, Ask, Done, claims};

/// A claim code. It is shown here once, and not stored.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClaimCode")]
struct Code {
    account_id: AccountId,
    /// For the customer alone, as `7K2M9-QXDAB`. It counts once, with the account's number, and five wrong ones use it
    /// up.
    code: String,
    /// From when on it does not count any more.
    expires_at: Instant,
}

/// No path leads to a code: it is shown when it is made, and never again.
#[derive(Clone, Copy)]
enum Nowhere {}

impl FromPath for Nowhere {
    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }
    fn read(_: &[(&str, &str)], _: &mut Vec<ErrorAt>) -> Option<Self> {
        None
    }
    fn resource(&self) -> Option<String> {
        None
    }
}

impl Leads<IssuedCode> for Nowhere {
    fn id(self) -> IssuedCode {
        match self {}
    }
}

impl Represents for Code {
    type Of = IssuedCode;
    type At = Nowhere;
    fn of(issued: IssuedCode, _: View<'_>) -> Self {
        let IssuedCode { account, code, expires_at } = issued;
        Self { account_id: account, code: code.written(), expires_at }
    }
}

async fn claim(call: Call<(), (), Given, Applicant>) -> Result<Reply<Profile>, Problem> {
    let input: Claim = call.body.read_as()?;
    let write = |customer: &Customer| call.kept::<Profile>(customer);
    let once = call.once(&write);
    let done = match &call.scope {
        Applicant::New(founder) => claims::claim(&call.app, founder, once, &input).await?,
        Applicant::Customer(scope) => {
            let ask = Ask { scope, check: &|_: &Customer| Ok(()), once };
            app::change(&call.app, ask, (), &input).await?
        }
    };
    Ok(match done {
        Done::Now(customer) => Reply::Now(Profile::of(customer, call.view())),
        Done::Before(kept) => Reply::Before(kept),
    })
}

/// The operations on claims.
pub fn routes() -> Vec<Route> {
    let issue = Route::creation::<CustomerId, Customer, Code, CodeRequest>(
        "/api/admin/customers/{customerId}/claim-codes",
        "issueClaimCode",
        "Issue a code with which the customer claims their data after signing in",
    )
    .staff(Roles::CLERKS)
    .input_example(r#"{"accountId":1001}"#);
    let claim = Route::founding::<Claim, _, _>(
        "/api/enrollment/claim",
        "claimCustomer",
        "Become the customer of an account by its number and a claim code",
        claim,
    );
    let claim = Route { status: StatusCode::OK, ..claim.while_inactive() }
        .refuses(&[problem::CLAIM_REFUSED, problem::ALREADY_ENROLLED])
        .input_example(r#"{"accountNumber":"1234567890","code":"7K2M9-QXDAB"}"#);
    let mut routes = group("Staff", Categories::ACCOUNT, [issue]);
    routes.extend(group("Enrollment", Categories::PROFILE | Categories::ACCOUNT, [claim]));
    routes
}
