//! The life of customers, accounts and premises, and what their edits have in common.

use crate::{input, named_enum};

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

named_enum! {
    /// Why an operation changed a status: a listed code, so that no free text stands in an event or a log.
    StatusReason {
        /// The owner ended it.
        Closed = "closed",
        /// The owner moved away.
        Moved = "moved",
        /// Nothing was paid.
        NonPayment = "non-payment",
        /// It should never have been there.
        Error = "error",
        /// The owner asked for it.
        CustomerRequest = "customer-request",
        /// Somebody pretended to be somebody else.
        Fraud = "fraud",
        /// The market said so.
        Market = "market",
    }
}

input! {
    /// A customer or an account begins.
    Activation {
        /// Why; it need not be said.
        reason: Option<StatusReason> = "reason",
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

/// The names whose flag is set.
pub fn changed(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
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

    #[test]
    fn the_diagrams_of_the_documentation_have_the_same_steps() {
        use crate::input::Named as _;
        let all = [Pending, Active, Inactive];
        let steps = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a.may_become(*b));
        let right: Vec<String> = steps.map(|(a, b)| format!("{} --> {}", a.name(), b.name())).collect();
        let text = include_str!("../../../docs/lifecycles.md");
        for noun in ["Customer", "Account"] {
            let (_, section) =
                text.split_once(&format!("\n## {noun}\n")).unwrap_or_else(|| panic!("no section {noun}"));
            let section = section.split("\n## ").next().unwrap();
            let lines = section.lines().map(str::trim).filter(|line| line.contains("-->") && !line.starts_with("[*]"));
            let drawn: Vec<&str> = lines.map(|line| line.split(':').next().unwrap().trim()).collect();
            assert_eq!(drawn, right, "{noun}");
        }
    }
}
