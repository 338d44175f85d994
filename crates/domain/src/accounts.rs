//! Accounts: what bills are addressed to, with the balances that Billing last reported.

pub use crate::status::{READABLE_DAYS, Status};
use crate::{
    ids::{AccountId, CustomerId},
    premises::Premise,
    status::changed,
    time::{Instant, LocalDate},
    values::{AccountNumber, Money, Nickname},
};

/// What Billing last reported. Never reported is `None`, never zero. Positive is owed, negative is credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// All that is owed, due or not.
    pub current: Option<Money>,
    /// What is due at the next due date.
    pub due: Option<Money>,
    /// What should have been paid already.
    pub past_due: Option<Money>,
    /// When the due amount is due; it may lie in the past.
    pub next_due_date: Option<LocalDate>,
    /// When the last payment was booked.
    pub last_payment_date: Option<LocalDate>,
    /// The last payment.
    pub last_payment_amount: Option<Money>,
    /// When Billing reported all this.
    pub as_of: Option<Instant>,
}

/// An account with its premises.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its owner.
    pub customer: CustomerId,
    /// The number on the bill.
    pub number: AccountNumber,
    /// What the customer calls it.
    pub nickname: Option<Nickname>,
    /// Where it is in its life.
    pub status: Status,
    /// What Billing last reported.
    pub balance: Balance,
    /// Counts the changes of the account's own row.
    pub version: i64,
    /// Its premises, by id.
    pub premises: Vec<Premise>,
}

/// What an owner may change of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEdit {
    /// What the customer calls the account; null for nothing.
    pub nickname: Option<Nickname>,
}

impl AccountEdit {
    /// The names of the fields in which this differs from what is stored.
    pub fn changes(&self, current: &Account) -> Vec<&'static str> {
        let Self { nickname } = self;
        changed(&[("nickname", *nickname != current.nickname)])
    }
}
