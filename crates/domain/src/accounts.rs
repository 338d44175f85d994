//! Accounts: what bills are addressed to, with the balances that Billing last reported.

use crate::{
    ids::{AccountId, CustomerId},
    named_enum,
    premises::Premise,
    time::{Instant, LocalDate},
    values::{AccountNumber, Money, Nickname},
};

named_enum! {
    /// The life of a customer, an account or a premise: `pending -> active <-> inactive`, and
    /// `pending -> inactive` when it never came to service.
    Status {
        /// Agreed, not in service yet.
        Pending = "pending",
        /// In service.
        Active = "active",
        /// Ended; its owner may read it for [`READABLE_DAYS`] more.
        Inactive = "inactive",
    }
}

/// How long after its end an owner may still read what was theirs: 24 months.
pub const READABLE_DAYS: i64 = 731;

impl Status {
    /// Whether the state machine has a step from this status to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Active, Inactive, Pending};
        matches!((self, next), (Pending, Active | Inactive) | (Active, Inactive) | (Inactive, Active))
    }
}

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

/// The names whose flag is set.
pub(crate) fn changed(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
    fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::Status::{Active, Inactive, Pending};

    #[test]
    fn the_state_machine_has_four_steps() {
        let all = [Pending, Active, Inactive];
        let steps = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a.may_become(*b));
        let right = [(Pending, Active), (Pending, Inactive), (Active, Inactive), (Inactive, Active)];
        assert_eq!(steps.collect::<Vec<_>>(), right);
    }
}
