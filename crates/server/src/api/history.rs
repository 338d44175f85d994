//! What happened to a customer (timeline), who looked (access log), and the audit log itself.

use domain::{
    events::EventType,
    history::{Access, By, Happening},
    ids::{CustomerId, Id},
    input::Named,
    policy::{Categories, Role, Roles},
    time::Instant,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use store::{
    Crowd,
    audit::{ActorKind, Filter, Outcome, Place, Record, Shown, ShownWho},
};

use super::{
    call::Call,
    params::{FromPath, FromQuery, PageQuery, Parameter, Query, cursor_parameter, limit_parameter},
    problem::Problem,
    route::{Route, example, group},
    wire::{Listed, Listing},
};
use crate::app::history;

/// Something that happened.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TimelineEntry")]
struct Entry {
    at: Instant,
    /// The type of the event.
    kind: EventType,
    /// What it is about, such as `account/1001`.
    resource: String,
    /// Who did it: `customer` (`you`, as the customer is told), `customer-service`, `supervisor`, `administrator`,
    /// `billing`, `meter`, `market`, `notifications` or `the service itself`. Never a name.
    by: &'static str,
    /// The names of the members that changed.
    changed: Vec<String>,
    /// The status before, where one changed.
    from: Option<String>,
    /// The status afterwards.
    to: Option<String>,
    /// Why, as a listed code.
    reason: Option<String>,
}

impl Listed for Entry {
    const PLURAL: &'static str = "entries";
    const ENVELOPE: &'static str = "Timeline";
}

async fn timeline<P: FromPath>(call: Call<P, PageQuery>) -> Result<Listing<Entry>, Problem> {
    let before = call.position::<1>(call.query.cursor.as_deref())?.map(|[sequence]| sequence);
    let found = history::timeline(&call.app, &call.scope, before, call.limit()).await?;
    let mut found = call.open(found).await?;
    let next_cursor = call.next(&mut found, call.query.limit, |happening| [happening.sequence]);
    let owner = call.scope.is_owner();
    let entry = |happening: Happening| {
        let Happening { sequence: _, at, kind, resource, by, changed, from, to, reason } = happening;
        Entry { at, kind, resource, by: told(by, owner), changed, from, to, reason }
    };
    Ok(Listing { items: found.into_iter().map(entry).collect(), next_cursor })
}

fn told(by: By, to_the_customer: bool) -> &'static str {
    if to_the_customer { by.to_the_customer() } else { by.name() }
}

/// A look at the customer's data, or a change of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AccessEntry {
    at: Instant,
    /// `you`, `customer-service`, `supervisor`, `administrator`, `billing`, `meter`, `market`, `notifications` or
    /// `the service itself`. Never a name.
    by: &'static str,
    /// Why, as staff said; null for everybody else.
    reason: Option<String>,
    /// `read`, or `change`.
    action: &'static str,
    /// The categories of data that were shown.
    what: Vec<String>,
}

impl Listed for AccessEntry {
    const PLURAL: &'static str = "entries";
    const ENVELOPE: &'static str = "AccessLog";
}

/// A place in the log as a cursor: what is not in it yet has no lane.
fn numbers((at, position): Place) -> [i64; 3] {
    let (lane, number) = position.unwrap_or((-1, -1));
    [at.micros(), lane, number]
}

fn place([at, lane, number]: [i64; 3]) -> Place {
    (Instant::from_micros(at), (lane >= 0).then_some((lane, number)))
}

async fn get_access_log(call: Call<(), PageQuery>) -> Result<Listing<AccessEntry>, Problem> {
    let before = call.position(call.query.cursor.as_deref())?.map(place);
    let limit = usize::try_from(call.limit()).unwrap_or(usize::MAX);
    let found = history::access_log(&call.app, &call.scope, before, limit).await?;
    let mut found = call.open(found).await?;
    let next_cursor = call.next(&mut found, call.query.limit, |(place, _)| numbers(*place));
    let entry = |(_, access): (Place, Access)| {
        let Access { at, by, reason, changed, what } = access;
        let action = if changed { "change" } else { "read" };
        AccessEntry { at, by: by.to_the_customer(), reason, action, what: what.names().collect() }
    };
    Ok(Listing { items: found.into_iter().map(entry).collect(), next_cursor })
}

/// An entry of the audit log. A read that was asked for and failed is one entry, `refused`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    at: Instant,
    /// `customer`, `person`, `staff`, `service`, `topic`, `operator`, `system` or `stranger`.
    actor: &'static str,
    role: Option<&'static str>,
    /// Which member of staff, operator or service: the same for all they did, and what the filter `actor` takes.
    actor_id: Option<String>,
    /// Who that is: the issuer's name of them. Null for everybody else, and when the key is gone.
    issuer: Option<String>,
    /// Who that is: the subject.
    subject: Option<String>,
    /// From where: the lowest address of the network.
    network: Option<String>,
    /// Whose data.
    customer_id: Option<CustomerId>,
    /// Whose data, of a record about several.
    customer_ids: Vec<CustomerId>,
    /// The operation.
    action: String,
    /// `asked` (and given), `read`, `changed`, `refused`, `unauthenticated` or `ended`.
    outcome: &'static str,
    /// The HTTP status; 0 where there is none.
    status: u16,
    /// Why, as staff said.
    reason: Option<String>,
    ticket: Option<String>,
    /// What was asked for, such as `account/1001`.
    resource: Option<String>,
    /// The categories of data.
    what: Vec<String>,
    request_id: String,
    /// Bounds and counts.
    detail: Option<String>,
}

impl Listed for AuditEntry {
    const PLURAL: &'static str = "entries";
    const ENVELOPE: &'static str = "AuditEntries";
}

impl AuditEntry {
    fn of(shown: Shown) -> Self {
        let Shown { position: _, record, who, asked: _ } = shown;
        let Record {
            at,
            actor,
            role,
            actor_hash,
            customer,
            customers,
            action,
            outcome,
            status,
            reason,
            ticket,
            resource,
            categories,
            request_id,
            detail,
            who: _,
        } = record;
        // A customer is known by their id; who is none is a member of staff, an operator or a service.
        let outsider = matches!(actor, ActorKind::Staff | ActorKind::Service | ActorKind::Operator);
        let who = if let ShownWho::Known(who) = who { Some(who).filter(|_| outsider) } else { None };
        let network = who.as_ref().and_then(|who| who.network).map(|network| network.to_string());
        let (issuer, subject) = who.map(|who| (who.issuer, who.subject)).unzip();
        Self {
            at,
            actor: actor.name(),
            role: role.map(Named::name),
            actor_id: actor_hash.map(hex::encode),
            issuer,
            subject,
            network,
            customer_id: customer,
            customer_ids: customers,
            action: action.into_owned(),
            outcome: outcome.name(),
            status,
            reason,
            ticket,
            resource,
            what: categories.names().collect(),
            request_id,
            detail,
        }
    }
}

/// Entries of one page, by default and at most.
const AUDIT_PAGE: (i64, i64) = (100, 200);

/// Which entries of the audit log.
#[derive(Debug, Clone)]
struct AuditQuery {
    filter: Filter,
    detail: String,
    cursor: Option<String>,
}

impl FromQuery for AuditQuery {
    fn parameters() -> Vec<Parameter> {
        let text = |pattern: &str| json!({"type": "string", "maxLength": 128, "pattern": pattern});
        let one_of = |names: Vec<&str>| json!({"type": "string", "enum": names});
        let id = json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": domain::ids::MAX_ID});
        let moment = json!({"type": "string", "examples": ["2025-01-15T12:00:00-06:00"]});
        let parameter = |name, about, schema| Parameter { name, about, schema };
        vec![
            parameter("customer", "About this customer's data.", id),
            parameter("actor", "By this actor: an entry's `actorId`.", text("^[0-9a-f]{64}$")),
            parameter("role", "In this role.", one_of(Role::ALL.iter().map(|(_, name)| *name).collect())),
            parameter("reason", "For this reason of staff.", text("^[a-z0-9-]+$")),
            parameter("action", "Of this operation.", text("^[A-Za-z0-9.]+$")),
            parameter("outcome", "That ended so.", one_of(Outcome::ALL.iter().map(|(_, name)| *name).collect())),
            parameter("from", "From this local date or instant on.", moment.clone()),
            parameter("to", "Before this local date or instant.", moment),
            parameter("request", "Of the request with this id.", text("^[A-Za-z0-9._-]+$")),
            limit_parameter(AUDIT_PAGE.0, AUDIT_PAGE.1),
            cursor_parameter(),
        ]
    }

    fn read(query: &mut Query<'_>) -> Option<Self> {
        let customer = query
            .optional("customer", "invalid-id", "Write the id of a customer.", |text| CustomerId::parse(text).ok());
        let hash = |text: &str| hex::decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let actor = query.optional("actor", "invalid-value", "Write the actorId of an entry.", hash);
        let role =
            query.optional("role", "invalid-value", "Write one of the roles, such as csr or billing.", Role::named);
        let outcome = query.optional(
            "outcome",
            "invalid-value",
            "Write one of: asked, read, changed, refused, unauthenticated, ended.",
            Outcome::named,
        );
        let word = |text: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            ((1..=128).contains(&text.len()) && text.bytes().all(known)).then(|| text.to_owned())
        };
        let mut code = |name| query.optional(name, "invalid-value", "Write letters, digits, dots and hyphens.", word);
        let (reason, action, request_id) = (code("reason"), code("action"), code("request"));
        let (from, to) = (query.moment("from"), query.moment("to"));
        let (limit, cursor) = (query.limit("limit", AUDIT_PAGE.0, AUDIT_PAGE.1), query.text("cursor"));
        if from.flatten().zip(to.flatten()).is_some_and(|(from, to)| from.instant >= to.instant) {
            query.refuse("from", "invalid-window", "Write a from that lies before to.");
            return None;
        }
        let filter = Filter {
            customer: customer?,
            actor_hash: actor?,
            role: role?,
            reason: reason?,
            from: from?.map(|moment| moment.instant),
            to: to?.map(|moment| moment.instant),
            action: action?,
            outcome: outcome?,
            request_id: request_id?,
            limit: usize::try_from(limit?).ok()?,
            ..Filter::default()
        };
        Some(Self { detail: query.filters(), filter, cursor })
    }
}

async fn list_audit(call: Call<(), AuditQuery, (), Crowd>) -> Result<Listing<AuditEntry>, Problem> {
    let AuditQuery { filter, detail, cursor } = call.query.clone();
    let before = call.position(cursor.as_deref())?.map(place);
    let (shown, more) = history::audit(&call.app, &call.scope, &Filter { before, ..filter }, detail).await?;
    let last = shown.last().filter(|_| more).map(|last| numbers((last.record.at, last.position)));
    let next_cursor = last.map(|last| call.cursor(&last));
    Ok(Listing { items: shown.into_iter().map(AuditEntry::of).collect(), next_cursor })
}

/// What tells of what happened, and of who looked.
pub fn routes() -> Vec<Route> {
    let own =
        Route::get("/api/customer/timeline", "getTimeline", "Get what happened, the newest first", timeline::<()>);
    let access = Route::get("/api/privacy/access-log", "getAccessLog", "Get who looked at the data", get_access_log);
    let staff = Route::get(
        "/api/admin/customers/{customerId}/timeline",
        "getCustomerTimeline",
        "Get what happened to a customer, the newest first",
        timeline::<CustomerId>,
    );
    let audit = Route::get("/api/admin/audit", "listAudit", "Look into the audit log, the newest first", list_audit);
    let staff = staff.staff(Roles::STAFF).example(example!("getCustomerTimeline"));
    let audit = audit.staff(Roles::SUPERVISOR | Roles::ADMIN).example(example!("listAudit"));
    let mut routes = group("Customer", Categories::HISTORY, [own.example(example!("getTimeline"))]);
    routes.extend(group("Privacy", Categories::HISTORY, [access.example(example!("getAccessLog"))]));
    routes.extend(group("Staff", Categories::HISTORY, [staff, audit]));
    routes
}
