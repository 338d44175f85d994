//! Every route of the table, asked by everybody: whoever has a rule is answered, another's resource is as one that
//! does not exist, other roles are refused, nobody is nobody, and each request leaves its audit record: with the
//! rule's categories, and with role, reason and ticket where staff ask. Every route is answered with 200 at least
//! once, so that a rule which names less than its answer holds fails here, and so does that of a read or an edit which
//! names more. A route with a path parameter that has no sample id here fails.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ids::Id,
    policy::{Categories, Reach, Role, Roles, Rule},
    time::{Clock, SystemClock, Zone},
};
use http::Method;
use server::api::{route::Route, routes};
use similar_asserts::assert_eq;
use store::{
    Operator,
    audit::{ActorKind, Filter, Outcome, Record},
};

use self::samples::*;
use crate::{
    ask::{User, enrol_bare, events, records},
    enrollment::newcomers,
    on_both_engines,
    support::{Answer, Service},
};

mod samples;

on_both_engines! { everybody_asks_for_everything, strangers_are_recorded }

/// What a request leaves in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Left {
    outcome: &'static str,
    status: u16,
    categories: u32,
    customer: Option<i64>,
    role: Option<&'static str>,
    reason: Option<String>,
}

/// Asks, and keeps which records each request should leave.
struct Asker<'s> {
    issuer: String,
    users: BTreeMap<&'static str, User<'s>>,
    left: BTreeMap<String, Vec<Left>>,
}

impl Asker<'_> {
    #[expect(clippy::too_many_arguments, reason = "a request, and what it should leave")]
    async fn ask(
        &mut self,
        user: &str,
        route: &Route,
        path: &str,
        request: &str,
        body: Option<&str>,
        more: &[(&str, &str)],
        left: Option<Vec<Left>>,
    ) -> Answer {
        let mut headers = vec![("x-request-id", request)];
        headers.extend_from_slice(more);
        self.left.entry(request.to_owned()).or_default().extend(left.unwrap_or_default());
        let body = match route.method {
            Method::PATCH => body.or(Some("{}")),
            Method::PUT => body.or(Some("null")),
            Method::POST if !route.input_example.is_empty() => body.or(Some(route.input_example)),
            _ => None,
        };
        self.users[user].send(route.method.as_str(), path, &headers, body).await
    }
}

fn left(outcome: &'static str, status: u16, categories: Categories, customer: Option<i64>) -> Left {
    Left { outcome, status, categories: categories.bits(), customer, role: None, reason: None }
}

/// The rule by which somebody may call a route.
fn rule_of(route: &Route, role: Option<Role>) -> Option<&Rule> {
    route.rules.iter().find(|rule| role.is_some_and(|role| rule.roles.intersects(Roles::of(&[role]))))
}

fn customer_of(user: &str) -> Option<i64> {
    ["alice", "bob", "carol"].iter().position(|name| *name == user).map(|n| i64::try_from(n).unwrap() + 1)
}

/// What of an answer may not differ.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (answer.status.as_u16(), headers, answer.body.clone())
}

async fn everybody_asks_for_everything(service: Service) {
    enrol_bare(&service).await;
    let mut users = BTreeMap::new();
    for (name, _) in EVERYBODY {
        users.insert(name, User::of(&service, name).await);
    }
    prepare(&users["mjones"]).await;
    for (user, account) in [("alice", 1001), ("bob", 1002), ("carol", 1004)] {
        let body = SAMPLES.iter().find(|sample| sample.action == "moveIn").and_then(|sample| sample.input("")).unwrap();
        let path = format!("/api/accounts/{account}/premises");
        assert_eq!(users[user].send("POST", &path, &[], Some(&body)).await.status, 201);
    }
    newcomers(&service, &[(20, 5100), (21, 5101)]).await;
    let issuer = format!("{}{}", service.base, server::demo::oidc::PATH);
    let mut asker = Asker { issuer, users, left: BTreeMap::new() };
    for route in routes() {
        assert_eq!(route.path_parameters.iter().map(|p| p.name).collect::<Vec<_>>(), parameters(&route));
        check_rules(&route);
        for (user, role) in EVERYBODY {
            match (rule_of(&route, role), customer_of(user)) {
                (Some(rule), Some(customer)) if rule.reach == Reach::Own => {
                    owner(&mut asker, &route, rule, user, customer).await;
                }
                (Some(rule), None) if rule.reach == Reach::Named => staff(&mut asker, &route, rule, user, role).await,
                (Some(rule), _) if rule.reach == Reach::New => founder(&mut asker, &route, rule, user, role).await,
                (Some(rule), None) if rule.reach == Reach::Many => {
                    many(&mut asker, &route, rule, user, role).await;
                }
                (rule, _) => refused(&mut asker, &route, rule.is_some(), user, role).await,
            }
        }
    }
    let kinds: BTreeSet<String> = events(&service).await.into_iter().map(|event| event.kind).collect();
    let told = [
        "AccountCreated",
        "AccountStatusChanged",
        "CustomerCreated",
        "CustomerUpdated",
        "MarketRequestCancelled",
        "MarketRequestChanged",
        "MarketRequestOpened",
        "MeterInstalled",
        "MeterRemoved",
        "PreferencesUpdated",
        "PremiseAdded",
        "PremiseUpdated",
    ];
    assert_eq!(kinds, BTreeSet::from(told.map(str::to_owned)), "nothing else was changed");
    check_records(&service, &asker.left).await;
    check_categories();
}

/// A rule names what its answers reveal, and no more: who looks into the log would believe that it was shown. What a
/// read revealed, the walk has seen; an edit's answer is that of the read beside it.
fn check_categories() {
    let table = routes();
    let names = |categories: Categories| categories.names().collect::<Vec<_>>();
    let (mut named, mut revealed) = (Vec::new(), Vec::new());
    for route in &table {
        let edits = matches!(route.method, Method::PUT | Method::PATCH);
        let read = table.iter().find(|other| other.reads() && other.path == route.path);
        let Some(read) = read.filter(|_| edits || route.reads()) else { continue };
        if OPENS_NOTHING.contains(&route.action) {
            continue;
        }
        // Where roles see different things, all of them together.
        let all = route.rules.iter().map(|rule| rule.categories).collect();
        named.push((route.action, names(all)));
        revealed.push((route.action, names(store::testing::opened(read.action))));
    }
    assert!(named.len() > 20);
    assert_eq!(named, revealed);
}

/// Somebody asks for some of many, or reports of them; staff say why.
async fn many(asker: &mut Asker<'_>, route: &Route, rule: &Rule, user: &str, role: Option<Role>) {
    let request = format!("{}-{user}", route.action);
    let asked = ASKED.iter().find(|(action, _)| *action == route.action);
    let (path, outcome, customer) = match (asked, sample(route)) {
        (Some((_, query)), _) => (format!("{}{query}", route.path), "read", Some(1)),
        (None, Some(sample)) => {
            let outcome = if matches!(sample.goes, Goes::Nothing) { "read" } else { "changed" };
            (sample.path(route), outcome, (sample.customer != 0).then_some(sample.customer))
        }
        (None, None) => (route.path.to_owned(), "changed", None),
    };
    // Each answers the oldest question that waits.
    let (path, customer) = if route.action == "answerTask" {
        let waiting = "/api/admin/tasks?kind=questioned-reading";
        let waiting = asker.users["mjones"].send("GET", waiting, &[REASON], None).await.json()["tasks"][0].clone();
        (format!("/api/admin/tasks/{}/answer", waiting["taskId"]), waiting["customerId"].as_i64())
    } else {
        (path, customer)
    };
    let body = sample(route).and_then(|sample| sample.input(&asker.issuer)).map(|body| body.replace("USER", user));
    let mut record = Left { role: name(role), ..left(outcome, 200, rule.categories, customer) };
    let mut headers = &[][..];
    if rule.reason {
        let unsaid = format!("{request}-unsaid");
        let refused = Left { role: name(role), ..left("refused", 400, Categories::NONE, None) };
        let answer = asker.ask(user, route, &path, &unsaid, body.as_deref(), headers, Some(vec![refused])).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "access-reason-required"), "{unsaid}");
        (headers, record.reason) = (&[REASON], Some("complaint/CS-4711".to_owned()));
    }
    let records = match LISTS.iter().find(|(action, _)| *action == route.action) {
        Some((_, whose)) => {
            let of = |whose: &Option<i64>| Left { outcome: "read", customer: *whose, ..record.clone() };
            whose.iter().map(of).collect()
        }
        None => vec![record],
    };
    let answer = asker.ask(user, route, &path, &request, body.as_deref(), headers, Some(records)).await;
    assert_eq!(answer.status, route.status, "{request}: {}", answer.body);
}

fn name(role: Option<Role>) -> Option<&'static str> {
    role.map(domain::input::Named::name)
}

/// Who may call what, beside the table: the customers' API is the customers' alone, staff say why, and services have
/// routes of their own.
fn check_rules(route: &Route) {
    let (admin, integration) = (route.path.starts_with("/api/admin"), route.path.starts_with("/api/integration"));
    for Rule { roles, reach, reason, categories, .. } in &route.rules {
        let whom = if admin {
            Roles::STAFF
        } else if integration {
            Roles::SERVICES
        } else {
            Roles::CUSTOMER
        };
        assert!(!roles.is_empty() && whom.contains(*roles), "{} {}: {roles:?}", route.method, route.path);
        let own = matches!(reach, Reach::Own | Reach::New);
        assert_eq!(own && !admin, whom == Roles::CUSTOMER, "{} {}", route.method, route.path);
        assert!(*reach != Reach::Own || !admin, "{} {}: staff have nothing of their own", route.method, route.path);
        assert_eq!(*reason, admin, "{} {}: staff say why", route.method, route.path);
        assert!(!categories.is_empty(), "{} {}: what does it reveal?", route.method, route.path);
    }
}

/// The owner is answered, and asks for everything that belongs to others.
async fn owner(asker: &mut Asker<'_>, route: &Route, rule: &Rule, user: &str, customer: i64) {
    let (request, path) = (format!("{}-{user}", route.action), own_path(route, user));
    let sampled = sample(route);
    let mut body = match sampled {
        Some(sample) => sample.input(&asker.issuer),
        None if route.method == Method::PUT => Some(asker.users[user].get(&path).await.body),
        None => None,
    };
    let mut outcome = match sampled {
        _ if route.reads() => "asked",
        Some(_) => "changed",
        None => "read",
    };
    if route.action == "askQuestion" {
        let readings = asker.users[user].get(&path.replace("questions", "readings?limit=1")).await.json();
        let reading = &readings["readings"][0]["readingId"];
        (body, outcome) = (Some(format!(r#"{{"readingId":{reading},"text":"Why?"}}"#)), "changed");
    }
    let role = Some("customer");
    let (status, record) = match REFUSED.iter().find(|(action, _)| *action == route.action) {
        Some((_, status)) => (*status, left("refused", *status, Categories::NONE, Some(customer))),
        None => (route.status.as_u16(), left(outcome, 200, rule.categories, Some(customer))),
    };
    let records = Some(vec![Left { role, ..record }]);
    let answer = asker.ask(user, route, &path, &request, body.as_deref(), &[], records).await;
    assert_eq!(answer.status, status, "{request}: {}", answer.body);
    if !parameters(route).is_empty() {
        foreign(asker, route, rule, user, customer).await;
    }
}

/// Staff are answered when they say why; what does not exist is not there for them either.
async fn staff(asker: &mut Asker<'_>, route: &Route, rule: &Rule, user: &str, role: Option<Role>) {
    let request = format!("{}-{user}", route.action);
    let (path, customer, body, goes) = match sample(route) {
        Some(sample) => (sample.path(route), sample.customer, sample.input(&asker.issuer), sample.goes),
        None => {
            let path = own_path(route, "alice");
            let body = asker.users[user].send("GET", &path, &[REASON], None).await.body;
            (path, 1, (route.method == Method::PUT).then_some(body), Goes::Nothing)
        }
    };
    let number = ["jsmith", "mjones", "admin"].iter().position(|who| *who == user).unwrap_or_default() + 1;
    let body = body.map(|body| body.replace("NUMBER", &number.to_string()));
    let (role, reason) = (name(role), rule.reason.then(|| "complaint/CS-4711".to_owned()));
    let unsaid = [&[][..], &[("x-access-reason", "curiosity")], &[("x-access-reason", "complaint; who")]];
    for (number, headers) in unsaid.into_iter().filter(|_| rule.reason).enumerate() {
        let request = format!("{request}-unsaid-{number}");
        let record = Left { role, ..left("refused", 400, Categories::NONE, None) };
        let answer = asker.ask(user, route, &path, &request, body.as_deref(), headers, Some(vec![record])).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "access-reason-required"), "{request}");
    }
    let none = path_of(route, |_| NONE);
    let missing = format!("{request}-none");
    let named = none.contains("/customers/").then_some(NONE);
    let refusal = Left { role, reason: reason.clone(), ..left("refused", 404, Categories::NONE, named) };
    let mut records = vec![refusal];
    if none.contains("/customers/") && route.reads() {
        // The path itself names the customer: the record of the read began before the statement found nobody.
        let asked = left("asked", 200, rule.categories, Some(NONE));
        records.push(Left { role, reason: reason.clone(), ..asked });
    }
    let answer = asker.ask(user, route, &none, &missing, body.as_deref(), &[REASON], Some(records)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not-found"), "{missing}");
    let again = asker.left.contains_key(&format!("{}-done", route.action));
    let done = |outcome| (route.status.as_u16(), left(outcome, 200, rule.categories, Some(customer)));
    let (status, record) = match goes {
        _ if route.reads() => done("asked"),
        Goes::Once(status) if again => (status, left("refused", status, Categories::NONE, Some(customer))),
        Goes::Once(_) | Goes::Always => done("changed"),
        Goes::Nothing => done("read"),
    };
    let records = Left { role, reason, ..record };
    let answer = asker.ask(user, route, &path, &request, body.as_deref(), &[REASON], Some(vec![records])).await;
    assert_eq!(answer.status, status, "{request}: {}", answer.body);
    asker.left.entry(format!("{}-done", route.action)).or_default();
}

/// Customer 11, who may end, and customer 12, whose account has ended and may begin again.
async fn prepare(mjones: &User<'_>) {
    for id in [11, 12] {
        let business = r#"{"businessName":"Brief Ltd."}"#;
        let made = mjones.send("POST", "/api/admin/customers", &[REASON], Some(business)).await;
        assert_eq!((made.status.as_u16(), made.json()["customerId"].as_i64()), (201, Some(id)), "{}", made.body);
    }
    let opened = mjones.send("POST", "/api/admin/customers/12/accounts", &[REASON], None).await;
    assert_eq!((opened.status.as_u16(), opened.json()["accountId"].as_i64()), (201, Some(1101)), "{}", opened.body);
    let today = Zone::named("America/Chicago").unwrap().date(SystemClock.now());
    let end = format!(r#"{{"effectiveDate":"{today}","reason":"closed"}}"#);
    let ended = mjones.send("POST", "/api/admin/accounts/1101/deactivate", &[REASON], Some(&end)).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
}

/// Staff make a customer when they say why; a person becomes one once.
async fn founder(asker: &mut Asker<'_>, route: &Route, rule: &Rule, user: &str, role: Option<Role>) {
    let request = format!("{}-{user}", route.action);
    if rule.reason {
        let record = Left { role: name(role), ..left("refused", 400, Categories::NONE, None) };
        let unsaid = format!("{request}-unsaid");
        let answer = asker.ask(user, route, route.path, &unsaid, None, &[], Some(vec![record])).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "access-reason-required"), "{request}");
        let answer = asker.ask(user, route, route.path, &request, None, &[REASON], None).await;
        assert_eq!(answer.status, route.status, "{request}: {}", answer.body);
        let made = answer.json()["customerId"].as_i64();
        let reason = Some("complaint/CS-4711".to_owned());
        let record = Left { role: name(role), reason, ..left("changed", 200, rule.categories, made) };
        asker.left.entry(request).or_default().push(record);
        return;
    }
    assert!(ELSEWHERE.contains(&route.action), "{request}: who becomes a customer has a test of its own");
    let (status, customer) = match customer_of(user) {
        Some(customer) => (409, Some(customer)),
        None => (422, None),
    };
    let record = Left { role: name(role), ..left("refused", status, Categories::NONE, customer) };
    let answer = asker.ask(user, route, route.path, &request, None, &[], Some(vec![record])).await;
    assert_eq!(answer.status, status, "{request}: {}", answer.body);
}

/// Who has no rule is refused, whatever they ask for; so is who has one and is no customer yet.
async fn refused(asker: &mut Asker<'_>, route: &Route, allowed: bool, user: &str, role: Option<Role>) {
    let request = format!("{}-{user}", route.action);
    let (status, code) = match (role, allowed) {
        (None, _) => (401, "unauthenticated"),
        (Some(_), false) => (403, "forbidden"),
        // Dave, who is no customer yet.
        (Some(_), true) => (404, "not-enrolled"),
    };
    let mut answers = BTreeSet::new();
    // Whether there is such a resource makes no difference.
    for path in choices(route, "alice") {
        let staff = role.is_some_and(|role| Roles::STAFF.intersects(Roles::of(&[role])));
        let record = Left {
            role: if allowed { name(role) } else { None },
            reason: staff.then(|| "complaint/CS-4711".to_owned()),
            ..left("refused", status, Categories::NONE, customer_of(user))
        };
        // A failed authentication is recorded without waiting, and a flood of them in one record: see the other test.
        let records = role.map(|_| vec![record]);
        let answer = asker.ask(user, route, &path, &request, None, &[REASON], records).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{request}");
        answers.insert(told(&answer));
    }
    assert_eq!(answers.len(), 1, "{request}: {answers:?}");
    if role.is_none() {
        asker.left.remove(&request);
    }
}

/// The path of what an operation is about.
fn beside(path: &str) -> &str {
    path.trim_end_matches("/set-primary").trim_end_matches("/move-out")
}

/// Asks for everything that belongs to others, in every way; each time as for an id that does not exist.
async fn foreign(asker: &mut Asker<'_>, route: &Route, rule: &Rule, user: &str, customer: i64) {
    let name = parameters(route)[0];
    let others = owned(route, name).iter().filter(|(owner, _)| *owner != user);
    for (owner, id) in others.flat_map(|(owner, ids)| ids.iter().map(move |id| (*owner, *id))) {
        let (path, none) = (path_of(route, |_| id), path_of(route, |_| NONE));
        let present = asker.users[owner].get(beside(&path)).await;
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
            let request = format!("{}-{user}-{id}-{number}", route.action);
            let body = if route.method == Method::PUT { changing.as_str() } else { r#"{"nickname":"Mine"}"# };
            let headers: Vec<_> = header.into_iter().collect();
            let role = Some("customer");
            let mut records = vec![Left { role, ..left("refused", 404, Categories::NONE, Some(customer)) }];
            if route.reads() {
                records.push(Left { role, ..left("asked", 200, rule.categories, Some(customer)) });
            }
            let found = asker.ask(user, route, &path, &request, Some(body), &headers, Some(records.clone())).await;
            let missing = asker.ask(user, route, &none, &request, Some(body), &headers, Some(records)).await;
            assert_eq!((found.status.as_u16(), found.code().as_str()), (404, "not-found"), "{request}");
            assert_eq!(told(&found), told(&missing), "{request}");
        }
        let after = asker.users[owner].get(beside(&path)).await;
        assert_eq!((&after.body, after.header("etag")), (&present.body, etag.as_str()), "{path} stays as it is");
    }
}

async fn check_records(service: &Service, left: &BTreeMap<String, Vec<Left>>) {
    let filter = Filter { limit: 40_000, raw: true, ..Filter::default() };
    let operator = Operator { user: "test", reason: "test" };
    let shown = service.store.show_audit(&filter, operator).await.unwrap();
    assert!(shown.len() < 40_000, "there are more records than one look shows");
    let mut by_request: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in shown.iter().map(|shown| &shown.record) {
        by_request.entry(&record.request_id).or_default().push(record);
    }
    for (request, expected) in left.iter().filter(|(_, expected)| !expected.is_empty()) {
        let found = by_request.get(request.as_str()).map_or(&[][..], Vec::as_slice);
        let mut seen: Vec<Left> = found.iter().map(|record| seen(record)).collect();
        let mut expected = expected.clone();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected, "{request}");
        for record in found {
            let outsider = matches!(record.actor, ActorKind::Staff | ActorKind::Service);
            assert_eq!(record.actor_hash.is_some(), outsider, "{request}: only who is no customer is found by a hash");
            let batch =
                record.actor == ActorKind::Service && record.customer.is_none() && record.outcome == Outcome::Changed;
            let touched: Vec<i64> = record.customers.iter().map(|id| id.get()).collect();
            assert_eq!(touched.is_empty(), !batch, "{request}: a batch names whom it touched: {touched:?}");
        }
    }
}

fn seen(record: &Record) -> Left {
    let ticket = record.ticket.as_ref().map(|ticket| format!("/{ticket}")).unwrap_or_default();
    Left {
        outcome: domain::input::Named::name(record.outcome),
        status: record.status,
        categories: record.categories.bits(),
        customer: record.customer.map(Id::get),
        role: record.role.map(domain::input::Named::name),
        reason: record.reason.as_ref().map(|reason| format!("{reason}{ticket}")),
    }
}

async fn strangers_are_recorded(service: Service) {
    let nobody = User::of(&service, "nobody").await;
    // Fewer than make a flood.
    for route in routes().iter().take(8) {
        let path = path_of(route, |_| NONE);
        let request = format!("{}-stranger", route.action);
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
        assert_eq!(seen, [(Outcome::Unauthenticated, ActorKind::Stranger, 401, route.action, None)], "{request}");
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
    let actions: BTreeSet<_> = routes().iter().map(|route| route.action).collect();
    assert_eq!(actions.len(), routes().len(), "every operation has a name of its own");
}
