//! Who the customers of the demonstration are. Ids, names, numbers and dates of customers 1 and 2, and the
//! totals of customer 3, are those of the specification's samples.

use domain::{
    accounts::Balance,
    customers::{CustomerEdit, CustomerName},
    enrollments::{Document, Enrollment, EnrollmentKind, EnrollmentStatus},
    ids::Id,
    meters::{MeterStatus, MeterType},
    personal::Personal,
    preferences::{AutoPay, BillDelivery, EmailStatus, Language, MailingAddress, PaymentMethod, Preferences},
    premises::Address,
    readings::{Dial, Register},
    status::Status,
    time::{HOUR, Instant, LocalDate, Zone},
    values::{AccountNumber, MeterNumber, Money},
};
use store::{
    DbError, StoreError,
    seed::{NewAccount, NewCustomer, NewMeter, NewPremise, NewServicePoint, WiresCompany},
};

use super::{
    places::{ALICE, BAKERY, HEADQUARTERS, OFFICE, Place, SHOPS, WAREHOUSES},
    series::{HISTORY, Series, Shape, WINDOW},
};

/// Constants of this file that are no value of their type: a defect of this program.
fn wrong() -> StoreError {
    DbError::Engine("the demonstration's data is not valid".into()).into()
}

pub(super) fn id<I: Id>(number: i64) -> Result<I, StoreError> {
    I::new(number).ok_or_else(wrong)
}

fn text<P: Personal>(value: &str) -> Result<P, StoreError> {
    P::parse(value).map_err(|_| wrong())
}

fn instant(value: &str) -> Result<Instant, StoreError> {
    Instant::parse(value).ok_or_else(wrong)
}

/// How the customers came: by an enrolment, each for the first premise of their first account.
pub(super) fn enrollments(customers: &[NewCustomer]) -> Result<Vec<Enrollment>, StoreError> {
    const NUMBERS: [&str; 3] = ["ENR-7K2M-9QXD", "ENR-4WBC-T8HN", "ENR-M3PF-6RJV"];
    let mut made = Vec::new();
    for ((id, customer), number) in (5001..).zip(customers).zip(NUMBERS) {
        let account = customer.accounts.first().ok_or_else(wrong)?;
        let premise = account.premises.first().ok_or_else(wrong)?;
        made.push(Enrollment {
            id: self::id(id)?,
            customer: customer.id,
            account: account.id,
            premise: premise.id,
            kind: EnrollmentKind::Switch,
            status: EnrollmentStatus::Active,
            confirmation_number: number.into(),
            requested_start: premise.service_start,
            confirmed_start: Some(premise.service_start),
            rejection: None,
            documents: vec![Document { name: "terms-of-service".into(), version: "2019-01".into() }],
            submitted_at: customer.created_at,
            approved_at: Some(customer.created_at),
            version: 1,
        });
    }
    Ok(made)
}

/// The companies that own the wires.
pub(super) fn companies() -> Vec<WiresCompany> {
    let company = |(id, name): (i64, &str)| WiresCompany { id, name: name.into(), outage_phone: None };
    [(ONCOR, "Oncor"), (CENTERPOINT, "CenterPoint")].map(company).into()
}

const ONCOR: i64 = 1;
const CENTERPOINT: i64 = 2;

/// Days before the anchor on which a meter of customer 2 was exchanged.
const EXCHANGE: i64 = 150;

const FIVE_DIALS: i64 = 100_000_000;

const fn series(meter: i64, shape: Shape, window: i64) -> Series {
    Series {
        meter,
        register: Register::Delivered,
        shape,
        seed: meter.unsigned_abs(),
        window,
        last_day: None,
        step: 100,
        size: FIVE_DIALS,
        lag: 0,
        first: HISTORY,
        removed: None,
        known: (HISTORY, 20_000_000 + meter % 10 * 3_217_000),
    }
}

/// Every register. Those of customer 3 count 109,280 kWh over the window; see `dial` for the one whose
/// multiplier is 40.
pub(super) const SERIES: [Series; 12] = [
    // Value 228 thirty days before the anchor, 1245 five days before it, the last day 34: a five-dial
    // register that started over some days earlier.
    Series {
        window: 1_017_000,
        last_day: Some(34_000),
        step: 1000,
        lag: 5,
        known: (WINDOW, 228_000),
        ..series(3001, Shape::Home, 0)
    },
    series(3002, Shape::Office, 9_840_000),
    Series { register: Register::Received, seed: 93_002, ..series(3002, Shape::Solar, 2_260_000) },
    Series {
        seed: 3004,
        removed: Some(EXCHANGE),
        known: (HISTORY, 71_330_000),
        ..series(3003, Shape::Steady, 6_150_000)
    },
    Series { first: EXCHANGE, known: (EXCHANGE, 0), ..series(3004, Shape::Steady, 6_150_000) },
    series(3005, Shape::Office, 4_420_000),
    Series { step: 10, ..series(3006, Shape::Steady, 1_030_000) },
    series(3007, Shape::Office, 22_480_000),
    series(3008, Shape::Office, 17_650_000),
    series(3009, Shape::Steady, 12_930_000),
    series(3010, Shape::Office, 9_340_000),
    series(3011, Shape::Home, 5_680_000),
];

/// What multiplies the dial of a meter: current transformers of 200:5 at the largest.
pub(super) fn multiplier(meter: i64) -> i64 {
    if meter == 3006 { 40 } else { 1 }
}

/// What Billing last reported of an account, as of a date; due dates step on by 30 days.
///
/// (account, current and due in cents, due date and last payment in days from the anchor, the payment).
const BALANCES: [(i64, i64, i64, i64, i64); 6] = [
    (1001, 14_250, 7, -31, 12_875),
    (1002, 186_420, 9, -24, 179_935),
    (1003, 94_575, 12, -21, 101_260),
    (1004, 284_510, 7, -23, 291_120),
    (1005, 176_495, 10, -20, 168_540),
    (1006, 71_750, 13, -17, 75_315),
];

/// The balances of all accounts at an instant: (customer, account, balance).
pub(super) fn balances(anchor: LocalDate, now: Instant, zone: &Zone) -> Result<Vec<(i64, i64, Balance)>, StoreError> {
    let today = zone.date(now);
    let of = |(account, cents, due, paid, payment): (i64, i64, i64, i64, i64)| {
        // Whole periods since the anchor, so that the next due date never lies in the past.
        let late = today.days() - anchor.plus_days(due).days();
        let moved = if late > 0 { (late + 29) / 30 * 30 } else { 0 };
        let money = |cents| Money::from_cents(cents).ok_or_else(wrong);
        let balance = Balance {
            current_balance: Some(money(cents)?),
            due_amount: Some(money(cents)?),
            past_due_amount: Some(Money::ZERO),
            next_due_date: Some(anchor.plus_days(due + moved)),
            last_payment_date: Some(anchor.plus_days(paid + moved)),
            last_payment_amount: Some(money(payment)?),
            // Billing reports before its customers get up.
            balance_as_of: Some(zone.start(today).plus(5 * HOUR + HOUR / 12).min(now)),
        };
        let customer = match account {
            1001 => 1,
            1002 | 1003 => 2,
            _ => 3,
        };
        Ok((customer, account, balance))
    };
    BALANCES.into_iter().map(of).collect()
}

fn premise(
    (id, nickname, place, start, meters): Place,
    is_primary: bool,
    anchor: LocalDate,
    zone: &Zone,
) -> Result<NewPremise, StoreError> {
    let [street, unit, city, zip, esi_id] = place;
    let service_start = LocalDate::parse(start).ok_or_else(wrong)?;
    let start = zone.start(service_start);
    let meter = |(meter, number): &(i64, &str)| {
        let exchanged = anchor.plus_days(-EXCHANGE);
        let (installed_on, removed) = match meter {
            3003 => (service_start, Some(exchanged)),
            3004 => (exchanged, None),
            _ => (service_start, None),
        };
        Ok(NewMeter {
            id: self::id(*meter)?,
            number: MeterNumber::parse(number).map_err(|_| wrong())?,
            kind: MeterType::Electric,
            status: if removed.is_some() { MeterStatus::Inactive } else { MeterStatus::Active },
            dial: Dial { dials: 5, multiplier: multiplier(*meter) },
            installed_on,
            installed_at: zone.start(installed_on),
            removed_at: removed.map(|date| zone.start(date)),
            readings: Vec::new(),
        })
    };
    let service_point = NewServicePoint {
        // Premise 2001 stands at service point 4001, and so on.
        id: self::id(id + 2000)?,
        esi_id: text(esi_id)?,
        wires_company: if esi_id.len() == 22 { CENTERPOINT } else { ONCOR },
        meters: meters.iter().map(meter).collect::<Result<_, StoreError>>()?,
    };
    Ok(NewPremise {
        id: self::id(id)?,
        nickname: nickname.map(text).transpose()?,
        address: Address {
            street: text(street)?,
            unit: (!unit.is_empty()).then(|| text(unit)).transpose()?,
            city: text(city)?,
            state: text("TX")?,
            zip: text(zip)?,
        },
        is_primary,
        status: Status::Active,
        service_start,
        service_end: None,
        occupancy: (start, None),
        created_at: start,
        service_points: vec![service_point],
    })
}

/// What the three customers share: anchor, zone, and how each account stands.
pub(super) struct Setting<'a> {
    pub(super) anchor: LocalDate,
    pub(super) zone: &'a Zone,
    pub(super) balances: &'a [(i64, i64, Balance)],
}

impl Setting<'_> {
    fn account(
        &self,
        account: i64,
        number: &str,
        nickname: Option<&str>,
        places: &[Place],
    ) -> Result<NewAccount, StoreError> {
        let premises = places.iter().enumerate();
        let premises = premises.map(|(index, place)| premise(*place, index == 0, self.anchor, self.zone));
        let premises = premises.collect::<Result<Vec<_>, _>>()?;
        let balance = self.balances.iter().find(|(_, of, _)| *of == account).map(|(_, _, balance)| *balance);
        Ok(NewAccount {
            id: id(account)?,
            number: AccountNumber::parse(number).map_err(|_| wrong())?,
            nickname: nickname.map(text).transpose()?,
            status: Status::Active,
            created_at: premises.first().ok_or_else(wrong)?.created_at,
            balance: balance.unwrap_or_default(),
            premises,
        })
    }
}

fn customer(
    number: i64,
    name: CustomerName,
    contact: (&str, &str),
    created_at: &str,
    accounts: Vec<NewAccount>,
    link: (String, String),
) -> Result<NewCustomer, StoreError> {
    let mut preferences = Preferences::of_newcomer();
    preferences.communication.email_status = EmailStatus::Ok;
    Ok(NewCustomer {
        id: id(number)?,
        edit: CustomerEdit { name, email: Some(text(contact.0)?), phone: Some(text(contact.1)?) },
        status: Status::Active,
        inactive_since: None,
        created_at: instant(created_at)?,
        links: vec![link],
        accounts,
        preferences,
        payment_methods: Vec::new(),
    })
}

fn method(id: &str, label: &str, expires: Option<&str>) -> Result<PaymentMethod, StoreError> {
    Ok(PaymentMethod { id: id.into(), label: text(label)?, expires: expires.map(Into::into) })
}

/// The three customers, without readings. `links` gives (issuer, subject) of alice, bob and carol.
pub(super) fn customers(setting: &Setting<'_>, links: [(String, String); 3]) -> Result<[NewCustomer; 3], StoreError> {
    let [alice, bob, carol] = links;
    let business = |name: &str| Ok::<_, StoreError>(CustomerName::Business { name: text(name)? });
    let john = CustomerName::Individual { first: text("John")?, last: text("Smith")? };
    let accounts = vec![setting.account(1001, "1234567890", None, &ALICE)?];
    let mut first =
        customer(1, john, ("john.smith@example.com", "(555) 123-4567"), "2020-03-15T00:00:00Z", accounts, alice)?;
    first.payment_methods = vec![method("pm_81", "Visa ending 4242", Some("2027-04"))?];
    let accounts = vec![
        setting.account(1002, "9876543210", Some("Headquarters"), &HEADQUARTERS)?,
        setting.account(1003, "5555555555", Some("Warehouse District"), &WAREHOUSES)?,
    ];
    let mut second = customer(
        2,
        business("Acme Corporation")?,
        ("accounts@acme.com", "(555) 987-6543"),
        "2019-01-15T00:00:00Z",
        accounts,
        bob,
    )?;
    second.preferences.bill_delivery = BillDelivery::Both;
    second.preferences.mailing_address = MailingAddress::Own {
        street: text("Acme Corporation, Accounts Payable\nPO Box 1234")?,
        city: text("Dallas")?,
        state: text("TX")?,
        zip: text("75202-1234")?,
    };
    second.payment_methods = vec![method("pm_92", "Checking account ending 0071", None)?];
    let accounts = vec![
        setting.account(1004, "3141592653", Some("Bakery"), &BAKERY)?,
        setting.account(1005, "2718281828", Some("Shops"), &SHOPS)?,
        setting.account(1006, "1618033988", Some("Office"), &OFFICE)?,
    ];
    let mut third = customer(
        3,
        business("Lone Star Bakeries")?,
        ("office@lonestarbakeries.example.com", "(555) 246-8013"),
        "2018-06-01T00:00:00Z",
        accounts,
        carol,
    )?;
    third.payment_methods = vec![method("pm_107", "Mastercard ending 5100", Some("2028-11"))?];
    third.preferences.auto_pay = AutoPay { enabled: true, payment_method: Some("pm_107".into()) };
    third.preferences.communication.language = Language::Spanish;
    Ok([first, second, third])
}
