//! The index by customer: what it finds, how little is believed of it, and how it goes with its records.

use std::sync::atomic::Ordering;

use domain::{
    ids::{CustomerId, Id},
    time::Instant,
};

use super::{
    record,
    retention::{drop_before, month, three_months},
    support::{House, on_both},
    writing::shown,
};
use crate::audit::{AuditLog, Filter, Record};

fn customer(id: i64) -> CustomerId {
    CustomerId::new(id).unwrap()
}

async fn append(log: &AuditLog, n: i64, of: Option<CustomerId>, with: &[i64]) {
    let customers = with.iter().copied().map(customer).collect();
    log.append(Record { customer: of, customers, ..record(n) }).await.unwrap();
}

/// The requests in which a customer's data was touched, newest first.
async fn of(house: &House, id: i64) -> Vec<String> {
    let found = shown(house, Filter { customer: Some(customer(id)), ..Filter::default() }).await;
    found.into_iter().map(|shown| shown.record.request_id).collect()
}

fn requests(numbers: &[i64]) -> Vec<String> {
    numbers.iter().map(|n| format!("request-{n}")).collect()
}

#[test]
fn a_customers_records_are_found_behind_the_index_and_through_it() {
    on_both("index", |house| async move {
        let log = house.log().await;
        append(&log, 1, Some(customer(1)), &[]).await;
        append(&log, 2, Some(customer(2)), &[]).await;
        append(&log, 3, None, &[1, 3]).await;
        append(&log, 4, None, &[]).await;
        assert_eq!((of(&house, 1).await, of(&house, 3).await), (requests(&[3, 1]), requests(&[3])), "scanned");
        log.index().await.unwrap();
        assert_eq!((of(&house, 1).await, of(&house, 3).await), (requests(&[3, 1]), requests(&[3])), "indexed");
        append(&log, 5, None, &[1, 2]).await;
        append(&log, 6, Some(customer(1)), &[]).await;
        assert_eq!(of(&house, 1).await, requests(&[6, 5, 3, 1]), "both");
        // Below its mark nothing else than the index tells.
        house.tamper("DELETE FROM audit_by_customer WHERE customer_id = 1").await;
        assert_eq!(of(&house, 1).await, requests(&[6, 5]));
        assert_eq!(house.findings().await, [], "verification does not ask it");
        log.reindex().await.unwrap();
        assert_eq!(of(&house, 1).await, requests(&[6, 5, 3, 1]));
        assert_eq!(of(&house, 2).await, requests(&[5, 2]));
        log.close().await;
    });
}

#[test]
fn an_index_that_lies_shows_nobody_anothers_records() {
    on_both("lies", |house| async move {
        let log = house.log().await;
        append(&log, 1, Some(customer(1)), &[]).await;
        append(&log, 2, Some(customer(2)), &[]).await;
        log.index().await.unwrap();
        house.tamper("UPDATE audit_by_customer SET customer_id = 2").await;
        assert_eq!(of(&house, 2).await, requests(&[2]));
        house.tamper("UPDATE audit_by_customer SET number = number + 7").await;
        assert_eq!(of(&house, 2).await, requests(&[]));
        log.close().await;
    });
}

#[test]
fn who_was_overtaken_leaves_no_hole() {
    on_both("overtaken", |house| async move {
        let logs = [house.log().await, house.log().await];
        for n in 1..=20 {
            append(&logs[0], n, Some(customer(1)), &[]).await;
            append(&logs[1], n + 100, Some(customer(1)), &[]).await;
            let (one, two) = tokio::join!(logs[0].index(), logs[1].index());
            // On SQLite one may find the other at work.
            drop((one, two));
            if n == 10 {
                house.tamper("DELETE FROM audit_by_customer; DELETE FROM audit_indexed").await;
            }
        }
        logs[0].index().await.unwrap();
        assert_eq!(of(&house, 1).await.len(), 40);
        house.tamper("UPDATE audit_indexed SET number = 0").await;
        logs[1].index().await.unwrap();
        assert_eq!(of(&house, 1).await.len(), 40, "indexed twice, shown once");
        for log in logs {
            log.close().await;
        }
    });
}

#[test]
fn a_running_log_is_indexed_by_itself() {
    on_both("by_itself", |house| async move {
        let every = std::time::Duration::from_millis(50);
        let log = house.log_with(crate::audit::AuditOptions { index_every: every, ..house.options() }).await;
        for n in 1..=3 {
            append(&log, n, Some(customer(1)), &[]).await;
            tokio::time::sleep(every * 6).await;
        }
        house.tamper("DELETE FROM audit_by_customer").await;
        assert_eq!(of(&house, 1).await, requests(&[]), "nothing is left to be scanned");
        log.close().await;
    });
}

#[test]
fn what_is_dropped_leaves_the_index_too() {
    on_both("drop_index", |house| async move {
        three_months(&house).await;
        let log = house.log().await;
        log.index().await.unwrap();
        log.close().await;
        let count = async || of(&house, 1).await.len();
        assert_eq!(count().await, 12);
        drop_before(&house, month(2)).await;
        assert_eq!(count().await, 6);
        // Not only that their records are not found: a copy of them would be.
        let all = house.db.read(&COUNT, Vec::new()).await.unwrap().remove(0).read().get::<i64>().unwrap();
        assert_eq!(all, 6);
        house.clock.now.store(month(4).micros(), Ordering::Relaxed);
        drop_before(&house, Instant::from_micros(month(3).micros())).await;
        assert_eq!(count().await, 2);
    });
}

const ALL: &str = "SELECT count(*) FROM audit_by_customer";
static COUNT: crate::db::Sql = crate::db::Sql::new("COUNT", ALL, ALL, false);
