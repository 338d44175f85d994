//! The API's description: OpenAPI 3.1, assembled from the route table and the wire types' JSON Schemas.

use domain::policy::{Reach, Roles, Rule};
use http::{Method, StatusCode};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    problem::{self, KINDS, ProblemKind},
    route::Route,
    routes,
};
use crate::auth::SignIn;

/// The refusals of an operation: its own and those that every operation has.
pub fn refusals(route: &Route) -> Vec<&'static ProblemKind> {
    let mut kinds = vec![problem::INVALID_REQUEST, problem::UNAUTHENTICATED, problem::FORBIDDEN];
    if route.all_roles().intersects(Roles::CUSTOMER) {
        kinds.push(problem::NOT_ENROLLED);
    }
    kinds.extend([problem::NOT_ACCEPTABLE, problem::CONTENT_TOO_LARGE]);
    if route.consumes.is_some() {
        kinds.push(problem::UNSUPPORTED_MEDIA_TYPE);
    }
    kinds.extend_from_slice(&route.refusals);
    kinds.extend([problem::TOO_MANY_REQUESTS, problem::INTERNAL, problem::UNAVAILABLE, problem::TIMEOUT]);
    let own = route.rules.iter().any(|rule| rule.reach == Reach::Own);
    if own && (route.reads() || route.rules.iter().any(|rule| !rule.while_inactive)) {
        kinds.push(problem::INACTIVE);
    }
    if route.method != Method::GET {
        kinds.push(problem::OUTCOME_UNKNOWN);
    }
    kinds.sort_by_key(|kind| (kind.status, kind.code));
    kinds.dedup_by_key(|kind| kind.code);
    kinds
}

/// The description as JSON text, ending with a line break.
pub fn document() -> String {
    text(&assembled())
}

/// The same, with the issuers at which a person can log in to call this very service.
pub fn served(sign_ins: &[SignIn]) -> String {
    let mut description = assembled();
    for (n, SignIn { issuer, client }) in (1..).zip(sign_ins) {
        let name = if n == 1 { "openid".to_owned() } else { format!("openid-{n}") };
        let scheme = json!({
            "type": "openIdConnect",
            // OpenID Connect Discovery 1.0, section 4.
            "openIdConnectUrl": format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')),
            "description": format!("Log in at {issuer}."),
            "x-client-id": client,
        });
        if let Some(requirements) = description.pointer_mut("/security").and_then(Value::as_array_mut) {
            requirements.push(json!({name.as_str(): ["openid"]}));
        }
        let schemes = description.pointer_mut("/components/securitySchemes").and_then(Value::as_object_mut);
        schemes.and_then(|schemes| schemes.insert(name, scheme));
    }
    text(&description)
}

fn text(description: &Value) -> String {
    let mut text = serde_json::to_string_pretty(description).unwrap_or_default();
    text.push('\n');
    text
}

fn assembled() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let (mut paths, mut shared) = (Map::new(), Map::new());
    for route in routes() {
        let operation = operation(&route, &mut generator, &mut shared);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".into(), problem_schema());
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "OSSREP Customer Service",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Customers, accounts, premises, meters, readings and preferences of a retail energy provider",
            "description": "Every list is `{\"<plural>\": [...], \"nextCursor\": null}`. Instants are RFC 3339 in UTC, dates are local dates of the market. Money has two decimals; positive is owed. PUT carries every editable member, PATCH is JSON Merge Patch; both honour `If-Match`. Refusals are problem details (RFC 9457) with a stable `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": shared,
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "An access token of a configured OpenID provider.",
            }},
        },
    })
}

fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for route in routes() {
        if !names.contains(&route.tag) {
            names.push(route.tag);
        }
    }
    names.into_iter().map(|name| json!({"name": name})).collect()
}

fn operation(route: &Route, generator: &mut SchemaGenerator, shared: &mut Map<String, Value>) -> Value {
    let schema = (route.answer)(generator);
    let mut operation = Map::new();
    operation.insert("operationId".into(), route.action.into());
    operation.insert("summary".into(), route.about.into());
    operation.insert("tags".into(), json!([route.tag]));
    let about: Vec<String> = route.rules.iter().map(description).collect();
    let about = about.join(" ");
    operation.insert("description".into(), about.into());
    operation.insert("parameters".into(), parameters(route).into());
    if let Some(media_type) = route.consumes {
        let body = match route.input {
            Some(input) => input_body(route, media_type, &input(generator)),
            None => request_body(route, media_type, &schema, generator),
        };
        operation.insert("requestBody".into(), body);
    }
    operation.insert("responses".into(), responses(route, &schema, shared));
    Value::Object(operation)
}

/// What a rule says, in words.
fn description(rule: &Rule) -> String {
    let roles: Vec<_> = rule.roles.list().map(|(_, name)| name).collect();
    let reveals: Vec<_> = rule.categories.names().collect();
    let inactive = match (rule.reach, rule.while_inactive) {
        (Reach::Own, true) => " May be used while the customer is inactive.",
        (Reach::Own, false) => " May not be used while the customer is inactive.",
        (Reach::Named | Reach::Many | Reach::New, _) => "",
    };
    format!("Roles: {}. Reveals: {}.{inactive}", roles.join(", "), reveals.join(", "))
}

fn parameters(route: &Route) -> Vec<Value> {
    let of = |place: &'static str| {
        move |p: &super::params::Parameter| {
            let required = place == "path";
            json!({"name": p.name, "in": place, "required": required, "description": p.about, "schema": p.schema})
        }
    };
    let header = |name: &str, about: &str, max: u32| {
        let schema = json!({"type": "string", "maxLength": max});
        json!({"name": name, "in": "header", "required": false, "description": about, "schema": schema})
    };
    let mut all: Vec<Value> = route.path_parameters.iter().map(of("path")).collect();
    all.extend(route.query_parameters.iter().map(of("query")));
    match route.method {
        Method::POST if !route.refusals.contains(&problem::PRECONDITION_FAILED) => {}
        Method::GET => {
            all.push(tag_header("If-None-Match", "ETags that the caller has; 304 when one is the present one."))
        }
        _ => all.push(tag_header(
            "If-Match",
            "The ETag that the change was made from; 412 when it is not the present one.",
        )),
    }
    if route.rules.iter().any(|rule| rule.reason) {
        let about =
            "Why staff look: one of the configured reasons, with a ticket after a semicolon where there is one.";
        let schema = json!({"type": "string", "maxLength": 100, "examples": ["customer-request"]});
        let name = "X-Access-Reason";
        all.push(json!({"name": name, "in": "header", "required": true, "description": about, "schema": schema}));
    }
    if route.refusals.contains(&problem::KEY_REUSED) {
        all.push(header(
            "Idempotency-Key",
            "One key an operation and content; a repetition gets the first answer.",
            255,
        ));
    }
    all
}

fn tag_header(name: &str, about: &str) -> Value {
    let schema = json!({"type": "string", "pattern": "^(\\*|(W/)?\"[!#-~]{0,64}\")$", "examples": ["*"]});
    json!({"name": name, "in": "header", "required": false, "description": about, "schema": schema})
}

/// The editable members of a representation, all of them required for PUT, none for PATCH.
fn request_body(route: &Route, media_type: &str, answer: &Value, generator: &SchemaGenerator) -> Value {
    let whole = resolved(answer, generator);
    let patch = route.method == Method::PATCH;
    let all = whole.get("properties").and_then(Value::as_object);
    let chosen = all.into_iter().flatten().filter(|(name, _)| route.editable.contains(&name.as_str()));
    let member = |schema| if patch { patched(schema, generator) } else { schema.clone() };
    let properties: Map<String, Value> = chosen.map(|(name, schema)| (name.clone(), member(schema))).collect();
    // Members of one kind of customer only are not required by the schema; the service knows the kind.
    let always: Vec<&str> =
        whole.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let required: Vec<&str> = route.editable.iter().copied().filter(|name| always.contains(name)).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if let (Value::Object(schema), false) = (&mut schema, patch) {
        schema.insert("required".into(), required.into());
    }
    let about = if patch {
        "JSON Merge Patch (RFC 7396): absent keeps, null clears."
    } else {
        "Every editable member. The rest of what GET gave may be sent back: ids, numbers, type and status must be as stored, what others report is ignored."
    };
    let example: Value = serde_json::from_str(route.example).unwrap_or_default();
    let example: Map<String, Value> = example
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| route.editable.contains(&name.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    json!({"required": true, "description": about, "content": {media_type: {"schema": schema, "example": example}}})
}

/// The input of an operation; one without members may be left out.
fn input_body(route: &Route, media_type: &str, schema: &Value) -> Value {
    let required = !route.input_example.is_empty();
    let example: Value = serde_json::from_str(route.input_example).unwrap_or_else(|_| json!({}));
    let about = "The same, a line an item; in CSV the first line names the members.";
    let lines = json!({"schema": {"type": "string", "description": about}});
    let others = route.also_consumes.iter().map(|other| ((*other).to_owned(), lines.clone()));
    let first = (media_type.to_owned(), json!({"schema": schema, "example": example}));
    let content: Map<String, Value> = others.chain([first]).collect();
    json!({"required": required, "content": content})
}

/// What a schema refers to, or itself.
fn resolved<'a>(schema: &'a Value, generator: &'a SchemaGenerator) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    name.and_then(|name| generator.definitions().get(name)).unwrap_or(schema)
}

/// A member of a merge patch. An object is merged as the whole is, so that it requires none of its members.
fn patched(schema: &Value, generator: &SchemaGenerator) -> Value {
    let mut whole = resolved(schema, generator).clone();
    let Some(members) = whole.get_mut("properties").and_then(Value::as_object_mut) else { return schema.clone() };
    for member in members.values_mut() {
        *member = patched(member, generator);
    }
    if let Some(whole) = whole.as_object_mut() {
        whole.remove("required");
    }
    whole
}

/// The answers; refusals stand among the components, shared by the operations that have the same ones.
fn responses(route: &Route, schema: &Value, shared: &mut Map<String, Value>) -> Value {
    let mut responses = Map::new();
    let mut content = Map::new();
    for media_type in route.produces {
        let json = *media_type == super::call::JSON;
        let mut entry = json!({"schema": if json { schema.clone() } else { json!({"type": "string"}) }});
        if let (Value::Object(entry), true, false) = (&mut entry, json, route.example.is_empty()) {
            entry.insert("example".into(), serde_json::from_str(route.example).unwrap_or_default());
        }
        content.insert((*media_type).to_owned(), entry);
    }
    let etag = json!({"description": "A strong ETag of the whole representation.", "schema": {"type": "string"}});
    let location = json!({"description": "Where it can be read.", "schema": {"type": "string"}});
    let (about, headers) = match route.status {
        StatusCode::CREATED => ("Made.", json!({"ETag": etag, "Location": location})),
        _ => ("Done.", json!({"ETag": etag})),
    };
    let answer = json!({"description": about, "headers": headers, "content": content});
    responses.insert(route.status.as_u16().to_string(), answer);
    if route.method == Method::GET {
        responses.insert("304".into(), json!({"description": "The caller has the present representation."}));
    }
    let refusals = refusals(route);
    let mut statuses: Vec<u16> = refusals.iter().map(|kind| kind.status).collect();
    statuses.dedup();
    for status in statuses {
        let kinds: Vec<&'static ProblemKind> = refusals.iter().copied().filter(|kind| kind.status == status).collect();
        let name = kinds.iter().map(|kind| kind.code).collect::<Vec<_>>().join("_");
        responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        shared.entry(name).or_insert_with(|| refusal(&kinds));
    }
    Value::Object(responses)
}

/// The refusals with one status.
fn refusal(kinds: &[&'static ProblemKind]) -> Value {
    let about: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`: {} {}", kind.code, kind.title, kind.about)).collect();
    let examples: Map<String, Value> =
        kinds.iter().map(|kind| (kind.code.to_owned(), json!({"value": example(kind)}))).collect();
    let content = json!({"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples});
    json!({"description": about.join("\n\n"), "content": {"application/problem+json": content}})
}

fn example(kind: &ProblemKind) -> Value {
    let path = format!("/problems/{}", kind.code);
    json!({"type": path, "title": kind.title, "status": kind.status, "code": kind.code, "requestId": "0f3a5c7e"})
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = KINDS.iter().map(|kind| kind.code).collect();
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "code", "requestId"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text, "detail": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": codes},
            "requestId": text,
            "allowed": {"type": "array", "items": text},
            "errors": {"type": "array", "items": {
                "type": "object", "required": ["code", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer (RFC 6901) into the body."},
                    "parameter": {"type": "string", "description": "A parameter of path or query."},
                    "header": {"type": "string", "description": "A header."},
                    "code": text, "message": text,
                },
            }},
        },
    })
}

#[cfg(test)]
mod tests;
