//! What a statement gives back. Columns are read in order by a [`Reader`], and a column of another type
//! than the code expects is an error that names statement and column, never a panic.

use domain::{
    ids::Id,
    time::{Instant, LocalDate},
    values::{Money, Quantity},
};

use super::DbError;

/// One value: instants are microseconds, dates are days, booleans 0 or 1, on both engines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) statement: &'static str,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// Reads the columns in order.
    pub(crate) fn read(self) -> Reader {
        Reader { statement: self.statement, column: 0, cells: self.cells.into_iter() }
    }

    /// Reads two columns.
    pub(crate) fn pair<A: FromCell, B: FromCell>(self) -> Result<(A, B), DbError> {
        let mut row = self.read();
        Ok((row.get()?, row.get()?))
    }
}

/// Reads a row column by column.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    statement: &'static str,
    column: usize,
    cells: std::vec::IntoIter<Cell>,
}

/// A value that a column may hold.
pub(crate) trait FromCell: Sized {
    fn from_cell(cell: Cell) -> Option<Self>;
}

impl Reader {
    /// The next column.
    pub(crate) fn get<T: FromCell>(&mut self) -> Result<T, DbError> {
        self.column += 1;
        self.cells.next().and_then(T::from_cell).ok_or_else(|| self.corrupt("is of another type, or no value of it"))
    }

    /// The next column, an id of whatever kind the caller draws; where the kind is known, [`Reader::get`] reads it.
    pub(crate) fn id<I: Id>(&mut self) -> Result<I, DbError> {
        let number = self.get()?;
        I::new(number).ok_or_else(|| self.corrupt("is no id"))
    }

    /// Whether the next column is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.cells.as_slice().first(), None | Some(Cell::Null))
    }

    /// Passes over columns.
    pub(crate) fn skip(&mut self, columns: usize) {
        for _ in 0..columns {
            self.column += 1;
            self.cells.next();
        }
    }

    /// An error that names this row's statement and the column just read.
    pub(crate) fn corrupt(&self, reason: &str) -> DbError {
        DbError::Corrupt(format!("{}: column {} {reason}", self.statement, self.column))
    }
}

impl FromCell for i64 {
    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Int(value) = cell { Some(value) } else { None }
    }
}
impl FromCell for bool {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).map(|value| value != 0)
    }
}
impl FromCell for String {
    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Text(value) = cell { Some(value) } else { None }
    }
}
impl FromCell for Vec<u8> {
    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Bytes(value) = cell { Some(value) } else { None }
    }
}
impl<const N: usize> FromCell for [u8; N] {
    fn from_cell(cell: Cell) -> Option<Self> {
        Vec::<u8>::from_cell(cell)?.try_into().ok()
    }
}
impl FromCell for Instant {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).map(Instant::from_micros)
    }
}
impl FromCell for LocalDate {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).and_then(LocalDate::from_days)
    }
}
impl FromCell for Money {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).and_then(Money::from_cents)
    }
}
impl FromCell for Quantity {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).and_then(Quantity::from_thousandths)
    }
}
impl FromCell for Cell {
    fn from_cell(cell: Cell) -> Option<Self> {
        Some(cell)
    }
}
impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell) -> Option<Self> {
        if cell == Cell::Null { Some(None) } else { T::from_cell(cell).map(Some) }
    }
}
