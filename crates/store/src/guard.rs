//! Guarded values: what the store reads opens only with the receipt of a committed audit record that
//! names its customer and its categories of data.
//!
//! The invariant: no personal data leaves without a durable record. What would break it is a second way
//! to open, so there is none: `Guarded` has no accessor but [`Guarded::open`], and inside a transaction
//! `Transaction::peek`, for the change's own logic. A handler that forgets the audit has nothing to
//! serialise.

use domain::{ids::CustomerId, policy::Categories};

use crate::StoreError;

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
        let named = receipt.customer == self.customer && receipt.categories.contains(self.categories);
        if named { Ok(self.value) } else { Err(StoreError::Unreceipted) }
    }

    /// Joins two values of one customer into one that needs a receipt for both.
    ///
    /// # Errors
    /// [`StoreError::Unreceipted`] when they belong to two customers.
    pub fn and<U>(self, other: Guarded<U>) -> Result<Guarded<(T, U)>, StoreError> {
        if self.customer != other.customer {
            return Err(StoreError::Unreceipted);
        }
        let categories = self.categories.and(other.categories);
        Ok(Guarded { value: (self.value, other.value), customer: self.customer, categories })
    }

    /// Calculates with the value; the result stays guarded.
    #[must_use]
    pub fn map<U>(self, calculate: impl FnOnce(T) -> U) -> Guarded<U> {
        Guarded { value: calculate(self.value), customer: self.customer, categories: self.categories }
    }

    /// Calculates with the value, which may fail; the result stays guarded.
    ///
    /// # Errors
    /// What the calculation says.
    pub fn try_map<U, E>(self, calculate: impl FnOnce(T) -> Result<U, E>) -> Result<Guarded<U>, E> {
        let (customer, categories) = (self.customer, self.categories);
        calculate(self.value).map(|value| Guarded { value, customer, categories })
    }

    pub(crate) fn inside(&self) -> &T {
        &self.value
    }
}

/// Proof that an audit record is durable. Only a commit or an append of the audit log makes one.
#[derive(Debug)]
pub struct Receipt {
    customer: CustomerId,
    categories: Categories,
}

impl Receipt {
    pub(crate) fn new(customer: CustomerId, categories: Categories) -> Self {
        Self { customer, categories }
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::Id;

    use super::*;

    #[test]
    fn opens_only_with_a_receipt_that_names_it() {
        let (alice, bob) = (CustomerId::new(1).unwrap(), CustomerId::new(2).unwrap());
        let both = Categories::ACCOUNT.and(Categories::PREMISE);
        let value = || Guarded::new("secret", alice, both);
        assert!(value().open(&Receipt::new(alice, both)).is_ok());
        assert!(value().open(&Receipt::new(bob, both)).is_err());
        assert!(value().open(&Receipt::new(alice, Categories::ACCOUNT)).is_err());
        assert_eq!(format!("{:?}", value()), "Guarded { customer: CustomerId(1), .. }");
    }
}
