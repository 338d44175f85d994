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
    tasks::TaskKind,
    time::Instant,
    values::{City, Label, State, StreetLines, Zip},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Guarded, Session, StoreError,
    db::{Columns, Param, Reader, Text, columns, named_columns, params, sql, statements},
    sealed::{self, SealedRow, reveal},
};

named_columns! { BillDelivery, Language, EmailStatus }

columns! {
    /// The choices that stand alone, and the mailing address.
    PreferenceRow of "p" { bill_delivery: BillDelivery, sealed: Vec<u8> }
}

columns! {
    for AutoPay of "p" { enabled as "auto_pay_enabled": bool, payment_method as "payment_method_id": Option<String> }
}

columns! {
    for Notifications of "p" {
        bill_ready: bool, payment_due: bool, outage_alerts: bool, high_usage_alerts: bool,
    }
}

columns! {
    for Communication of "p" {
        language: Language, email_status: EmailStatus, sms_consent: bool, sms_consent_at: Option<Instant>,
        marketing_consent: bool, marketing_consent_at: Option<Instant>,
    }
}

/// All columns of the table: first those that only a new row sets, then the rest, in the order of [`bind`].
pub(crate) const COLUMNS: &[&[(&str, &str)]] = &[
    &[("customer_id", "int8"), ("version", "int8"), ("updated_at", "timestamptz")],
    PreferenceRow::COLUMNS,
    AutoPay::COLUMNS,
    Notifications::COLUMNS,
    Communication::COLUMNS,
];

const UPDATE_ALL: Text = Text::update(
    "preference",
    COLUMNS.split_at(1).1,
    3,
    ", version = version + 1, updated_at = $2 WHERE customer_id = $1",
);

statements! {
    FIND = {sql!("SELECT k.wrapped, p.version, " [PreferenceRow] ", " [AutoPay] ", " [Notifications] ", " [Communication] "
        FROM preference p JOIN customer_key k ON k.customer_id = p.customer_id
        WHERE p.customer_id = $1")};
    UPDATE = { UPDATE_ALL.as_str() };
    // The lists that neighbouring services fetch show a customer's preferences with the customer.
    TOUCH = {"UPDATE customer SET updated_at = $2 WHERE customer_id = $1"};
    UNVERIFIED = {"UPDATE preference SET version = version + CASE WHEN email_status = $3 THEN 0 ELSE 1 END,
        updated_at = $2, email_since = $2, email_status = $3 WHERE customer_id = $1"};
    EMAIL_SINCE = {"SELECT email_since FROM preference WHERE customer_id = $1"};
    SET_EMAIL_STATUS = {"UPDATE preference SET version = version + 1, updated_at = $2, email_status = $3
        WHERE customer_id = $1"};
    METHODS_AS_OF = {"SELECT payment_methods_as_of FROM preference WHERE customer_id = $1"};
    SET_METHODS_AS_OF = {"UPDATE preference SET payment_methods_as_of = $2 WHERE customer_id = $1"};
    DROP_METHODS = {"DELETE FROM payment_method WHERE customer_id = $1"};
    ADD_METHOD = {"INSERT INTO payment_method (customer_id, row_id, payment_method_id, expires, reported_at, sealed)
        VALUES ($1, $2, $3, $4, $5, $6)"};
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

/// The values of a row, the mailing address sealed.
pub(crate) fn bind(preferences: &Preferences, key: &DataKey, customer: CustomerId) -> Result<Vec<Param>, StoreError> {
    let Preferences { bill_delivery, notifications, auto_pay, mailing_address, communication, version: _ } =
        preferences.clone();
    let sealed = sealed::seal(key, customer, customer.get(), &PreferenceSealedV1::of(&mailing_address))?;
    let row = PreferenceRow { bill_delivery, sealed };
    Ok([row.bind(), auto_pay.bind(), notifications.bind(), communication.bind()].into_iter().flatten().collect())
}

/// Opens the mailing address of a sealed record.
pub(crate) fn open_mailing(key: &DataKey, customer: CustomerId, record: &[u8]) -> Result<MailingAddress, StoreError> {
    Ok(sealed::open::<PreferenceSealedV1>(key, customer, customer.get(), record)?.open())
}

/// Reads the version and all that is in the lists of columns.
pub(crate) fn read(row: &mut Reader, key: &DataKey, customer: CustomerId) -> Result<Preferences, StoreError> {
    let version = row.get()?;
    let PreferenceRow { bill_delivery, sealed } = Columns::read(row)?;
    let (auto_pay, notifications, communication) = (Columns::read(row)?, Columns::read(row)?, Columns::read(row)?);
    let mailing_address = open_mailing(key, customer, &sealed)?;
    Ok(Preferences { bill_delivery, notifications, auto_pay, mailing_address, communication, version })
}

/// A customer's preferences.
pub async fn find(session: &mut Session<'_>) -> Result<Option<Guarded<Preferences>>, StoreError> {
    let rows = session.own(&FIND, params![]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let wrapped: Vec<u8> = row.get()?;
    let found = read(&mut row, &*session.key(&wrapped)?, session.customer())?;
    Ok(Some(session.guard(found, Categories::PREFERENCE)))
}

/// Stores preferences as they are after an edit.
pub async fn update(change: &mut Change<'_>, preferences: &Preferences) -> Result<(), StoreError> {
    let key = change.own_key().await?;
    let mut row = params![change.now()];
    row.extend(bind(preferences, &key, change.customer())?);
    change.change_one(&UPDATE, row).await?;
    let now = change.now();
    Ok(change.change_one(&TOUCH, params![now]).await?)
}

/// Notes that the customer's e-mail address is another one: what was known of the old one says nothing of it, and
/// nobody need look at it any more.
pub async fn email_changed(change: &mut Change<'_>) -> Result<(), StoreError> {
    let (now, customer) = (change.now(), change.customer());
    change.change_one(&UNVERIFIED, params![now, EmailStatus::Unverified]).await?;
    change.close_tasks(TaskKind::BouncedAddress, customer).await?;
    Ok(())
}

/// Since when the customer has the present e-mail address; `None` where it was always there.
pub async fn email_since(change: &mut Change<'_>) -> Result<Option<Instant>, StoreError> {
    let row = change.own(&EMAIL_SINCE, params![]).await?.into_iter().next();
    Ok(row.map(|row| row.read().get()).transpose()?.flatten())
}

/// Stores what Notifications reports of the e-mail address.
pub async fn set_email_status(change: &mut Change<'_>, status: EmailStatus) -> Result<(), StoreError> {
    let now = change.now();
    change.change_one(&SET_EMAIL_STATUS, params![now, status]).await?;
    Ok(change.change_one(&TOUCH, params![now]).await?)
}

/// When what is known of the payment methods was so; `None` when Billing never reported.
pub async fn payment_methods_as_of(change: &mut Change<'_>) -> Result<Option<Instant>, StoreError> {
    let row = change.own(&METHODS_AS_OF, params![]).await?.into_iter().next();
    Ok(row.map(|row| row.read().get()).transpose()?.flatten())
}

/// Replaces the payment methods by those that Billing reports.
pub async fn set_payment_methods(
    change: &mut Change<'_>,
    methods: &[PaymentMethod],
    as_of: Instant,
) -> Result<(), StoreError> {
    let (key, customer) = (change.own_key().await?, change.customer());
    change.change(&DROP_METHODS, params![]).await?;
    for (PaymentMethod { id, label, expires }, row) in methods.iter().zip(1_i64..) {
        let sealed = seal_label(&key, customer, row, label)?;
        change.change_one(&ADD_METHOD, params![row, id.clone(), expires.clone(), as_of, sealed]).await?;
    }
    Ok(change.change_one(&SET_METHODS_AS_OF, params![as_of]).await?)
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
