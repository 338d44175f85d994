//! The wire forms of what neighbouring services fetch: the members of each role in a struct of their own.

use domain::{
    customers::CustomerName,
    ids::{AccountId, CustomerId, MeterId, PremiseId},
    integration::{Account, Customer, Meter, PostalAddress, Premise},
    meters::{MeterStatus, MeterType},
    policy::Role,
    preferences::{AutoPay, BillDelivery, EmailStatus, Language, Notifications},
    premises::Address,
    readings::Register,
    status::Status,
    time::LocalDate,
    values::{
        AccountNumber, BusinessName, City, EmailAddress, EsiId, FullName, MeterNumber, PersonName, PhoneNumber, State,
        Street, StreetLines, Unit, Zip,
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use store::integration::Fetched;

use crate::api::{
    preferences::MailingAddressDetail,
    wire::{Listed, Shown},
};

/// The wire form of what a service fetches.
pub(super) trait Item: Listed + Send + 'static {
    /// What it is made from.
    type Of: Fetched + 'static;
    /// Makes it, as far as a role sees it.
    fn of(fetched: Self::Of, role: Option<Role>) -> Self;
}

/// A customer, as far as the role that asks sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FetchedCustomer")]
pub(super) struct CustomerItem {
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
pub(super) struct AccountItem {
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
pub(super) struct PremiseItem {
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
pub(super) struct MeterItem {
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
