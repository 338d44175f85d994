//! Preferences: delivery of bills, notifications, auto-pay, mailing address, language and consents.

mod reports;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::reports::{Bounce, BounceKind, Channel, PaymentMethod, PaymentMethods, PaymentMethodsReport};
use crate::{
    edits,
    input::{self, At, FieldError, FromInput, Members, Node},
    named_enum,
    status::changed,
    time::Instant,
    values::{City, State, StreetLines, Zip},
};

named_enum! {
    /// How bills are delivered.
    BillDelivery {
        /// By e-mail.
        Email = "email",
        /// On paper.
        Mail = "mail",
        /// By both.
        Both = "both",
    }
}

named_enum! {
    /// The language of what is sent.
    Language {
        /// English.
        English = "en",
        /// Spanish.
        Spanish = "es",
    }
}

named_enum! {
    /// What Notifications last reported of the e-mail address.
    EmailStatus {
        /// Mail arrives.
        Ok = "ok",
        /// Nothing was sent yet.
        Unverified = "unverified",
        /// Mail comes back.
        Bounced = "bounced",
    }
}

edits! {
    /// What a customer wants to be told.
    #[derive(Copy, Serialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    Notifications, in "notifications." {
        /// A bill is ready.
        bill_ready: bool = "billReady",
        /// A payment is due.
        payment_due: bool = "paymentDue",
        /// Outages.
        outage_alerts: bool = "outageAlerts",
        /// Unusually high usage.
        high_usage_alerts: bool = "highUsageAlerts",
    }
}

/// Paying by itself. Enabled means that a method is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoPay {
    /// Whether it is on.
    pub enabled: bool,
    /// One of the methods at `/api/preferences/payment-methods`.
    #[serde(rename = "paymentMethodId")]
    pub payment_method: Option<String>,
}

impl AutoPay {
    /// Checks that the method, where one is named, is one of `known`.
    ///
    /// # Errors
    /// `unknown-payment-method`, for the member `paymentMethodId`.
    pub fn check(&self, known: &[PaymentMethod]) -> Result<(), FieldError> {
        match &self.payment_method {
            Some(method) if !known.iter().any(|m| m.id == *method) => Err(unknown_method()),
            _ => Ok(()),
        }
    }
}

fn unknown_method() -> FieldError {
    FieldError::new("unknown-payment-method", "Name one of your payment methods.")
}

/// The id of a payment method, as Billing names it.
struct MethodId(String);

impl FromInput for MethodId {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::text(node, at, |text| {
            let known = (1..=100).contains(&text.len()) && text.is_ascii();
            if known { Ok(Self(text.to_owned())) } else { Err(unknown_method()) }
        })
    }
}

impl FromInput for AutoPay {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::object(node, at, |members| {
            let (enabled, method) =
                (members.required::<bool>("enabled"), members.required::<Option<MethodId>>("paymentMethodId"));
            let (enabled, payment_method) = (enabled?, method?.map(|MethodId(id)| id));
            if enabled && payment_method.is_none() {
                let missing = FieldError::new("missing", "Name the payment method that pays.");
                members.refuse("paymentMethodId", missing);
            }
            Some(Self { enabled, payment_method })
        })
    }
}

/// Where letters go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailingAddress {
    /// To the primary premise of the account being billed.
    SameAsPrimaryPremise,
    /// To an address of its own.
    Own {
        /// One or two lines.
        street: StreetLines,
        /// City.
        city: City,
        /// Two letters.
        state: State,
        /// ZIP code.
        zip: Zip,
    },
}

impl FromInput for MailingAddress {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::object(node, at, |members| {
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
                return Some(Self::Own { street, city, state, zip });
            }
            let (code, message) = if same {
                ("must-be-null", "Write null here while the mailing address is that of the primary premise.")
            } else {
                ("missing", "Write the whole mailing address, or sameAsPrimaryPremise: true.")
            };
            for (name, _) in given.into_iter().filter(|(_, given)| *given == Some(same)) {
                members.refuse(name, FieldError::new(code, message));
            }
            Some(Self::SameAsPrimaryPremise)
        })
    }
}

edits! {
    /// Language and consents.
    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    Communication, in "communication." {
        /// The language of what is sent.
        language: Language = "language",
        /// What Notifications last reported.
        email_status: EmailStatus = ignored "emailStatus",
        /// Whether text messages are welcome.
        sms_consent: bool = "smsConsent",
        /// When that was last said; the server's time.
        sms_consent_at: Option<Instant> = ignored "smsConsentAt" since sms_consent,
        /// Whether advertising is welcome.
        marketing_consent: bool = "marketingConsent",
        /// When that was last said; the server's time.
        marketing_consent_at: Option<Instant> = ignored "marketingConsentAt" since marketing_consent,
    }
}

/// All preferences of a customer.
#[derive(Debug, Clone)]
pub struct Preferences {
    /// How bills are delivered.
    pub bill_delivery: BillDelivery,
    /// What the customer wants to be told.
    pub notifications: Notifications,
    /// Paying by itself.
    pub auto_pay: AutoPay,
    /// Where letters go.
    pub mailing_address: MailingAddress,
    /// Language and consents.
    pub communication: Communication,
    /// Counts the changes of the row.
    pub version: i64,
}

impl Preferences {
    /// What a new customer has until they say otherwise.
    pub fn of_newcomer() -> Self {
        Self {
            bill_delivery: BillDelivery::Email,
            notifications: Notifications {
                bill_ready: true,
                payment_due: true,
                outage_alerts: true,
                high_usage_alerts: false,
            },
            auto_pay: AutoPay { enabled: false, payment_method: None },
            mailing_address: MailingAddress::SameAsPrimaryPremise,
            communication: Communication {
                language: Language::English,
                email_status: EmailStatus::Unverified,
                sms_consent: false,
                sms_consent_at: None,
                marketing_consent: false,
                marketing_consent_at: None,
            },
            version: 1,
        }
    }

    /// The members of `/api/preferences`, all of which PUT must bring.
    pub const MEMBERS: &'static [&'static str] = &["billDelivery", "notifications", "autoPay", "mailingAddress"];

    /// Reads all members, so that every error is found at once: what is stored, as it shall be from now on.
    pub fn read(members: &mut Members<'_, '_>, stored: &Self, now: Instant) -> Option<Self> {
        let bill_delivery = members.required("billDelivery");
        let notifications = |members: &mut Members<'_, '_>| Notifications::read(members, &stored.notifications, now);
        let notifications = members.required_object("notifications", notifications);
        let (auto_pay, mailing_address) = (members.required("autoPay"), members.required("mailingAddress"));
        Some(Self {
            bill_delivery: bill_delivery?,
            notifications: notifications?,
            auto_pay: auto_pay?,
            mailing_address: mailing_address?,
            ..stored.clone()
        })
    }

    /// The names of the members in which these differ from what is stored, whichever representation changed them.
    pub fn changes(&self, stored: &Self) -> Vec<&'static str> {
        let Self { bill_delivery, notifications, auto_pay, mailing_address, communication, version: _ } = self;
        let mut changes = changed(&[
            ("billDelivery", *bill_delivery != stored.bill_delivery),
            ("autoPay", *auto_pay != stored.auto_pay),
            ("mailingAddress", *mailing_address != stored.mailing_address),
        ]);
        changes.extend(notifications.changes(&stored.notifications));
        changes.extend(communication.changes(&stored.communication));
        changes
    }
}
