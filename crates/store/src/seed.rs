//! Writing whole customers.
use crate::db::statements;
statements! { NOTHING = {"SELECT 1"}; }
