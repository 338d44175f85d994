//! What is bound to a statement.

use domain::time::{Instant, LocalDate};

/// A bound value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Param {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    Instant(Instant),
    Date(LocalDate),
    /// A list of integers: an array on PostgreSQL, JSON text for `json_each` on SQLite.
    Ints(Vec<i64>),
}

/// Makes a parameter.
pub(crate) trait IntoParam {
    fn into_param(self) -> Param;
}

macro_rules! into_param {
    ($($type:ty, $value:ident => $param:expr;)+) => {$(
        impl IntoParam for $type {
            fn into_param(self) -> Param {
                let $value = self;
                $param
            }
        }
    )+};
}
into_param! {
    Param, v => v;
    i64, v => Param::Int(v);
    u32, v => Param::Int(i64::from(v));
    bool, v => Param::Bool(v);
    &str, v => Param::Text(v.to_owned());
    String, v => Param::Text(v);
    Vec<u8>, v => Param::Bytes(v);
    &[u8], v => Param::Bytes(v.to_vec());
    [u8; 16], v => Param::Bytes(v.to_vec());
    [u8; 32], v => Param::Bytes(v.to_vec());
    Vec<i64>, v => Param::Ints(v);
    Instant, v => Param::Instant(v);
    LocalDate, v => Param::Date(v);
    domain::values::Money, v => Param::Int(v.cents());
    domain::values::Quantity, v => Param::Int(v.thousandths());
}

impl<T: IntoParam> IntoParam for Option<T> {
    fn into_param(self) -> Param {
        self.map_or(Param::Null, IntoParam::into_param)
    }
}

macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::param_of($value)),*] };
}
pub(crate) use params;
