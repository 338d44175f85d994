//! Statements are constants that only [`statements!`] makes, so that a test can prepare every one of them
//! on both engines: a list that is not part of [`crate::slices`] is dead code and does not compile.

use super::{DbError, Param};

/// A statement with its text for each engine.
#[derive(Debug)]
pub(crate) struct Sql {
    /// The name of the constant, for logs and metrics.
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
    pub(crate) parameters: usize,
    /// Whether it may take long: it must not stand before others on a pipelined connection (PostgreSQL).
    pub(crate) heavy: bool,
    /// Whether it runs on the audit file (SQLite keeps that log in a file of its own).
    #[cfg_attr(not(test), expect(dead_code, reason = "the test that prepares every statement reads it"))]
    pub(crate) audit: bool,
}

impl Sql {
    #[doc(hidden)]
    pub(crate) const fn new(name: &'static str, sqlite: &'static str, postgres: &'static str, audit: bool) -> Self {
        Self { name, sqlite, postgres, parameters: highest(postgres), audit, heavy: false }
    }

    pub(crate) fn check(&self, params: &[Param]) -> Result<(), DbError> {
        if params.len() == self.parameters {
            return Ok(());
        }
        let reason = format!("takes {} parameters, was given {}", self.parameters, params.len());
        Err(DbError::Misuse { statement: self.name, reason })
    }
}

/// The highest `$n` of a statement.
const fn highest(text: &str) -> usize {
    let mut rest = text.as_bytes();
    let (mut highest, mut number, mut inside) = (0, 0, false);
    while let [byte, others @ ..] = rest {
        if *byte == b'$' {
            (inside, number) = (true, 0);
        } else if inside && byte.is_ascii_digit() {
            number = number * 10 + (*byte - b'0') as usize;
            if number > highest {
                highest = number;
            }
        } else {
            inside = false;
        }
        rest = others;
    }
    highest
}

/// Defines the statements of a slice and `STATEMENTS`, the list of all of them.
///
/// `NAME = "one text for both";` or `NAME = sqlite "..", postgres "..";`, each with a leading `audit` when
/// it runs on the audit log's file.
macro_rules! statements {
    (@one $name:ident [heavy] [$($text:tt)+]) => {
        $crate::db::Sql { heavy: true, ..$crate::db::statements!(@one $name [] [$($text)+]) }
    };
    (@one $name:ident [heavy_audit] [$($text:tt)+]) => {
        $crate::db::Sql { heavy: true, ..$crate::db::statements!(@one $name [audit] [$($text)+]) }
    };
    (@one $name:ident [] [$text:expr]) => { $crate::db::Sql::new(stringify!($name), $text, $text, false) };
    (@one $name:ident [audit] [$text:expr]) => { $crate::db::Sql::new(stringify!($name), $text, $text, true) };
    (@one $name:ident [] [sqlite $lite:expr, postgres $pg:expr]) => {
        $crate::db::Sql::new(stringify!($name), $lite, $pg, false)
    };
    (@one $name:ident [audit] [sqlite $lite:expr, postgres $pg:expr]) => {
        $crate::db::Sql::new(stringify!($name), $lite, $pg, true)
    };
    ($($(#[$doc:meta])* $([$where:ident])? $name:ident = { $($text:tt)+ };)+) => {
        $($(#[$doc])* pub(crate) static $name: $crate::db::Sql = $crate::db::statements!(@one $name [$($where)?] [$($text)+]);)+
        /// Every statement of this slice.
        pub(crate) static STATEMENTS: &[&$crate::db::Sql] = &[$(&$name),+];
    };
}
pub(crate) use statements;

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn counts_parameters() {
        assert_eq!(highest("SELECT 1"), 0);
        assert_eq!(highest("SELECT $1, $12 WHERE a = $3 AND b = '$'"), 12);
    }
}
