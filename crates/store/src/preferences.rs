//! Preferences and payment methods.

use crypto::DataKey;
use domain::{
    ids::{CustomerId, Id},
    input::Named,
    personal::Personal,
    policy::Categories,
    preferences::{AutoPay, Communication, EmailStatus, MailingAddress, Notifications, PaymentMethod, Preferences},
    values::{City, Label, State, StreetLines, Zip},
};
use serde::{Deserialize, Serialize};

use crate::{
    Guarded, Session, StoreError, Transaction,
    db::{params, statements},
    sealed::{self, SealedRow, reveal},
};

statements! {
    FIND = {"SELECT k.wrapped, p.version, p.bill_delivery, p.bill_ready, p.payment_due, p.outage_alerts,
            p.high_usage_alerts, p.auto_pay_enabled, p.payment_method_id, p.language, p.email_status, p.sms_consent,
            p.sms_consent_at, p.marketing_consent, p.marketing_consent_at, p.sealed
        FROM preference p JOIN customer_key k ON k.customer_id = p.customer_id
        WHERE p.customer_id = $1"};
    UPDATE = {"UPDATE preference SET version = version + 1, updated_at = $2, bill_delivery = $3, bill_ready = $4,
            payment_due = $5, outage_alerts = $6, high_usage_alerts = $7, auto_pay_enabled = $8,
            payment_method_id = $9, language = $10, email_status = $11, sms_consent = $12, sms_consent_at = $13,
            marketing_consent = $14, marketing_consent_at = $15, sealed = $16
        WHERE customer_id = $1"};
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

/// Seals the mailing address.
pub(crate) fn seal(key: &DataKey, customer: CustomerId, address: &MailingAddress) -> Result<Vec<u8>, StoreError> {
    sealed::seal(key, customer, customer.get(), &PreferenceSealedV1::of(address))
}

/// Seals a payment method's label; `row` is the method's row id.
pub(crate) fn seal_label(key: &DataKey, customer: CustomerId, row: i64, label: &Label) -> Result<Vec<u8>, StoreError> {
    sealed::seal(key, customer, row, &PaymentMethodSealedV1 { label: reveal!(label) })
}

/// A customer's preferences.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn find(session: &mut Session<'_>) -> Result<Option<Guarded<Preferences>>, StoreError> {
    let rows = session.own(&FIND, Vec::new()).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let wrapped: Vec<u8> = row.get()?;
    let (key, customer) = (session.key(&wrapped)?, session.customer());
    let version = row.get()?;
    let bill_delivery = row.named()?;
    let notifications = Notifications {
        bill_ready: row.get()?,
        payment_due: row.get()?,
        outage_alerts: row.get()?,
        high_usage_alerts: row.get()?,
    };
    let auto_pay = AutoPay { enabled: row.get()?, payment_method: row.get()? };
    let communication = Communication {
        language: row.named()?,
        email_status: row.named()?,
        sms_consent: row.get()?,
        sms_consent_at: row.get()?,
        marketing_consent: row.get()?,
        marketing_consent_at: row.get()?,
    };
    let record: Vec<u8> = row.get()?;
    let mailing_address = sealed::open::<PreferenceSealedV1>(&key, customer, customer.get(), &record)?.open();
    let found = Preferences { bill_delivery, notifications, auto_pay, mailing_address, communication, version };
    Ok(Some(Guarded::new(found, customer, Categories::PREFERENCE)))
}

/// The columns of a preference row behind its version, in the order of `UPDATE` and of the seed's insert.
pub(crate) fn columns(preferences: &Preferences, sealed: Vec<u8>) -> Vec<crate::db::Param> {
    let Preferences { bill_delivery, notifications, auto_pay, mailing_address: _, communication, version: _ } =
        preferences;
    let Notifications { bill_ready, payment_due, outage_alerts, high_usage_alerts } = *notifications;
    let AutoPay { enabled, payment_method } = auto_pay;
    let Communication { language, email_status, sms_consent, sms_consent_at, marketing_consent, marketing_consent_at } =
        communication;
    params![
        bill_delivery.name(),
        bill_ready,
        payment_due,
        outage_alerts,
        high_usage_alerts,
        *enabled,
        payment_method.clone(),
        language.name(),
        email_status.name(),
        *sms_consent,
        *sms_consent_at,
        *marketing_consent,
        *marketing_consent_at,
        sealed,
    ]
}

/// Stores preferences as they are after an edit.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn update(tx: &mut Transaction<'_>, preferences: &Preferences) -> Result<(), StoreError> {
    let key = tx.own_key().await?;
    let sealed = seal(&key, tx.customer(), &preferences.mailing_address)?;
    let mut row = params![tx.now()];
    row.extend(columns(preferences, sealed));
    Ok(tx.change_one(&UPDATE, row).await?)
}

/// Notes that the customer's e-mail address is another one: what was known of the old one says nothing of it.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn email_changed(tx: &mut Transaction<'_>) -> Result<(), StoreError> {
    let now = tx.now();
    tx.change(&UNVERIFIED, params![now, EmailStatus::Unverified.name()]).await?;
    Ok(())
}

/// The payment methods that Billing reported.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn payment_methods(session: &mut Session<'_>) -> Result<Guarded<Vec<PaymentMethod>>, StoreError> {
    let rows = session.own(&PAYMENT_METHODS, Vec::new()).await?;
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
    Ok(Guarded::new(methods, customer, Categories::PAYMENT_METHOD))
}
