//! One list of columns for everything that a slice does with a row: the text of its SELECT, INSERT and UPDATE, the
//! struct, its reader and its binder. A column that is added to the list and not used does not compile, because
//! slices take the struct apart exhaustively.

use domain::{
    enrollments::{EnrollmentKind, EnrollmentStatus},
    events::EventType,
    history::By,
    ids::{
        AccountId, CustomerId, EnrollmentId, Id, IdentityId, JobId, MeterId, MoveId, PremiseId, ReadingId, RequestId,
        ServicePointId, TaskId, WiresCompanyId,
    },
    market::{RequestKind, RequestStatus},
    moves::{MoveKind, MoveStatus},
    policy::Role,
    status::Status,
    time::{Instant, LocalDate},
    values::{AccountNumber, MeterNumber, Money, Quantity, RejectionCode, TransactionId},
};

use super::{DbError, FromCell, IntoParam, Param, Reader};
use crate::audit::{ActorKind, Outcome};

/// A type that a column may have.
pub(crate) trait Column: FromCell + IntoParam {
    /// PostgreSQL's name of it.
    const POSTGRES: &'static str;
}

macro_rules! column_types {
    ($($type:ty = $name:literal;)+) => {$(
        impl Column for $type {
            const POSTGRES: &'static str = $name;
        }
    )+};
}
column_types! {
    i64 = "int8";
    bool = "bool";
    String = "text";
    Vec<u8> = "bytea";
    [u8; 32] = "bytea";
    Instant = "timestamptz";
    LocalDate = "date";
    Money = "int8";
    Quantity = "int8";
}
impl<T: Column> Column for Option<T> {
    const POSTGRES: &'static str = T::POSTGRES;
}

/// Says how types are columns of simpler ones.
macro_rules! mapped {
    ($base:ty as $postgres:literal: $($type:ty),+; from $from:expr, into $into:expr) => {$(
        impl $crate::db::FromCell for $type {
            fn from_cell(cell: $crate::db::Cell) -> Option<Self> {
                <$base as $crate::db::FromCell>::from_cell(cell).and_then($from)
            }
        }
        impl $crate::db::IntoParam for $type {
            fn into_param(self) -> $crate::db::Param {
                let into: fn($type) -> $crate::db::Param = $into;
                into(self)
            }
        }
        impl $crate::db::Column for $type {
            const POSTGRES: &'static str = $postgres;
        }
    )+};
}
pub(crate) use mapped;

/// Says of enums that they are columns of text, by their names. A slice says it of its own.
macro_rules! named_columns {
    ($($type:ty),+) => {
        $crate::db::mapped! { String as "text": $($type),+;
        from |name| domain::input::Named::named(&name),
        into |value| $crate::db::Param::Text(domain::input::Named::name(value).to_owned()) }
    };
}
pub(crate) use named_columns;

mapped! { i64 as "int8": CustomerId, AccountId, PremiseId, ServicePointId, MeterId, ReadingId, JobId,
EnrollmentId, MoveId, RequestId, TaskId, IdentityId, WiresCompanyId;
from Id::new, into |id| Param::Int(id.get()) }
mapped! { String as "text": AccountNumber, MeterNumber, RejectionCode, TransactionId;
from |text| Some(Self::from_record(text)), into |number| Param::Text(number.as_str().to_owned()) }
named_columns! {
    Status, Role, ActorKind, Outcome, By, EventType, MoveKind, MoveStatus, RequestKind, RequestStatus, EnrollmentKind,
    EnrollmentStatus
}

/// What a list of columns makes of a struct.
pub(crate) trait Columns: Sized {
    /// The table's name in a SELECT.
    const ALIAS: &'static str;
    /// The columns with PostgreSQL's types, in order.
    const COLUMNS: &'static [(&'static str, &'static str)];
    /// Reads the columns, which come next in the row.
    fn read(row: &mut Reader) -> Result<Self, DbError>;
    /// The parameters, in order.
    fn bind(self) -> Vec<Param>;
    /// Reads the columns, or passes over them where an outer join found no row.
    fn read_outer(row: &mut Reader) -> Result<Option<Self>, DbError> {
        if row.is_null() {
            row.skip(Self::COLUMNS.len());
            return Ok(None);
        }
        Self::read(row).map(Some)
    }
}

/// Defines a row by its columns, or says of a struct of `domain` which columns hold it; see the module. In a SELECT
/// the table stands under the alias.
macro_rules! columns {
    (@name $column:ident) => { stringify!($column) };
    (@name $column:ident $sql:literal) => { $sql };
    ($(#[$doc:meta])* $name:ident of $alias:literal { $($column:ident $(as $sql:literal)?: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name { $(pub(crate) $column: $type),+ }

        $crate::db::columns! { for $name of $alias { $($column $(as $sql)?: $type),+ } }
    };
    (for $name:ident of $alias:literal { $($column:ident $(as $sql:literal)?: $type:ty),+ $(,)? }) => {
        impl $crate::db::Columns for $name {
            const ALIAS: &'static str = $alias;
            const COLUMNS: &'static [(&'static str, &'static str)] =
                &[$(($crate::db::columns!(@name $column $($sql)?), <$type as $crate::db::Column>::POSTGRES)),+];

            fn read(row: &mut $crate::db::Reader) -> Result<Self, $crate::DbError> {
                Ok(Self { $($column: row.get::<$type>()?),+ })
            }

            fn bind(self) -> Vec<$crate::db::Param> {
                let Self { $($column),+ } = self;
                $crate::db::params![$($column),+]
            }
        }
    };
}
pub(crate) use columns;

/// Puts a statement together while the program is compiled: texts, `[Row]` for its columns, `(CONSTANT)` for a text
/// that stands elsewhere.
macro_rules! sql {
    (@ $text:expr;) => { $text };
    (@ $text:expr; [$row:path] $($rest:tt)*) => {
        $crate::db::sql!(@ $text.columns(<$row as $crate::db::Columns>::ALIAS, <$row as $crate::db::Columns>::COLUMNS);
            $($rest)*)
    };
    (@ $text:expr; ($part:expr) $($rest:tt)*) => { $crate::db::sql!(@ $text.add($part); $($rest)*) };
    (@ $text:expr; $part:literal $($rest:tt)*) => { $crate::db::sql!(@ $text.add($part); $($rest)*) };
    ($($part:tt)+) => {{
        const TEXT: $crate::db::Text = $crate::db::sql!(@ $crate::db::Text::new(); $($part)+);
        TEXT.as_str()
    }};
}
pub(crate) use sql;

/// A text that is put together while the program is compiled.
pub(crate) struct Text {
    bytes: [u8; Self::MOST],
    length: usize,
}

#[expect(clippy::indexing_slicing, reason = "run by the compiler: what does not fit does not compile")]
impl Text {
    const MOST: usize = 4096;

    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::MOST], length: 0 }
    }

    /// With a text behind it.
    pub(crate) const fn add(mut self, text: &str) -> Self {
        let mut rest = text.as_bytes();
        while let [byte, others @ ..] = rest {
            self.bytes[self.length] = *byte;
            self.length += 1;
            rest = others;
        }
        self
    }

    /// With the columns of a row behind it, as a SELECT lists them.
    pub(crate) const fn columns(self, alias: &str, columns: &[(&str, &str)]) -> Self {
        self.list(&[columns], Form::Of(alias))
    }

    const fn add_number(self, number: usize) -> Self {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let this = if number >= 10 { self.add_number(number / 10) } else { self };
        this.add(DIGITS[number % 10])
    }

    /// `column, column, ...` or, with what stands around each, the parameters of such a list.
    const fn list(mut self, lists: &[&[(&str, &str)]], form: Form<'_>) -> Self {
        let (mut list, mut number) = (0, 0);
        while list < lists.len() {
            let mut index = 0;
            while index < lists[list].len() {
                if number > 0 {
                    self = self.add(", ");
                }
                let (name, kind) = lists[list][index];
                self = match form {
                    Form::Name => self.add(name),
                    Form::Of(alias) => self.add(alias).add(".").add(name),
                    Form::Parameter => self.add("$").add_number(number + 1),
                    Form::Array => self.add("$").add_number(number + 1).add("::").add(kind).add("[]"),
                    Form::Assignment(first) => self.add(name).add(" = $").add_number(first + number),
                };
                (index, number) = (index + 1, number + 1);
            }
            list += 1;
        }
        self
    }

    /// An INSERT of one row, whose columns stand in some lists.
    pub(crate) const fn insert(table: &str, lists: &[&[(&str, &str)]]) -> Self {
        let this = Self::new().add("INSERT INTO ").add(table).add(" (").list(lists, Form::Name);
        this.add(") VALUES (").list(lists, Form::Parameter).add(")")
    }

    /// PostgreSQL's INSERT of many rows: one array a column.
    pub(crate) const fn insert_arrays(table: &str, lists: &[&[(&str, &str)]]) -> Self {
        let this = Self::new().add("INSERT INTO ").add(table).add(" (").list(lists, Form::Name);
        this.add(") SELECT * FROM unnest(").list(lists, Form::Array).add(")")
    }

    /// An UPDATE of the columns of some lists, whose parameters begin with the given number; `rest` is what else it
    /// sets, and where.
    pub(crate) const fn update(table: &str, lists: &[&[(&str, &str)]], first: usize, rest: &str) -> Self {
        Self::new().add("UPDATE ").add(table).add(" SET ").list(lists, Form::Assignment(first)).add(rest)
    }

    /// The text.
    pub(crate) const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => "",
        }
    }
}

#[derive(Clone, Copy)]
enum Form<'a> {
    Name,
    Of(&'a str),
    Parameter,
    Array,
    Assignment(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    columns! {
        /// A row.
        Sample of "s" { id: i64, kind as "type": String, sealed: Option<Vec<u8>> }
    }

    #[test]
    fn one_list_makes_every_text() {
        assert_eq!(sql!("SELECT "[Sample](" FROM t s")), "SELECT s.id, s.type, s.sealed FROM t s");
        let all = Sample::COLUMNS;
        assert_eq!(Text::insert("t", &[all]).as_str(), "INSERT INTO t (id, type, sealed) VALUES ($1, $2, $3)");
        let arrays = "INSERT INTO t (id, type, sealed) SELECT * FROM unnest($1::int8[], $2::text[], $3::bytea[])";
        assert_eq!(Text::insert_arrays("t", &[all]).as_str(), arrays);
        let update = "UPDATE t SET id = $9, type = $10, sealed = $11 WHERE x = $1";
        assert_eq!(Text::update("t", &[all], 9, " WHERE x = $1").as_str(), update);
        assert_eq!(Sample { id: 1, kind: "a".into(), sealed: None }.bind().len(), all.len());
    }
}
