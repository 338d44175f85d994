//! Accounts: detail, list, edit and summary.

use std::collections::BTreeMap;

use axum::response::Response;
use domain::{
    accounts::{Account, AccountEdit, Balance, Status},
    ids::{AccountId, Id},
    input::Members,
    personal::Personal,
    policy::Categories,
    time::{Instant, LocalDate},
    values::{Money, Nickname},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Call, Change, Editable},
    params::PageQuery,
    premises::PremiseInAccount,
    problem::Problem,
    route::Route,
    usage::{TypeUsage, UsageWindow, type_usages},
};
use crate::app::accounts;

/// The detail of an account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Account")]
pub struct AccountDetail<'a> {
    /// The id.
    account_id: AccountId,
    /// The number on the bill: 4 to 20 characters.
    account_number: &'a str,
    /// What the customer calls it.
    #[schemars(with = "Option<Nickname>")]
    nickname: Option<&'a str>,
    /// Where it is in its life.
    status: Status,
    /// All that is owed, in dollars; negative is credit; null when Billing never reported.
    current_balance: Option<Money>,
    /// When the last payment was booked.
    last_payment_date: Option<LocalDate>,
    /// The last payment, in dollars.
    last_payment_amount: Option<Money>,
    /// The premises, by id.
    premises: Vec<PremiseInAccount<'a>>,
}

impl<'a> AccountDetail<'a> {
    fn of(account: &'a Account) -> Self {
        let Account { id, customer: _, number, nickname, status, balance, version: _, premises } = account;
        let Balance { current, last_payment_date, last_payment_amount, .. } = balance;
        #[expect(clippy::disallowed_methods, reason = "a wire module: the owner's own data, after its audit record")]
        let nickname = nickname.as_ref().map(Personal::reveal);
        Self {
            account_id: *id,
            account_number: number.as_str(),
            nickname,
            status: *status,
            current_balance: *current,
            last_payment_date: *last_payment_date,
            last_payment_amount: *last_payment_amount,
            premises: premises.iter().map(PremiseInAccount::of).collect(),
        }
    }
}

impl Editable for AccountDetail<'_> {
    type Edit = AccountEdit;
    const FIXED: &'static [&'static str] = &["accountId", "accountNumber", "status"];
    const IGNORED: &'static [&'static str] = &["currentBalance", "lastPaymentDate", "lastPaymentAmount", "premises"];
    const EDITABLE: &'static [&'static str] = &["nickname"];

    fn read(&self, members: &mut Members<'_, '_>) -> Option<AccountEdit> {
        Some(AccountEdit { nickname: members.required("nickname")? })
    }
}

/// A page of accounts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Accounts<'a> {
    /// Each as in its detail.
    accounts: Vec<AccountDetail<'a>>,
    /// What `cursor` takes for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// The summary of an account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AccountSummary<'a> {
    account_id: AccountId,
    account_number: &'a str,
    #[schemars(with = "Option<Nickname>")]
    nickname: Option<&'a str>,
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
}

async fn get_account(call: Call<AccountId>) -> Result<Response, Problem> {
    let account = accounts::find(&call.app, &call.scope, call.path).await?;
    call.reply(&AccountDetail::of(&account))
}

async fn edit_account(call: Call<AccountId, (), Change>) -> Result<Response, Problem> {
    let edit = |account: &Account| call.edit(&AccountDetail::of(account));
    let account = accounts::update(&call.app, &call.scope, call.path, edit).await?;
    call.reply(&AccountDetail::of(&account))
}

async fn list_accounts(call: Call<(), PageQuery>) -> Result<Response, Problem> {
    let PageQuery { limit, cursor } = &call.query;
    let after = call.position::<1>(cursor.as_deref())?.and_then(|[id]| AccountId::new(id));
    let mut found = accounts::list(&call.app, &call.scope, after, limit.saturating_add(1)).await?;
    let next_cursor = call.next(&mut found, *limit, |account| [account.id.get()]);
    call.reply(&Accounts { accounts: found.iter().map(AccountDetail::of).collect(), next_cursor })
}

async fn get_summary(call: Call<AccountId, UsageWindow>) -> Result<Response, Problem> {
    let summary = accounts::summary(&call.app, &call.scope, call.path, call.query.window).await?;
    let AccountDetail { account_id, account_number, nickname, status, .. } = AccountDetail::of(&summary.account);
    let Balance { current, due, past_due, next_due_date, last_payment_date, last_payment_amount, as_of } =
        summary.account.balance;
    call.reply(&AccountSummary {
        account_id,
        account_number,
        nickname,
        status,
        current_balance: current,
        due_amount: due,
        past_due_amount: past_due,
        next_due_date,
        last_payment_date,
        last_payment_amount,
        balance_as_of: as_of,
        total_premises: summary.premises,
        total_meters: summary.meters,
        usage_from: call.query.from,
        usage_to: call.query.to,
        usage_by_type: type_usages(&summary.usage),
    })
}

const EXAMPLE: &str = r#"{"accountId":1001,"accountNumber":"1234567890","nickname":null,"status":"active","currentBalance":142.50,"lastPaymentDate":"2024-12-15","lastPaymentAmount":128.75,"premises":[{"premiseId":2001,"street":"123 Main Street","unit":null,"city":"Anytown","state":"TX","zip":"75001","isPrimary":true,"meters":[{"meterId":3001,"meterNumber":"E-12345678","type":"electric","status":"active"}]}]}"#;
const SUMMARY: &str = r#"{"accountId":1001,"accountNumber":"1234567890","nickname":null,"status":"active","currentBalance":142.50,"dueAmount":142.50,"pastDueAmount":0.00,"nextDueDate":"2025-01-22","lastPaymentDate":"2024-12-15","lastPaymentAmount":128.75,"balanceAsOf":"2025-01-15T11:05:00Z","totalPremises":1,"totalMeters":1,"usageFrom":"2024-12-16","usageTo":"2025-01-15","usageByType":{"electric":{"usage":1017,"unit":"kWh"}}}"#;

/// The operations on accounts.
pub fn routes() -> Vec<Route> {
    const ONE: Categories =
        Categories::ACCOUNT.and(Categories::BALANCE).and(Categories::PREMISE).and(Categories::METER);
    let mut routes = vec![
        Route::get::<Accounts<'_>, _, _, _>("/api/accounts", "listAccounts", list_accounts)
            .about("Accounts", "List all accounts of the customer")
            .reveals(ONE),
        Route::get::<AccountDetail<'_>, _, _, _>("/api/accounts/{accountId}", "getAccount", get_account)
            .about("Accounts", "Get account details")
            .reveals(ONE)
            .example(EXAMPLE),
        Route::get::<AccountSummary<'_>, _, _, _>(
            "/api/accounts/{accountId}/summary",
            "getAccountSummary",
            get_summary,
        )
        .about("Accounts", "Get account summary with balances and usage")
        .reveals(ONE.and(Categories::USAGE))
        .example(SUMMARY),
    ];
    let edit = Route::edit::<AccountDetail<'_>, _, _>(
        "/api/accounts/{accountId}",
        ["putAccount", "patchAccount"],
        edit_account,
    );
    routes.extend(edit.map(|r| r.about("Accounts", "Update account (nickname)").reveals(ONE).example(EXAMPLE)));
    routes
}
