//! Appending, moving, failing, counting, showing.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::{
    ids::{CustomerId, Id},
    policy::Role,
    time::{HOUR, Instant, LocalDate, SECOND},
};

use super::{
    record,
    support::{House, on_both},
};
use crate::{
    audit::{ActorKind, AuditError, Filter, Outcome, Record, ShownWho, intake, show, who},
    partitions::ensure_partitions,
};

pub(super) async fn shown(house: &House, filter: Filter) -> Vec<crate::audit::Shown> {
    show(&house.db, &house.keyring, &Filter { limit: 1000, ..filter }).await.unwrap()
}

pub(super) async fn change(house: &House, id: u8) {
    let mut tx = house.db.begin().await.unwrap();
    let record = Record { outcome: Outcome::Changed, ..record(i64::from(id)) };
    intake::insert(&mut tx, house.keyring.audit(), [id; 16], record).await.unwrap();
    tx.commit().await.unwrap();
}

#[test]
fn records_are_durable_in_order_and_batched() {
    on_both("append", |house| async move {
        let log = house.log().await;
        let appended = futures_util::future::join_all((1..=400).map(|n| log.append(record(n)))).await;
        assert!(appended.iter().all(Result::is_ok));
        assert_eq!(shown(&house, Filter::default()).await.len(), 400);
        let stats = log.stats();
        assert_eq!((stats.records, stats.lost), (400, 0));
        assert!(stats.commits < 40, "{} commits for 400 records at once", stats.commits);
        log.close().await;
        assert!(log.append(record(1)).await.is_err(), "closed");
        let report = house.verify_outside().await;
        assert_eq!((report.records, report.lanes, report.checkpoints, report.findings), (400, 1, 1, vec![]));
    });
}

#[test]
fn text_that_an_engine_refuses_does_not_take_its_batch_along() {
    on_both("poison", |house| async move {
        let log = house.log().await;
        let poisoned = Record { request_id: "a\0b".into(), detail: Some("é".repeat(600)), ..record(1) };
        let (one, two) = tokio::join!(log.append(poisoned), log.append(record(2)));
        assert!(one.is_ok() && two.is_ok());
        log.close().await;
        assert_eq!(house.verify().await.findings, []);
        let found = shown(&house, Filter { request_id: Some("a\u{fffd}b".into()), ..Filter::default() }).await;
        assert_eq!(found[0].record.detail.as_deref(), Some("é".repeat(256).as_str()));
    });
}

#[test]
fn every_part_of_a_record_comes_back() {
    on_both("whole", |house| async move {
        let ids: Vec<CustomerId> = [1, 2, i64::MAX].into_iter().filter_map(CustomerId::new).collect();
        let whole = Record {
            role: Some(Role::Supervisor),
            actor_hash: Some(who::actor_hash(&house.keyring, "https://issuer", "jsmith")),
            customers: ids,
            reason: Some("billing-question".into()),
            ticket: Some("T-1".into()),
            detail: Some("rows=3".into()),
            outcome: Outcome::Asked,
            actor: ActorKind::Staff,
            ..record(1)
        };
        let log = house.log().await;
        log.append(whole.clone()).await.unwrap();
        let mut tx = house.db.begin().await.unwrap();
        intake::insert(&mut tx, house.keyring.audit(), [7; 16], whole.clone()).await.unwrap();
        tx.commit().await.unwrap();
        for _ in ["waiting", "moved"] {
            let found = shown(&house, Filter::default()).await;
            assert_eq!(found.iter().map(|one| &one.record).collect::<Vec<_>>(), [&whole, &whole]);
            log.notify_intake();
            log.close().await;
        }
        assert_eq!((house.verify().await.findings, house.verify().await.pending), (vec![], 0));
    });
}

#[test]
fn changes_reach_the_log_once() {
    on_both("intake", |house| async move {
        for id in 1..=3 {
            change(&house, id).await;
        }
        assert_eq!(house.verify().await.pending, 3);
        assert!(intake::find(&house.db, [1; 16]).await.unwrap());
        assert_eq!(shown(&house, Filter::default()).await.len(), 3, "pending ones are shown");
        let log = house.log().await;
        log.notify_intake();
        log.close().await;
        let report = house.verify().await;
        assert_eq!((report.pending, report.records, report.findings), (0, 3, vec![]));
        assert!(intake::find(&house.db, [1; 16]).await.unwrap());
        assert!(!intake::find(&house.db, [9; 16]).await.unwrap());
        // A crash between copy and delete leaves a record in both.
        change(&house, 2).await;
        change(&house, 4).await;
        assert_eq!(shown(&house, Filter::default()).await.len(), 4, "shown once");
        house.log().await.close().await;
        let report = house.verify().await;
        assert_eq!((report.pending, report.records, report.findings), (0, 4, vec![]));
    });
}

#[test]
fn a_running_log_moves_changes_soon() {
    on_both("soon", |house| async move {
        let log = house.log().await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        change(&house, 1).await;
        log.notify_intake();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let report = house.verify().await;
        assert_eq!((report.pending, report.records), (0, 1));
        log.close().await;
    });
}

#[test]
fn two_movers_make_no_second_copy() {
    on_both("movers", |house| async move {
        let logs = [house.log().await, house.log().await];
        for id in 1..=100 {
            change(&house, id).await;
            for log in &logs {
                log.notify_intake();
            }
            if id % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::join!(logs[0].close(), logs[1].close());
        // One that was busy when the other closed may have left some.
        house.log().await.close().await;
        let report = house.verify_outside().await;
        assert_eq!((report.pending, report.records, report.findings), (0, 100, vec![]));
    });
}

#[test]
fn two_processes_sign_in_turn() {
    on_both("signers", |house| async move {
        let logs = [house.log().await, house.log().await];
        for n in 0..5 {
            for log in &logs {
                log.append(record(n)).await.unwrap();
            }
            let (one, two) = tokio::join!(logs[0].checkpoint(), logs[1].checkpoint());
            one.unwrap();
            two.unwrap();
        }
        for log in &logs {
            log.close().await;
        }
        let report = house.verify_outside().await;
        assert_eq!(report.findings, []);
        assert!(report.checkpoints >= 5);
        assert_eq!(report.outside, report.checkpoints);
        // Both lanes are final: nothing new to sign.
        let log = house.log().await;
        assert_eq!(log.checkpoint().await.unwrap(), None);
        log.close().await;
    });
}

#[test]
fn a_lane_whose_process_died_is_signed_and_then_closed() {
    on_both("died", |house| async move {
        let dead = house.log().await;
        dead.append(record(1)).await.unwrap();
        // Never closed: no checkpoint of its own.
        let log = house.log().await;
        assert_eq!(log.checkpoint().await.unwrap(), Some(1));
        assert_eq!(log.checkpoint().await.unwrap(), None, "nothing changed");
        house.clock.now.fetch_add(2 * HOUR, Ordering::Relaxed);
        assert_eq!(log.checkpoint().await.unwrap(), Some(2), "final now");
        assert_eq!(log.checkpoint().await.unwrap(), None);
        house.tamper("DELETE FROM audit_log").await;
        assert_eq!(house.findings().await.len(), 1);
        log.close().await;
        drop(dead);
    });
}

#[test]
fn a_lane_with_a_lost_connection_is_followed_by_a_new_one() {
    on_both("lost", |house| async move {
        if !house.is_postgres() {
            return;
        }
        let log = house.log().await;
        log.append(record(1)).await.unwrap();
        house
            .tamper(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        let failed = log.append(record(2)).await.unwrap_err();
        assert!(matches!(failed, AuditError::Unavailable(_)));
        let mut tries = 0;
        while log.append(record(3)).await.is_err() {
            tries += 1;
            assert!(tries < 100, "no new lane");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(log.stats().lanes_lost, 1);
        log.close().await;
        let report = house.verify_outside().await;
        assert_eq!((report.lanes, report.findings), (2, vec![]));
    });
}

#[test]
fn storage_that_fails_is_an_error_and_no_gap() {
    on_both("fails", |house| async move {
        let log = house.log().await;
        log.append(record(1)).await.unwrap();
        house.tamper("ALTER TABLE audit_log RENAME TO hidden").await;
        assert!(log.append(record(2)).await.is_err());
        house.tamper("ALTER TABLE hidden RENAME TO audit_log").await;
        let mut tries = 0;
        while log.append(record(3)).await.is_err() {
            tries += 1;
            assert!(tries < 100, "no recovery");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        log.close().await;
        let report = house.verify_outside().await;
        assert_eq!((report.records, report.findings), (2, vec![]));
    });
}

#[test]
fn a_locked_log_is_unavailable_within_two_seconds() {
    on_both("locked", |house| async move {
        if !house.is_postgres() {
            return;
        }
        let log = house.log().await;
        let other = house.connection().await;
        other.batch("BEGIN; LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let began = std::time::Instant::now();
        assert!(log.append(record(1)).await.is_err());
        assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
        other.batch("ROLLBACK").await.unwrap();
        log.close().await;
    });
}

#[test]
fn a_flood_becomes_one_counting_record() {
    on_both("flood", |house| async move {
        let log = house.log().await;
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        for n in 0..5000 {
            let at = Instant::from_micros(1_736_964_000 * SECOND + n);
            let who = who::Who { issuer: "", subject: "", address: Some(address) };
            let who = Some(who::seal(house.keyring.actor(), None, at, &who).unwrap());
            let unknown = Record {
                at,
                actor: ActorKind::Stranger,
                customer: None,
                outcome: Outcome::Unauthenticated,
                who,
                ..record(n)
            };
            log.append_later(unknown, Some(address));
        }
        log.close().await;
        let found = shown(&house, Filter::default()).await;
        assert_eq!(found.len(), 11);
        let counts: Vec<&str> = found.iter().filter_map(|s| s.record.detail.as_deref()).collect();
        assert_eq!(counts, ["count=4990 until=2025-01-15T18:00:00Z"]);
        for one in &found {
            let ShownWho::Known(who) = &one.who else { panic!("{:?}", one.who) };
            assert_eq!(who.network, Some("192.0.2.0".parse().unwrap()));
        }
        assert_eq!((house.verify().await.findings, log.stats().lost), (vec![], 0));
    });
}

#[test]
fn partitions_are_made_ahead_and_a_late_one_is_reported() {
    on_both("partitions", |house| async move {
        if !house.is_postgres() {
            return;
        }
        let connection = house.connection().await;
        let noon = |text: &str| Instant::from_micros(LocalDate::parse(text).unwrap().days() * 24 * HOUR + 12 * HOUR);
        // A row in the DEFAULT partition, of a month that shall get its own.
        let log = house.log().await;
        log.append(Record { at: noon("2026-12-24"), ..record(1) }).await.unwrap();
        let made = ensure_partitions(&connection, noon("2026-11-30")).await.unwrap();
        let expected = ["audit_log_2026_11", "audit_log_2027_01", "audit_log_2027_02"];
        assert_eq!(made.made[..3], expected);
        assert_eq!(made.made.len(), 7);
        assert_eq!(made.missing.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["audit_log_2026_12"]);
        let again = ensure_partitions(&connection, noon("2026-11-30")).await.unwrap();
        assert_eq!((again.made.len(), again.missing.len()), (0, 1));
        // Across the end of a month the chain goes on.
        for date in ["2026-11-30", "2026-12-01", "2027-01-01", "2027-01-31", "2027-02-01"] {
            log.append(Record { at: noon(date), ..record(1) }).await.unwrap();
        }
        log.close().await;
        assert_eq!(house.verify().await.findings, []);
    });
}

/// How fast appending is: `cargo test --release -p store --lib throughput -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    on_both("throughput", |house| async move {
        for waiters in [8, 64] {
            let log = Arc::new(house.log().await);
            let end = std::time::Instant::now() + Duration::from_secs(4);
            let tasks: Vec<_> = (0..waiters)
                .map(|n| {
                    let log = Arc::clone(&log);
                    tokio::spawn(async move {
                        while std::time::Instant::now() < end {
                            log.append(record(n)).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let stats = log.stats();
            let engine = if house.is_postgres() { "postgres" } else { "sqlite" };
            println!("{engine} waiters={waiters}: {} records/s, {} commits/s", stats.records / 4, stats.commits / 4);
            log.close().await;
        }
    });
}
