//! Who can sign in to the demonstration: people, and programs. Their passwords are their names.

use aws_lc_rs::digest;
use domain::policy::Role;

/// A person of the demonstration.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// Log-in name and password.
    pub name: &'static str,
    /// The one role.
    pub role: Role,
    /// Who that is, for the log-in page.
    pub about: &'static str,
}

/// Every person: customers 1 to 3, someone who is not a customer yet, and staff.
pub const USERS: [User; 8] = [
    User { name: "alice", role: Role::Customer, about: "customer 1, an individual" },
    User { name: "bob", role: Role::Customer, about: "customer 2, a business with two accounts" },
    User { name: "carol", role: Role::Customer, about: "customer 3, a business with five premises" },
    User { name: "dave", role: Role::Customer, about: "not a customer yet" },
    User { name: "jsmith", role: Role::Csr, about: "customer service representative" },
    User { name: "mjones", role: Role::Supervisor, about: "supervisor" },
    User { name: "admin", role: Role::Admin, about: "administrator" },
    User { name: "reader", role: Role::Readonly, about: "staff who may only look" },
];

/// What a client may do (RFC 6749, section 2.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anyone's program, no secret: password grant and authorization code.
    Public,
    /// The portal, with a secret: authorization code.
    Confidential,
    /// A neighbouring service, with a secret: client credentials.
    Service(Role),
}

/// A program that asks for tokens. The secret of each that has one is its id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: &'static str,
    pub(super) kind: Kind,
}

/// The client that is anyone's program.
pub(super) const PUBLIC: &str = "demo";

/// Every client.
pub(super) const CLIENTS: [Client; 6] = [
    Client { id: PUBLIC, kind: Kind::Public },
    Client { id: "portal", kind: Kind::Confidential },
    Client { id: "billing", kind: Kind::Service(Role::Billing) },
    Client { id: "meter", kind: Kind::Service(Role::Meter) },
    Client { id: "market", kind: Kind::Service(Role::Market) },
    Client { id: "notifications", kind: Kind::Service(Role::Notifications) },
];

/// The user with this name and password.
pub(super) fn log_in(name: &str, password: &str) -> Option<&'static User> {
    static ALL: [User; 8] = USERS;
    // The passwords are public, so the comparison need not hide its time.
    ALL.iter().find(|user| user.name == name && user.name == password)
}

/// The client with this id.
pub(super) fn client(id: &str) -> Option<&'static Client> {
    static ALL: [Client; 6] = CLIENTS;
    ALL.iter().find(|client| client.id == id)
}

/// The `sub` of a user or service: a UUID that follows from the name alone, so that demonstration data can
/// link it before anybody signed in, and so that it stays over restarts.
pub fn subject_of(name: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("ossrep demonstration subject: {name}").as_bytes());
    let hex = hex::encode(hash.as_ref());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    // RFC 9562, section 5.8: version 8 (made by a rule of one's own), variant 10.
    format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_stable_distinct_uuids() {
        // Demonstration databases hold this value: it never changes.
        assert_eq!(subject_of("alice"), "9801ef91-7924-8b19-8888-7e3ba3f69454");
        let subjects: std::collections::BTreeSet<String> = USERS.iter().map(|user| subject_of(user.name)).collect();
        assert_eq!(subjects.len(), USERS.len());
        for subject in subjects {
            let lengths: Vec<usize> = subject.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{subject}");
        }
    }
}
