//! The tasks beside the appends: none of them stands in the way of a read, and none is missed in silence.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    record,
    support::{House, on_both},
    writing::change,
};
use crate::audit::{AuditLog, AuditOptions};

/// Waits for at most five seconds.
async fn soon(what: &str, holds: impl AsyncFn() -> bool) {
    let began = std::time::Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Appends until it succeeds.
async fn recovers(log: &AuditLog) {
    soon("no recovery", async || log.append(record(9)).await.is_ok()).await;
}

#[test]
fn a_change_that_takes_long_holds_up_no_read() {
    on_both("held", |house| async move {
        let log = house.log().await;
        change(&house, 1).await;
        let held = house.hold_main().await;
        log.notify_intake();
        let end = std::time::Instant::now() + Duration::from_millis(2800);
        while std::time::Instant::now() < end {
            let began = std::time::Instant::now();
            log.append(record(2)).await.unwrap();
            assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
            assert!(log.is_able());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        held.release().await;
        soon("not moved", async || {
            log.notify_intake();
            house.verify().await.pending == 0
        })
        .await;
        log.close().await;
        assert_eq!((log.stats().lanes_lost, house.verify_outside().await.findings), (0, vec![]));
    });
}

#[test]
fn a_lane_that_panics_is_followed_by_another() {
    on_both("panic", |house| async move {
        let log = house.log().await;
        log.append(record(1)).await.unwrap();
        assert!(log.is_able());
        house.clock.panics.store(true, Ordering::Relaxed);
        assert!(log.append(record(2)).await.is_err());
        soon("able all the time", async || !log.is_able()).await;
        recovers(&log).await;
        assert_eq!(log.stats().restarts, 1);
        soon("never able again", async || log.is_able()).await;
        log.close().await;
        let report = house.verify_outside().await;
        assert_eq!((report.lanes, report.findings), (2, vec![]));
    });
}

async fn signing(house: &House) -> AuditLog {
    house.log_with(AuditOptions { checkpoint_every: Duration::from_millis(100), ..house.options() }).await
}

#[test]
fn a_signer_that_panics_is_started_again() {
    on_both("signer", |house| async move {
        let log = signing(&house).await;
        log.append(record(1)).await.unwrap();
        house.clock.panics.store(true, Ordering::Relaxed);
        soon("no restart", async || log.stats().restarts == 1).await;
        soon("able all the time", async || !log.is_able()).await;
        let before = log.stats().checkpoints;
        log.append(record(2)).await.unwrap();
        soon("no checkpoint", async || log.stats().checkpoints > before && log.is_able()).await;
        log.close().await;
    });
}

#[test]
fn a_log_that_is_not_signed_is_not_able() {
    on_both("unsigned_log", |house| async move {
        let log = signing(&house).await;
        log.append(record(1)).await.unwrap();
        soon("not signed", async || log.stats().checkpoints > 0).await;
        house.tamper("ALTER TABLE audit_checkpoint RENAME TO hidden").await;
        soon("still able", async || !log.is_able()).await;
        log.append(record(2)).await.unwrap();
        house.tamper("ALTER TABLE hidden RENAME TO audit_checkpoint").await;
        soon("not able again", async || log.is_able()).await;
        log.close().await;
        assert_eq!(house.verify().await.findings, []);
    });
}
