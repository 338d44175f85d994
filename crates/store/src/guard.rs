//! Guarded values: what the store reads opens only with the receipt of a committed audit record that names its
//! customer and its categories of data.
//!
//! The invariant: no personal data leaves without a durable record. What would break it is a second way
//! to open, so there is none: `Guarded` has no accessor but [`Guarded::open`], and inside a transaction
//! `Transaction::peek`, for the change's own logic. A handler that forgets the audit has nothing to serialise.

use domain::{
    ids::CustomerId,
    policy::{Categories, Rule},
};
use tokio::sync::OnceCell;

use crate::{StoreError, audit::Submitted};

/// A value that nobody may look at yet.
pub struct Guarded<T> {
    value: T,
    customer: CustomerId,
    categories: Categories,
}

impl<T> std::fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("customer", &self.customer).finish_non_exhaustive()
    }
}

impl<T> Guarded<T> {
    pub(crate) fn new(value: T, customer: CustomerId, categories: Categories) -> Self {
        Self { value, customer, categories }
    }

    /// Opens the value.
    ///
    /// # Errors
    /// [`StoreError::Unreceipted`] when the receipt names another customer or too few categories.
    pub fn open(self, receipt: &Receipt) -> Result<T, StoreError> {
        if receipt.names(self.customer, self.categories) { Ok(self.value) } else { Err(StoreError::Unreceipted) }
    }

    /// Joins two values of one customer into one that needs a receipt for both.
    ///
    /// # Errors
    /// [`StoreError::Unreceipted`] when they belong to two customers.
    pub fn and<U>(self, other: Guarded<U>) -> Result<Guarded<(T, U)>, StoreError> {
        if self.customer != other.customer {
            return Err(StoreError::Unreceipted);
        }
        let categories = self.categories | other.categories;
        Ok(Guarded { value: (self.value, other.value), customer: self.customer, categories })
    }

    /// Calculates with the value; the result stays guarded.
    #[must_use]
    pub fn map<U>(self, calculate: impl FnOnce(T) -> U) -> Guarded<U> {
        Guarded { value: calculate(self.value), customer: self.customer, categories: self.categories }
    }

    /// Calculates with the value, which may fail; the result stays guarded.
    pub fn try_map<U, E>(self, calculate: impl FnOnce(T) -> Result<U, E>) -> Result<Guarded<U>, E> {
        let (customer, categories) = (self.customer, self.categories);
        calculate(self.value).map(|value| Guarded { value, customer, categories })
    }

    /// Whose it is.
    pub(crate) fn customer(&self) -> CustomerId {
        self.customer
    }

    /// What it reveals.
    pub(crate) fn categories(&self) -> Categories {
        self.categories
    }

    pub(crate) fn inside(&self) -> &T {
        &self.value
    }
}

/// Proof that audit records are durable: it names their customers and categories. Only a commit or an append of
/// the audit log makes one.
#[derive(Debug)]
pub struct Receipt {
    /// In ascending order.
    customers: Vec<CustomerId>,
    categories: Categories,
}

impl Receipt {
    pub(crate) fn new(customer: CustomerId, categories: Categories) -> Self {
        Self { customers: vec![customer], categories }
    }

    /// Of several records, one for each customer.
    pub(crate) fn of_all(mut customers: Vec<CustomerId>, categories: Categories) -> Self {
        customers.sort_unstable();
        Self { customers, categories }
    }

    fn names(&self, customer: CustomerId, categories: Categories) -> bool {
        self.categories.contains(categories) && self.customers.binary_search(&customer).is_ok()
    }
}

/// The record of a read that was authorized and asked for, on its way to the disk while the statement runs.
#[derive(Debug)]
pub struct Asked {
    record: std::sync::Mutex<Option<Submitted>>,
    receipt: OnceCell<Receipt>,
    customer: CustomerId,
    rule: Rule,
}

impl Asked {
    pub(crate) fn new(record: Submitted, customer: CustomerId, rule: Rule) -> Self {
        Self { record: Some(record).into(), receipt: OnceCell::new(), customer, rule }
    }

    /// Waits until the record is durable.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when it is not in time; nothing is opened then.
    pub async fn receipt(&self) -> Result<&Receipt, StoreError> {
        let durable = || async {
            let record = self.record.lock().ok().and_then(|mut record| record.take());
            record.ok_or(StoreError::AuditUnavailable)?.durable().await.map_err(|_| StoreError::AuditUnavailable)?;
            Ok(Receipt::new(self.customer, self.rule.categories))
        };
        self.receipt.get_or_try_init(durable).await
    }

    /// Opens what was read, once its record is durable.
    ///
    /// # Errors
    /// As [`Asked::receipt`] and [`Guarded::open`].
    pub async fn open<T>(&self, found: Guarded<T>) -> Result<T, StoreError> {
        #[cfg(any(test, feature = "testing"))]
        crate::testing::opens(self.rule.action, found.categories());
        found.open(self.receipt().await?)
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::Id;

    use super::*;

    #[test]
    fn opens_only_with_a_receipt_that_names_it() {
        let [alice, bob, carol] = [1, 2, 3].map(|id| CustomerId::new(id).unwrap());
        let both = Categories::ACCOUNT | Categories::PREMISE;
        let value = || Guarded::new("secret", alice, both);
        assert!(value().open(&Receipt::new(alice, both)).is_ok());
        assert!(value().open(&Receipt::new(bob, both)).is_err());
        assert!(value().open(&Receipt::new(alice, Categories::ACCOUNT)).is_err());
        assert!(value().open(&Receipt::of_all(vec![carol, alice], both)).is_ok());
        assert!(value().open(&Receipt::of_all(vec![carol, bob], both)).is_err());
        assert_eq!(format!("{:?}", value()), "Guarded { customer: CustomerId(1), .. }");
    }
}
