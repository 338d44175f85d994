//! The customer's profile and summary, and what staff do with customers.

use std::collections::BTreeMap;

use domain::{
    customers::{
        AccountEntry, Customer, CustomerDeactivation, CustomerEdit, CustomerName, CustomerType, Registration, Totals,
    },
    ids::{AccountId, CustomerId, Id},
    input::Members,
    masks,
    policy::{Categories, Roles},
    status::{Activation, Status},
    time::{Instant, LocalDate},
    values::{AccountNumber, BusinessName, EmailAddress, Money, Nickname, PersonName, PhoneNumber},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Applicant, Call, Given, Reply},
    problem::{self, Problem},
    route::{Route, example, group},
    usage::{TypeUsage, UsageWindow, type_usages},
    wire::{Editable, ForStaff, Listed, Represents, Shown, Staff, View},
};
use crate::app::customers;

/// The profile of a customer: a person's with `firstName` and `lastName`, a business's with `businessName`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Customer")]
pub(super) struct Profile {
    customer_id: CustomerId,
    /// `individual` or `business`.
    #[serde(rename = "type")]
    kind: CustomerType,
    /// Given name; present for individuals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Shown<PersonName>")]
    first_name: Option<Shown<PersonName>>,
    /// Family name; present for individuals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Shown<PersonName>")]
    last_name: Option<Shown<PersonName>>,
    /// Name of the business; present for businesses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Shown<BusinessName>")]
    business_name: Option<Shown<BusinessName>>,
    email: Option<Shown<EmailAddress>>,
    /// North American numbers as `(555) 123-4567`, others in international form.
    phone: Option<Shown<PhoneNumber>>,
    status: Status,
    created_at: Instant,
    /// The accounts, by id.
    accounts: Vec<AccountInProfile>,
}

/// An account as the profile lists it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AccountEntry")]
struct AccountInProfile {
    account_id: AccountId,
    account_number: AccountNumber,
    /// What the customer calls it; present for businesses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Shown<Nickname>>")]
    nickname: Option<Option<Shown<Nickname>>>,
    status: Status,
}

impl Represents for Profile {
    type Of = Customer;
    type At = ();
    fn of(customer: Customer, _: View<'_>) -> Self {
        let Customer { id, name, email, phone, status, created_at, version: _, accounts } = customer;
        let kind = name.kind();
        let (first_name, last_name, business_name) = match name {
            CustomerName::Individual { first, last } => (Some(Shown(first)), Some(Shown(last)), None),
            CustomerName::Business { name } => (None, None, Some(Shown(name))),
        };
        let entry = |entry: AccountEntry| {
            let AccountEntry { id, number, nickname, status } = entry;
            let nickname = (kind == CustomerType::Business).then(|| nickname.map(Shown));
            AccountInProfile { account_id: id, account_number: number, nickname, status }
        };
        Self {
            customer_id: id,
            kind,
            first_name,
            last_name,
            business_name,
            email: email.map(Shown),
            phone: phone.map(Shown),
            status,
            created_at,
            accounts: accounts.into_iter().map(entry).collect(),
        }
    }
    fn location(&self) -> Option<String> {
        // Staff make customers, and read them there.
        Some(format!("/api/customers/{}", self.customer_id.get()))
    }
}

impl Listed for Profile {
    const PLURAL: &'static str = "customers";
    const ENVELOPE: &'static str = "Customers";
    const STAFF_ENVELOPE: &'static str = "StaffCustomers";
}

impl Editable for Profile {
    const EDITABLE: &'static [&'static str] = CustomerEdit::MEMBERS;
    const IGNORED: &'static [&'static str] = &["accounts"];
    fn read(members: &mut Members<'_, '_>, current: &Customer, _: Instant) -> Option<CustomerEdit> {
        CustomerEdit::read(members, current.name.kind())
    }
}

impl ForStaff for Customer {
    type Path = CustomerId;
    fn mask(&mut self) -> Vec<String> {
        masks::customer(self)
    }
}

async fn create_customer(call: Call<(), (), Given, Applicant>) -> Result<Reply<Staff<Profile>>, Problem> {
    // The rule is of staff alone, who are nobody's customers here.
    let Applicant::New(founder) = &call.scope else { return Err(Problem::new(problem::FORBIDDEN)) };
    let registration: Registration = call.body.read_as()?;
    let write = |customer: &Customer| call.kept::<Staff<Profile>>(customer);
    Ok(call.made(customers::register(&call.app, founder, call.once(&write), &registration).await?))
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

async fn get_summary(call: Call<(), UsageWindow>) -> Result<CustomerSummary, Problem> {
    let found = customers::summary(&call.app, &call.scope, call.query.window).await?;
    let (totals, usage) = call.open(found).await?;
    let Totals { accounts, premises, meters, current_balance, due_amount, next_due_date } = totals;
    Ok(CustomerSummary {
        total_accounts: accounts,
        total_premises: premises,
        total_meters: meters,
        total_current_balance: current_balance,
        total_due_amount: due_amount,
        next_due_date,
        usage_by_type: type_usages(&usage),
    })
}

/// The operations on the customer.
pub fn routes() -> Vec<Route> {
    const PROFILE: Categories = Categories::PROFILE.union(Categories::ACCOUNT);
    const SUMMARY: Categories =
        Categories::ACCOUNT.union(Categories::BALANCE).union(Categories::METER).union(Categories::USAGE);
    let summary =
        Route::get("/api/customer/summary", "getCustomerSummary", "Get aggregated customer summary", get_summary);
    let resource = Route::resource::<Profile>(
        "/api/customer",
        ["getCustomer", "putCustomer", "patchCustomer"],
        ["Get current customer profile", "Update customer profile"],
        example!("getCustomer"),
    );
    // Contact data may be changed by those who left, too: the last bill has to reach them.
    let resource = resource.map(Route::while_inactive);
    let summary = summary.reveals(SUMMARY).example(example!("getCustomerSummary"));
    let mut routes = group("Customer", PROFILE, resource.into_iter().chain([summary]));
    routes.extend(group("Staff", PROFILE, staff()));
    routes
}

/// What staff do with customers.
fn staff() -> Vec<Route> {
    const ONE: &str = "/api/admin/customers/{customerId}";
    let show = Route::show::<Staff<Profile>>(ONE, "getCustomerForStaff", "Get a customer's profile");
    let edit = Route::edit::<Staff<Profile>>(
        ONE,
        ["putCustomerForStaff", "patchCustomerForStaff"],
        "Update a customer's profile",
    );
    let make = Route::founding::<Registration, _, _>(
        "/api/admin/customers",
        "createCustomer",
        "Make a customer",
        create_customer,
    );
    let activate = Route::operation::<Staff<Profile>, Activation>(
        "/api/admin/customers/{customerId}/activate",
        "activateCustomer",
        "Begin a customer, or begin one again",
    );
    let deactivate = Route::operation::<Staff<Profile>, CustomerDeactivation>(
        "/api/admin/customers/{customerId}/deactivate",
        "deactivateCustomer",
        "End a customer",
    );
    let [put, patch] = edit.map(|route| route.staff(Roles::CLERKS).example(example!("getCustomerForStaff")));
    vec![
        make.staff(Roles::CLERKS)
            .input_example(r#"{"firstName":"Dana","lastName":"Reyes","email":"dana@example.com"}"#),
        show.staff(Roles::STAFF).example(example!("getCustomerForStaff")),
        put,
        patch,
        activate.staff(Roles::CLERKS).input_example("{}"),
        deactivate
            .staff(Roles::SUPERVISORS)
            .refuses(&[problem::ACCOUNTS_OPEN, problem::INVALID_TRANSITION])
            .input_example(r#"{"reason":"moved"}"#),
    ]
}
