//! Parameters and rows in PostgreSQL's binary form.

use bytes::BytesMut;
use postgres_types::{IsNull, Kind, ToSql, Type, to_sql_checked};

use super::{Cell, DbError, Param, Row, Sql, postgres::error};

/// PostgreSQL counts instants and dates from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i64 = 10_957;

/// Rows as one array a column.
pub(super) fn columns_of(sql: &Sql, rows: Vec<Vec<Param>>) -> Vec<Vec<Param>> {
    let mut columns: Vec<Vec<Param>> = (0..sql.parameters).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns
}

pub(super) fn bind(params: &[Param]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|p| p as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Param {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(value), &Type::INT8) => value.to_sql(ty, out),
            (Self::Bool(value), &Type::BOOL) => value.to_sql(ty, out),
            (Self::Text(value), &Type::TEXT) => value.to_sql(ty, out),
            (Self::Bytes(value), &Type::BYTEA) => value.to_sql(ty, out),
            (Self::Instant(at), &Type::TIMESTAMPTZ) => {
                at.micros().saturating_sub(EPOCH_MICROS).to_sql(&Type::INT8, out)
            }
            (Self::Date(date), &Type::DATE) => i32::try_from(date.days() - EPOCH_DAYS)?.to_sql(&Type::INT4, out),
            (Self::Ints(list), &Type::INT8_ARRAY) => list.to_sql(ty, out),
            _ => Err(format!("a parameter does not fit the type {ty}").into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        let known = [Type::INT8, Type::BOOL, Type::TEXT, Type::BYTEA, Type::TIMESTAMPTZ, Type::DATE];
        known.contains(ty) || matches!(ty.kind(), Kind::Array(member) if known.contains(member))
    }

    to_sql_checked!();
}

/// A column's raw bytes.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> postgres_types::FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }
    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(super) fn decode(found: Vec<tokio_postgres::Row>, sql: &'static Sql) -> Result<Vec<Row>, DbError> {
    let one = |row: tokio_postgres::Row| {
        let cells = row.columns().iter().enumerate().map(|(index, column)| {
            let Raw(raw) = row.try_get(index).map_err(error)?;
            let Some(raw) = raw else { return Ok(Cell::Null) };
            cell(column.type_(), raw).ok_or_else(|| DbError::Misuse {
                statement: sql.name,
                reason: format!("column {} has type {}", index + 1, column.type_()),
            })
        });
        Ok(Row { statement: sql.name, cells: cells.collect::<Result<_, DbError>>()? })
    };
    found.into_iter().map(one).collect()
}

fn cell(ty: &Type, raw: &[u8]) -> Option<Cell> {
    Some(match *ty {
        Type::INT8 => Cell::Int(i64::from_be_bytes(raw.try_into().ok()?)),
        Type::BOOL => Cell::Int(i64::from(*raw.first()? != 0)),
        Type::TEXT | Type::VARCHAR | Type::NAME => Cell::Text(std::str::from_utf8(raw).ok()?.to_owned()),
        Type::BYTEA => Cell::Bytes(raw.to_vec()),
        Type::TIMESTAMPTZ => Cell::Int(i64::from_be_bytes(raw.try_into().ok()?).checked_add(EPOCH_MICROS)?),
        Type::DATE => Cell::Int(i64::from(i32::from_be_bytes(raw.try_into().ok()?)) + EPOCH_DAYS),
        _ => return None,
    })
}
