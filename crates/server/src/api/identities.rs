//! The log-ins that lead to a customer, as staff link and unlink them.

use domain::{
    customers::{Customer, Identities, LinkIdentity, LinkedIdentity, UnlinkIdentity},
    ids::{CustomerId, IdentityId},
    policy::{Categories, Roles},
    time::Instant,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    problem,
    route::{Route, example, group},
    wire::{Listed, Listing, Represents, View},
};

/// A log-in that leads to the customer. Whose it is at the issuer is not kept.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Identity {
    identity_id: IdentityId,
    /// Who issues its tokens.
    issuer: String,
    /// Since when it leads to the customer.
    linked_at: Instant,
}

impl Represents for Identity {
    type Of = LinkedIdentity;
    type At = (CustomerId, IdentityId);
    fn of(identity: LinkedIdentity, _: View<'_>) -> Self {
        let LinkedIdentity { id, issuer, linked_at } = identity;
        Self { identity_id: id, issuer, linked_at }
    }
}

impl Listed for Identity {
    const PLURAL: &'static str = "identities";
    const ENVELOPE: &'static str = "Identities";
}

impl Represents for Listing<Identity> {
    type Of = Identities;
    type At = CustomerId;
    fn of(Identities(all): Identities, view: View<'_>) -> Self {
        Self { items: all.into_iter().map(|one| Identity::of(one, view)).collect(), next_cursor: None }
    }
}

/// The operations on log-ins.
pub fn routes() -> Vec<Route> {
    const ALL: &str = "/api/admin/customers/{customerId}/identities";
    let list = Route::show::<Listing<Identity>>(ALL, "listIdentities", "List the log-ins that lead to a customer");
    let link = Route::creation::<CustomerId, Customer, Identity, LinkIdentity>(
        ALL,
        "linkIdentity",
        "Let one more log-in lead to a customer",
    );
    let unlink = Route::creation::<(CustomerId, IdentityId), LinkedIdentity, Listing<Identity>, UnlinkIdentity>(
        "/api/admin/customers/{customerId}/identities/{identityId}",
        "unlinkIdentity",
        "Let a log-in lead to the customer no more; the answer lists those that are left",
    )
    .by_delete();
    let routes = [
        list.staff(Roles::STAFF).example(example!("listIdentities")),
        link.staff(Roles::SUPERVISORS).refuses(&[problem::ALREADY_LINKED]).input_example(
            r#"{"issuer":"https://login.example.com","subject":"f3b1c0de-5c1b-4f0e-9a59-0c1f6a0f7d11"}"#,
        ),
        Route { status: StatusCode::OK, ..unlink.staff(Roles::SUPERVISORS) },
    ];
    group("Staff", Categories::PROFILE, routes)
}
