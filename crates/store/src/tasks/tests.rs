//! Tasks open and close with the change that finds or answers them, on both engines.

use std::sync::Arc;

use domain::{
    ids::{Id, JobId, MeterId},
    policy::{Categories, Reach, Roles, Rule},
    status::Status,
    time::{Clock, SystemClock},
};

use super::*;
use crate::{Scope, Store, customers, seed, testing::TestDb};

const RULE: Rule = Rule {
    action: "test",
    roles: Roles::empty(),
    reach: Reach::Named,
    reason: false,
    categories: Categories::PROFILE.union(Categories::ACCOUNT),
    while_inactive: false,
};

async fn someone(db: &TestDb) -> (Store, Scope) {
    let store = db.open(Arc::new(SystemClock)).await.unwrap();
    let id = CustomerId::new(1).unwrap();
    let names = ["Ann", "Jones"].map(|name| domain::personal::Personal::parse(name).unwrap());
    let [first, last] = names;
    let name = domain::customers::CustomerName::Individual { first, last };
    let new = seed::NewCustomer {
        id,
        edit: domain::customers::CustomerEdit { name, email: None, phone: None },
        status: Status::Active,
        inactive_since: None,
        created_at: SystemClock.now(),
        links: Vec::new(),
        accounts: Vec::new(),
        preferences: domain::preferences::Preferences::of_newcomer(),
        payment_methods: Vec::new(),
    };
    seed::write(&store, &[], &[new]).await.unwrap();
    (store, Scope::of_job(JobId::new(7).unwrap(), id, RULE))
}

async fn one_waits_for_each_thing(db: TestDb) {
    let (store, scope) = someone(&db).await;
    let meter = |id| MeterId::new(id).unwrap();
    let mut tx = store.begin(&scope, None).await.unwrap();
    let mut own = tx.own();
    let first = own.open_task(TaskKind::SuspectReading, meter(3001)).await.unwrap();
    assert_eq!(own.open_task(TaskKind::SuspectReading, meter(3001)).await.unwrap(), first);
    let other = own.open_task(TaskKind::SuspectReading, meter(3002)).await.unwrap();
    assert_ne!(other, first);
    let another = own.open_task(TaskKind::UnmatchedReading, meter(3001)).await.unwrap();
    assert!(another != first && another != other);
    assert_eq!(own.close_tasks(TaskKind::SuspectReading, meter(3001)).await.unwrap(), 1);
    assert_eq!(own.close_tasks(TaskKind::SuspectReading, meter(3001)).await.unwrap(), 0);
    assert!(own.close_task(another).await.unwrap());
    assert!(!own.close_task(another).await.unwrap());
    let again = own.open_task(TaskKind::SuspectReading, meter(3001)).await.unwrap();
    assert_ne!(again, first, "what was answered does not wait");
    let answer = customers::find(&mut tx.own()).await.unwrap().unwrap();
    let act = crate::Act::changed(None, 1, domain::events::Events::None("tasks are not told"));
    tx.commit(act, answer).await.unwrap();
    let rows = store.db.read(&WAITING, params!["meter", 3001_i64, "suspect-reading"]).await.unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn one_waits_for_each_thing_sqlite() {
    one_waits_for_each_thing(TestDb::sqlite().unwrap()).await;
}

#[tokio::test]
async fn one_waits_for_each_thing_postgres() {
    one_waits_for_each_thing(TestDb::postgres().await.unwrap()).await;
}
