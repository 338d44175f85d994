//! Preferences: delivery of bills, notifications, auto-pay, mailing address, language and consents.

use crate::{
    input::FieldError,
    named_enum,
    status::changed,
    time::Instant,
    values::{City, Label, State, StreetLines, Zip},
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

/// What a customer wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notifications {
    /// A bill is ready.
    pub bill_ready: bool,
    /// A payment is due.
    pub payment_due: bool,
    /// Outages.
    pub outage_alerts: bool,
    /// Unusually high usage.
    pub high_usage_alerts: bool,
}

impl Notifications {
    /// The names of the fields in which this differs from what is stored.
    pub fn changes(&self, current: &Self) -> Vec<&'static str> {
        let Self { bill_ready, payment_due, outage_alerts, high_usage_alerts } = *self;
        changed(&[
            ("notifications.billReady", bill_ready != current.bill_ready),
            ("notifications.paymentDue", payment_due != current.payment_due),
            ("notifications.outageAlerts", outage_alerts != current.outage_alerts),
            ("notifications.highUsageAlerts", high_usage_alerts != current.high_usage_alerts),
        ])
    }
}

/// Paying by itself. Enabled means that a method is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoPay {
    /// Whether it is on.
    pub enabled: bool,
    /// One of the methods that Billing reported.
    pub payment_method: Option<String>,
}

impl AutoPay {
    /// Checks the rule between the two fields.
    ///
    /// # Errors
    /// `missing`, for the member `paymentMethodId`.
    pub fn named(&self) -> Result<(), FieldError> {
        let missing = FieldError::new("missing", "Name the payment method that pays.");
        if self.enabled && self.payment_method.is_none() { Err(missing) } else { Ok(()) }
    }

    /// Checks that the method, where one is named, is one of `known`.
    ///
    /// # Errors
    /// `unknown-payment-method`, for the member `paymentMethodId`.
    pub fn check(&self, known: &[PaymentMethod]) -> Result<(), FieldError> {
        match &self.payment_method {
            Some(method) if !known.iter().any(|m| m.id == *method) => {
                Err(FieldError::new("unknown-payment-method", "Name one of your payment methods."))
            }
            _ => Ok(()),
        }
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

/// Language and consents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communication {
    /// The language of what is sent.
    pub language: Language,
    /// What Notifications last reported.
    pub email_status: EmailStatus,
    /// Whether text messages are welcome.
    pub sms_consent: bool,
    /// When that was last said; the server's time.
    pub sms_consent_at: Option<Instant>,
    /// Whether advertising is welcome.
    pub marketing_consent: bool,
    /// When that was last said; the server's time.
    pub marketing_consent_at: Option<Instant>,
}

/// What a customer may change of language and consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommunicationEdit {
    /// The language of what is sent.
    pub language: Language,
    /// Whether text messages are welcome.
    pub sms_consent: bool,
    /// Whether advertising is welcome.
    pub marketing_consent: bool,
}

impl CommunicationEdit {
    /// The names of the fields in which this differs from what is stored.
    pub fn changes(&self, current: &Communication) -> Vec<&'static str> {
        let Self { language, sms_consent, marketing_consent } = *self;
        changed(&[
            ("communication.language", language != current.language),
            ("communication.smsConsent", sms_consent != current.sms_consent),
            ("communication.marketingConsent", marketing_consent != current.marketing_consent),
        ])
    }

    /// What is stored after this edit: a consent that changes gets the present as its time.
    #[must_use]
    pub fn apply(&self, current: &Communication, now: Instant) -> Communication {
        let Self { language, sms_consent, marketing_consent } = *self;
        let at = |new: bool, old: bool, since| if new == old { since } else { Some(now) };
        Communication {
            language,
            email_status: current.email_status,
            sms_consent,
            sms_consent_at: at(sms_consent, current.sms_consent, current.sms_consent_at),
            marketing_consent,
            marketing_consent_at: at(marketing_consent, current.marketing_consent, current.marketing_consent_at),
        }
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
}

/// What a customer may change at `/api/preferences`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferencesEdit {
    /// How bills are delivered.
    pub bill_delivery: BillDelivery,
    /// What the customer wants to be told.
    pub notifications: Notifications,
    /// Paying by itself.
    pub auto_pay: AutoPay,
    /// Where letters go.
    pub mailing_address: MailingAddress,
}

impl PreferencesEdit {
    /// The names of the fields in which this differs from what is stored.
    pub fn changes(&self, current: &Preferences) -> Vec<&'static str> {
        let Self { bill_delivery, notifications, auto_pay, mailing_address } = self;
        let mut changes = changed(&[
            ("billDelivery", *bill_delivery != current.bill_delivery),
            ("autoPay", *auto_pay != current.auto_pay),
            ("mailingAddress", *mailing_address != current.mailing_address),
        ]);
        changes.extend(notifications.changes(&current.notifications));
        changes
    }
}

/// A way to pay, as Billing reported it.
#[derive(Debug, Clone)]
pub struct PaymentMethod {
    /// Billing's id of it.
    pub id: String,
    /// Such as `Visa ending 4242`.
    pub label: Label,
    /// `YYYY-MM`, where it expires.
    pub expires: Option<String>,
}
