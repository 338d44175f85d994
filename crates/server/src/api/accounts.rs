//! Accounts: detail, list, edit, summary, and what staff do with them.

use std::collections::BTreeMap;

use domain::{
    accounts::{Account, AccountEdit, AccountOpening, AccountTotals, Balance, Deactivation, Reopening},
    customers::Customer,
    ids::{AccountId, CustomerId, Id},
    input::Members,
    masks,
    policy::{Categories, Roles},
    status::{Activation, Status},
    time::{Instant, LocalDate},
    values::{AccountNumber, Money, Nickname},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::Call,
    params::PageQuery,
    premises::PremiseInAccount,
    problem::{self, Problem},
    route::{Route, example, group},
    usage::{TypeUsage, UsageWindow, type_usages},
    wire::{Editable, ForStaff, Listed, Listing, Represents, Shown, Staff, View},
};
use crate::app::accounts;

/// The detail of an account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Account")]
struct AccountDetail {
    /// The id.
    account_id: AccountId,
    /// The number on the bill: 4 to 20 characters.
    account_number: AccountNumber,
    /// What the customer calls it.
    nickname: Option<Shown<Nickname>>,
    /// Where it is in its life.
    status: Status,
    /// All that is owed, in dollars; negative is credit; null when Billing never reported.
    current_balance: Option<Money>,
    /// When the last payment was booked.
    last_payment_date: Option<LocalDate>,
    /// The last payment, in dollars.
    last_payment_amount: Option<Money>,
    /// The premises, by id.
    premises: Vec<PremiseInAccount>,
}

impl Represents for AccountDetail {
    type Of = Account;
    type At = AccountId;
    fn of(account: Account, _: View<'_>) -> Self {
        let Account { id, customer: _, number, nickname, status, balance, version: _, premises } = account;
        let Balance { current_balance, last_payment_date, last_payment_amount, .. } = balance;
        Self {
            account_id: id,
            account_number: number,
            nickname: nickname.map(Shown),
            status,
            current_balance,
            last_payment_date,
            last_payment_amount,
            premises: premises.into_iter().map(PremiseInAccount::of).collect(),
        }
    }
    fn location(&self) -> Option<String> {
        Some(format!("/api/accounts/{}", self.account_id.get()))
    }
}

impl Editable for AccountDetail {
    const EDITABLE: &'static [&'static str] = AccountEdit::MEMBERS;
    const IGNORED: &'static [&'static str] = &["currentBalance", "lastPaymentDate", "lastPaymentAmount", "premises"];
    fn read(members: &mut Members<'_, '_>, _: &Account, _: Instant) -> Option<AccountEdit> {
        AccountEdit::read(members)
    }
}

impl Listed for AccountDetail {
    const PLURAL: &'static str = "accounts";
    const ENVELOPE: &'static str = "Accounts";
    const STAFF_ENVELOPE: &'static str = "StaffAccounts";
}

impl ForStaff for Account {
    type Path = AccountId;
    fn mask(&mut self) -> Vec<String> {
        masks::account(self)
    }
}

/// The summary of an account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AccountSummary {
    account_id: AccountId,
    account_number: AccountNumber,
    nickname: Option<Shown<Nickname>>,
    status: Status,
    /// All that is owed, in dollars; negative is credit; null when Billing never reported.
    current_balance: Option<Money>,
    /// What is due at the next due date.
    due_amount: Option<Money>,
    /// What should have been paid already.
    past_due_amount: Option<Money>,
    /// When the due amount is due; it may lie in the past.
    next_due_date: Option<LocalDate>,
    last_payment_date: Option<LocalDate>,
    last_payment_amount: Option<Money>,
    /// When Billing reported the amounts.
    balance_as_of: Option<Instant>,
    /// Premises in service.
    total_premises: i64,
    /// Meters in service.
    total_meters: i64,
    /// The first local date of the usage.
    usage_from: LocalDate,
    /// The local date at which the usage ends, exclusive.
    usage_to: LocalDate,
    /// Delivered usage by type of meter.
    usage_by_type: BTreeMap<&'static str, TypeUsage>,
    /// Whether readings cover the whole window.
    usage_complete: bool,
}

async fn list_accounts(call: Call<(), PageQuery>) -> Result<Listing<AccountDetail>, Problem> {
    let found = accounts::list(&call.app, &call.scope, call.after()?, call.limit()).await?;
    call.page(found, |account| account.id, |account| AccountDetail::of(account, call.view())).await
}

async fn list_for_staff(call: Call<CustomerId, PageQuery>) -> Result<Listing<Staff<AccountDetail>>, Problem> {
    let found = accounts::list_for_staff(&call.app, &call.scope, call.after()?, call.limit()).await?;
    call.page(found, |account| account.id, |account| Staff::of(account, call.view())).await
}

async fn get_summary(call: Call<AccountId, UsageWindow>) -> Result<AccountSummary, Problem> {
    let found = accounts::summary(&call.app, &call.scope, call.path, call.query.window).await?;
    let ((account, totals), usage) = call.open(found).await?;
    let AccountDetail { account_id, account_number, nickname, status, .. } = AccountDetail::of(account, call.view());
    let AccountTotals { balance, premises, meters } = totals;
    let Balance {
        current_balance,
        due_amount,
        past_due_amount,
        next_due_date,
        last_payment_date,
        last_payment_amount,
        balance_as_of,
    } = balance;
    Ok(AccountSummary {
        account_id,
        account_number,
        nickname,
        status,
        current_balance,
        due_amount,
        past_due_amount,
        next_due_date,
        last_payment_date,
        last_payment_amount,
        balance_as_of,
        total_premises: premises,
        total_meters: meters,
        usage_from: call.query.from,
        usage_to: call.query.to,
        usage_complete: usage.values().all(|(usage, _)| usage.complete),
        usage_by_type: type_usages(&usage),
    })
}

/// The operations on accounts.
pub fn routes() -> Vec<Route> {
    const ONE: Categories =
        Categories::ACCOUNT.union(Categories::BALANCE).union(Categories::PREMISE).union(Categories::METER);
    let own = [
        Route::get("/api/accounts", "listAccounts", "List all accounts of the customer", list_accounts)
            .example(example!("listAccounts")),
        Route::get(
            "/api/accounts/{accountId}/summary",
            "getAccountSummary",
            "Get account summary with balances and usage",
            get_summary,
        )
        .reveals(ONE | Categories::USAGE)
        .example(example!("getAccountSummary")),
    ];
    let resource = Route::resource::<AccountDetail>(
        "/api/accounts/{accountId}",
        ["getAccount", "putAccount", "patchAccount"],
        ["Get account details", "Update account (nickname)"],
        example!("getAccount"),
    );
    let mut routes = group("Accounts", ONE, own.into_iter().chain(resource));
    routes.extend(group("Staff", ONE, staff()));
    routes
}

/// What staff do with accounts.
fn staff() -> Vec<Route> {
    const OF_CUSTOMER: &str = "/api/admin/customers/{customerId}/accounts";
    let list = Route::get(OF_CUSTOMER, "listAccountsForStaff", "List a customer's accounts", list_for_staff);
    let open = Route::creation::<CustomerId, Customer, Staff<AccountDetail>, AccountOpening>(
        OF_CUSTOMER,
        "openAccount",
        "Open an account",
    );
    const ACCOUNT: &str = "/api/admin/accounts/{accountId}";
    let show = Route::show::<Staff<AccountDetail>>(ACCOUNT, "getAccountForStaff", "Get account details");
    let edit = Route::edit::<Staff<AccountDetail>>(
        ACCOUNT,
        ["putAccountForStaff", "patchAccountForStaff"],
        "Update account (nickname)",
    );
    let [put, patch] = edit.map(|route| route.staff(Roles::CLERKS).example(example!("getAccountForStaff")));
    let activate = Route::operation::<Staff<AccountDetail>, Activation>(
        "/api/admin/accounts/{accountId}/activate",
        "activateAccount",
        "Begin a pending account",
    );
    let reopen = Route::operation::<Staff<AccountDetail>, Reopening>(
        "/api/admin/accounts/{accountId}/reopen",
        "reopenAccount",
        "Begin an account again that ended",
    );
    let deactivate = Route::operation::<Staff<AccountDetail>, Deactivation>(
        "/api/admin/accounts/{accountId}/deactivate",
        "deactivateAccount",
        "End an account, today or on a later date",
    );
    let by_state = [problem::INVALID_TRANSITION];
    vec![
        list.staff(Roles::STAFF).example(example!("listAccountsForStaff")),
        open.staff(Roles::CLERKS).refuses(&by_state).input_example(r#"{"nickname":"Warehouse"}"#),
        show.staff(Roles::STAFF).example(example!("getAccountForStaff")),
        put,
        patch,
        activate.staff(Roles::CLERKS).refuses(&by_state).input_example("{}"),
        reopen.staff(Roles::SUPERVISORS).refuses(&by_state).input_example(r#"{"reason":"error"}"#),
        deactivate
            .staff(Roles::SUPERVISORS)
            .refuses(&[problem::IN_SERVICE, problem::INVALID_TRANSITION])
            .input_example(r#"{"effectiveDate":"2025-02-01","reason":"closed"}"#),
    ]
}
