//! The declared schema: every column of both engines, with how it is protected and why, in [`tables()`].
//!
//! A test holds both engines against it after migration. Exceptions, which it knows by name: PostgreSQL's
//! monthly partitions of `reading` and `audit_log` repeat their parents (and need the partition key in
//! every unique constraint, so that the key of `audit_log` there holds `at`); `schema_migration` is the
//! ledger of the migrations themselves, and SQLite has one in each file; SQLite keeps the audit log in a
//! file of its own, because no transaction may span the two, and ids in a table where PostgreSQL has sequences.

/// Which file of SQLite holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// The main file.
    Main,
    /// The audit log's.
    Audit,
}

/// What a column holds, for both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 64 bits.
    Integer,
    /// True or false; on SQLite 1 or 0.
    Boolean,
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
    /// Microseconds.
    Instant,
    /// Days.
    Date,
}

/// How a column's content is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Known to everybody anyway.
    Public,
    /// The service's own: says nothing of a person by itself.
    Internal(&'static str),
    /// About a person, not sealed, with the reason.
    Open(&'static str),
    /// A sealed record: see the slice's codec.
    Sealed,
    /// A keyed hash or MAC: shows equality, not content.
    Hash,
    /// A wrapped key.
    Key,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Whether it may be null.
    pub nullable: bool,
    /// How it is protected.
    pub class: Class,
}

/// What the service may do with a table's rows on PostgreSQL, under a role of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Change,
    /// Read and add rows, but neither change nor delete them.
    Append,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Where SQLite has it.
    pub file: File,
    /// What the service may do with it.
    pub rights: Rights,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

const fn column(name: &'static str, kind: Type, class: Class) -> Column {
    Column { name, kind, nullable: false, class }
}
const fn optional(name: &'static str, kind: Type, class: Class) -> Column {
    Column { name, kind, nullable: true, class }
}
const fn table(name: &'static str, file: File, columns: &'static [Column]) -> Table {
    let rights = match file {
        File::Main => Rights::Change,
        File::Audit => Rights::Append,
    };
    Table { name, file, rights, columns }
}

mod going_on;
mod tables;

/// Every table and column.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    tables::TABLES.iter().chain(going_on::TABLES)
}

#[cfg(test)]
mod tests;
