//! Idempotency keys.
use crate::db::statements;
statements! { NOTHING = {"SELECT 1"}; }
