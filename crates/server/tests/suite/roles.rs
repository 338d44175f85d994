//! PostgreSQL under two roles: one owns the tables, the service works under the other, which cannot change the
//! audit log. What is missing on the way is named, with the command that mends it.

use std::{path::Path, process::Command as Process};

use store::testing::POSTGRES;
use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::cli::{Server, command, expect, run};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// An empty database with two roles, gone when dropped.
struct Roles {
    server: String,
    name: String,
}

impl Roles {
    async fn new() -> Self {
        let server = std::env::var(POSTGRES).unwrap();
        let name = format!("ossrep_roles_{}", std::process::id());
        let client = connect(&server).await;
        for statement in [
            format!("CREATE ROLE {name}_owner LOGIN PASSWORD 'owner-secret'"),
            format!("CREATE ROLE {name}_service LOGIN PASSWORD 'service-secret'"),
            format!("CREATE DATABASE {name} OWNER {name}_owner"),
        ] {
            client.batch_execute(&statement).await.unwrap();
        }
        Self { server, name }
    }

    fn role(&self, kind: &str) -> String {
        format!("{}_{kind}", self.name)
    }

    fn url(&self, kind: &str) -> String {
        let host = self.server.rsplit_once('@').unwrap().1.split_once('/').unwrap().0;
        format!("postgres://{}:{kind}-secret@{host}/{}", self.role(kind), self.name)
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let drops = [
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            format!("DROP ROLE IF EXISTS {}_owner", self.name),
            format!("DROP ROLE IF EXISTS {}_service", self.name),
        ];
        let server = self.server.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&server).await;
                for statement in drops {
                    client.batch_execute(&statement).await.unwrap();
                }
            });
        });
        // A test that failed says more than its cleaning up.
        drop(dropping.join());
    }
}

/// The whole order of `docs/operations.md`, with everything forgotten once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_works_under_a_role_that_owns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let roles = Roles::new().await;
    let (owner, service) = (roles.url("owner"), roles.url("service"));
    expect(dir, &["keys", "generate", "--out", "ring"], 0, "");
    let as_service = |arguments: &[&str]| -> Vec<String> {
        let more = ["--database-url", &service, "--keyring-file", "ring"];
        arguments.iter().chain(&more).map(|&word| word.to_owned()).collect()
    };
    let said = |arguments: &[String], code: i32, words: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = run(dir, &arguments);
        let said = format!("{}{}", done.out, done.err);
        assert_eq!(done.code, code, "{arguments:?} said {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
        assert!(!said.contains("secret"), "{said}");
        said
    };
    let service_role = roles.role("service");
    let doctor = as_service(&["doctor"]);
    let serve = as_service(&["serve", "--demo", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"]);

    said(&doctor, 3, &["FAIL  database", &format!("/{} as {service_role}", roles.name), "`customer-service migrate`"]);
    said(&as_service(&["migrate"]), 1, &["may not make the tables", "permission denied for schema public", "owner"]);
    expect(dir, &["migrate", "--database-url", &owner], 0, "has schema 1");
    let mend = "`customer-service migrate --service-role NAME`";
    said(&doctor, 3, &["FAIL  database", "permission denied", mend]);
    said(&serve, 1, &["permission denied", mend]);

    let granting = |role: &str| ["migrate", "--database-url", &owner, "--service-role", role].map(str::to_owned);
    said(&granting("nobody_there"), 1, &["there is no role nobody_there", "CREATE ROLE"]);
    said(&granting(&roles.role("owner")), 1, &["needs another one"]);
    expect(dir, &["migrate", "--service-role", "somebody"], 2, "is for PostgreSQL");
    said(&granting(&service_role), 0, &[&format!("The role {service_role} may do")]);
    said(&granting(&service_role), 0, &["may do"]);
    let whole = said(&doctor, 3, &["OK    grants", "OK    partitions", "OK    keyring"]);
    assert_eq!(whole.matches("FAIL").count(), 1, "only the issuers: {whole}");
    let of_owner = ["doctor", "--database-url", &owner, "--keyring-file", "ring"].map(str::to_owned);
    said(&of_owner, 3, &["WARN  grants", "audit_log"]);

    // One right that is taken away by hand is missed before anything is served.
    let admin = connect(&owner).await;
    admin.batch_execute(&format!("REVOKE INSERT ON outbox FROM {service_role}")).await.unwrap();
    said(&doctor, 3, &["FAIL  grants", "INSERT outbox", mend]);
    said(&serve, 1, &["INSERT outbox", mend]);
    said(&granting(&service_role), 0, &[]);

    serves(dir, &service);
    let past = connect(&service).await;
    for forbidden in [
        "DELETE FROM audit_log",
        "UPDATE audit_log SET status = 200",
        "UPDATE audit_lane SET opened_at = now()",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM key_check",
        "TRUNCATE audit_log",
    ] {
        let refused = past.batch_execute(forbidden).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{forbidden}");
    }
    let closed = "SELECT count(*) FROM audit_lane WHERE closed_at IS NOT NULL";
    assert!(past.query_one(closed, &[]).await.unwrap().get::<_, i64>(0) > 0, "its lane was closed");
}

/// A start, a read, a change, an end: everything that the service does with its tables.
fn serves(dir: &Path, url: &str) {
    let server = Server::start(dir, &["--database-url", url, "--keyring-file", "ring"]);
    assert!(server.pasted().contains("\"customerId\":1"), "{}", server.pasted());
    let base = server.word("/api/docs").trim_end_matches("/api/docs");
    let token = format!("{base}/demo/oidc/token");
    let form = "grant_type=password&client_id=demo&username=alice&password=alice";
    let script = format!(
        "token=$(curl -s -d '{form}' {token} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/'); \
         curl -s -o /dev/null -w '%{{http_code}}' -X PATCH -H \"Authorization: Bearer $token\" \
         -H 'Content-Type: application/merge-patch+json' -d '{{\"nickname\":\"Home\"}}' {base}/api/accounts/1001"
    );
    let changed = Process::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&changed.stdout), "200");
    assert_eq!(server.terminate(), 0);
    for arguments in [&["audit", "verify"][..], &["audit", "show", "--reason", "a test"], &["outbox", "list"]] {
        let mut looked = command(dir, arguments);
        let done = looked.args(["--database-url", url, "--keyring-file", "ring"]).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    expect(dir, &["keys", "generate", "--out", "ring"], 0, "");
    let nobody = "postgres://me:hunter2@127.0.0.1:1/customers";
    for (arguments, code) in
        [(&["doctor"][..], 3), (&["migrate"], 1), (&["keys", "check"], 1), (&["outbox", "list"], 1)]
    {
        let done = expect(
            dir,
            &[arguments, &["--database-url", nobody, "--keyring-file", "ring"]].concat(),
            code,
            "127.0.0.1:1/customers as me",
        );
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains("refused") && !said.contains("hunter2"), "{said}");
        assert!(!said.contains("database does not know it yet"), "nobody could look: {said}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("file"), "").unwrap();
    for place in ["file/data", "/proc/none"] {
        let done = expect(dir, &["doctor", "--data-dir", place], 3, "FAIL  folder");
        assert!(done.out.contains("cannot be written"), "{}", done.out);
    }
    expect(dir, &["doctor", "--data-dir", "later/data"], 3, "OK    folder: later/data can be written");
    assert!(!dir.join("later").exists());
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1, "nothing is left behind");
}
