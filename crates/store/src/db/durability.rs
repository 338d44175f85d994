//! What is acknowledged is on disk: the settings of every kind of connection. `kill -9` would not show it,
//! because the system's cache outlives the process.

use super::{
    Db, Row, Sql,
    postgres::Postgres,
    sqlite::{Sqlite, Worker, connect},
};
use crate::{DbError, Location, testing::TestDb};

const TEXT: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync')";
static SETTINGS: Sql = Sql::new("SETTINGS", TEXT, TEXT, false);

fn pragmas(connection: &rusqlite::Connection) -> (i64, String, i64) {
    let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
    let journal = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    (number("synchronous"), journal, number("query_only"))
}

async fn of(worker: &Worker) -> (i64, String, i64) {
    worker.run(|connection| pragmas(connection)).await.unwrap()
}

/// `synchronous=FULL` is 2.
fn full(query_only: i64) -> (i64, String, i64) {
    (2, "wal".to_owned(), query_only)
}

#[tokio::test]
async fn every_connection_to_a_file_writes_through() {
    let made = TestDb::sqlite().unwrap();
    let Location::Directory(dir) = made.location() else { unreachable!() };
    let db = Sqlite::open(dir).unwrap();
    let writer = db.writer.lock().await.clone();
    assert_eq!(of(&writer).await, full(0), "changes");
    assert_eq!(pragmas(&db.audit_writer().unwrap()), full(0), "a lane of the audit log");
    for reader in &db.readers {
        assert_eq!(pragmas(&reader.lock().unwrap()), full(1), "reads");
    }
    for reader in [&db.long_readers, &db.long_readers, &db.long_readers, &db.audit_readers] {
        assert_eq!(of(reader).await, full(1), "long reads");
    }
    for file in [Sqlite::main_file(dir), Sqlite::audit_file(dir)] {
        assert_eq!(pragmas(&connect(&file, false).unwrap()), full(0), "migrations and operators");
    }
}

async fn url() -> (TestDb, String) {
    let made = TestDb::postgres().await.unwrap();
    let Location::Server(url) = made.location() else { unreachable!() };
    let url = url.clone();
    (made, url)
}

#[tokio::test]
async fn every_session_waits_for_the_disk() {
    let (_made, url) = url().await;
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let first = Postgres::open(&url, 2).await.unwrap();
    // What an administrator chose for the database does not count for ours.
    let off = format!("ALTER DATABASE {database} SET synchronous_commit = off");
    first.connector().connect().await.unwrap().batch(&off).await.unwrap();
    let db = Db::Postgres(Box::new(Postgres::open(&url, 2).await.unwrap()));
    let on = |rows: Vec<Row>, kind: &str| {
        let texts: Vec<_> = rows[0].cells.iter().map(|cell| format!("{cell:?}")).collect();
        assert_eq!(texts, ["Text(\"on\")", "Text(\"on\")"], "{kind}");
    };
    for _ in 0..4 {
        on(db.read(&SETTINGS, Vec::new()).await.unwrap(), "reads");
    }
    let (mut one, mut two) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    on(one.rows(&SETTINGS, Vec::new()).await.unwrap(), "changes");
    on(two.rows(&SETTINGS, Vec::new()).await.unwrap(), "changes");
    on(db.audit_writer().await.unwrap().rows(&SETTINGS, Vec::new()).await.unwrap(), "a lane of the audit log");
}

#[tokio::test]
async fn a_server_that_does_not_write_through_is_refused() {
    let (_made, url) = url().await;
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let connection = Postgres::open(&url, 1).await.unwrap().connector().connect().await.unwrap();
    // The server of the tests does write through: here it says that it does not.
    let pretends = "CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS
        $$ SELECT CASE $1 WHEN 'fsync' THEN 'off' ELSE pg_catalog.current_setting($1) END $$";
    connection.batch(pretends).await.unwrap();
    let first = format!("ALTER DATABASE {database} SET search_path = public, pg_catalog");
    connection.batch(&first).await.unwrap();
    let refused = Postgres::open(&url, 1).await.err();
    assert!(matches!(&refused, Some(DbError::Unavailable(why)) if why.contains("fsync")), "{refused:?}");
}
