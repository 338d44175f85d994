//! Paths: ids, typed, and to which thing of a customer's they lead.

use domain::ids::{AccountId, CustomerId, EnrollmentId, Id, IdentityId, MeterId, MoveId, PremiseId, RequestId, TaskId};
use serde_json::json;
use store::Resource;

use super::{
    params::{Parameter, error},
    problem::ErrorAt,
};

/// What stands in a path.
pub trait FromPath: Sized + Send + 'static {
    /// The parameters in the path's order.
    fn parameters() -> Vec<Parameter>;
    /// Reads the path's parameters.
    fn read(values: &[(&str, &str)], errors: &mut Vec<ErrorAt>) -> Option<Self>;
    /// The resource's name in the audit log.
    fn resource(&self) -> Option<String>;
    /// What of a customer's the path names, by which staff and services reach that customer's data.
    fn names(&self) -> Option<Resource> {
        None
    }
}

impl FromPath for () {
    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }
    fn read(_: &[(&str, &str)], _: &mut Vec<ErrorAt>) -> Option<Self> {
        Some(())
    }
    fn resource(&self) -> Option<String> {
        None
    }
}

fn id_parameter(name: &'static str, about: &'static str) -> Parameter {
    let schema = json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": domain::ids::MAX_ID});
    Parameter { name, about, schema }
}

fn read_id<I: Id>(name: &'static str, values: &[(&str, &str)], errors: &mut Vec<ErrorAt>) -> Option<I> {
    let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    let refuse = |invalid: domain::ids::InvalidId| errors.push(error(name, "invalid-id", invalid.to_string()));
    I::parse(value).map_err(refuse).ok()
}

macro_rules! id_in_path {
    ($($id:ident, $name:literal, $kind:literal, $resource:ident;)+) => {$(
        impl FromPath for $id {
            fn parameters() -> Vec<Parameter> {
                vec![id_parameter($name, concat!("The id of the ", $kind, "."))]
            }
            fn read(values: &[(&str, &str)], errors: &mut Vec<ErrorAt>) -> Option<Self> {
                read_id($name, values, errors)
            }
            fn resource(&self) -> Option<String> {
                crate::app::resource($kind, *self)
            }
            fn names(&self) -> Option<Resource> {
                Some(Resource::$resource(*self))
            }
        }
    )+};
}
id_in_path! {
    CustomerId, "customerId", "customer", Customer;
    AccountId, "accountId", "account", Account;
    PremiseId, "premiseId", "premise", Premise;
    MeterId, "meterId", "meter", Meter;
    MoveId, "moveId", "move", Move;
    RequestId, "requestId", "request", Request;
    EnrollmentId, "enrollmentId", "enrollment", Enrollment;
    TaskId, "taskId", "task", Task;
}

/// A path that leads to a thing of a customer's.
pub trait Leads<I>: FromPath + Copy + Sync {
    /// The thing's id within its customer.
    fn id(self) -> I;
}

impl<I: FromPath + Copy + Sync> Leads<I> for I {
    fn id(self) -> I {
        self
    }
}

/// To the customer's own row, or what there is one of.
impl Leads<()> for CustomerId {
    fn id(self) {}
}

/// A log-in of the customer whom the path names.
impl FromPath for (CustomerId, IdentityId) {
    fn parameters() -> Vec<Parameter> {
        let mut parameters = CustomerId::parameters();
        parameters.push(id_parameter("identityId", "The id of the log-in."));
        parameters
    }
    fn read(values: &[(&str, &str)], errors: &mut Vec<ErrorAt>) -> Option<Self> {
        let (customer, identity) = (FromPath::read(values, errors), read_id("identityId", values, errors));
        Some((customer?, identity?))
    }
    fn resource(&self) -> Option<String> {
        crate::app::resource("identity", self.1)
    }
    fn names(&self) -> Option<Resource> {
        self.0.names()
    }
}

impl Leads<IdentityId> for (CustomerId, IdentityId) {
    fn id(self) -> IdentityId {
        self.1
    }
}
