//! Everything that somebody without the key can do to the log is found.

use super::support::on_both;
use crate::audit::Finding;

fn altered(findings: &[Finding]) -> Vec<i64> {
    let number = |finding: &Finding| if let Finding::Altered { number, .. } = finding { Some(*number) } else { None };
    findings.iter().filter_map(number).collect()
}

#[test]
fn an_untouched_log_is_clean() {
    on_both("clean", |house| async move {
        house.five().await;
        house.five().await;
        let report = house.verify_outside().await;
        assert_eq!(report.findings, []);
        assert_eq!((report.records, report.lanes, report.checkpoints, report.outside), (10, 2, 2, 2));
    });
}

#[test]
fn a_change_of_any_column_is_found() {
    on_both("columns", |house| async move {
        house.five().await;
        let postgres = house.is_postgres();
        let (bytes, later) =
            if postgres { ("'\\x0102'", "at + interval '1 microsecond'") } else { ("x'0102'", "at + 1") };
        let changes = [
            ("at", later),
            ("actor", "'staff'"),
            ("role", "'csr'"),
            ("role", "''"),
            ("actor_hash", bytes),
            ("customer_id", "2"),
            ("customer_id", "NULL"),
            ("customers", bytes),
            ("action", "'other'"),
            ("outcome", "'refused'"),
            ("status", "404"),
            ("reason", "'x'"),
            ("ticket", "''"),
            ("resource", "'account/9'"),
            ("resource", "NULL"),
            ("categories", "0"),
            ("request_id", "'x'"),
            ("detail", "''"),
            ("who", "NULL"),
            ("who", bytes),
            ("record_id", bytes),
            ("mac", bytes),
        ];
        let columns: std::collections::BTreeSet<&str> = changes.iter().map(|(column, _)| *column).collect();
        assert_eq!(columns.len() + 3, 21, "lane, number and key_id have tests of their own");
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_log").await;
        for (column, value) in changes {
            house.tamper(&format!("UPDATE audit_log SET {column} = {value} WHERE number = 3")).await;
            assert!(altered(&house.findings().await).contains(&3), "{column} = {value}");
            house.tamper("DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept").await;
            assert_eq!(house.findings().await, [], "{column} restored");
        }
        house.tamper("UPDATE audit_log SET key_id = 77 WHERE number = 3").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::UnknownKey { key: 77, .. }]));
        house.tamper("DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept").await;
        house.tamper("UPDATE audit_log SET lane = lane + 1").await;
        let findings = house.findings().await;
        assert_eq!(altered(&findings), [1, 2, 3, 4, 5]);
        assert!(findings.iter().any(|f| matches!(f, Finding::LostLane { signed: 5, .. })));
        assert!(findings.iter().any(|f| matches!(f, Finding::UnlistedLane { .. })));
    });
}

#[test]
fn dropped_exchanged_and_inserted_records_are_found() {
    on_both("rows", |house| async move {
        house.five().await;
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_log").await;
        let restore = "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept";
        house.tamper("DELETE FROM audit_log WHERE number = 3").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::Gap { from: 3, to: 3, .. }]));
        house.tamper(restore).await;
        // The first one too.
        house.tamper("DELETE FROM audit_log WHERE number = 1").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::Gap { from: 1, to: 1, .. }]));
        house.tamper(restore).await;
        // Dropped, and the gap closed by renumbering.
        house.tamper("DELETE FROM audit_log WHERE number = 3; UPDATE audit_log SET number = 3 WHERE number = 4").await;
        house.tamper("UPDATE audit_log SET number = 4 WHERE number = 5").await;
        assert!(altered(&house.findings().await).contains(&3));
        house.tamper(restore).await;
        house
            .tamper(
                "UPDATE audit_log SET number = 99 WHERE number = 2; UPDATE audit_log SET number = 2 WHERE number = 4",
            )
            .await;
        house.tamper("UPDATE audit_log SET number = 4 WHERE number = 99").await;
        let found = altered(&house.findings().await);
        assert!(found.contains(&2) && found.contains(&4), "{found:?}");
        house.tamper(restore).await;
        house.tamper("UPDATE kept SET number = 6 WHERE number = 5").await;
        house.tamper("INSERT INTO audit_log SELECT * FROM kept WHERE number = 6").await;
        assert_eq!(altered(&house.findings().await), [6]);
    });
}

#[test]
fn a_cut_tail_and_a_lost_lane_are_found() {
    on_both("tail", |house| async move {
        house.five().await;
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_log").await;
        house.tamper("DELETE FROM audit_log WHERE number > 3").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::CutTail { last: 3, signed: 5, .. }]));
        house.tamper("DELETE FROM audit_log; DELETE FROM audit_lane").await;
        assert!(matches!(house.findings().await.as_slice(), [Finding::LostLane { signed: 5, .. }]));
        let found = house.verify_with(String::new()).await.findings;
        assert!(found.contains(&Finding::NoneOutside), "an empty file is no evidence");
        // With the checkpoints gone too, only those outside tell.
        house.tamper("DELETE FROM audit_checkpoint").await;
        assert_eq!(house.findings().await, []);
        let found = house.verify_outside().await.findings;
        assert!(found.contains(&Finding::CheckpointNotInside { number: 1 }));
        assert!(found.iter().any(|f| matches!(f, Finding::LostLane { signed: 5, .. })));
    });
}

#[test]
fn edited_checkpoints_are_found() {
    on_both("checkpoints", |house| async move {
        for _ in 0..3 {
            house.five().await;
        }
        let outside = std::fs::read_to_string(house.file()).unwrap();
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_checkpoint").await;
        let restore = "DELETE FROM audit_checkpoint; INSERT INTO audit_checkpoint SELECT * FROM kept";
        let later = if house.is_postgres() { "at + interval '1 second'" } else { "at + 1" };
        for change in ["body = replace(body, '\"number\":5', '\"number\":4')".to_owned(), format!("at = {later}")] {
            house.tamper(&format!("UPDATE audit_checkpoint SET {change} WHERE number = 2")).await;
            assert!(house.findings().await.contains(&Finding::CheckpointAltered { number: 2 }), "{change}");
            house.tamper(restore).await;
        }
        house.tamper("DELETE FROM audit_checkpoint WHERE number = 2").await;
        assert!(house.findings().await.contains(&Finding::CheckpointGap { from: 2, to: 2 }));
        house.tamper("UPDATE audit_checkpoint SET number = 2 WHERE number = 3").await;
        assert!(house.findings().await.contains(&Finding::CheckpointAltered { number: 2 }));
        house.tamper(restore).await;
        // The last one is missed outside only.
        house.tamper("DELETE FROM audit_checkpoint WHERE number = 3").await;
        assert_eq!(house.findings().await, []);
        assert_eq!(house.verify_with(outside.clone()).await.findings, [Finding::CheckpointNotInside { number: 3 }]);
        house.tamper(restore).await;
        let edited = outside.replacen("\\\"number\\\":5", "\\\"number\\\":6", 1);
        assert_ne!(edited, outside);
        assert_eq!(house.verify_with(edited).await.findings, [Finding::CheckpointLine { line: 1 }]);
        assert_eq!(house.verify_with(outside).await.findings, []);
    });
}

#[test]
fn pages_do_not_hide_anything() {
    on_both("pages", |house| async move {
        let log = house.log().await;
        let appends = (1..=2500).map(|n| log.append(super::record(n)));
        for appended in futures_util::future::join_all(appends).await {
            appended.unwrap();
        }
        log.close().await;
        let report = house.verify().await;
        assert_eq!((report.records, report.findings), (2500, vec![]));
        for number in [1, 1000, 1001, 2500] {
            house.tamper(&format!("UPDATE audit_log SET status = 201 WHERE number = {number}")).await;
        }
        assert_eq!(altered(&house.findings().await), [1, 1000, 1001, 2500]);
    });
}
