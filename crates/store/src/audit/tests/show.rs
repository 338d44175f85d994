//! What people see of the log: filters, pages, pairs, and a start that misses its log.

use std::sync::Arc;

use crypto::{DataKey, SystemRandom};
use domain::{
    ids::{CustomerId, Id},
    policy::Role,
    time::{Instant, SECOND},
};

use super::{
    record,
    support::on_both,
    writing::{change, shown},
};
use crate::audit::{ActorKind, Filter, Outcome, Record, ShownWho, missing, show, who};

#[test]
fn a_read_that_was_asked_for_and_failed_is_one_entry() {
    on_both("pairs", |house| async move {
        let log = house.log().await;
        let asked =
            |n| Record { outcome: Outcome::Asked, status: 0, request_id: "same".into(), resource: None, ..record(n) };
        let refused = |n, status| Record { outcome: Outcome::Refused, status, ..asked(n) };
        log.append(asked(1)).await.unwrap();
        log.append(Record { customer: None, ..refused(2, 404) }).await.unwrap();
        log.append(asked(3)).await.unwrap();
        // Refused before it was authorised: the read before it was answered, whatever its id says.
        log.append(refused(4, 403)).await.unwrap();
        // Of another resource, and long after.
        log.append(Record { resource: Some("account/9".into()), ..refused(5, 404) }).await.unwrap();
        log.append(refused(6 + 90 * SECOND, 404)).await.unwrap();
        for indexed in [false, true] {
            if indexed {
                log.index().await.unwrap();
            }
            let entries = shown(&house, Filter::default()).await;
            let seen: Vec<_> =
                entries.iter().map(|one| (one.record.outcome, one.record.status, one.asked.is_some())).collect();
            let (r, a) = (Outcome::Refused, Outcome::Asked);
            assert_eq!(seen, [(r, 404, false), (r, 404, false), (r, 403, false), (a, 0, false), (r, 404, true)]);
            assert_eq!(entries[4].record.customer, CustomerId::new(1), "whose data was asked for");
            let count = async |filter: Filter| shown(&house, filter).await.len();
            assert_eq!(count(Filter { outcome: Some(a), ..Filter::default() }).await, 1);
            assert_eq!(count(Filter { raw: true, ..Filter::default() }).await, 6);
            assert_eq!(count(Filter { raw: true, outcome: Some(a), ..Filter::default() }).await, 2);
        }
        log.close().await;
    });
}

/// Of a read that was refused, a page that begins between its two records shows nothing.
#[test]
fn a_page_that_begins_between_the_two_records_of_a_read_shows_no_look() {
    on_both("between", |house| async move {
        let log = house.log().await;
        let one = |n, outcome, status, request: &str| {
            let request_id = request.into();
            Record { outcome, status, request_id, resource: None, ..record(n) }
        };
        log.append(one(1, Outcome::Read, 200, "first")).await.unwrap();
        log.append(one(2, Outcome::Asked, 200, "gone")).await.unwrap();
        log.append(one(3, Outcome::Read, 200, "look")).await.unwrap();
        log.append(one(4, Outcome::Refused, 404, "gone")).await.unwrap();
        for indexed in [false, true] {
            if indexed {
                log.index().await.unwrap();
            }
            for customer in [None, CustomerId::new(1)] {
                let looks = Filter { customer, given: true, ..Filter::default() };
                let requests = async |filter: Filter| {
                    let entries = shown(&house, filter).await;
                    entries.into_iter().map(|one| one.record.request_id).collect::<Vec<_>>()
                };
                assert_eq!(requests(looks.clone()).await, ["look", "first"]);
                let place = shown(&house, looks.clone()).await.first().map(|one| (one.record.at, one.position));
                assert_eq!(requests(Filter { before: place, ..looks }).await, ["first"]);
                assert_eq!(requests(Filter { customer, before: place, ..Filter::default() }).await, ["first"]);
            }
        }
        log.close().await;
    });
}

#[test]
fn what_a_member_of_staff_did_is_found() {
    on_both("staff", |house| async move {
        let log = house.log().await;
        let hash = |name| Some(who::actor_hash(&house.keyring, "https://staff", name));
        for (n, name, role, reason) in [
            (1, "jsmith", Role::Csr, "billing"),
            (2, "mjones", Role::Supervisor, "billing"),
            (3, "jsmith", Role::Csr, "move"),
        ] {
            let (role, reason, actor) = (Some(role), Some(reason.into()), ActorKind::Staff);
            log.append(Record { actor, actor_hash: hash(name), role, reason, ..record(n) }).await.unwrap();
        }
        let of_one = Filter { customer: CustomerId::new(1), ..Filter::default() };
        for all in [Filter::default(), of_one] {
            let count = async |filter: Filter| shown(&house, filter).await.len();
            assert_eq!(count(Filter { actor_hash: hash("jsmith"), ..all.clone() }).await, 2);
            assert_eq!(count(Filter { actor_hash: hash("nobody"), ..all.clone() }).await, 0);
            assert_eq!(count(Filter { role: Some(Role::Supervisor), ..all.clone() }).await, 1);
            assert_eq!(count(Filter { reason: Some("billing".into()), ..all.clone() }).await, 2);
        }
        log.close().await;
    });
}

#[test]
fn many_records_are_shown_over_pages_and_once() {
    on_both("many", |house| async move {
        let log = house.log().await;
        let all = 12_000;
        let appends = (1..=4000).map(|n| log.append(record(n)));
        for appended in futures_util::future::join_all(appends).await {
            appended.unwrap();
        }
        log.index().await.unwrap();
        for from in [4001, 8001] {
            for appended in futures_util::future::join_all((from..from + 4000).map(|n| log.append(record(n)))).await {
                appended.unwrap();
            }
        }
        change(&house, 1).await;
        let newest_first = |entries: &[crate::audit::Shown]| entries.is_sorted_by(|a, b| a.record.at >= b.record.at);
        for customer in [None, CustomerId::new(1)] {
            let show = async |limit| {
                let filter = Filter { customer, limit, ..Filter::default() };
                crate::audit::show(&house.db, &house.keyring, &filter).await.unwrap()
            };
            let entries = show(20_000).await;
            assert!(newest_first(&entries));
            assert_eq!(entries.len(), all + 1, "{customer:?}");
            assert_eq!(show(7).await.len(), 7);
        }
        log.close().await;
    });
}

#[test]
fn what_somebody_put_into_the_intake_is_shown_as_foreign() {
    on_both("judged", |house| async move {
        change(&house, 1).await;
        house.tamper("UPDATE audit_intake SET action = 'forged'").await;
        let entries = shown(&house, Filter::default()).await;
        assert_eq!(entries.iter().map(|one| &*one.record.action).collect::<Vec<_>>(), ["audit.foreign"]);
    });
}

#[test]
fn a_log_that_holds_less_than_was_signed_is_missed() {
    on_both("missed", |house| async move {
        assert_eq!(missing(&house.db).await.unwrap(), None, "nothing was signed");
        house.five().await;
        house.five().await;
        assert_eq!(missing(&house.db).await.unwrap(), None);
        house.tamper("CREATE TABLE kept AS SELECT * FROM audit_checkpoint").await;
        let why = async || missing(&house.db).await.unwrap().unwrap();
        house.tamper("DELETE FROM audit_checkpoint WHERE number = 2").await;
        assert!(why().await.contains("ends with 1"), "an older copy");
        house.tamper("DELETE FROM audit_checkpoint").await;
        assert!(why().await.contains("has none"), "a new log");
        house
            .tamper(
                "INSERT INTO audit_checkpoint SELECT * FROM kept; UPDATE audit_checkpoint SET mac = key_mac()"
                    .replace("key_mac()", if house.is_postgres() { "'\\x00'" } else { "x'00'" })
                    .as_str(),
            )
            .await;
        assert!(why().await.contains("another one"), "somebody else's");
        house.tamper("DELETE FROM audit_checkpoint; INSERT INTO audit_checkpoint SELECT * FROM kept").await;
        assert_eq!(missing(&house.db).await.unwrap(), None);
    });
}

#[test]
fn a_dropped_checkpoint_is_not_missed() {
    on_both("not_missed", |house| async move {
        super::retention::three_months(&house).await;
        super::retention::drop_before(&house, super::retention::month(3)).await;
        assert_eq!(missing(&house.db).await.unwrap(), None);
    });
}

#[test]
fn records_are_shown_by_filter_and_an_erased_person_is_not_named() {
    on_both("show", |house| async move {
        assert_eq!(STATEMENTS.len(), 2);
        let log = house.log().await;
        let alice = CustomerId::new(1).unwrap();
        let wrapped = house.keyring.new_data_key(alice, &SystemRandom).unwrap();
        let mut tx = house.db.begin().await.unwrap();
        let row = crate::db::params![wrapped.as_slice(), Instant::from_micros(0)];
        tx.execute(&ADD_KEY, row).await.unwrap();
        tx.commit().await.unwrap();
        let key: Arc<DataKey> = house.keyring.data_key(alice, &wrapped).unwrap();
        let caller = who::Who { issuer: "https://issuer", subject: "alice", address: None };
        let own = record(10);
        let own = Record { who: Some(who::seal(&key, own.customer, own.at, &caller).unwrap()), ..own };
        let staff = Record { actor: ActorKind::Staff, action: "search".into(), ..record(20) };
        let sealed = who::seal(house.keyring.actor(), staff.customer, staff.at, &caller).unwrap();
        let staff = Record { who: Some(sealed), ..staff };
        let nobody = Record { customer: None, actor: ActorKind::System, who: None, ..record(30) };
        for record in [&own, &staff, &nobody] {
            log.append(record.clone()).await.unwrap();
        }
        log.close().await;
        let all = shown(&house, Filter::default()).await;
        assert_eq!(all.iter().map(|s| &s.record).collect::<Vec<_>>(), [&nobody, &staff, &own]);
        assert_eq!(all[0].who, ShownWho::Nobody);
        for one in &all[1..] {
            let ShownWho::Known(who) = &one.who else { panic!("not opened") };
            assert_eq!((who.subject.as_str(), who.network), ("alice", None));
        }
        let count = async |filter| shown(&house, filter).await.len();
        assert_eq!(count(Filter { customer: Some(alice), ..Filter::default() }).await, 2);
        assert_eq!(count(Filter { action: Some("search".into()), ..Filter::default() }).await, 1);
        assert_eq!(count(Filter { from: Some(staff.at), ..Filter::default() }).await, 2);
        assert_eq!(count(Filter { to: Some(staff.at), ..Filter::default() }).await, 1);
        assert_eq!(count(Filter { request_id: Some("request-30".into()), ..Filter::default() }).await, 1);
        let limited = show(&house.db, &house.keyring, &Filter { limit: 1, ..Filter::default() }).await.unwrap();
        assert_eq!(limited[0].record, nobody);
        let mut tx = house.db.begin().await.unwrap();
        tx.execute(&ERASE, Vec::new()).await.unwrap();
        tx.commit().await.unwrap();
        let own = &shown(&house, Filter { customer: Some(alice), ..Filter::default() }).await[1];
        assert_eq!(own.who, ShownWho::Erased);
        assert_eq!(house.verify().await.findings, [], "the chain verifies without the person");
    });
}

crate::db::statements! {
    ADD_KEY = {"INSERT INTO customer_key (customer_id, wrapped, created_at) VALUES (1, $1, $2)"};
    ERASE = {"DELETE FROM customer_key"};
}
