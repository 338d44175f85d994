//! When the audit log cannot be written, no data leaves; and what was done to its rows is found.

use std::time::{Duration, Instant};

use domain::time::SECOND;
use reqwest::{Method, StatusCode};
use store::{EngineKind, Operator, audit::Filter};

use crate::{
    on_both_engines,
    process::{self, Place, Sql, ask, client},
    support::Service,
};

on_both_engines! { a_log_that_is_held, a_log_that_refuses, an_intake_that_refuses, a_read_that_fails }

/// A request waits two seconds for its record; the rest is for a machine that has more to do.
const SOON: Duration = Duration::from_millis(3500);

/// Words of alice's data that no answer may hold without its record.
const HERS: [&str; 5] = ["John", "john.smith", "123-4567", "Main Street", "1234567890"];

/// Everything that reads, asked at once, is refused in time and holds nothing.
async fn nothing_leaves(service: &Service, token: &str) {
    let asked = [
        "/api/customer",
        "/api/accounts",
        "/api/accounts/1001",
        "/api/premises/2001",
        "/api/meters/3001",
        "/api/meters/3001/readings",
        "/api/preferences",
        "/api/customer/summary",
        "/api/accounts/1002",
        "/api/accounts/x",
    ];
    let answers = asked.map(async |path| {
        let began = Instant::now();
        let answer = service.send(Method::GET, Some(token), path, &[], None).await;
        (path, answer, began.elapsed())
    });
    for (path, answer, took) in futures_util::future::join_all(answers).await {
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{path}");
        assert_ne!(answer.header("retry-after"), "", "{path}");
        assert_eq!(answer.header("etag"), "", "{path}");
        for word in HERS {
            assert!(!answer.body.contains(word), "{path}: {}", answer.body);
        }
        assert!(took < SOON, "{path}: {took:?}");
    }
    let service_says = service.send(Method::GET, None, "/api/customer", &[], None).await;
    assert_eq!(service_says.status, 401, "a failed authentication waits for nothing");
}

/// Once the log can be written again, so can everything else; the first requests may still meet the pause
/// between two attempts to open a lane.
async fn recovers(service: &Service, token: &str) {
    let began = Instant::now();
    loop {
        let answer = service.send(Method::GET, Some(token), "/api/accounts/1001", &[], None).await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(began.elapsed() < Duration::from_secs(10), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = store::verify_audit(service.db.location(), service.db.keyring(), None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

async fn a_log_that_is_held(service: Service) {
    let token = service.token("alice").await;
    let holder = Sql::of(service.db.location()).await;
    assert_eq!(service.get("alice", "/api/customer").await.status, 200);
    let hold = match holder.is_sqlite() {
        true => "BEGIN EXCLUSIVE",
        false => "BEGIN; LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE",
    };
    assert!(service.store.audit_log().is_able());
    holder.audit_batch(hold).await;
    nothing_leaves(&service, &token).await;
    if holder.is_sqlite() {
        // Its lane waits for the file for 5 s; on PostgreSQL the server ends the statement.
        service.clock.forward(SECOND);
        assert!(!service.store.audit_log().is_able(), "a commit that hangs is not readiness");
    }
    // A change's record goes into the main database with it: that is durable, so the change is answered.
    let changed = service.patch("alice", "/api/accounts/1001", r#"{"nickname": "While it was held"}"#).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    nothing_leaves(&service, &token).await;
    holder.audit_batch("ROLLBACK").await;
    recovers(&service, &token).await;
    let account = service.get("alice", "/api/accounts/1001").await;
    assert_eq!(account.json()["nickname"], "While it was held");
}

/// A read that was asked for and finds nothing leaves two records, which people see as one entry.
async fn a_read_that_fails(service: Service) {
    for (path, status, both) in [("/api/accounts/1001", 200, 1), ("/api/accounts/1002", 404, 2)] {
        let answer = service.get("alice", path).await;
        assert_eq!(answer.status, status);
        let show = async |raw| {
            let request_id = Some(answer.header("x-request-id").to_owned());
            let filter = Filter { request_id, raw, limit: 10, ..Filter::default() };
            let operator = Operator { user: "test", reason: "test" };
            service.store.show_audit(&filter, operator).await.unwrap()
        };
        assert_eq!(show(true).await.len(), both, "{path}");
        let entries = show(false).await;
        assert_eq!(entries.len(), 1, "{path}: {entries:?}");
        assert_eq!(entries[0].asked.is_some(), both == 2, "{path}");
    }
}

/// A trigger that refuses every row of a table.
fn refuse(sql: &Sql, table: &str) -> String {
    if sql.is_sqlite() {
        format!("CREATE TRIGGER refused BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no space left'); END")
    } else {
        format!(
            "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'no space left'; END $$; \
             CREATE TRIGGER refused BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refused()"
        )
    }
}

/// The trigger's end.
fn accept(sql: &Sql, table: &str) -> String {
    if sql.is_sqlite() {
        "DROP TRIGGER refused".to_owned()
    } else {
        format!("DROP TRIGGER refused ON {table}; DROP FUNCTION refused()")
    }
}

async fn a_log_that_refuses(service: Service) {
    let token = service.token("alice").await;
    assert_eq!(service.get("alice", "/api/customer").await.status, 200);
    let sql = Sql::of(service.db.location()).await;
    sql.audit_batch(&refuse(&sql, "audit_log")).await;
    for _ in 0..3 {
        nothing_leaves(&service, &token).await;
    }
    sql.audit_batch(&accept(&sql, "audit_log")).await;
    recovers(&service, &token).await;
    assert!(service.store.audit_log().stats().lanes_lost > 0, "a chain whose batch failed is given up");
}

async fn an_intake_that_refuses(service: Service) {
    let sql = Sql::of(service.db.location()).await;
    let before = service.get("alice", "/api/accounts/1001").await;
    sql.main_batch(&refuse(&sql, "audit_intake")).await;
    for (path, patch) in [
        ("/api/accounts/1001", r#"{"nickname": "Unrecorded"}"#),
        ("/api/premises/2001", r#"{"nickname": "Unrecorded"}"#),
        ("/api/preferences", r#"{"billDelivery": "both"}"#),
        // Changes nothing, but discloses.
        ("/api/accounts/1001", "{}"),
    ] {
        let answer = service.patch("alice", path, patch).await;
        assert!(answer.status.is_server_error(), "{path}: {}", answer.body);
        for word in HERS {
            assert!(!answer.body.contains(word), "{path}: {}", answer.body);
        }
    }
    sql.main_batch(&accept(&sql, "audit_intake")).await;
    let after = service.get("alice", "/api/accounts/1001").await;
    assert_eq!((after.body.as_str(), after.header("etag")), (before.body.as_str(), before.header("etag")));
    assert_eq!(store::outbox::list(&service.store, true, None, 10).await.unwrap(), []);
    let changed = service.patch("alice", "/api/accounts/1001", r#"{"nickname": "Recorded"}"#).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
}

/// What somebody with the database's password may do, and the words by which it is found. Each is done to
/// the log as the one before left it.
const TAMPERING: [(&str, &str); 5] = [
    ("UPDATE audit_log SET customer_id = 2 WHERE number = 3", "record 3: changed"),
    ("DELETE FROM audit_log WHERE number = 5", "records 5 to 5 are missing"),
    // A change's record could not be copied: its id is unique.
    (
        "CREATE TABLE copied AS SELECT * FROM audit_log WHERE record_id IS NULL LIMIT 1; UPDATE copied SET number = 1002; \
         INSERT INTO audit_log SELECT * FROM copied",
        "to 1001 are missing",
    ),
    ("DELETE FROM audit_log WHERE number >= 8", "but checkpoint"),
    ("DELETE FROM audit_checkpoint", "outside the database is not the one inside"),
];

async fn what_was_done_is_found(engine: EngineKind) {
    let place = Place::new(engine).await;
    let running = place.serve(&["--log-level", "error"]).await;
    let client = client();
    let token = running.token(&client, "alice").await;
    for n in 0..12 {
        let get = (Method::GET, format!("{}/api/accounts/1001", running.base));
        assert_eq!(ask(&client, get, &token, &format!("read-{n}"), None).await.unwrap().0, 200);
    }
    let patch = Some(r#"{"nickname": "Noted"}"#.to_owned());
    let change = (Method::PATCH, format!("{}/api/accounts/1001", running.base));
    assert_eq!(ask(&client, change, &token, "change-1", patch).await.unwrap().0, 200);
    assert_eq!(running.terminate().await, 0);

    let points = place.checkpoints();
    let verify = ["audit", "verify", "--checkpoints", points.to_str().unwrap()];
    let (code, said) = place.run(&verify).await;
    assert_eq!(code, 0, "{said}");
    for (id, words) in [("read-3", "getAccount"), ("change-1", "changed")] {
        let show = ["audit", "show", "--reason", "a test", "--customer", "1", "--request-id", id];
        let (code, said) = place.run(&show).await;
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.lines().filter(|line| line.contains(id) && line.contains(words)).count(), 1, "{said}");
    }
    let sql = place.sql().await;
    for (statement, words) in TAMPERING {
        sql.audit_batch(statement).await;
        let (code, said) = place.run(&verify).await;
        assert!(code == 3 && said.contains(words), "{statement}: {code} {said}");
    }
    if sql.is_sqlite() {
        drop(sql);
        // Not a row, but the file.
        let file = place.data().join("audit.sqlite");
        std::fs::write(&file, b"This is no database, and has never been one of this service's.").unwrap();
        let (code, said) = place.run(&verify).await;
        assert!(code == 1 && !said.contains("OK"), "{code} {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_to_rows_is_found_on_sqlite() {
    what_was_done_is_found(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_to_rows_is_found_on_postgres() {
    what_was_done_is_found(EngineKind::Postgres).await;
}

/// Puts a database's file aside, with what belongs to it, and another one in its place.
fn exchange(file: &std::path::Path, aside: &std::path::Path, by: Option<&std::path::Path>) {
    let named = |path: &std::path::Path, suffix: &str| format!("{}{suffix}", path.display());
    for suffix in ["", "-wal", "-shm"] {
        for (from, to) in [(Some(file), aside), (by, file)] {
            let from = from.map(|from| named(from, suffix)).filter(|from| std::path::Path::new(from).exists());
            if let Some(from) = from {
                std::fs::rename(from, named(to, suffix)).unwrap();
            }
        }
    }
}

/// The log's file is a file like any other: it can be deleted, or be an older copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_misses_the_log_of_its_database() {
    let place = Place::new(EngineKind::Sqlite).await;
    let running = place.serve(&["--log-level", "error"]).await;
    let token = running.token(&client(), "alice").await;
    let get = (Method::GET, format!("{}/api/accounts/1001", running.base));
    assert_eq!(ask(&client(), get, &token, "read-1", None).await.unwrap().0, 200);
    assert_eq!(running.terminate().await, 0);
    let file = place.data().join("audit.sqlite");
    let (kept, other) = (place.data().join("kept"), place.data().join("other"));
    exchange(&file, &kept, None);
    let (code, said) = place.run(&["doctor"]).await;
    assert!(code == 3 && said.contains("audit log") && said.contains("is not there"), "{said}");
    assert!(!file.exists(), "who looks makes none");
    let serve = ["serve", "--demo", "--as-of", process::ANCHOR];
    let free = ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
    let serve = [&serve[..], &free].concat();
    let (code, said) = place.run(&serve).await;
    assert!(code == 1 && said.contains("audit begin-anew"), "{code} {said}");
    assert!(!file.exists(), "a start that refuses makes none either");
    // Another one in its place, which holds nothing.
    store::migrate::sqlite(&place.data()).unwrap();
    let (code, said) = place.run(&serve).await;
    assert!(code == 1 && said.contains("audit begin-anew"), "{code} {said}");
    for look in [&["doctor"][..], &["audit", "verify"]] {
        let (code, said) = place.run(look).await;
        assert!(code == 3 && said.contains("has none"), "{look:?}: {said}");
    }
    // Put back, it goes on, and is not given up by mistake.
    exchange(&file, &other, Some(&kept));
    let (code, said) = place.run(&["audit", "begin-anew", "--reason", "the disk is gone"]).await;
    assert!(code == 1 && said.contains("nothing is lost"), "{code} {said}");
    let (code, said) = place.run(&["audit", "show", "--reason", "a test", "--request-id", "read-1"]).await;
    assert!(code == 0 && said.contains("getAccount"), "{said}");
    // Lost for good, somebody says so.
    exchange(&file, &kept, Some(&other));
    let (code, said) = place.run(&["audit", "begin-anew", "--reason", "the disk is gone"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.serve(&["--log-level", "error"]).await.terminate().await, 0);
    let (code, said) = place.run(&["audit", "show", "--reason", "a test", "--action", "audit.begin-anew"]).await;
    assert!(code == 0 && said.contains("the disk is gone"), "{said}");
    let (code, said) = place.run(&["audit", "verify"]).await;
    assert_eq!(code, 0, "{said}");
    // The other way round: no empty database is made beside a log that tells of one.
    exchange(&place.data().join("main.sqlite"), &place.data().join("main-kept"), None);
    let (code, said) = place.run(&serve).await;
    assert!(code == 1 && said.contains("is gone, its audit log is there"), "{code} {said}");
}
