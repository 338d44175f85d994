//! Accounts: what bills are addressed to, with the balances that Billing last reported.

use crate::{
    edits,
    ids::{AccountId, CustomerId},
    input,
    premises::Premise,
    status::{Status, StatusReason},
    time::{Instant, LocalDate},
    values::{AccountNumber, Money, Nickname},
};

/// What Billing last reported. Never reported is `None`, never zero. Positive is owed, negative is credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// All that is owed, due or not.
    pub current_balance: Option<Money>,
    /// What is due at the next due date.
    pub due_amount: Option<Money>,
    /// What should have been paid already.
    pub past_due_amount: Option<Money>,
    /// When the due amount is due; it may lie in the past.
    pub next_due_date: Option<LocalDate>,
    /// When the last payment was booked.
    pub last_payment_date: Option<LocalDate>,
    /// The last payment.
    pub last_payment_amount: Option<Money>,
    /// When Billing reported all this.
    pub balance_as_of: Option<Instant>,
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

edits! {
    /// What an owner may change of an account.
    AccountEdit of Account, in "" {
        /// What the customer calls the account; null for nothing.
        nickname: Option<Nickname> = "nickname" at nickname,
    }
}

/// What an account has and owes.
#[derive(Debug, Clone, Copy)]
pub struct AccountTotals {
    /// What Billing last reported.
    pub balance: Balance,
    /// Premises in service.
    pub premises: i64,
    /// Meters in service.
    pub meters: i64,
}

input! {
    /// An account ends, today or on a later date, when it does so by itself.
    Deactivation {
        /// The first local date on which it is inactive.
        effective_date: LocalDate = "effectiveDate",
        /// Why.
        reason: StatusReason = "reason",
    }
}

input! {
    /// A customer gets one more account.
    AccountOpening {
        /// What the customer calls it; null for nothing.
        nickname: Option<Nickname> = "nickname",
    }
}

input! {
    /// An account that ended begins again.
    Reopening {
        /// Why; it need not be said.
        reason: Option<StatusReason> = "reason",
    }
}

input! {
    /// What Billing reports of one account; what may be absent is absent or null.
    BalanceReport {
        /// The account.
        account_id: AccountId = "accountId",
        /// All that is owed, due or not.
        current_balance: Option<Money> = "currentBalance",
        /// What is due at the next due date.
        due_amount: Option<Money> = "dueAmount",
        /// What should have been paid already.
        past_due_amount: Option<Money> = "pastDueAmount",
        /// When the due amount is due.
        next_due_date: Option<LocalDate> = "nextDueDate",
        /// When the last payment was booked.
        last_payment_date: Option<LocalDate> = "lastPaymentDate",
        /// The last payment.
        last_payment_amount: Option<Money> = "lastPaymentAmount",
        /// When all this was so: the newest report counts.
        as_of: Instant = "asOf",
    }
}

impl BalanceReport {
    /// The balance that it reports.
    pub fn balance(&self) -> Balance {
        let Self {
            account_id: _,
            current_balance,
            due_amount,
            past_due_amount,
            next_due_date,
            last_payment_date,
            last_payment_amount,
            as_of,
        } = *self;
        Balance {
            current_balance,
            due_amount,
            past_due_amount,
            next_due_date,
            last_payment_date,
            last_payment_amount,
            balance_as_of: Some(as_of),
        }
    }
}
