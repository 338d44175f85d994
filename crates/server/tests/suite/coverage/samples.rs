//! Who asks, whose is what, and what operations need to be answered.

use domain::{
    policy::Role,
    time::{Clock, SystemClock, Zone},
};
use server::api::route::Route;

/// Everybody of the demonstration with the one role.
pub(super) const EVERYBODY: [(&str, Option<Role>); 13] = [
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
pub(super) type Ids = (&'static str, &'static [i64]);
pub(super) const OWNED: &[(&str, [Ids; 3])] = &[
    ("enrollmentId", [("alice", &[5001]), ("bob", &[5002]), ("carol", &[5003])]),
    ("taskId", [("alice", &[]), ("bob", &[]), ("carol", &[])]),
    ("customerId", [("alice", &[1]), ("bob", &[2]), ("carol", &[3])]),
    ("identityId", [("alice", &[1]), ("bob", &[2]), ("carol", &[3])]),
    ("accountId", [("alice", &[1001]), ("bob", &[1002, 1003]), ("carol", &[1004, 1005, 1006])]),
    ("premiseId", [("alice", &[2001]), ("bob", &[2002, 2003, 2004]), ("carol", &[2005, 2006, 2007, 2008, 2009])]),
    ("moveId", [("alice", &[7001]), ("bob", &[7002]), ("carol", &[7003])]),
    ("requestId", [("alice", &[6001]), ("bob", &[6002]), ("carol", &[6003])]),
    (
        "meterId",
        [("alice", &[3001]), ("bob", &[3002, 3003, 3004, 3005]), ("carol", &[3006, 3007, 3008, 3009, 3010, 3011])],
    ),
];

/// An id that nobody has.
pub(super) const NONE: i64 = 8_765_432_109;

/// What an operation needs to be answered as it should, where the demonstration has nothing that lets it: the path's
/// ids, whose they are, the input, and what follows.
pub(super) struct Sample {
    pub(super) action: &'static str,
    pub(super) ids: &'static [(&'static str, i64)],
    pub(super) customer: i64,
    pub(super) input: &'static str,
    pub(super) goes: Goes,
}

/// How it goes when one after another does the same.
#[derive(Clone, Copy)]
pub(super) enum Goes {
    /// Each of them changes something.
    Always,
    /// None of them does.
    Nothing,
    /// The first one does; then it is refused with this status.
    Once(u16),
}

pub(super) const fn sampled(
    action: &'static str,
    ids: &'static [(&'static str, i64)],
    customer: i64,
    input: &'static str,
    goes: Goes,
) -> Sample {
    Sample { action, ids, customer, input, goes }
}

pub(super) const SAMPLES: &[Sample] = &[
    sampled("moveIn", &[], 0, MOVE_IN, Goes::Always),
    sampled("moveOut", &[], 0, r#"{"date":"LATER"}"#, Goes::Always),
    sampled("redateMove", &[], 0, r#"{"date":"SOONER"}"#, Goes::Always),
    sampled("cancelMove", &[], 0, "", Goes::Always),
    sampled("moveInForStaff", &[("accountId", 1003)], 2, MOVE_IN, Goes::Always),
    sampled("moveOutForStaff", &[("premiseId", 2003)], 2, r#"{"date":"LATER"}"#, Goes::Once(409)),
    // What the customers planned when they moved in.
    sampled("redateMoveForStaff", &[("moveId", 7004)], 1, r#"{"date":"LATER"}"#, Goes::Nothing),
    sampled("cancelMoveForStaff", &[("moveId", 7004)], 1, "", Goes::Once(409)),
    sampled("acknowledgeMarketRequest", &[("requestId", 6005)], 2, "{}", Goes::Always),
    sampled("approveEnrollment", &[("enrollmentId", 5100)], 20, "{}", Goes::Once(409)),
    sampled("rejectEnrollment", &[("enrollmentId", 5101)], 21, r#"{"reason":"error"}"#, Goes::Once(409)),
    sampled(
        "registerMeter",
        &[],
        0,
        r#"{"meterNumber":"N-USER","type":"electric","unit":"kWh","dials":5,"multiplier":1,"wiresCompany":"Oncor"}"#,
        Goes::Always,
    ),
    sampled("getMeterForStaff", &[("meterId", 3001)], 1, "", Goes::Nothing),
    // Who asked first has registered this one just now.
    sampled(
        "installMeter",
        &[("premiseId", 2001)],
        1,
        r#"{"meterId":3012,"esiId":"10443720001234567","installDate":"2025-06-01"}"#,
        Goes::Once(409),
    ),
    sampled("removeMeter", &[("meterId", 3012)], 1, r#"{"removedAt":"2025-06-02T00:00:00Z"}"#, Goes::Once(409)),
    sampled(
        "exchangeMeter",
        &[("meterId", 3002)],
        2,
        r#"{"exchangedAt":"2025-06-02T00:00:00Z","newMeter":{"meterNumber":"N-1","type":"electric","unit":"kWh","dials":5,"multiplier":1}}"#,
        Goes::Once(409),
    ),
    sampled(
        "correctReading",
        &[("meterId", 3001)],
        1,
        r#"{"register":"delivered","readAt":"2025-01-10T06:00:00Z","value":1244.NUMBER}"#,
        Goes::Always,
    ),
    sampled(
        "reportMeterExchanges",
        &[],
        2,
        r#"{"exchanges":[{"meterId":3004,"exchangedAt":"2025-06-02T00:00:00Z","newMeter":{"meterNumber":"N-2","type":"electric","unit":"kWh","dials":5,"multiplier":1}}]}"#,
        Goes::Always,
    ),
    sampled("listTasks", &[], 0, "", Goes::Nothing),
    sampled("answerTask", &[], 0, r#"{"answer":"It was read twice."}"#, Goes::Always),
    sampled(
        "reportReadings",
        &[],
        0,
        r#"{"readings":[{"meterId":3001,"register":"delivered","readAt":"2025-06-01T06:00:00Z","value":2000,"quality":"actual","reportedAt":"2025-06-01T07:00:00Z"}]}"#,
        Goes::Always,
    ),
    sampled("searchCustomers", &[], 1, r#"{"accountNumber":"1234567890","name":"smith"}"#, Goes::Nothing),
    sampled("activateCustomer", &[("customerId", 1)], 1, "{}", Goes::Nothing),
    sampled("deactivateCustomer", &[("customerId", 11)], 11, r#"{"reason":"moved"}"#, Goes::Once(409)),
    sampled("openAccount", &[("customerId", 10)], 10, "{}", Goes::Always),
    sampled("activateAccount", &[("accountId", 1001)], 1, "{}", Goes::Nothing),
    sampled("reopenAccount", &[("accountId", 1101)], 12, r#"{"reason":"error"}"#, Goes::Once(409)),
    sampled(
        "deactivateAccount",
        &[("accountId", 1100)],
        10,
        r#"{"effectiveDate":"TODAY","reason":"closed"}"#,
        Goes::Once(409),
    ),
    sampled("linkIdentity", &[("customerId", 10)], 10, r#"{"issuer":"ISSUER","subject":"somebody"}"#, Goes::Once(409)),
    sampled("unlinkIdentity", &[("customerId", 10), ("identityId", 4)], 10, "", Goes::Once(404)),
    sampled("issueClaimCode", &[("customerId", 10)], 10, r#"{"accountId":1100}"#, Goes::Always),
    sampled(
        "reportBalances",
        &[],
        0,
        r#"{"balances":[{"accountId":1001,"asOf":"2026-01-01T00:00:00Z"},{"accountId":1100,"asOf":"2026-01-01T00:00:00Z"}]}"#,
        Goes::Always,
    ),
    sampled(
        "reportPaymentMethods",
        &[],
        10,
        r#"{"customers":[{"customerId":10,"paymentMethods":[],"asOf":"2026-01-01T00:00:00Z"}]}"#,
        Goes::Always,
    ),
    sampled(
        "reportBounces",
        &[],
        10,
        r#"{"bounces":[{"customerId":10,"channel":"email","kind":"hard","at":"2026-01-01T00:00:00Z"}]}"#,
        Goes::Always,
    ),
];

pub(super) const MOVE_IN: &str =
    r#"{"date":"LATER","address":{"street":"9 Elm Street","unit":null,"city":"Anytown","state":"TX","zip":"75001"}}"#;

/// Reads that open nothing of a customer's: they show ids and listed codes.
pub(super) const OPENS_NOTHING: [&str; 1] = ["listTasks"];

/// Operations whose success another test shows: it would make a customer of somebody who should be none here.
pub(super) const ELSEWHERE: [&str; 2] = ["enroll", "claimCustomer"];

/// What the demonstration's customers are refused for the state that their things are in; other tests show it done.
pub(super) const REFUSED: [(&str, u16); 1] = [("withdrawEnrollment", 409)];

pub(super) fn sample(route: &Route) -> Option<&'static Sample> {
    SAMPLES.iter().find(|sample| sample.action == route.action)
}

impl Sample {
    pub(super) fn path(&self, route: &Route) -> String {
        path_of(route, |name| self.ids.iter().find(|(known, _)| *known == name).map_or(NONE, |(_, id)| *id))
    }
    pub(super) fn input(&self, issuer: &str) -> Option<String> {
        let today = Zone::named("America/Chicago").unwrap().date(SystemClock.now());
        let input = self.input.replace("TODAY", &today.to_string()).replace("LATER", &today.plus_days(30).to_string());
        let input = input.replace("SOONER", &today.plus_days(20).to_string());
        let input = input.replace("ISSUER", issuer);
        (!input.is_empty()).then_some(input)
    }
}

/// What of many is read and not changed, and whose rows each is then recorded for: who has moves by then.
pub(super) const LISTS: [(&str, &[Option<i64>]); 4] = [
    ("listEnrollments", &[Some(1), Some(2), Some(3), Some(20), Some(21)]),
    ("listMovesForStaff", &[Some(1), Some(2), Some(3)]),
    ("listMarketRequests", &[Some(1), Some(2), Some(3)]),
    // The request has been cancelled: no line is taken.
    ("reportMarketTransactions", &[None]),
];

/// What reads of many customers are asked for: all of it is customer 1's.
pub(super) const ASKED: [(&str, &str); 5] = [
    ("fetchCustomers", "?ids=1"),
    ("fetchAccounts", "?ids=1001"),
    ("fetchPremises", "?ids=2001"),
    ("fetchMeters", "?ids=3001"),
    ("listAudit", "?customer=1&outcome=unauthenticated"),
];

pub(super) const REASON: (&str, &str) = ("x-access-reason", "complaint; ticket=CS-4711");

/// The path parameters of a route.
pub(super) fn parameters(route: &Route) -> Vec<&'static str> {
    let (mut names, mut rest) = (Vec::new(), route.path);
    while let Some((_, after)) = rest.split_once('{') {
        let (name, end) = after.split_once('}').unwrap();
        names.push(name);
        rest = end;
    }
    names
}

pub(super) fn owned(route: &Route, name: &str) -> &'static [(&'static str, &'static [i64]); 3] {
    let found = OWNED.iter().find(|(parameter, _)| *parameter == name);
    &found.unwrap_or_else(|| panic!("{}: add sample ids of {name} to this test", route.path)).1
}

/// The path with an id for each of its parameters, as `id` chooses.
pub(super) fn path_of(route: &Route, mut id: impl FnMut(&'static str) -> i64) -> String {
    let names = parameters(route);
    names.iter().fold(route.path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), &id(name).to_string()))
}

/// The path with the first id of each parameter that `owner` has.
pub(super) fn own_path(route: &Route, owner: &str) -> String {
    path_of(route, |name| {
        owned(route, name)
            .iter()
            .find(|(who, _)| *who == owner)
            .and_then(|(_, ids)| ids.first().copied())
            .unwrap_or(NONE)
    })
}

/// Every choice of one parameter's id, the others being `owner`'s: with two ids, the second may belong to somebody
/// else than the first.
pub(super) fn choices(route: &Route, owner: &str) -> Vec<String> {
    let mut paths = vec![path_of(route, |_| NONE)];
    for chosen in parameters(route) {
        for id in owned(route, chosen).iter().flat_map(|(_, ids)| *ids) {
            let own = |name| {
                owned(route, name)
                    .iter()
                    .find(|(who, _)| *who == owner)
                    .and_then(|(_, ids)| ids.first().copied())
                    .unwrap_or(NONE)
            };
            paths.push(path_of(route, |name| if name == chosen { *id } else { own(name) }));
        }
    }
    paths
}
