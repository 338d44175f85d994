//! Every route of the table, asked by everybody: the owner is answered, another's resource is as one that does
//! not exist, other roles are refused, nobody is nobody, and each request leaves exactly one audit record with
//! the route's categories. A route with a path parameter that has no sample id here fails.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ids::Id,
    policy::{Categories, Role, Roles},
};
use http::Method;
use server::api::{route::Route, routes};
use similar_asserts::assert_eq;
use store::{
    Operator,
    audit::{ActorKind, Filter, Outcome, Record},
};

use crate::{
    ask::{User, events, records},
    on_both_engines,
    support::{Answer, Service},
};

on_both_engines! { everybody_asks_for_everything, strangers_are_recorded }

/// Everybody of the demonstration with the one role.
const EVERYBODY: [(&str, Option<Role>); 13] = [
    ("alice", Some(Role::Customer)),
    ("bob", Some(Role::Customer)),
    ("carol", Some(Role::Customer)),
    ("dave", Some(Role::Customer)),
    ("jsmith", Some(Role::Csr)),
    ("mjones", Some(Role::Supervisor)),
    ("admin", Some(Role::Admin)),
    ("reader", Some(Role::Readonly)),
    ("billing", Some(Role::Billing)),
    ("meter", Some(Role::Meter)),
    ("market", Some(Role::Market)),
    ("notifications", Some(Role::Notifications)),
    ("nobody", None),
];

/// Whose is what: by path parameter, the customer and every id of theirs.
type Ids = (&'static str, &'static [i64]);
const OWNED: [(&str, [Ids; 3]); 3] = [
    ("accountId", [("alice", &[1001]), ("bob", &[1002, 1003]), ("carol", &[1004, 1005, 1006])]),
    ("premiseId", [("alice", &[2001]), ("bob", &[2002, 2003, 2004]), ("carol", &[2005, 2006, 2007, 2008, 2009])]),
    (
        "meterId",
        [("alice", &[3001]), ("bob", &[3002, 3003, 3004, 3005]), ("carol", &[3006, 3007, 3008, 3009, 3010, 3011])],
    ),
];

/// An id that nobody has.
const NONE: i64 = 8_765_432_109;

/// The path parameter of a route; the table has none with two.
fn parameter(route: &Route) -> Option<&'static str> {
    assert!(route.path.matches('{').count() <= 1, "{}: extend this test to two parameters", route.path);
    let (_, rest) = route.path.split_once('{')?;
    rest.split_once('}').map(|(name, _)| name)
}

fn owned(route: &Route, name: &str) -> &'static [(&'static str, &'static [i64]); 3] {
    let found = OWNED.iter().find(|(parameter, _)| *parameter == name);
    &found.unwrap_or_else(|| panic!("{}: add sample ids of {name} to this test", route.path)).1
}

fn with_id(route: &Route, name: &str, id: i64) -> String {
    route.path.replace(&format!("{{{name}}}"), &id.to_string())
}

/// Asks, and counts how many records the request should leave.
struct Asker<'s> {
    users: BTreeMap<&'static str, User<'s>>,
    asked: BTreeMap<String, usize>,
}

impl Asker<'_> {
    async fn ask(
        &mut self,
        user: &str,
        route: &Route,
        path: &str,
        request: &str,
        body: Option<&str>,
        header: Option<(&str, &str)>,
    ) -> Answer {
        let mut headers = vec![("x-request-id", request)];
        headers.extend(header);
        *self.asked.entry(request.to_owned()).or_default() += 1;
        let body = match route.method {
            Method::PATCH => body.or(Some("{}")),
            Method::PUT => body.or(Some("null")),
            _ => None,
        };
        self.users[user].send(route.method.as_str(), path, &headers, body).await
    }
}

/// What of an answer may not differ.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (answer.status.as_u16(), headers, answer.body.clone())
}

async fn everybody_asks_for_everything(service: Service) {
    let mut users = BTreeMap::new();
    for (name, _) in EVERYBODY {
        users.insert(name, User::of(&service, name).await);
    }
    let mut asker = Asker { users, asked: BTreeMap::new() };
    let mut expected: BTreeMap<String, (Categories, Outcome, u16, Option<i64>, &str)> = BTreeMap::new();
    for route in routes() {
        let name = parameter(&route);
        assert_eq!(
            route.path_parameters.iter().map(|p| p.name).collect::<Vec<_>>(),
            name.into_iter().collect::<Vec<_>>()
        );
        check_roles(&route);
        for (user, role) in EVERYBODY {
            let request = format!("{}-{user}", route.rule.action);
            let allowed = role.is_some_and(|role| route.rule.roles.meet(Roles::of(&[role])));
            let customer = ["alice", "bob", "carol"].iter().position(|name| *name == user);
            let own =
                |name| owned(&route, name).iter().find(|(owner, _)| *owner == user).map_or(NONE, |(_, ids)| ids[0]);
            let path = name.map_or_else(|| route.path.to_owned(), |name| with_id(&route, name, own(name)));
            if let (true, Some(number)) = (allowed, customer) {
                let body =
                    if route.method == Method::PUT { Some(asker.users[user].get(&path).await.body) } else { None };
                let answer = asker.ask(user, &route, &path, &request, body.as_deref(), None).await;
                assert!([200, 304].contains(&answer.status.as_u16()), "{request}: {} {}", answer.status, answer.body);
                let customer = i64::try_from(number).unwrap() + 1;
                expected
                    .insert(request, (route.rule.categories, Outcome::Read, 200, Some(customer), route.rule.action));
                if let Some(name) = name {
                    foreign(&mut asker, &route, name, user, &mut expected).await;
                }
                continue;
            }
            let (status, code) = match (role, allowed) {
                (None, _) => (401, "unauthenticated"),
                (Some(_), false) => (403, "forbidden"),
                // Dave, who is no customer yet.
                (Some(_), true) => (404, "not-enrolled"),
            };
            // Whether there is such a resource makes no difference.
            let ids = name.map_or_else(
                || vec![None; 2],
                |name| {
                    let all = owned(&route, name).iter().flat_map(|(_, ids)| *ids);
                    all.copied().chain([NONE]).map(Some).collect()
                },
            );
            let mut answers = BTreeSet::new();
            for id in ids {
                let path = name.zip(id).map_or_else(|| path.clone(), |(name, id)| with_id(&route, name, id));
                let answer = asker.ask(user, &route, &path, &request, None, None).await;
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{request}");
                answers.insert(told(&answer));
            }
            assert_eq!(answers.len(), 1, "{request}: {answers:?}");
            if role.is_some() {
                expected.insert(request, (Categories::NONE, Outcome::Refused, status, None, route.rule.action));
            } else {
                // Recorded without waiting, and a flood of them in one record: see the other test.
                asker.asked.remove(&request);
            }
        }
    }
    assert_eq!(events(&service).await, [], "nobody changed anything");
    check_records(&service, &asker.asked, &expected).await;
}

/// Who may call what, beside the table: the customers' API is the customers' alone.
fn check_roles(route: &Route) {
    let staff = route.path.starts_with("/api/admin") || route.path.starts_with("/api/integration");
    let customers = Roles::of(&[Role::Customer]);
    assert!(staff || route.rule.roles == customers, "{} {}: {:?}", route.method, route.path, route.rule.roles);
    assert!(!staff || !route.rule.roles.meet(customers), "{} {}", route.method, route.path);
    assert!(route.rule.categories != Categories::NONE, "{} {}: what does it reveal?", route.method, route.path);
}

/// Asks for everything that belongs to others, in every way; each time as for an id that does not exist.
async fn foreign(
    asker: &mut Asker<'_>,
    route: &Route,
    name: &str,
    user: &str,
    expected: &mut BTreeMap<String, (Categories, Outcome, u16, Option<i64>, &'static str)>,
) {
    let customer = ["alice", "bob", "carol"].iter().position(|name| *name == user).map(|n| n as i64 + 1);
    let others = owned(route, name).iter().filter(|(owner, _)| *owner != user);
    for (owner, id) in others.flat_map(|(owner, ids)| ids.iter().map(move |id| (*owner, *id))) {
        let (path, none) = (with_id(route, name, id), with_id(route, name, NONE));
        let present = asker.users[owner].get(path.trim_end_matches("/set-primary")).await;
        assert_eq!(present.status, 200, "{path} is {owner}'s");
        let etag = present.header("etag").to_owned();
        let changing = present.body.replacen("\"nickname\":null", "\"nickname\":\"Mine\"", 1);
        for (number, header) in [
            None,
            Some(("if-match", etag.as_str())),
            Some(("if-match", "\"x\"")),
            Some(("if-none-match", etag.as_str())),
            Some(("if-none-match", "*")),
        ]
        .into_iter()
        .enumerate()
        {
            let request = format!("{}-{user}-{id}-{number}", route.rule.action);
            let body = if route.method == Method::PUT { changing.as_str() } else { r#"{"nickname":"Mine"}"# };
            let found = asker.ask(user, route, &path, &request, Some(body), header).await;
            let missing = asker.ask(user, route, &none, &request, Some(body), header).await;
            assert_eq!((found.status.as_u16(), found.code().as_str()), (404, "not-found"), "{request}");
            assert_eq!(told(&found), told(&missing), "{request}");
            expected.insert(request, (Categories::NONE, Outcome::Refused, 404, customer, route.rule.action));
        }
        let after = asker.users[owner].get(path.trim_end_matches("/set-primary")).await;
        assert_eq!((&after.body, after.header("etag")), (&present.body, etag.as_str()), "{path} stays as it is");
    }
}

async fn check_records(
    service: &Service,
    asked: &BTreeMap<String, usize>,
    expected: &BTreeMap<String, (Categories, Outcome, u16, Option<i64>, &'static str)>,
) {
    let filter = Filter { limit: 10_000, ..Filter::default() };
    let operator = Operator { user: "test", reason: "test" };
    let shown = service.store.show_audit(&filter, operator).await.unwrap();
    assert!(shown.len() < 10_000, "there are more records than one look shows");
    let mut by_request: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in shown.iter().map(|shown| &shown.record) {
        by_request.entry(&record.request_id).or_default().push(record);
    }
    assert_eq!(asked.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "this test's own bookkeeping");
    for (request, count) in asked {
        let found = by_request.get(request.as_str()).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), *count, "{request}: one record a request");
        for record in found {
            let seen = (
                record.categories,
                record.outcome,
                record.status,
                record.customer.map(Id::get),
                record.action.as_ref(),
            );
            assert_eq!(seen, expected[request], "{request}");
            assert_eq!(record.actor == ActorKind::Customer, record.customer.is_some(), "{request}: {:?}", record.actor);
        }
    }
}

async fn strangers_are_recorded(service: Service) {
    let nobody = User::of(&service, "nobody").await;
    // Fewer than make a flood.
    for route in routes().iter().take(8) {
        let path = parameter(route).map_or_else(|| route.path.to_owned(), |name| with_id(route, name, NONE));
        let request = format!("{}-stranger", route.rule.action);
        let answer = nobody.send(route.method.as_str(), &path, &[("x-request-id", &request)], None).await;
        assert_eq!(answer.status, 401, "{request}");
        let mut found = Vec::new();
        for _ in 0..100 {
            found = records(&service, &request).await;
            if !found.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let seen: Vec<_> =
            found.iter().map(|r| (r.outcome, r.actor, r.status, r.action.as_ref(), r.customer)).collect();
        assert_eq!(seen, [(Outcome::Unauthenticated, ActorKind::Stranger, 401, route.rule.action, None)], "{request}");
    }
}

/// The specification's endpoints, and PATCH beside each PUT.
#[test]
fn the_table_holds_every_endpoint_of_the_specification() {
    let table: BTreeSet<String> = routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(table.len(), routes().len(), "none twice");
    for endpoint in [
        "GET /api/customer",
        "PUT /api/customer",
        "GET /api/customer/summary",
        "GET /api/accounts",
        "GET /api/accounts/{accountId}",
        "PUT /api/accounts/{accountId}",
        "GET /api/accounts/{accountId}/summary",
        "GET /api/accounts/{accountId}/premises",
        "GET /api/premises/{premiseId}",
        "PUT /api/premises/{premiseId}",
        "POST /api/premises/{premiseId}/set-primary",
        "GET /api/premises/{premiseId}/meters",
        "GET /api/meters/{meterId}",
        "GET /api/meters/{meterId}/readings",
        "GET /api/preferences",
        "PUT /api/preferences",
        "GET /api/preferences/notifications",
        "PUT /api/preferences/notifications",
    ] {
        assert!(table.contains(endpoint), "{endpoint}");
    }
    for put in table.iter().filter(|row| row.starts_with("PUT ")) {
        assert!(table.contains(&put.replacen("PUT", "PATCH", 1)), "PATCH beside {put}");
    }
    let actions: BTreeSet<_> = routes().iter().map(|route| route.rule.action).collect();
    assert_eq!(actions.len(), routes().len(), "every operation has a name of its own");
}
