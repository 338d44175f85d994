//! Both engines against the declaration, and every statement against both engines.

use std::collections::BTreeMap;

use super::*;
use crate::{
    Location,
    db::{
        Param,
        sqlite::{Sqlite, connect},
    },
    testing::TestDb,
};

/// name -> (column, type as the engine says it, nullable)
type Found = BTreeMap<String, Vec<(String, String, bool)>>;

fn declared(file: Option<File>, types: fn(Type) -> &'static str) -> Found {
    let tables = tables().filter(|table| file.is_none_or(|file| table.file == file));
    let columns = |table: &Table| {
        table.columns.iter().map(|c| (c.name.to_owned(), types(c.kind).to_owned(), c.nullable)).collect()
    };
    tables.map(|table| (table.name.to_owned(), columns(table))).collect()
}

/// Names each table that differs, so that a new column's author knows what to declare.
fn compare(declared: &Found, found: &Found) {
    for name in declared.keys().chain(found.keys()) {
        assert_eq!(found.get(name), declared.get(name), "table {name}: left is the database, right the declaration");
    }
}

fn sqlite_type(kind: Type) -> &'static str {
    match kind {
        Type::Integer | Type::Boolean | Type::Instant | Type::Date => "INTEGER",
        Type::Text => "TEXT",
        Type::Bytes => "BLOB",
    }
}

fn postgres_type(kind: Type) -> &'static str {
    match kind {
        Type::Integer => "bigint",
        Type::Boolean => "boolean",
        Type::Text => "text",
        Type::Bytes => "bytea",
        Type::Instant => "timestamp with time zone",
        Type::Date => "date",
    }
}

fn sqlite_files(db: &TestDb) -> [(File, rusqlite::Connection); 2] {
    let Location::Directory(dir) = db.location() else { panic!("a directory") };
    [(File::Main, Sqlite::main_file(dir)), (File::Audit, Sqlite::audit_file(dir))]
        .map(|(file, path)| (file, connect(&path, false).unwrap()))
}

#[test]
fn sqlite_has_the_declared_columns() {
    let db = TestDb::sqlite().unwrap();
    for (file, connection) in sqlite_files(&db) {
        let columns = "SELECT m.name, c.name, c.type, c.\"notnull\" = 0 AND c.pk = 0
            FROM sqlite_schema m JOIN pragma_table_info(m.name) c
            WHERE m.type = 'table' AND m.name NOT IN ('schema_migration', 'id_sequence')
            AND m.name NOT LIKE 'sqlite_%' ORDER BY c.cid";
        let mut statement = connection.prepare(columns).unwrap();
        let mut found = Found::new();
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))));
        for row in rows.unwrap() {
            let (table, column) = row.unwrap();
            found.entry(table).or_default().push(column);
        }
        compare(&declared(Some(file), sqlite_type), &found);
    }
}

async fn client(db: &TestDb) -> tokio_postgres::Client {
    let Location::Server(url) = db.location() else { panic!("a server") };
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn postgres_has_the_declared_columns() {
    let db = TestDb::postgres().await.unwrap();
    let columns = "SELECT c.table_name::text, c.column_name::text, c.data_type::text, c.is_nullable = 'YES'
        FROM information_schema.columns c JOIN pg_class t ON t.oid = to_regclass(c.table_name)
        WHERE c.table_schema = 'public' AND c.table_name <> 'schema_migration' AND NOT t.relispartition
        ORDER BY c.ordinal_position";
    let mut found = Found::new();
    for row in client(&db).await.query(columns, &[]).await.unwrap() {
        found.entry(row.get(0)).or_default().push((row.get(1), row.get(2), row.get(3)));
    }
    compare(&declared(None, postgres_type), &found);
}

#[test]
fn what_is_sealed_or_hashed_is_bytes_and_every_reason_is_a_sentence() {
    for column in tables().flat_map(|table| table.columns) {
        match column.class {
            Class::Sealed | Class::Hash | Class::Key => assert_eq!(column.kind, Type::Bytes, "{}", column.name),
            Class::Internal(reason) | Class::Open(reason) => assert!(reason.len() > 10, "{}", column.name),
            Class::Public => {}
        }
    }
}

#[test]
fn sqlite_prepares_every_statement() {
    let db = TestDb::sqlite().unwrap();
    let [(_, main), (_, audit)] = sqlite_files(&db);
    for sql in crate::slices().into_iter().flatten() {
        if sql.sqlite.contains("fsync") || sql.sqlite.contains("pg_") {
            continue; // asked of PostgreSQL only
        }
        let connection = if sql.audit { &audit } else { &main };
        let prepared = connection.prepare(sql.sqlite).unwrap_or_else(|e| panic!("{}: {e}", sql.name));
        assert_eq!(prepared.parameter_count(), sql.parameters, "{}", sql.name);
    }
}

#[tokio::test]
async fn postgres_prepares_every_statement() {
    let db = TestDb::postgres().await.unwrap();
    let client = client(&db).await;
    let mut faults = Vec::new();
    for sql in crate::slices().into_iter().flatten() {
        let prepared = match client.prepare(sql.postgres).await {
            Ok(prepared) => prepared,
            Err(refused) => {
                faults.push(format!("{}: {refused:?}", sql.name));
                continue;
            }
        };
        if prepared.params().len() != sql.parameters {
            faults.push(format!("{}: {} parameters", sql.name, prepared.params().len()));
        }
        // What `Param` cannot bind fails at run time only: `$1 = 0` makes $1 an int4.
        let kinds = prepared.params().iter().filter(|kind| !<Param as postgres_types::ToSql>::accepts(kind));
        faults.extend(kinds.map(|kind| format!("{}: a parameter of type {kind}", sql.name)));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
