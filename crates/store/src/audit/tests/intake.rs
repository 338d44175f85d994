//! What waits in the intake and was not written by a change, or not by this version.

use super::{
    record,
    support::on_both,
    writing::{change, shown},
};
use crate::audit::Filter;

#[test]
fn what_nobody_wrote_into_the_intake_gets_into_no_chain_as_what_it_says() {
    on_both("foreign", |house| async move {
        for id in 1..=3 {
            change(&house, id).await;
        }
        let as_hex = if house.is_postgres() {
            "'\\x02020202020202020202020202020202'"
        } else {
            "x'02020202020202020202020202020202'"
        };
        house.tamper(&format!("UPDATE audit_intake SET customer_id = 7 WHERE record_id = {as_hex}")).await;
        let log = house.log().await;
        log.notify_intake();
        log.close().await;
        let mut moved: Vec<_> = shown(&house, Filter::default()).await.into_iter().map(|s| s.record.action).collect();
        moved.sort();
        assert_eq!(moved, ["audit.foreign", "getAccount", "getAccount"]);
        assert_eq!(house.findings().await, []);
    });
}

#[test]
fn a_record_that_cannot_be_read_costs_no_lane() {
    on_both("unread", |house| async move {
        change(&house, 1).await;
        house.tamper("UPDATE audit_intake SET actor = 'of another version'").await;
        let log = house.log().await;
        for n in 1..=20 {
            log.notify_intake();
            log.append(record(n)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        log.close().await;
        assert_eq!((log.stats().lanes_lost, log.stats().records), (0, 20));
        assert_eq!(house.verify().await.pending, 1, "it waits for somebody who can");
    });
}
