//! Why the store did not do what it was asked.

use crate::DbError;

/// An error of the store. None of them repeats personal data.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A key is missing, or does not open what it should.
    #[error(transparent)]
    Key(#[from] crypto::KeyError),
    /// A sealed record that does not open, or whose plaintext no codec of ours knows.
    #[error("sealed record of {table} {row}: {reason}")]
    Sealed {
        /// The table.
        table: &'static str,
        /// The row's id.
        row: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The audit log did not take a record in time: nothing may be given out.
    #[error("the audit log is not available")]
    AuditUnavailable,
    /// Data was about to be opened with a receipt that does not name it: a defect of this program.
    #[error("the audit receipt does not name the data")]
    Unreceipted,
    /// A change of a customer's rows that the transaction did not begin with, or a party without its act: a defect
    /// of this program.
    #[error("the transaction and its parties do not fit together")]
    Unlocked,
    /// There is no such customer.
    #[error("there is no such customer")]
    NoCustomer,
    /// The connection was lost during commit, and nobody could say whether the change happened.
    #[error("nobody knows whether the change happened")]
    OutcomeUnknown,
    /// A change of an inactive customer's data that only an active one may make.
    #[error("the customer is inactive")]
    Inactive,
    /// The request repeats an idempotency key with other content.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The request with this idempotency key is still at work.
    #[error("the request with this idempotency key is still at work")]
    KeyBusy,
    /// More rows than one answer may be calculated from.
    #[error("too many rows for one answer")]
    TooMuch,
    /// The system has no random bytes.
    #[error(transparent)]
    Random(#[from] crypto::RandomError),
}
