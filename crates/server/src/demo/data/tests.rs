//! The demonstration's data against the samples.

use std::sync::Arc;

use domain::{
    readings::{Dial, Register, RegisterReading, advances},
    time::{LocalDate, SystemClock},
    usage,
};
use store::testing::TestDb;

use super::*;

const ANCHOR: &str = "2025-01-15T12:00:00-06:00";

fn zone() -> Zone {
    Zone::named("America/Chicago").unwrap()
}

fn history(meter: i64, anchor: &str) -> (Vec<NewReading>, Instant) {
    let anchor = Instant::parse(anchor).unwrap();
    let series = SERIES.into_iter().find(|s| s.meter == meter && s.register == Register::Delivered).unwrap();
    (series.fit(zone().date(anchor)).history(&zone(), anchor, 1), anchor)
}

fn window(meter: i64, anchor: &str, days: i64) -> usage::WindowUsage {
    let (readings, anchor) = history(meter, anchor);
    let current = readings.iter().filter(|r| r.is_current).map(|r| RegisterReading {
        register: r.register,
        read_at: r.read_at,
        value: r.value,
        quality: r.quality,
        lowered_estimate: r.revision > 1
            && readings.iter().any(|e| e.read_at == r.read_at && e.revision < r.revision && e.value > r.value),
    });
    let dial = Dial { dials: 5, multiplier: people::multiplier(meter) };
    let advances = advances(&current.collect::<Vec<_>>(), dial);
    assert!(advances.iter().all(|a| !a.suspect), "meter {meter}");
    let today = zone().date(anchor);
    usage::window(&advances, zone().start(today.plus_days(-days)), zone().start(today))
}

#[test]
fn the_sampled_meter_shows_the_samples() {
    let (readings, _) = history(3001, ANCHOR);
    let shown = |date: &str| {
        let at = zone().start(LocalDate::parse(date).unwrap());
        readings.iter().filter(|r| r.read_at == at && r.is_current).map(|r| r.value.to_string()).collect::<String>()
    };
    assert_eq!(
        (shown("2024-12-16"), shown("2025-01-09"), shown("2025-01-10")),
        ("228".into(), "1211".into(), "1245".into())
    );
    assert_eq!(readings.last().unwrap().read_at.to_string(), "2025-01-10T06:00:00Z");
    assert_eq!(window(3001, ANCHOR, 30).total.unwrap().to_string(), "1017");
    let rollovers = readings.windows(2).filter(|pair| pair[1].value < pair[0].value && pair[0].is_current);
    let rollovers: Vec<String> = rollovers.map(|pair| zone().date(pair[1].read_at).to_string()).collect();
    assert!(rollovers.len() == 1 && rollovers[0].starts_with("2024-12-"), "{rollovers:?}");
    let estimates = readings.iter().filter(|r| r.revision == 2).count();
    assert!(estimates > 2, "{estimates}");
}

#[test]
fn customer_3_uses_109280_kwh_in_the_trailing_30_days_at_every_anchor() {
    for anchor in [ANCHOR, "2026-07-04T03:00:00-05:00", "2026-03-09T00:00:00-05:00"] {
        let of = |meter| window(meter, anchor, 30);
        let total = usage::sum((3006..=3011).map(of));
        assert_eq!((total.total.unwrap().to_string().as_str(), total.complete), ("109280", true), "{anchor}");
    }
}

#[test]
fn every_meter_counts_every_day_of_thirteen_months() {
    for meter in (3002..=3011).filter(|m| ![3003, 3004].contains(m)) {
        let year = window(meter, ANCHOR, 395);
        assert!(year.complete && year.total.unwrap().thousandths() > 0, "meter {meter}");
    }
}

#[test]
fn billing_reported_what_the_samples_show() {
    let anchor = Instant::parse(ANCHOR).unwrap();
    let balances = people::balances(zone().date(anchor), anchor, &zone()).unwrap();
    let (_, _, first) = balances[0];
    assert_eq!(first.balance_as_of.unwrap().to_string(), "2025-01-15T11:05:00Z");
    let dates = (first.next_due_date.unwrap().to_string(), first.last_payment_date.unwrap().to_string());
    assert_eq!(dates, ("2025-01-22".into(), "2024-12-15".into()));
    let third = balances.iter().filter(|(customer, ..)| *customer == 3);
    let cents: i64 = third.clone().map(|(_, _, b)| b.due_amount.unwrap().cents()).sum();
    let due = third.map(|(_, _, b)| b.next_due_date.unwrap()).min().unwrap();
    assert_eq!((cents, due.to_string().as_str()), (532_755, "2025-01-22"));
    let later = people::balances(zone().date(anchor), anchor.plus(40 * 24 * domain::time::HOUR), &zone()).unwrap();
    assert!(later.iter().all(|(_, _, b)| b.next_due_date.unwrap() >= LocalDate::parse("2025-02-24").unwrap()));
}

async fn it_loads_marks_and_grows(db: &TestDb) {
    let store = db.open(Arc::new(SystemClock)).await.unwrap();
    let anchor = Instant::parse(ANCHOR).unwrap();
    load(&store, anchor, &zone(), "https://issuer.example").await.unwrap();
    assert_eq!(store.demo_anchor().await.unwrap(), Some(anchor));
    let before = seed::progress(&store).await.unwrap();
    assert_eq!(before.len(), SERIES.len());
    let sampled = before[0];
    assert_eq!((sampled.meter.get(), sampled.value.to_string().as_str()), (SAMPLED_METER, "1245"));

    let later = anchor.plus(10 * 24 * domain::time::HOUR);
    grow(&store, later, &zone()).await.unwrap();
    let after = seed::progress(&store).await.unwrap();
    for (old, new) in before.iter().zip(&after) {
        let days = zone().date(new.read_at).days() - zone().date(old.read_at).days();
        assert_eq!(days, if old.meter.get() == 3003 { 0 } else { 10 }, "meter {}", old.meter);
    }
    grow(&store, later, &zone()).await.unwrap();
    assert_eq!(seed::progress(&store).await.unwrap(), after, "growing twice changes nothing");
}

#[tokio::test]
async fn it_loads_marks_and_grows_on_sqlite() {
    it_loads_marks_and_grows(&TestDb::sqlite().unwrap()).await;
}

#[tokio::test]
async fn it_loads_marks_and_grows_on_postgres() {
    it_loads_marks_and_grows(&TestDb::postgres().await.unwrap()).await;
}
