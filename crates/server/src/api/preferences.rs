//! Preferences, notifications, communication and payment methods.

use domain::{
    input::Members,
    policy::Categories,
    preferences::{AutoPay, BillDelivery, Communication, MailingAddress, Notifications, PaymentMethod, Preferences},
    time::Instant,
    values::{City, Label, State, StreetLines, Zip},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::Call,
    problem::Problem,
    route::{Route, example, group},
    wire::{Editable, Listed, Listing, Represents, Shown, View, parts},
};
use crate::app::preferences;

/// The preferences of a customer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Preferences")]
struct PreferencesDetail {
    bill_delivery: BillDelivery,
    notifications: Notifications,
    auto_pay: AutoPay,
    mailing_address: MailingAddressDetail,
}

/// Where letters go: to the primary premise of the account being billed, or to an address of its own.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MailingAddress")]
pub(super) struct MailingAddressDetail {
    /// When true, the other members are null.
    same_as_primary_premise: bool,
    /// One or two lines.
    street: Option<Shown<StreetLines>>,
    city: Option<Shown<City>>,
    state: Option<Shown<State>>,
    zip: Option<Shown<Zip>>,
}

impl From<MailingAddress> for MailingAddressDetail {
    fn from(address: MailingAddress) -> Self {
        match address {
            MailingAddress::SameAsPrimaryPremise => {
                Self { same_as_primary_premise: true, street: None, city: None, state: None, zip: None }
            }
            MailingAddress::Own { street, city, state, zip } => Self {
                same_as_primary_premise: false,
                street: Some(Shown(street)),
                city: Some(Shown(city)),
                state: Some(Shown(state)),
                zip: Some(Shown(zip)),
            },
        }
    }
}

impl Represents for PreferencesDetail {
    type Of = Preferences;
    type At = ();
    fn of(preferences: Preferences, _: View<'_>) -> Self {
        let Preferences { bill_delivery, notifications, auto_pay, mailing_address, communication: _, version: _ } =
            preferences;
        Self { bill_delivery, notifications, auto_pay, mailing_address: mailing_address.into() }
    }
}

impl Editable for PreferencesDetail {
    const EDITABLE: &'static [&'static str] = Preferences::MEMBERS;
    fn read(members: &mut Members<'_, '_>, current: &Preferences, now: Instant) -> Option<Preferences> {
        Preferences::read(members, current, now)
    }
}

parts! {
    Preferences:
    Notifications = notifications,
    Communication = communication,
}

/// A way to pay.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PaymentMethod")]
struct Method {
    payment_method_id: String,
    /// Such as `Visa ending 4242`.
    label: Shown<Label>,
    /// `YYYY-MM`.
    expires: Option<String>,
}

impl From<PaymentMethod> for Method {
    fn from(PaymentMethod { id, label, expires }: PaymentMethod) -> Self {
        Self { payment_method_id: id, label: Shown(label), expires }
    }
}

impl Listed for Method {
    const PLURAL: &'static str = "paymentMethods";
    const ENVELOPE: &'static str = "PaymentMethods";
}

async fn list_payment_methods(call: Call) -> Result<Listing<Method>, Problem> {
    let found = call.open(preferences::payment_methods(&call.app, &call.scope).await?).await?;
    // There are few of them.
    Ok(Listing { items: found.into_iter().map(Method::from).collect(), next_cursor: None })
}

/// The operations on preferences.
pub fn routes() -> Vec<Route> {
    let all = Route::resource::<PreferencesDetail>(
        "/api/preferences",
        ["getPreferences", "putPreferences", "patchPreferences"],
        ["Get customer preferences", "Update preferences"],
        example!("getPreferences"),
    );
    let notifications = Route::resource::<Notifications>(
        "/api/preferences/notifications",
        ["getNotifications", "putNotifications", "patchNotifications"],
        ["Get notification settings", "Update notification settings"],
        example!("getNotifications"),
    );
    let communication = Route::resource::<Communication>(
        "/api/preferences/communication",
        ["getCommunication", "putCommunication", "patchCommunication"],
        ["Get language and consents", "Update language and consents"],
        example!("getCommunication"),
    );
    let methods = Route::get(
        "/api/preferences/payment-methods",
        "listPaymentMethods",
        "List the payment methods that Billing reported",
        list_payment_methods,
    );
    let methods = methods.reveals(Categories::PAYMENT_METHOD).example(example!("listPaymentMethods"));
    // The mailing address may be changed by those who left, too: the last bill has to reach them.
    let all = all.map(Route::while_inactive);
    let routes = all.into_iter().chain(notifications).chain(communication).chain([methods]);
    group("Preferences", Categories::PREFERENCE, routes)
}
