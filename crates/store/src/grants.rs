//! What the service's role may do on PostgreSQL: enough to work, and not enough to change the audit log.
//!
//! The rights follow from the declared schema. `migrate --service-role` gives them, a start and `doctor` look
//! whether they are there.

use std::collections::BTreeSet;

use crate::{
    DbError,
    db::{
        params,
        postgres::{Connection, Connector},
        statements,
    },
    schema::{Rights, tables},
};

/// The one column of an appended table that changes: a lane that was given up is closed.
const CLOSED: &str = "closed_at audit_lane";

statements! {
    ROLE = {"SELECT rolname = current_user FROM pg_roles WHERE rolname = CAST($1 AS text)"};
    SELF = {"SELECT rolname FROM pg_roles WHERE rolname = current_user"};
    SCHEMA = {"SELECT pg_catalog.quote_ident(current_schema())"};
    SEQUENCES = {"SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'S' AND n.nspname = current_schema() AND c.relname LIKE '%\\_sequence' ORDER BY c.relname"};
    // Each item is a right, the table and, where it is a right on one column, that column in between.
    LACKING = {"SELECT item FROM unnest(string_to_array($2, ',')) AS item
        CROSS JOIN LATERAL (SELECT split_part(item, ' ', 1) AS verb, reverse(split_part(reverse(item), ' ', 1)) AS name,
            CASE WHEN item LIKE '% % %' THEN split_part(item, ' ', 2) END AS part) AS words
        CROSS JOIN (SELECT CAST(CAST($1 AS text) AS name) AS who) AS role
        WHERE NOT CASE
            WHEN name LIKE '%\\_sequence' THEN pg_catalog.has_sequence_privilege(who, name, verb)
            WHEN part IS NULL THEN has_table_privilege(who, name, verb)
            ELSE has_column_privilege(who, name, part, verb) END"};
}

/// The rights that the service needs, as `VERB table`.
async fn needed(connection: &Connection) -> Result<Vec<String>, DbError> {
    let verbs = |rights: Rights| match rights {
        Rights::Change => &["SELECT", "INSERT", "UPDATE", "DELETE"][..],
        Rights::Append => &["SELECT", "INSERT"],
    };
    let mut needed = vec!["SELECT schema_migration".to_owned(), format!("UPDATE {CLOSED}")];
    for table in tables() {
        needed.extend(verbs(table.rights).iter().map(|verb| format!("{verb} {}", table.name)));
    }
    for row in connection.rows(&SEQUENCES, &[]).await? {
        let name: String = row.read().get()?;
        needed.extend(["USAGE", "UPDATE"].map(|verb| format!("{verb} {name}")));
    }
    Ok(needed)
}

/// Which of some rights a role lacks.
async fn lacking(connection: &Connection, role: &str, rights: &[String]) -> Result<Vec<String>, DbError> {
    let parameters = params![role, rights.join(",")];
    let rows = connection.rows(&LACKING, &parameters).await?;
    rows.into_iter().map(|row| row.read().get()).collect()
}

async fn text(connection: &Connection, sql: &'static crate::db::Sql) -> Result<String, DbError> {
    let row = connection.rows(sql, &[]).await?.into_iter().next();
    row.ok_or_else(|| DbError::Corrupt(format!("{} gives no row", sql.name)))?.read().get()
}

/// Refuses to work under a role that lacks a right.
pub(crate) async fn check(connection: &Connection) -> Result<(), DbError> {
    let role = text(connection, &SELF).await?;
    let lacking = lacking(connection, &role, &needed(connection).await?).await?;
    let some: Vec<&str> = lacking.iter().map(String::as_str).take(3).collect();
    let more = match lacking.len() - some.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if some.is_empty() {
        return Ok(());
    }
    Err(DbError::Forbidden(format!("{role} lacks the rights {}{more}", some.join(", "))))
}

/// The tables of the audit log in which our role could change or remove records.
pub(crate) async fn beyond(connection: &Connection) -> Result<Vec<String>, DbError> {
    let appended = tables().filter(|table| table.rights == Rights::Append);
    let rights: Vec<String> =
        appended.flat_map(|table| ["UPDATE", "DELETE"].map(|verb| format!("{verb} {}", table.name))).collect();
    let lacking = lacking(connection, &text(connection, &SELF).await?, &rights).await?;
    let beyond =
        rights.iter().filter(|right| !lacking.contains(right)).filter_map(|right| right.split(' ').next_back());
    Ok(beyond.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect())
}

/// Gives a role exactly what the service needs. Our own role must own the tables.
///
/// # Errors
/// [`DbError`] when there is no such role, it is our own, or we may not give it something; nothing is given then.
pub async fn grant(url: &str, role: &str) -> Result<(), DbError> {
    let connection = Connector::new(url)?.connect().await?;
    let parameters = params![role];
    let own = connection.rows(&ROLE, &parameters).await?.into_iter().next();
    match own.map(|row| row.read().get()).transpose()? {
        None => {
            return Err(DbError::Engine(format!(
                "there is no role {role}: make it first, with CREATE ROLE {role} LOGIN PASSWORD '...'"
            )));
        }
        Some(true) => {
            return Err(DbError::Engine(format!(
                "{role} is the role that owns the tables: the service needs another one, or it could change its audit log"
            )));
        }
        Some(false) => {}
    }
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    let mut rights = needed(&connection).await?;
    let schema = text(&connection, &SCHEMA).await?;
    let mut script = format!("BEGIN; GRANT USAGE ON SCHEMA {schema} TO {quoted};\n");
    for table in tables().map(|table| table.name).chain(["schema_migration"]) {
        // What was given by hand before goes.
        script.push_str(&format!("REVOKE ALL ON {table} FROM {quoted};\n"));
    }
    for right in &rights {
        let words: Vec<&str> = right.split(' ').collect();
        script.push_str(&match words.as_slice() {
            [verb, column, table] => format!("GRANT {verb} ({column}) ON {table} TO {quoted};\n"),
            [verb, name] if name.ends_with("_sequence") => format!("GRANT {verb} ON SEQUENCE {name} TO {quoted};\n"),
            _ => format!("GRANT {} TO {quoted};\n", words.join(" ON ")),
        });
    }
    connection.batch(&script).await?;
    rights = lacking(&connection, role, &rights).await?;
    if !rights.is_empty() {
        // PostgreSQL only warns when somebody gives what is not theirs to give.
        return Err(DbError::Forbidden(format!("this role could not give {}", rights.join(", "))));
    }
    connection.batch("COMMIT").await
}
