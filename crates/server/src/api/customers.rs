//! The customer's profile and summary.

use std::collections::BTreeMap;

use axum::response::Response;
use domain::{
    accounts::Status,
    customers::{AccountEntry, Customer, CustomerEdit, CustomerName, Totals},
    ids::{AccountId, CustomerId},
    input::Members,
    personal::Personal,
    policy::Categories,
    time::{Instant, LocalDate},
    values::{BusinessName, EmailAddress, Money, Nickname, PersonName, PhoneNumber},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Call, Change, Editable},
    problem::Problem,
    route::Route,
    usage::{TypeUsage, UsageWindow, type_usages},
};
use crate::app::customers;

/// The profile of a customer: a person's with `firstName` and `lastName`, a business's with `businessName`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Customer")]
struct Profile<'a> {
    customer_id: CustomerId,
    /// `individual` or `business`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["individual", "business"]))]
    kind: &'static str,
    /// Given name; present for individuals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PersonName")]
    first_name: Option<&'a str>,
    /// Family name; present for individuals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PersonName")]
    last_name: Option<&'a str>,
    /// Name of the business; present for businesses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BusinessName")]
    business_name: Option<&'a str>,
    #[schemars(with = "Option<EmailAddress>")]
    email: Option<&'a str>,
    /// North American numbers as `(555) 123-4567`, others in international form.
    #[schemars(with = "Option<PhoneNumber>")]
    phone: Option<&'a str>,
    status: Status,
    created_at: Instant,
    /// The accounts, by id.
    accounts: Vec<Entry<'a>>,
}

/// An account as the profile lists it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AccountEntry")]
struct Entry<'a> {
    account_id: AccountId,
    account_number: &'a str,
    /// What the customer calls it; present for businesses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Nickname>")]
    nickname: Option<Option<&'a str>>,
    status: Status,
}

impl<'a> Profile<'a> {
    #[expect(clippy::disallowed_methods, reason = "a wire module: the owner's own data, after its audit record")]
    fn of(customer: &'a Customer) -> Self {
        let Customer { id, name, email, phone, status, created_at, version: _, accounts } = customer;
        let (kind, first_name, last_name, business_name) = match name {
            CustomerName::Individual { first, last } => ("individual", Some(first.reveal()), Some(last.reveal()), None),
            CustomerName::Business { name } => ("business", None, None, Some(name.reveal())),
        };
        let entry = |entry: &'a AccountEntry| {
            let AccountEntry { id, number, nickname, status } = entry;
            let nickname = business_name.map(|_| nickname.as_ref().map(Personal::reveal));
            Entry { account_id: *id, account_number: number.as_str(), nickname, status: *status }
        };
        Self {
            customer_id: *id,
            kind,
            first_name,
            last_name,
            business_name,
            email: email.as_ref().map(Personal::reveal),
            phone: phone.as_ref().map(Personal::reveal),
            status: *status,
            created_at: *created_at,
            accounts: accounts.iter().map(entry).collect(),
        }
    }
}

impl Editable for Profile<'_> {
    type Edit = CustomerEdit;
    const FIXED: &'static [&'static str] = &["customerId", "type", "status", "createdAt"];
    const IGNORED: &'static [&'static str] = &["accounts"];
    const EDITABLE: &'static [&'static str] = &["firstName", "lastName", "businessName", "email", "phone"];

    fn read(&self, members: &mut Members<'_, '_>) -> Option<CustomerEdit> {
        let name = if self.business_name.is_some() {
            members.required("businessName").map(|name| CustomerName::Business { name })
        } else {
            let (first, last) = (members.required("firstName"), members.required("lastName"));
            first.zip(last).map(|(first, last)| CustomerName::Individual { first, last })
        };
        let (email, phone) = (members.required("email"), members.required("phone"));
        Some(CustomerEdit { name: name?, email: email?, phone: phone? })
    }
}

/// What a customer has, owes and used.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerSummary {
    /// Active accounts.
    total_accounts: i64,
    /// Premises in service.
    total_premises: i64,
    /// Meters in service.
    total_meters: i64,
    /// The sum of what Billing reported, in dollars; null when it never did.
    total_current_balance: Option<Money>,
    /// The sum of what is due; one account's credit lowers no other's.
    total_due_amount: Option<Money>,
    /// The earliest date on which something is due; it may lie in the past.
    next_due_date: Option<LocalDate>,
    /// Delivered usage by type of meter, in the trailing 30 days unless `from` and `to` say otherwise.
    usage_by_type: BTreeMap<&'static str, TypeUsage>,
}

async fn get_customer(call: Call) -> Result<Response, Problem> {
    let customer = customers::find(&call.app, &call.scope).await?;
    call.reply(&Profile::of(&customer))
}

async fn edit_customer(call: Call<(), (), Change>) -> Result<Response, Problem> {
    let edit = |customer: &Customer| call.edit(&Profile::of(customer));
    let customer = customers::update(&call.app, &call.scope, edit).await?;
    call.reply(&Profile::of(&customer))
}

async fn get_summary(call: Call<(), UsageWindow>) -> Result<Response, Problem> {
    let summary = customers::summary(&call.app, &call.scope, call.query.window).await?;
    let Totals { accounts, premises, meters, current_balance, due_amount } = summary.totals;
    call.reply(&CustomerSummary {
        total_accounts: accounts,
        total_premises: premises,
        total_meters: meters,
        total_current_balance: current_balance,
        total_due_amount: due_amount,
        next_due_date: summary.next_due_date,
        usage_by_type: type_usages(&summary.usage),
    })
}

const EXAMPLE: &str = r#"{"customerId":1,"type":"individual","firstName":"John","lastName":"Smith","email":"john.smith@example.com","phone":"(555) 123-4567","status":"active","createdAt":"2020-03-15T00:00:00Z","accounts":[{"accountId":1001,"accountNumber":"1234567890","status":"active"}]}"#;
const SUMMARY: &str = r#"{"totalAccounts":3,"totalPremises":5,"totalMeters":6,"totalCurrentBalance":5327.55,"totalDueAmount":5327.55,"nextDueDate":"2025-01-22","usageByType":{"electric":{"usage":109280,"unit":"kWh"}}}"#;

/// The operations on the customer.
pub fn routes() -> Vec<Route> {
    const PROFILE: Categories = Categories::PROFILE.and(Categories::ACCOUNT);
    let mut routes = vec![
        Route::get::<Profile<'_>, _, _, _>("/api/customer", "getCustomer", get_customer)
            .about("Customer", "Get current customer profile")
            .reveals(PROFILE)
            .example(EXAMPLE),
        Route::get::<CustomerSummary, _, _, _>("/api/customer/summary", "getCustomerSummary", get_summary)
            .about("Customer", "Get aggregated customer summary")
            .reveals(Categories::ACCOUNT.and(Categories::BALANCE).and(Categories::METER).and(Categories::USAGE))
            .example(SUMMARY),
    ];
    let edit = Route::edit::<Profile<'_>, _, _>("/api/customer", ["putCustomer", "patchCustomer"], edit_customer);
    let about = |r: Route| r.about("Customer", "Update customer profile").reveals(PROFILE).example(EXAMPLE);
    // Contact data may be changed by those who left, too: the last bill has to reach them.
    routes.extend(edit.map(|route| about(route).while_inactive()));
    routes
}
