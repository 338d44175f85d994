//! Whole months are dropped behind a checkpoint that says so, and nothing else can be removed under its cover.

use std::sync::{Arc, atomic::Ordering};

use domain::time::{HOUR, Instant, LocalDate, SECOND};

use super::{
    record,
    support::{House, on_both},
};
use crate::{
    audit::{AuditLog, Dropped, Finding, Plan, Report},
    partitions,
};

const DAY: i64 = 24 * HOUR;

/// The start of a month of 2025, UTC.
pub(super) fn month(number: u32) -> Instant {
    LocalDate::parse(&format!("2025-{number:02}-01")).unwrap().start_utc()
}

/// Moves the clock and appends a record of that instant.
async fn append(house: &House, log: &AuditLog, at: Instant) {
    house.clock.now.store(at.micros(), Ordering::Relaxed);
    let mut record = record(0);
    record.at = at;
    log.append(record).await.unwrap();
}

async fn plan(house: &House, before: Instant) -> (Report, Plan) {
    crate::audit::examine(&house.db, &house.keyring, None, before).await.unwrap()
}

async fn drop_planned(house: &House, plan: &Plan) -> Dropped {
    let log = house.log().await;
    let dropped = log.drop_records(plan).await.unwrap();
    log.close().await;
    dropped
}

pub(super) async fn drop_before(house: &House, before: Instant) -> Dropped {
    let (report, plan) = plan(house, before).await;
    assert!(report.may_be_dropped(), "{:?}", report.findings);
    drop_planned(house, &plan).await
}

/// One lane over three months with a straggler at the first border, a second lane in January only, a third
/// from February on; checkpoints in each month. Returns with the clock in March.
pub(super) async fn three_months(house: &House) {
    if house.is_postgres() {
        let connection = house.connection().await;
        partitions::ensure_partitions(&connection, month(1)).await.unwrap();
    }
    let days = |from: Instant, days: i64| Instant::from_micros(from.micros() + days * DAY);
    let long = house.log().await;
    let short = house.log().await;
    for day in 1..=3 {
        append(house, &long, days(month(1), day)).await;
        append(house, &short, days(month(1), day)).await;
    }
    short.close().await;
    long.checkpoint().await.unwrap();
    // Numbered before a record of January: it reached the lane first.
    append(house, &long, days(month(2), 0)).await;
    append(house, &long, Instant::from_micros(month(2).micros() - SECOND)).await;
    append(house, &long, days(month(2), 1)).await;
    long.checkpoint().await.unwrap();
    let later = house.log().await;
    append(house, &later, days(month(2), 2)).await;
    append(house, &later, days(month(3), 1)).await;
    append(house, &long, days(month(3), 1)).await;
    long.close().await;
    later.close().await;
}

#[test]
fn months_are_dropped_and_the_rest_still_verifies() {
    on_both("retention", |house| async move {
        three_months(&house).await;
        let all = house.verify_outside().await;
        assert_eq!((all.records, all.lanes, all.findings), (12, 3, vec![]));
        // The straggler stands behind a record that stays, and so does its partition.
        let dropped = drop_before(&house, month(2)).await;
        assert_eq!((dropped.lanes, dropped.records), (2, 6));
        assert!(!dropped.partitions.contains(&"audit_log_2025_01".to_owned()));
        let rest = house.verify_outside().await;
        assert_eq!((rest.records, rest.lanes, rest.findings), (6, 2, vec![]));
        // Once more changes nothing; later the next month goes.
        drop_before(&house, month(2)).await;
        assert_eq!(house.verify_outside().await.findings, []);
        let dropped = drop_before(&house, month(3)).await;
        if house.is_postgres() {
            assert_eq!(dropped.records, 0);
            assert!(dropped.partitions.ends_with(&["audit_log_2025_01".to_owned(), "audit_log_2025_02".to_owned()]));
        } else {
            assert_eq!(dropped.records, 4);
        }
        let rest = house.verify_outside().await;
        assert_eq!((rest.records, rest.findings), (2, vec![]));
        assert_eq!(house.verify().await.findings, [], "without the checkpoints outside");
    });
}

#[test]
fn a_late_lane_with_old_records_is_stated_too() {
    on_both("late", |house| async move {
        three_months(&house).await;
        let late = house.log().await;
        let mut record = record(0);
        for at in [month(1), month(1), month(3)] {
            record.at = at;
            late.append(record.clone()).await.unwrap();
        }
        late.close().await;
        assert_eq!(drop_before(&house, month(2)).await.lanes, 3);
        assert_eq!(house.verify_outside().await.findings, []);
    });
}

#[test]
fn nothing_else_goes_under_cover_of_a_drop() {
    on_both("cover", |house| async move {
        three_months(&house).await;
        drop_before(&house, month(2)).await;
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_log").await;
        let restore = "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept";
        // The first record of the chain behind what was dropped: changed, and gone.
        house.tamper("UPDATE audit_log SET status = 201 WHERE number = 4").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::Altered { number: 4, .. }]));
        house.tamper(restore).await;
        house.tamper("DELETE FROM audit_log WHERE number = 4").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::Gap { from: 4, to: 4, .. }]));
        house.tamper(restore).await;
        // The rest of the lane, and the first checkpoint that was kept.
        house.tamper("DELETE FROM audit_log WHERE number > 3").await;
        assert!(house.findings().await.iter().any(|f| matches!(f, Finding::LostLane { signed: 7, .. })));
        house.tamper(restore).await;
        house.tamper("CREATE TABLE points AS SELECT * FROM audit_checkpoint").await;
        house.tamper("DELETE FROM audit_checkpoint WHERE number = (SELECT min(number) FROM audit_checkpoint)").await;
        assert!(house.findings().await.iter().any(|f| matches!(f, Finding::CheckpointGap { .. })));
        house.tamper("DELETE FROM audit_checkpoint; INSERT INTO audit_checkpoint SELECT * FROM points").await;
        assert_eq!(house.findings().await, []);
        // Records put where dropped ones stood, and where none can be.
        house.tamper("CREATE TABLE forged AS SELECT * FROM audit_log WHERE number = 7").await;
        house.tamper("UPDATE forged SET number = 2").await;
        house.tamper("INSERT INTO audit_log SELECT * FROM forged").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::Undropped { records: 1, .. }]));
        house.tamper(restore).await;
        for (lane, number) in [("-9", "1"), ("-9223372036854775807 - 1", "0"), ("9", "-9223372036854775807 - 1")] {
            house.tamper(&format!("UPDATE forged SET lane = {lane}, number = {number}")).await;
            house.tamper("INSERT INTO audit_log SELECT * FROM forged").await;
            assert_ne!(house.findings().await, [], "{lane}");
            house.tamper(restore).await;
        }
    });
}

#[test]
fn what_is_changed_after_the_plan_is_not_dropped() {
    on_both("race", |house| async move {
        three_months(&house).await;
        let (_, planned) = plan(&house, month(2)).await;
        let old = if house.is_postgres() { "'2025-01-02'" } else { "1735776000000000" };
        house.tamper(&format!("UPDATE audit_log SET at = {old} WHERE number > 3")).await;
        drop_planned(&house, &planned).await;
        let report = house.verify().await;
        assert_eq!(report.records, 6);
        assert!(report.findings.iter().any(|f| matches!(f, Finding::Altered { number: 4, .. })));
        // Nor does the next plan believe them.
        let (report, planned) = plan(&house, month(2)).await;
        assert!(!report.may_be_dropped());
        drop_planned(&house, &planned).await;
        assert_eq!(house.verify().await.records, 6);
    });
}

#[test]
fn a_statement_that_nobody_signed_covers_nothing() {
    on_both("unsigned", |house| async move {
        three_months(&house).await;
        drop_before(&house, month(2)).await;
        house.tamper("UPDATE audit_checkpoint SET body = replace(body, '\"through\":3', '\"through\":4')").await;
        let (report, planned) = plan(&house, month(3)).await;
        let findings = &report.findings;
        assert!(findings.iter().any(|f| matches!(f, Finding::CheckpointAltered { .. })), "{findings:?}");
        assert!(findings.iter().any(|f| matches!(f, Finding::Gap { from: 1, to: 3, .. })), "{findings:?}");
        // What cannot be judged is not dropped.
        drop_planned(&house, &planned).await;
        assert_eq!(house.verify().await.records, 5);
    });
}

#[test]
fn a_drop_that_was_cut_short_is_told_and_finished() {
    on_both("short", |house| async move {
        three_months(&house).await;
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_log").await;
        drop_before(&house, month(2)).await;
        house
            .tamper(
                "INSERT INTO audit_log SELECT * FROM kept k WHERE number < 3 AND NOT EXISTS
                (SELECT 1 FROM audit_log l WHERE l.lane = k.lane AND l.number = k.number)",
            )
            .await;
        let report = house.verify().await;
        assert!(report.may_be_dropped());
        assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
        drop_before(&house, month(2)).await;
        let report = house.verify().await;
        assert_eq!((report.records, report.findings), (6, vec![]));
    });
}

#[test]
fn a_running_lane_goes_on_behind_a_drop() {
    on_both("running", |house| async move {
        let log = Arc::new(house.log().await);
        append(&house, &log, month(1)).await;
        append(&house, &log, month(1)).await;
        house.clock.now.store(month(3).micros(), Ordering::Relaxed);
        drop_before(&house, month(2)).await;
        // Its lane is empty now, and still signed.
        log.checkpoint().await.unwrap();
        assert_eq!(house.verify_outside().await.findings, []);
        house.clock.now.store(month(5).micros(), Ordering::Relaxed);
        drop_before(&house, month(4)).await;
        append(&house, &log, month(5)).await;
        log.close().await;
        let report = house.verify().await;
        assert_eq!((report.records, report.findings), (1, vec![]));
    });
}
