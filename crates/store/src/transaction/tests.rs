//! Changes that concern two customers, on both engines.

use std::sync::Arc;

use domain::{
    customers::{CustomerEdit, CustomerName},
    events::{Event, EventType, Subject},
    ids::{AccountId, CustomerId, JobId, MeterId},
    personal::Personal,
    policy::{Categories, Reach, Roles, Rule},
    preferences::Preferences,
    status::Status,
    time::{Clock, SystemClock},
};

use super::*;
use crate::{
    audit::{ActorKind, Filter},
    customers,
    operate::Operator,
    seed::{self, NewCustomer},
    testing::TestDb,
};

const RULE: Rule = Rule {
    action: "move",
    roles: Roles::empty(),
    reach: Reach::Named,
    reason: false,
    categories: Categories::PROFILE.union(Categories::ACCOUNT),
    while_inactive: false,
};

fn customer(id: i64) -> CustomerId {
    CustomerId::new(id).unwrap()
}

fn edit(name: &str) -> CustomerEdit {
    let (first, last) = (Personal::parse(name).unwrap(), Personal::parse("Jones").unwrap());
    CustomerEdit { name: CustomerName::Individual { first, last }, email: None, phone: None }
}

async fn two(db: &TestDb) -> Store {
    let store = db.open(Arc::new(SystemClock)).await.unwrap();
    let new = |id: i64| NewCustomer {
        id: customer(id),
        edit: edit("Ann"),
        status: Status::Active,
        inactive_since: None,
        created_at: SystemClock.now(),
        links: Vec::new(),
        accounts: Vec::new(),
        preferences: Preferences::of_newcomer(),
        payment_methods: Vec::new(),
    };
    seed::write(&store, &[], &[new(1), new(2)]).await.unwrap();
    store
}

/// The right of a job to the leaver's rows, and through it to the newcomer's.
fn scopes() -> (Scope, Scope) {
    let lead = Scope::of_job(JobId::new(7).unwrap(), customer(2), RULE);
    let other = lead.counterpart(customer(1));
    (lead, other)
}

fn told() -> Events {
    Events::Of(vec![Event::new(EventType::CustomerUpdated, Subject::Customer).changed(vec!["firstName"])])
}

/// Each customer gets a record and an event of their own, and neither record names the other.
async fn both_or_none(db: TestDb) {
    let store = two(&db).await;
    let (lead, other) = scopes();
    let change = async |tx: &mut Transaction<'_>| {
        customers::update(&mut tx.own(), &edit("Moved")).await.unwrap();
        customers::update(&mut tx.of(customer(1)).unwrap(), &edit("Moved")).await.unwrap();
        customers::find(&mut tx.own()).await.unwrap().unwrap()
    };
    let act = || Act::changed(None, 2, told());
    // A party without its act, an act without its party, a customer that was not locked, an answer that reveals more
    // than the rule says or is another's: nothing of it is durable.
    for ids in [&[][..], &[1, 3]] {
        let mut tx = store.begin_with(&lead, std::slice::from_ref(&other), None).await.unwrap();
        assert!(matches!(tx.of(customer(3)), Err(StoreError::Unlocked)));
        let answer = change(&mut tx).await;
        ids.iter().for_each(|id| tx.note(customer(*id), act()));
        assert!(matches!(tx.commit(act(), answer).await, Err(StoreError::Unlocked)));
    }
    let mut tx = store.begin_with(&lead, std::slice::from_ref(&other), None).await.unwrap();
    let answer = change(&mut tx).await;
    let wide = Guarded::new((), answer.customer(), Categories::BALANCE);
    tx.note(customer(1), act());
    assert!(matches!(tx.commit(act(), wide).await, Err(StoreError::Unreceipted)));
    let mut tx = store.begin_with(&lead, std::slice::from_ref(&other), None).await.unwrap();
    change(&mut tx).await;
    let theirs = customers::find(&mut tx.of(customer(1)).unwrap()).await.unwrap().unwrap();
    tx.note(customer(1), act());
    assert!(matches!(tx.commit(act(), theirs).await, Err(StoreError::Unreceipted)));
    let versions = async || {
        let mut versions = Vec::new();
        for scope in [&lead, &other] {
            let found = customers::find(&mut store.session(scope)).await.unwrap().unwrap();
            versions.push(found.inside().version);
        }
        versions
    };
    assert_eq!(versions().await, [1, 1]);
    assert_eq!(outbox::list(&store, true, None, 10).await.unwrap(), []);

    let mut tx = store.begin_with(&lead, std::slice::from_ref(&other), None).await.unwrap();
    let answer = change(&mut tx).await;
    tx.note(customer(1), act());
    assert_eq!(tx.commit(act(), answer).await.unwrap().version, 2);
    assert_eq!(versions().await, [2, 2]);
    let events = outbox::list(&store, true, None, 10).await.unwrap();
    let told: Vec<_> = events.iter().map(|event| (event.customer, event.sequence)).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&(customer(1), 1)) && told.contains(&(customer(2), 1)), "{told:?}");
    let filter = Filter { action: Some("move".into()), limit: 10, ..Filter::default() };
    let shown = store.show_audit(&filter, Operator { user: "test", reason: "test" }).await.unwrap();
    let mut records: Vec<_> =
        shown.iter().map(|shown| (shown.record.customer, shown.record.actor, shown.record.detail.as_deref())).collect();
    records.sort();
    let system = ActorKind::System;
    let right = [(Some(customer(1)), system, None), (Some(customer(2)), system, Some("job=7"))];
    assert_eq!(records, right, "one record a party");
    store.audit_log().close().await;
}

/// The two, asked for in either order, are locked in the order of their ids: nobody waits for ever.
async fn in_one_order(db: TestDb) {
    let store = two(&db).await;
    let moved = async |first: i64, other: i64| {
        let lead = Scope::of_job(JobId::new(7).unwrap(), customer(first), RULE);
        for _ in 0..20 {
            let mut tx = store.begin_with(&lead, &[lead.counterpart(customer(other))], None).await.unwrap();
            let answer = customers::find(&mut tx.own()).await.unwrap().unwrap();
            tx.note(customer(other), Act::unchanged(None, "a test"));
            tx.commit(Act::unchanged(None, "a test"), answer).await.unwrap();
        }
    };
    tokio::join!(moved(1, 2), moved(2, 1));
    store.audit_log().close().await;
}

/// Ids go on behind those that were brought along, and are unique by themselves.
async fn ids_come_from_one_allocator(db: TestDb) {
    let store = two(&db).await;
    let (lead, _) = scopes();
    let mut tx = store.begin(&lead, None).await.unwrap();
    let mut change = tx.own();
    assert_eq!(change.new_id::<CustomerId>().await.unwrap(), customer(3));
    let (first, second): (AccountId, AccountId) = (change.new_id().await.unwrap(), change.new_id().await.unwrap());
    assert_eq!((first.get(), second.get()), (1001, 1002));
    assert_eq!(change.new_id::<MeterId>().await.unwrap().get(), 3001);
    drop(tx);
    store.audit_log().close().await;
}

/// Several customers' rows in one answer: one record for each, all of them in one commit of the log; and nothing opens
/// with a record that does not name it.
async fn many_are_disclosed_at_once(db: TestDb) {
    let store = two(&db).await;
    let rule = Rule { action: "search", reach: Reach::Many, ..RULE };
    let crowd = Crowd::of_message("billing".into(), "message-1".into(), rule);
    let mut found = Vec::new();
    for id in [1, 2] {
        found.push(customers::find(&mut store.session(&crowd.member(customer(id)))).await.unwrap().unwrap());
    }
    // The record of the seed comes into the log by itself: not among those that are counted.
    while store.audit_log().stats().commits == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = store.audit_log().stats().commits;
    assert_eq!(store.disclose(&crowd, found).await.unwrap().len(), 2);
    assert_eq!(store.audit_log().stats().commits, before + 1);
    let filter = Filter { action: Some("search".into()), limit: 10, ..Filter::default() };
    let shown = store.show_audit(&filter, Operator { user: "test", reason: "test" }).await.unwrap();
    let mut records: Vec<_> =
        shown.iter().map(|s| (s.record.customer, s.record.actor, s.record.detail.as_deref())).collect();
    records.sort();
    let topic = ActorKind::Topic;
    let source = Some("source=billing");
    assert_eq!(records, [(Some(customer(1)), topic, source), (Some(customer(2)), topic, source)]);
    let wide = vec![Guarded::new((), customer(1), Categories::USAGE)];
    assert!(matches!(store.disclose(&crowd, wide).await, Err(StoreError::Unreceipted)));
    store.audit_log().close().await;
}

/// Statements of one snapshot see one state, whatever is committed between them.
async fn a_snapshot_is_one_state(db: TestDb) {
    let store = two(&db).await;
    let (lead, _) = scopes();
    let mut snapshot = store.snapshot(&lead).await.unwrap();
    let version = async |session: &mut Session<'_>| customers::find(session).await.unwrap().unwrap().inside().version;
    assert_eq!(version(&mut snapshot.session()).await, 1);
    let mut tx = store.begin(&lead, None).await.unwrap();
    customers::update(&mut tx.own(), &edit("Later")).await.unwrap();
    let answer = customers::find(&mut tx.own()).await.unwrap().unwrap();
    tx.commit(Act::changed(None, 2, told()), answer).await.unwrap();
    assert_eq!(version(&mut snapshot.session()).await, 1, "the snapshot's state");
    drop(snapshot);
    assert_eq!(version(&mut store.session(&lead)).await, 2);
    assert_eq!(version(&mut store.snapshot(&lead).await.unwrap().session()).await, 2, "a later one");
    store.audit_log().close().await;
}

macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(TestDb::sqlite().unwrap()).await;
            })+
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(TestDb::postgres().await.unwrap()).await;
            })+
        }
    };
}
on_both! { both_or_none in_one_order ids_come_from_one_allocator many_are_disclosed_at_once a_snapshot_is_one_state }
