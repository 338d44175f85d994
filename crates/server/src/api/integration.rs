//! What neighbouring services fetch: lists to begin with and to reconcile by, and single things by their ids.
//!
//! Each item holds ids, status, `version` and the members of the role that asks, which stand in a struct of their own:
//! a role that is not listed at a route's row has no such struct, and no rule.

use domain::{
    customers::CustomerName,
    ids::{AccountId, CustomerId, Id, MAX_ID, MeterId, PremiseId},
    integration::{Account, Customer, Meter, PostalAddress, Premise, Which},
    meters::{MeterStatus, MeterType},
    policy::{Categories, Role, Roles},
    preferences::{AutoPay, BillDelivery, EmailStatus, Language, Notifications},
    premises::Address,
    readings::Register,
    status::Status,
    time::{Instant, LocalDate},
    values::{
        AccountNumber, BusinessName, City, EmailAddress, EsiId, FullName, MeterNumber, PersonName, PhoneNumber, State,
        Street, StreetLines, Unit, Zip,
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use store::{
    Crowd,
    integration::{Fetched, Found},
};

use super::{
    call::Call,
    params::{FromQuery, MOST, PAGE, Parameter, Query, cursor_parameter, limit_parameter},
    preferences::MailingAddressDetail,
    problem::Problem,
    route::{Route, example, group},
    wire::{Listed, Listing, Shown},
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

/// The wire form of what a service fetches.
trait Item: Listed + Send + 'static {
    /// What it is made from.
    type Of: Fetched + 'static;
    /// Makes it, as far as a role sees it.
    fn of(fetched: Self::Of, role: Option<Role>) -> Self;
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

/// A customer, as far as the role that asks sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FetchedCustomer")]
struct CustomerItem {
    customer_id: CustomerId,
    status: Status,
    /// That of events about the customer.
    version: i64,
    #[serde(flatten)]
    billing: Option<CustomerForBilling>,
    #[serde(flatten)]
    market: Option<CustomerForMarket>,
    #[serde(flatten)]
    notifications: Option<CustomerForNotifications>,
}

/// For Billing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerForBilling {
    /// As it stands on a letter. For Billing.
    name: Shown<FullName>,
    /// As the customer says it; `mailingAddress` of an account is where its letters go. For Billing.
    mailing_address: MailingAddressDetail,
    /// For Billing.
    bill_delivery: BillDelivery,
    /// For Billing.
    auto_pay: AutoPay,
    /// That of the events `PreferencesUpdated`. For Billing and Notifications.
    preferences_version: i64,
}

/// For Market.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerForMarket {
    /// Null for a business. For Market.
    first_name: Option<Shown<PersonName>>,
    /// Null for a business. For Market.
    last_name: Option<Shown<PersonName>>,
    /// Null for a person. For Market.
    business_name: Option<Shown<BusinessName>>,
    /// For Market and Notifications.
    email: Option<Shown<EmailAddress>>,
    /// For Market and Notifications.
    phone: Option<Shown<PhoneNumber>>,
}

/// For Notifications.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerForNotifications {
    /// For Market and Notifications.
    email: Option<Shown<EmailAddress>>,
    /// For Notifications.
    email_status: EmailStatus,
    /// For Market and Notifications.
    phone: Option<Shown<PhoneNumber>>,
    /// For Notifications.
    sms_consent: bool,
    /// For Notifications.
    language: Language,
    /// For Notifications.
    notifications: Notifications,
    /// That of the events `PreferencesUpdated`. For Billing and Notifications.
    preferences_version: i64,
}

impl Listed for CustomerItem {
    const PLURAL: &'static str = "customers";
    const ENVELOPE: &'static str = "FetchedCustomers";
}

impl Item for CustomerItem {
    type Of = Customer;
    fn of(customer: Customer, role: Option<Role>) -> Self {
        let Customer { id: customer_id, name, email, phone, status, version, preferences } = customer;
        let mut item = Self { customer_id, status, version, billing: None, market: None, notifications: None };
        let (email, phone) = (email.map(Shown), phone.map(Shown));
        match (role, preferences) {
            (Some(Role::Billing), Some(preferences)) => {
                item.billing = Some(CustomerForBilling {
                    name: Shown(name.full()),
                    mailing_address: preferences.mailing_address.into(),
                    bill_delivery: preferences.bill_delivery,
                    auto_pay: preferences.auto_pay,
                    preferences_version: preferences.version,
                });
            }
            (Some(Role::Notifications), Some(preferences)) => {
                item.notifications = Some(CustomerForNotifications {
                    email,
                    email_status: preferences.communication.email_status,
                    phone,
                    sms_consent: preferences.communication.sms_consent,
                    language: preferences.communication.language,
                    notifications: preferences.notifications,
                    preferences_version: preferences.version,
                });
            }
            (Some(Role::Market), _) => {
                let (first_name, last_name, business_name) = match name {
                    CustomerName::Individual { first, last } => (Some(Shown(first)), Some(Shown(last)), None),
                    CustomerName::Business { name } => (None, None, Some(Shown(name))),
                };
                item.market = Some(CustomerForMarket { first_name, last_name, business_name, email, phone });
            }
            _ => {}
        }
        item
    }
}

/// An account, as far as the role that asks sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FetchedAccount")]
struct AccountItem {
    account_id: AccountId,
    customer_id: CustomerId,
    account_number: AccountNumber,
    status: Status,
    /// That of events about the account.
    version: i64,
    #[serde(flatten)]
    billing: Option<AccountForBilling>,
}

/// For Billing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AccountForBilling {
    /// Where the account's letters go: the customer's own address, or the primary premise's; null where there is
    /// neither. It follows from preferences and premise, whose events tell of it. For Billing.
    mailing_address: Option<Letter>,
}

/// An address as it stands on a letter.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PostalAddress")]
struct Letter {
    /// One or two lines.
    street: Shown<StreetLines>,
    city: Shown<City>,
    state: Shown<State>,
    zip: Shown<Zip>,
}

impl Listed for AccountItem {
    const PLURAL: &'static str = "accounts";
    const ENVELOPE: &'static str = "FetchedAccounts";
}

impl Item for AccountItem {
    type Of = Account;
    fn of(account: Account, role: Option<Role>) -> Self {
        let Account { id: account_id, customer: customer_id, number: account_number, status, version, mailing } =
            account;
        let letter = |PostalAddress { street, city, state, zip }| Letter {
            street: Shown(street),
            city: Shown(city),
            state: Shown(state),
            zip: Shown(zip),
        };
        let billing = AccountForBilling { mailing_address: mailing.map(letter) };
        let billing = (role == Some(Role::Billing)).then_some(billing);
        Self { account_id, customer_id, account_number, status, version, billing }
    }
}

/// A premise, as far as the role that asks sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FetchedPremise")]
struct PremiseItem {
    premise_id: PremiseId,
    account_id: AccountId,
    customer_id: CustomerId,
    status: Status,
    /// That of events about the premise.
    version: i64,
    /// Whether it is the account's primary premise.
    is_primary: bool,
    /// The first date of service.
    service_start_date: LocalDate,
    /// The first date without service.
    service_end_date: Option<LocalDate>,
    /// The market's ids of its service points. For Market and Meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Shown<EsiId>>")]
    esi_ids: Option<Vec<Shown<EsiId>>>,
    #[serde(flatten)]
    market: Option<PremiseForMarket>,
}

/// For Market.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PremiseForMarket {
    /// As the customer spells it. For Market.
    street: Shown<Street>,
    /// For Market.
    unit: Option<Shown<Unit>>,
    /// For Market.
    city: Shown<City>,
    /// For Market.
    state: Shown<State>,
    /// For Market.
    zip: Shown<Zip>,
}

impl Listed for PremiseItem {
    const PLURAL: &'static str = "premises";
    const ENVELOPE: &'static str = "FetchedPremises";
}

impl Item for PremiseItem {
    type Of = Premise;
    fn of(premise: Premise, role: Option<Role>) -> Self {
        let Premise {
            id: premise_id,
            customer: customer_id,
            account: account_id,
            status,
            is_primary,
            service_start: service_start_date,
            service_end: service_end_date,
            address: Address { street, unit, city, state, zip },
            esi_ids,
            version,
        } = premise;
        let market = role == Some(Role::Market);
        let esi_ids = esi_ids.into_iter().map(Shown).collect();
        let address = PremiseForMarket {
            street: Shown(street),
            unit: unit.map(Shown),
            city: Shown(city),
            state: Shown(state),
            zip: Shown(zip),
        };
        Self {
            premise_id,
            account_id,
            customer_id,
            status,
            version,
            is_primary,
            service_start_date,
            service_end_date,
            esi_ids: (market || role == Some(Role::Meter)).then_some(esi_ids),
            market: market.then_some(address),
        }
    }
}

/// A meter in use, or one that was removed while its occupant lived there, as far as the role that asks sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FetchedMeter")]
struct MeterItem {
    meter_id: MeterId,
    premise_id: PremiseId,
    customer_id: CustomerId,
    status: MeterStatus,
    /// That of events about the meter.
    version: i64,
    /// The market's id of its service point. For Market and Meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Shown<EsiId>")]
    esi_id: Option<Shown<EsiId>>,
    #[serde(flatten)]
    meter: Option<MeterForMeter>,
}

/// For Meter.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MeterForMeter {
    /// The number on its plate. For Meter.
    meter_number: MeterNumber,
    /// For Meter.
    #[serde(rename = "type")]
    kind: MeterType,
    /// For Meter.
    registers: Vec<Register>,
    /// How many whole digits a register shows. For Meter.
    dials: u32,
    /// What one unit of the dial stands for. For Meter.
    multiplier: i64,
    /// The first date of the occupancy. For Meter.
    service_start_date: LocalDate,
    /// The first date without it. For Meter.
    service_end_date: Option<LocalDate>,
}

impl Listed for MeterItem {
    const PLURAL: &'static str = "meters";
    const ENVELOPE: &'static str = "FetchedMeters";
}

impl Item for MeterItem {
    type Of = Meter;
    fn of(meter: Meter, role: Option<Role>) -> Self {
        let Meter {
            id: meter_id,
            customer: customer_id,
            premise: premise_id,
            number: meter_number,
            kind,
            status,
            registers,
            dial,
            esi_id,
            service_start: service_start_date,
            service_end: service_end_date,
            version,
        } = meter;
        let own = MeterForMeter {
            meter_number,
            kind,
            registers,
            dials: dial.dials,
            multiplier: dial.multiplier,
            service_start_date,
            service_end_date,
        };
        let meter = (role == Some(Role::Meter)).then_some(own);
        Self { meter_id, premise_id, customer_id, status, version, esi_id: esi_id.map(Shown), meter }
    }
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
