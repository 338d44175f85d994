//! Staff's search. Personal values stand in its body, never in a URL.

use domain::{
    ids::{CustomerId, Id},
    input::FieldError,
    policy::{Categories, Roles},
    search::Search,
    time::Instant,
};
use store::Crowd;

use super::{
    call::{Call, Given},
    customers::Profile,
    problem::Problem,
    route::{BODY_LIMIT, Route, TIME_LIMIT, group},
    wire::{Listing, Represents, Staff},
};
use crate::app::{Failure, search};

async fn search_customers(call: Call<(), (), Given, Crowd>) -> Result<Listing<Staff<Profile>>, Problem> {
    let search: Search = call.body.read_as()?;
    let criteria = search::criteria(&call.app, &search)?;
    let bound = criteria.fingerprint();
    let after = match &search.cursor {
        None => None,
        Some(cursor) => Some(call.place(&cursor.0, &bound).ok_or_else(|| Failure::Fields(vec![not_ours()]))?),
    };
    let (found, more) = search::find(&call.app, &call.scope, &criteria, after, search.page()).await?;
    let next_cursor = more.map(|(at, id)| call.bound_to(&bound).encode(&[at.micros(), id.get()]));
    let customers = call.app.store.disclose(&call.scope, found).await?;
    Ok(Listing { items: customers.into_iter().map(|customer| Staff::of(customer, call.view())).collect(), next_cursor })
}

fn not_ours() -> FieldError {
    let message = "Take the cursor from the nextCursor of the page before, with the same search.";
    FieldError { pointer: "/cursor".into(), ..FieldError::new("invalid-cursor", message) }
}

impl Call<(), (), Given, Crowd> {
    /// The place behind which a page begins.
    fn place(&self, cursor: &str, bound: &str) -> Option<(Instant, CustomerId)> {
        let [at, id] = self.bound_to(bound).decode::<2>(cursor)?;
        Some((Instant::from_micros(at), CustomerId::new(id)?))
    }
}

/// The search.
pub fn routes() -> Vec<Route> {
    let search = Route::batch::<Search, _, _>(
        "/api/admin/customers/search",
        "searchCustomers",
        "Search customers by any of their data",
        search_customers,
    );
    let search = Route { body_limit: BODY_LIMIT, time_limit: TIME_LIMIT, ..search }
        .staff(Roles::STAFF)
        .input_example(r#"{"name":"smith","street":"123 main st"}"#);
    group("Staff", Categories::PROFILE | Categories::ACCOUNT, [search])
}
