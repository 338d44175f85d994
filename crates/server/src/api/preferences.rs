//! Preferences, notifications, communication and payment methods.

use axum::response::Response;
use domain::{
    input::{At, FieldError, FromInput, Members, Node, object},
    personal::Personal,
    policy::Categories,
    preferences::{
        AutoPay, BillDelivery, Communication, CommunicationEdit, EmailStatus, Language, MailingAddress, Notifications,
        PaymentMethod, Preferences, PreferencesEdit,
    },
    time::Instant,
    values::{City, Label, State, StreetLines, Zip},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Call, Change, Editable},
    problem::Problem,
    route::Route,
};
use crate::app::preferences::{self, Edit};

/// The preferences of a customer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Preferences")]
struct PreferencesDetail<'a> {
    bill_delivery: BillDelivery,
    notifications: NotificationsDetail,
    auto_pay: AutoPayDetail<'a>,
    mailing_address: MailingAddressDetail<'a>,
}

/// What the customer wants to be told.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Notifications")]
struct NotificationsDetail {
    bill_ready: bool,
    payment_due: bool,
    outage_alerts: bool,
    high_usage_alerts: bool,
}

/// Paying by itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AutoPay")]
struct AutoPayDetail<'a> {
    enabled: bool,
    /// One of the methods at `/api/preferences/payment-methods`.
    payment_method_id: Option<&'a str>,
}

/// Where letters go: to the primary premise of the account being billed, or to an address of its own.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MailingAddress")]
struct MailingAddressDetail<'a> {
    /// When true, the other members are null.
    same_as_primary_premise: bool,
    /// One or two lines.
    #[schemars(with = "Option<StreetLines>")]
    street: Option<&'a str>,
    #[schemars(with = "Option<City>")]
    city: Option<&'a str>,
    #[schemars(with = "Option<State>")]
    state: Option<&'a str>,
    #[schemars(with = "Option<Zip>")]
    zip: Option<&'a str>,
}

/// Language and consents.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Communication")]
struct CommunicationDetail {
    language: Language,
    /// What Notifications last reported.
    email_status: EmailStatus,
    sms_consent: bool,
    /// When that was last said; the server's time.
    sms_consent_at: Option<Instant>,
    marketing_consent: bool,
    /// When that was last said; the server's time.
    marketing_consent_at: Option<Instant>,
}

impl NotificationsDetail {
    fn of(notifications: &Notifications) -> Self {
        let Notifications { bill_ready, payment_due, outage_alerts, high_usage_alerts } = *notifications;
        Self { bill_ready, payment_due, outage_alerts, high_usage_alerts }
    }
}

impl<'a> PreferencesDetail<'a> {
    fn of(preferences: &'a Preferences) -> Self {
        let Preferences { bill_delivery, notifications, auto_pay, mailing_address, communication: _, version: _ } =
            preferences;
        let AutoPay { enabled, payment_method } = auto_pay;
        Self {
            bill_delivery: *bill_delivery,
            notifications: NotificationsDetail::of(notifications),
            auto_pay: AutoPayDetail { enabled: *enabled, payment_method_id: payment_method.as_deref() },
            mailing_address: MailingAddressDetail::of(mailing_address),
        }
    }
}

impl<'a> MailingAddressDetail<'a> {
    #[expect(clippy::disallowed_methods, reason = "a wire module: the owner's own data, after its audit record")]
    fn of(address: &'a MailingAddress) -> Self {
        match address {
            MailingAddress::SameAsPrimaryPremise => {
                Self { same_as_primary_premise: true, street: None, city: None, state: None, zip: None }
            }
            MailingAddress::Own { street, city, state, zip } => Self {
                same_as_primary_premise: false,
                street: Some(street.reveal()),
                city: Some(city.reveal()),
                state: Some(state.reveal()),
                zip: Some(zip.reveal()),
            },
        }
    }
}

impl CommunicationDetail {
    fn of(communication: &Communication) -> Self {
        let Communication {
            language,
            email_status,
            sms_consent,
            sms_consent_at,
            marketing_consent,
            marketing_consent_at,
        } = *communication;
        Self { language, email_status, sms_consent, sms_consent_at, marketing_consent, marketing_consent_at }
    }
}

fn read_notifications(members: &mut Members<'_, '_>) -> Option<Notifications> {
    let (bill_ready, payment_due) = (members.required("billReady"), members.required("paymentDue"));
    let (outage, usage) = (members.required("outageAlerts"), members.required("highUsageAlerts"));
    Some(Notifications {
        bill_ready: bill_ready?,
        payment_due: payment_due?,
        outage_alerts: outage?,
        high_usage_alerts: usage?,
    })
}

/// A nested object of a body, read by a function.
struct Nested<T>(T);

impl FromInput for Nested<Notifications> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, read_notifications).map(Nested)
    }
}

impl FromInput for Nested<AutoPay> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let read = |members: &mut Members<'_, '_>| {
            let (enabled, method) =
                (members.required("enabled"), members.required::<Option<MethodId>>("paymentMethodId"));
            let auto_pay = AutoPay { enabled: enabled?, payment_method: method?.map(|MethodId(id)| id) };
            if let Err(error) = auto_pay.named() {
                members.refuse("paymentMethodId", error);
            }
            Some(Nested(auto_pay))
        };
        object(node, at, read)
    }
}

/// The id of a payment method, as Billing names it.
struct MethodId(String);

impl FromInput for MethodId {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        domain::input::text(node, at, |text| {
            let known = (1..=100).contains(&text.len()) && text.is_ascii();
            let error = || FieldError::new("unknown-payment-method", "Name one of your payment methods.");
            if known { Ok(Self(text.to_owned())) } else { Err(error()) }
        })
    }
}

impl FromInput for Nested<MailingAddress> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| {
            let same = members.required::<bool>("sameAsPrimaryPremise");
            let (street, city) =
                (members.required::<Option<StreetLines>>("street"), members.required::<Option<City>>("city"));
            let (state, zip) = (members.required::<Option<State>>("state"), members.required::<Option<Zip>>("zip"));
            let same = same?;
            // What could not be read has its own error already: it is neither given nor missing.
            let given = [
                ("street", street.as_ref().map(Option::is_some)),
                ("city", city.as_ref().map(Option::is_some)),
                ("state", state.as_ref().map(Option::is_some)),
                ("zip", zip.as_ref().map(Option::is_some)),
            ];
            if !same
                && let (Some(Some(street)), Some(Some(city)), Some(Some(state)), Some(Some(zip))) =
                    (street, city, state, zip)
            {
                return Some(Nested(MailingAddress::Own { street, city, state, zip }));
            }
            let (code, message) = if same {
                ("must-be-null", "Write null here while the mailing address is that of the primary premise.")
            } else {
                ("missing", "Write the whole mailing address, or sameAsPrimaryPremise: true.")
            };
            for (name, _) in given.into_iter().filter(|(_, given)| *given == Some(same)) {
                members.refuse(name, FieldError::new(code, message));
            }
            Some(Nested(MailingAddress::SameAsPrimaryPremise))
        })
    }
}

impl Editable for PreferencesDetail<'_> {
    type Edit = PreferencesEdit;
    const FIXED: &'static [&'static str] = &[];
    const IGNORED: &'static [&'static str] = &[];
    const EDITABLE: &'static [&'static str] = &["billDelivery", "notifications", "autoPay", "mailingAddress"];

    fn read(&self, members: &mut Members<'_, '_>) -> Option<PreferencesEdit> {
        let (delivery, notifications) = (members.required("billDelivery"), members.required("notifications"));
        let (auto_pay, address) = (members.required("autoPay"), members.required("mailingAddress"));
        let (Nested(notifications), Nested(auto_pay), Nested(mailing_address)) = (notifications?, auto_pay?, address?);
        Some(PreferencesEdit { bill_delivery: delivery?, notifications, auto_pay, mailing_address })
    }
}

impl Editable for NotificationsDetail {
    type Edit = Notifications;
    const FIXED: &'static [&'static str] = &[];
    const IGNORED: &'static [&'static str] = &[];
    const EDITABLE: &'static [&'static str] = &["billReady", "paymentDue", "outageAlerts", "highUsageAlerts"];

    fn read(&self, members: &mut Members<'_, '_>) -> Option<Notifications> {
        read_notifications(members)
    }
}

impl Editable for CommunicationDetail {
    type Edit = CommunicationEdit;
    const FIXED: &'static [&'static str] = &[];
    const IGNORED: &'static [&'static str] = &["emailStatus", "smsConsentAt", "marketingConsentAt"];
    const EDITABLE: &'static [&'static str] = &["language", "smsConsent", "marketingConsent"];

    fn read(&self, members: &mut Members<'_, '_>) -> Option<CommunicationEdit> {
        let (language, sms) = (members.required("language"), members.required("smsConsent"));
        let marketing = members.required("marketingConsent");
        Some(CommunicationEdit { language: language?, sms_consent: sms?, marketing_consent: marketing? })
    }
}

/// The payment methods that Billing reported.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PaymentMethods<'a> {
    payment_methods: Vec<Method<'a>>,
    /// Always null: there are few of them.
    next_cursor: Option<String>,
}

/// A way to pay.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PaymentMethod")]
struct Method<'a> {
    payment_method_id: &'a str,
    /// Such as `Visa ending 4242`.
    #[schemars(with = "Label")]
    label: &'a str,
    /// `YYYY-MM`.
    expires: Option<&'a str>,
}

impl<'a> Method<'a> {
    #[expect(clippy::disallowed_methods, reason = "a wire module: the owner's own data, after its audit record")]
    fn of(method: &'a PaymentMethod) -> Self {
        let PaymentMethod { id, label, expires } = method;
        Self { payment_method_id: id, label: label.reveal(), expires: expires.as_deref() }
    }
}

async fn get_preferences(call: Call) -> Result<Response, Problem> {
    let found = preferences::find(&call.app, &call.scope).await?;
    call.reply(&PreferencesDetail::of(&found))
}

async fn edit_preferences(call: Call<(), (), Change>) -> Result<Response, Problem> {
    let edit = |current: &Preferences| call.edit(&PreferencesDetail::of(current)).map(Edit::All);
    let found = preferences::update(&call.app, &call.scope, edit).await?;
    call.reply(&PreferencesDetail::of(&found))
}

async fn get_notifications(call: Call) -> Result<Response, Problem> {
    let found = preferences::find(&call.app, &call.scope).await?;
    call.reply(&NotificationsDetail::of(&found.notifications))
}

async fn edit_notifications(call: Call<(), (), Change>) -> Result<Response, Problem> {
    let edit = |now: &Preferences| call.edit(&NotificationsDetail::of(&now.notifications)).map(Edit::Notifications);
    let found = preferences::update(&call.app, &call.scope, edit).await?;
    call.reply(&NotificationsDetail::of(&found.notifications))
}

async fn get_communication(call: Call) -> Result<Response, Problem> {
    let found = preferences::find(&call.app, &call.scope).await?;
    call.reply(&CommunicationDetail::of(&found.communication))
}

async fn edit_communication(call: Call<(), (), Change>) -> Result<Response, Problem> {
    let edit = |now: &Preferences| call.edit(&CommunicationDetail::of(&now.communication)).map(Edit::Communication);
    let found = preferences::update(&call.app, &call.scope, edit).await?;
    call.reply(&CommunicationDetail::of(&found.communication))
}

async fn list_payment_methods(call: Call) -> Result<Response, Problem> {
    let found = preferences::payment_methods(&call.app, &call.scope).await?;
    call.reply(&PaymentMethods { payment_methods: found.iter().map(Method::of).collect(), next_cursor: None })
}

const ALL: &str = r#"{"billDelivery":"email","notifications":{"billReady":true,"paymentDue":true,"outageAlerts":true,"highUsageAlerts":false},"autoPay":{"enabled":false,"paymentMethodId":null},"mailingAddress":{"sameAsPrimaryPremise":true,"street":null,"city":null,"state":null,"zip":null}}"#;
const NOTIFICATIONS: &str = r#"{"billReady":true,"paymentDue":true,"outageAlerts":true,"highUsageAlerts":false}"#;
const COMMUNICATION: &str = r#"{"language":"en","emailStatus":"ok","smsConsent":false,"smsConsentAt":null,"marketingConsent":false,"marketingConsentAt":null}"#;
const METHODS: &str = r#"{"paymentMethods":[{"paymentMethodId":"pm_81","label":"Visa ending 4242","expires":"2027-04"}],"nextCursor":null}"#;

/// The operations on preferences.
pub fn routes() -> Vec<Route> {
    const ONE: Categories = Categories::PREFERENCE;
    let tag = "Preferences";
    let mut routes = vec![
        Route::get::<PreferencesDetail<'_>, _, _, _>("/api/preferences", "getPreferences", get_preferences)
            .about(tag, "Get customer preferences")
            .reveals(ONE)
            .example(ALL),
        Route::get::<NotificationsDetail, _, _, _>(
            "/api/preferences/notifications",
            "getNotifications",
            get_notifications,
        )
        .about(tag, "Get notification settings")
        .reveals(ONE)
        .example(NOTIFICATIONS),
        Route::get::<CommunicationDetail, _, _, _>(
            "/api/preferences/communication",
            "getCommunication",
            get_communication,
        )
        .about(tag, "Get language and consents")
        .reveals(ONE)
        .example(COMMUNICATION),
        Route::get::<PaymentMethods<'_>, _, _, _>(
            "/api/preferences/payment-methods",
            "listPaymentMethods",
            list_payment_methods,
        )
        .about(tag, "List the payment methods that Billing reported")
        .reveals(Categories::PAYMENT_METHOD)
        .example(METHODS),
    ];
    // The mailing address may be changed by those who left, too: the last bill has to reach them.
    let path = "/api/preferences";
    let edit =
        Route::edit::<PreferencesDetail<'_>, _, _>(path, ["putPreferences", "patchPreferences"], edit_preferences);
    routes.extend(edit.map(|r| r.about(tag, "Update preferences").reveals(ONE).example(ALL).while_inactive()));
    let path = "/api/preferences/notifications";
    let edit =
        Route::edit::<NotificationsDetail, _, _>(path, ["putNotifications", "patchNotifications"], edit_notifications);
    routes.extend(edit.map(|r| r.about(tag, "Update notification settings").reveals(ONE).example(NOTIFICATIONS)));
    let path = "/api/preferences/communication";
    let edit =
        Route::edit::<CommunicationDetail, _, _>(path, ["putCommunication", "patchCommunication"], edit_communication);
    routes.extend(edit.map(|r| r.about(tag, "Update language and consents").reveals(ONE).example(COMMUNICATION)));
    routes
}
