//! Seeding on both engines.

use std::sync::Arc;

use domain::{personal::Personal, preferences::*, time::SystemClock, values::Money};

use super::*;
use crate::testing::TestDb;

fn new<I: Id>(number: i64) -> I {
    I::new(number).unwrap()
}

fn text<P: Personal>(value: &str) -> P {
    P::from_record(value.to_owned())
}

fn customer(number: i64) -> NewCustomer {
    let at = Instant::parse("2024-01-01T06:00:00Z").unwrap();
    let reading = |id, hours, value| NewReading {
        id: new(id),
        register: Register::Delivered,
        read_at: at.plus(hours * domain::time::HOUR),
        value: Quantity::from_thousandths(value).unwrap(),
        quality: Quality::Actual,
        revision: 1,
        is_current: true,
        reported_at: at.plus(hours * domain::time::HOUR),
        corrected_at: None,
    };
    NewCustomer {
        id: new(number),
        edit: CustomerEdit {
            name: domain::customers::CustomerName::Individual { first: text("Ann Ann"), last: text("O'Neil") },
            email: Some(text("ann@example.com")),
            phone: None,
        },
        status: Status::Active,
        inactive_since: None,
        created_at: at,
        links: vec![("https://issuer.example".into(), format!("subject-{number}"))],
        accounts: vec![NewAccount {
            id: new(number),
            number: AccountNumber::issued(number.unsigned_abs()),
            nickname: None,
            status: Status::Active,
            created_at: at,
            balance: Balance::default(),
            premises: vec![NewPremise {
                id: new(number),
                nickname: None,
                address: Address {
                    street: text("1 Main Street"),
                    unit: None,
                    city: text("Anytown"),
                    state: text("TX"),
                    zip: text("75001"),
                },
                is_primary: true,
                status: Status::Active,
                service_start: LocalDate::parse("2024-01-01").unwrap(),
                service_end: None,
                occupancy: (at, None),
                created_at: at,
                service_points: vec![NewServicePoint {
                    id: new(number),
                    esi_id: text(&format!("1044372{number:010}")),
                    wires_company: 1,
                    meters: vec![NewMeter {
                        id: new(number),
                        number: MeterNumber::from_record(format!("M{number}")),
                        kind: MeterType::Electric,
                        status: MeterStatus::Active,
                        dial: Dial { dials: 5, multiplier: 1 },
                        installed_on: LocalDate::parse("2024-01-01").unwrap(),
                        installed_at: at,
                        removed_at: None,
                        readings: vec![reading(2 * number, 0, 1000), reading(2 * number + 1, 24, 2500)],
                    }],
                }],
            }],
        }],
        preferences: Preferences::of_newcomer(),
        payment_methods: vec![PaymentMethod {
            id: format!("pm_{number}"),
            label: text("Visa ending 1"),
            expires: None,
        }],
    }
}

fn oncor() -> WiresCompany {
    WiresCompany { id: 1, name: "Oncor".into(), outage_phone: None }
}

async fn whole_customers_are_written(db: &TestDb) {
    let store = db.open(Arc::new(SystemClock)).await.unwrap();
    assert!(store.is_empty().await.unwrap());
    let list: Vec<_> = (1..=25).map(customer).collect();
    write(&store, &[oncor()], &list).await.unwrap();
    assert!(!store.is_empty().await.unwrap());

    let newest = progress(&store).await.unwrap();
    assert_eq!(newest.len(), 25);
    let first = newest[0];
    assert_eq!((first.meter.get(), first.value.thousandths(), first.last_id), (1, 2500, 51));

    // All or nothing: the second of these repeats an id.
    assert!(write(&store, &[oncor()], &[customer(26), customer(25)]).await.is_err());
    assert_eq!(progress(&store).await.unwrap().len(), 25);

    let day = domain::time::HOUR * 24;
    let last = customer(1).accounts[0].premises[0].service_points[0].meters[0].readings[1];
    let next = NewReading {
        id: new(1000),
        read_at: last.read_at.plus(day),
        value: Quantity::from_thousandths(4000).unwrap(),
        ..last
    };
    let balance =
        Balance { current_balance: Money::from_cents(1250), balance_as_of: Some(next.read_at), ..Balance::default() };
    append(&store, &[(new(1), new(1), next)], &[(new(1), new(1), balance)]).await.unwrap();
    let first = progress(&store).await.unwrap()[0];
    assert_eq!((first.read_at, first.value.thousandths(), first.last_id), (next.read_at, 4000, 1000));

    assert_eq!(store.demo_anchor().await.unwrap(), None);
    store.mark_demo(next.read_at).await.unwrap();
    assert_eq!(store.demo_anchor().await.unwrap(), Some(next.read_at));
}

#[tokio::test]
async fn whole_customers_are_written_on_sqlite() {
    whole_customers_are_written(&TestDb::sqlite().unwrap()).await;
}

#[tokio::test]
async fn whole_customers_are_written_on_postgres() {
    whole_customers_are_written(&TestDb::postgres().await.unwrap()).await;
}
