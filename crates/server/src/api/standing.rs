//! What authorization gives a handler: the right to one customer's data, to many's, or to make a customer.

use domain::policy::{Reach, Role};
use store::{Crowd, Founder, Scope};

/// What authorization gave.
#[derive(Debug)]
pub(super) enum Right {
    One(Scope),
    Many(Crowd),
    New(Founder),
}

/// The right that a handler takes: to one customer's data, or to many's.
pub trait Standing: Clone + Send + Sync + 'static {
    /// Whose data, unless the route says otherwise.
    const REACH: Reach;
    /// By which role.
    fn role(&self) -> Option<Role>;
    /// The right, when authorization gave one of this kind.
    #[doc(hidden)]
    fn of(right: RightOf) -> Option<Self>;
}

/// What authorization gave, for [`Standing`] alone.
#[derive(Debug)]
pub struct RightOf(pub(super) Right);

impl Standing for Scope {
    const REACH: Reach = Reach::Own;
    fn role(&self) -> Option<Role> {
        self.role()
    }
    fn of(RightOf(right): RightOf) -> Option<Self> {
        if let Right::One(scope) = right { Some(scope) } else { None }
    }
}

impl Standing for Crowd {
    const REACH: Reach = Reach::Many;
    fn role(&self) -> Option<Role> {
        self.role()
    }
    fn of(RightOf(right): RightOf) -> Option<Self> {
        if let Right::Many(crowd) = right { Some(crowd) } else { None }
    }
}

/// Who makes a customer, or asks for more as one.
#[derive(Debug, Clone)]
pub enum Applicant {
    /// A customer already.
    Customer(Scope),
    /// Nobody's customer yet, or staff on behalf of somebody.
    New(Founder),
}

impl Standing for Applicant {
    const REACH: Reach = Reach::New;
    fn role(&self) -> Option<Role> {
        match self {
            Self::Customer(scope) => scope.role(),
            Self::New(founder) => founder.role(),
        }
    }
    fn of(RightOf(right): RightOf) -> Option<Self> {
        match right {
            Right::One(scope) => Some(Self::Customer(scope)),
            Right::New(founder) => Some(Self::New(founder)),
            Right::Many(_) => None,
        }
    }
}
