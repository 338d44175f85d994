//! Preferences and payment methods.

use crypto::DataKey;
use domain::{
    ids::{CustomerId, Id},
    personal::Personal,
    policy::Categories,
    preferences::{
        AutoPay, BillDelivery, Communication, EmailStatus, Language, MailingAddress, Notifications, PaymentMethod,
        Preferences,
    },
    time::Instant,
    values::{City, Label, State, StreetLines, Zip},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Guarded, Session, StoreError,
    db::{Columns, Text, columns, params, sql, statements},
    sealed::{self, SealedRow, reveal},
};

columns! {
    /// What a customer chose.
    PreferenceRow of "p" {
        bill_delivery: BillDelivery, bill_ready: bool, payment_due: bool, outage_alerts: bool, high_usage_alerts: bool,
        auto_pay_enabled: bool, payment_method_id: Option<String>, language: Language, email_status: EmailStatus,
        sms_consent: bool, sms_consent_at: Option<Instant>, marketing_consent: bool,
        marketing_consent_at: Option<Instant>, sealed: Vec<u8>,
    }
}

const UPDATE_ALL: Text = Text::update(
    "preference",
    PreferenceRow::COLUMNS,
    3,
    ", version = version + 1, updated_at = $2 WHERE customer_id = $1",
);

statements! {
    FIND = {sql!("SELECT k.wrapped, p.version, " [PreferenceRow] "
        FROM preference p JOIN customer_key k ON k.customer_id = p.customer_id
        WHERE p.customer_id = $1")};
    UPDATE = { UPDATE_ALL.as_str() };
    UNVERIFIED = {"UPDATE preference SET version = version + 1, updated_at = $2, email_status = $3
        WHERE customer_id = $1 AND email_status <> $3"};
    PAYMENT_METHODS = {"SELECT k.wrapped, m.row_id, m.payment_method_id, m.expires, m.sealed
        FROM payment_method m JOIN customer_key k ON k.customer_id = m.customer_id
        WHERE m.customer_id = $1 ORDER BY m.payment_method_id"};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PreferenceSealedV1 {
    street: Option<String>,
    city: Option<String>,
    state: Option<String>,
    zip: Option<String>,
}

impl SealedRow for PreferenceSealedV1 {
    const TABLE: &'static str = "preference";
    const VERSION: u8 = 1;
}

impl PreferenceSealedV1 {
    fn of(address: &MailingAddress) -> Self {
        match address {
            MailingAddress::SameAsPrimaryPremise => Self { street: None, city: None, state: None, zip: None },
            MailingAddress::Own { street, city, state, zip } => Self {
                street: Some(reveal!(street)),
                city: Some(reveal!(city)),
                state: Some(reveal!(state)),
                zip: Some(reveal!(zip)),
            },
        }
    }

    fn open(self) -> MailingAddress {
        let Self { street, city, state, zip } = self;
        match (street, city, state, zip) {
            (Some(street), Some(city), Some(state), Some(zip)) => MailingAddress::Own {
                street: StreetLines::from_record(street),
                city: City::from_record(city),
                state: State::from_record(state),
                zip: Zip::from_record(zip),
            },
            _ => MailingAddress::SameAsPrimaryPremise,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PaymentMethodSealedV1 {
    label: String,
}

impl SealedRow for PaymentMethodSealedV1 {
    const TABLE: &'static str = "payment_method";
    const VERSION: u8 = 1;
}

/// Seals a payment method's label; `row` is the method's row id.
pub(crate) fn seal_label(key: &DataKey, customer: CustomerId, row: i64, label: &Label) -> Result<Vec<u8>, StoreError> {
    sealed::seal(key, customer, row, &PaymentMethodSealedV1 { label: reveal!(label) })
}

impl PreferenceRow {
    fn open(self, version: i64, key: &DataKey, customer: CustomerId) -> Result<Preferences, StoreError> {
        let Self {
            bill_delivery,
            bill_ready,
            payment_due,
            outage_alerts,
            high_usage_alerts,
            auto_pay_enabled: enabled,
            payment_method_id: payment_method,
            language,
            email_status,
            sms_consent,
            sms_consent_at,
            marketing_consent,
            marketing_consent_at,
            sealed,
        } = self;
        Ok(Preferences {
            bill_delivery,
            notifications: Notifications { bill_ready, payment_due, outage_alerts, high_usage_alerts },
            auto_pay: AutoPay { enabled, payment_method },
            mailing_address: sealed::open::<PreferenceSealedV1>(key, customer, customer.get(), &sealed)?.open(),
            communication: Communication {
                language,
                email_status,
                sms_consent,
                sms_consent_at,
                marketing_consent,
                marketing_consent_at,
            },
            version,
        })
    }

    /// The row of some preferences, sealed.
    pub(crate) fn seal(preferences: &Preferences, key: &DataKey, customer: CustomerId) -> Result<Self, StoreError> {
        let Preferences { bill_delivery, notifications, auto_pay, mailing_address, communication, version: _ } =
            preferences.clone();
        let Notifications { bill_ready, payment_due, outage_alerts, high_usage_alerts } = notifications;
        let AutoPay { enabled, payment_method } = auto_pay;
        let Communication {
            language,
            email_status,
            sms_consent,
            sms_consent_at,
            marketing_consent,
            marketing_consent_at,
        } = communication;
        Ok(Self {
            bill_delivery,
            bill_ready,
            payment_due,
            outage_alerts,
            high_usage_alerts,
            auto_pay_enabled: enabled,
            payment_method_id: payment_method,
            language,
            email_status,
            sms_consent,
            sms_consent_at,
            marketing_consent,
            marketing_consent_at,
            sealed: sealed::seal(key, customer, customer.get(), &PreferenceSealedV1::of(&mailing_address))?,
        })
    }
}

/// A customer's preferences.
pub async fn find(session: &mut Session<'_>) -> Result<Option<Guarded<Preferences>>, StoreError> {
    let rows = session.own(&FIND, params![]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let (wrapped, version): (Vec<u8>, i64) = (row.get()?, row.get()?);
    let (key, customer) = (session.key(&wrapped)?, session.customer());
    let found = PreferenceRow::read(&mut row)?.open(version, &key, customer)?;
    Ok(Some(session.guard(found, Categories::PREFERENCE)))
}

/// Stores preferences as they are after an edit.
pub async fn update(change: &mut Change<'_>, preferences: &Preferences) -> Result<(), StoreError> {
    let key = change.own_key().await?;
    let mut row = params![change.now()];
    row.extend(PreferenceRow::seal(preferences, &key, change.customer())?.bind());
    Ok(change.change_one(&UPDATE, row).await?)
}

/// Notes that the customer's e-mail address is another one: what was known of the old one says nothing of it.
pub async fn email_changed(change: &mut Change<'_>) -> Result<(), StoreError> {
    let now = change.now();
    change.change(&UNVERIFIED, params![now, EmailStatus::Unverified]).await?;
    Ok(())
}

/// The payment methods that Billing reported.
pub async fn payment_methods(session: &mut Session<'_>) -> Result<Guarded<Vec<PaymentMethod>>, StoreError> {
    let rows = session.own(&PAYMENT_METHODS, params![]).await?;
    let customer = session.customer();
    let mut methods = Vec::with_capacity(rows.len());
    for row in rows {
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        let key = session.key(&wrapped)?;
        let (row_id, id, expires) = (row.get()?, row.get()?, row.get()?);
        let PaymentMethodSealedV1 { label } = sealed::open(&key, customer, row_id, &row.get::<Vec<u8>>()?)?;
        methods.push(PaymentMethod { id, label: Label::from_record(label), expires });
    }
    Ok(session.guard(methods, Categories::PAYMENT_METHOD))
}
