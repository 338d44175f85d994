//! Problem details (RFC 9457): one envelope with a stable code for everything that is refused.
//!
//! The inner chain of an error is logged once, here, and never sent.

use axum::response::{IntoResponse, Response};
use domain::input::{FieldError, Unreadable};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use store::{DbError, StoreError};

use crate::app::Failure;

/// What is known of a code: `docs/problems.md` and `/problems/{code}` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemKind {
    /// The stable code, the last part of the problem's `type`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for people.
    pub title: &'static str,
    /// What it means and what to do.
    pub about: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $status:literal, $title:literal, $about:literal;)+) => {
        $(#[doc = $title] pub const $name: &ProblemKind = &ProblemKind { code: $code, status: $status, title: $title, about: $about };)+
        /// Every problem that the service answers with.
        pub const KINDS: &[&ProblemKind] = &[$($name),+];
    };
}

kinds! {
    INVALID_REQUEST = "invalid-request", 400, "The request cannot be read.",
        "A path, query, header or body is malformed: `errors` names each place. Nothing was changed.";
    UNAUTHENTICATED = "unauthenticated", 401, "Who are you?",
        "The request brings no bearer token, or one that does not count; `WWW-Authenticate` and `detail` say why (RFC 6750).";
    FORBIDDEN = "forbidden", 403, "Your role does not allow this.",
        "The token is valid, but none of its roles may call this operation.";
    NOT_FOUND = "not-found", 404, "There is no such resource.",
        "It does not exist, or it is not yours: the answer is the same.";
    NOT_ENROLLED = "not-enrolled", 404, "You are signed in, but not a customer yet.",
        "No customer is linked to this log-in. The header `Link` leads to enrolment.";
    ACCESS_REASON_REQUIRED = "access-reason-required", 400, "Say why you look.",
        "Staff open a customer's data with the header `X-Access-Reason`: one of the configured reasons, with a ticket after a semicolon where there is one (`complaint; ticket=CS-4711`).";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The resource does not have this method.",
        "The header `Allow` lists the methods it has.";
    NOT_ACCEPTABLE = "not-acceptable", 406, "The resource cannot be had in that form.",
        "`Accept` names no media type that this operation answers with.";
    INACTIVE = "inactive", 409, "This is closed.",
        "The customer or premise is inactive; only what `allowed` lists could be changed.";
    IN_SERVICE = "in-service", 409, "Places are still in service.",
        "An account ends when no place of it is in service, or will be, on the effective date: move out first.";
    ACCOUNTS_OPEN = "accounts-open", 409, "Accounts are still open.",
        "A customer ends when no account is pending or active: deactivate them first.";
    ALREADY_LINKED = "already-linked", 409, "The log-in leads to a customer already.",
        "One log-in leads to one customer. Unlink it there before it is linked here.";
    ALREADY_ENROLLED = "already-enrolled", 409, "You are a customer already, or have asked to become one.",
        "The log-in leads to a customer. While an enrolment is open, or the customer is active, there is no second one; `allowed` says what there is instead. Staff can link the log-in to another customer.";
    METER_EXISTS = "meter-exists", 409, "There is such a meter.",
        "Its wires company has a meter with this number: a number is given once.";
    INVALID_TRANSITION = "invalid-transition", 409, "Its status does not allow that.",
        "The state machine has no such step; `allowed` lists what is possible now.";
    PLACE_TAKEN = "place-taken", 409, "The place is taken.",
        "The place is promised to another newcomer, or somebody moves in there later than that.";
    ACCOUNT_ENDS = "account-ends", 409, "The account is to end.",
        "It was decided that the account ends on a later day; nobody moves in on it. Whoever may end it may give it another day, or another account takes the place.";
    KEY_BUSY = "idempotency-key-busy", 409, "The same request is still at work.",
        "A request with this `Idempotency-Key` has not ended yet; ask again in a moment.";
    PRECONDITION_FAILED = "precondition-failed", 412, "The resource has changed since you read it.",
        "`If-Match` names another state than the present one, whose ETag is in the header `ETag`. Read it again, then decide.";
    CONTENT_TOO_LARGE = "content-too-large", 413, "The body is too large.",
        "The limit is 64 KiB unless the operation says otherwise.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The body has a media type that is not accepted.",
        "PUT takes `application/json`, PATCH takes `application/merge-patch+json` (RFC 7396), UTF-8, not encoded.";
    VALIDATION_FAILED = "validation-failed", 422, "The request has errors.",
        "It was read, but something in it is wrong: `errors` lists everything at once, each with its JSON pointer. Nothing was changed.";
    CLAIM_REFUSED = "claim-refused", 422, "This number and this code do not belong together.",
        "There is no such account, or the code is not the one that was issued for it last, was used, mistyped too often or has expired: the answer is the same. Staff issue a new code.";
    KEY_REUSED = "idempotency-key-reused", 422, "The idempotency key was used for another request.",
        "One `Idempotency-Key` belongs to one operation and one content.";
    TOO_MANY_REQUESTS = "too-many-requests", 429, "Too many requests.",
        "Wait for as many seconds as `Retry-After` says.";
    INTERNAL = "internal", 500, "Something went wrong on our side.",
        "It was logged under the request id. Nothing was changed unless the answer says so.";
    UNAVAILABLE = "unavailable", 503, "The service cannot answer right now.",
        "A database, the audit log or the issuer of tokens is not available, or too much waits for it. Nothing was changed; ask again after `Retry-After` seconds.";
    OUTCOME_UNKNOWN = "outcome-unknown", 503, "Nobody knows whether the change happened.",
        "The connection to the database was lost while the change was committed. Read the resource to see.";
    TIMEOUT = "timeout", 503, "It took too long.",
        "The operation did not end in time. A change may still happen: read the resource to see.";
}

/// What a field error's code means; `docs/problems.md` lists them.
pub const FIELD_CODES: &[(&str, &str)] = &[
    ("ambiguous", "Name the thing in one way only."),
    ("blank", "The text is empty, or made of blanks or invisible characters only."),
    ("contradicting-parameters", "Two query parameters exclude each other."),
    ("contradiction", "Another value was reported for the same resource and instant."),
    ("duplicate-item", "The list names the same thing twice."),
    ("duplicate-member", "One object names a member twice."),
    ("duplicate-parameter", "A query parameter stands there twice."),
    ("forbidden-character", "The text holds a control character, a bidi override or a character that no script uses."),
    ("in-the-future", "The instant of the report has not come yet."),
    ("invalid-code", "Write letters, digits and hyphens only."),
    ("invalid-cursor", "The cursor is not one of this list's own, for this caller and these filters."),
    ("invalid-date", "Write a date of the calendar as YYYY-MM-DD, or an instant with its offset."),
    ("invalid-email", "Write an e-mail address such as name@example.com."),
    ("invalid-esi-id", "Write an ESI ID: 17 or 22 digits that begin with 10, as many as its wires company's have."),
    ("invalid-header", "The header does not follow its grammar."),
    ("invalid-id", "Write an id as a whole number from 1 to 9007199254740991."),
    ("invalid-json", "The body is not JSON (RFC 8259)."),
    ("invalid-limit", "Write a whole number within the operation's bounds."),
    ("invalid-month", "Write a month as 2027-04."),
    ("invalid-number", "Write a number in JSON's form."),
    ("invalid-payment-method", "Write an id of 1 to 100 visible ASCII characters."),
    ("invalid-phone", "Write a phone number that is possible."),
    ("invalid-state", "Write the two letters of a state or territory."),
    ("invalid-subject", "Write the claim `sub` of the log-in's tokens: 1 to 255 ASCII characters without blanks."),
    ("invalid-text", "The text is not UTF-8, or holds NUL or half of a surrogate pair."),
    ("invalid-value", "The parameter takes one of a few values."),
    ("invalid-window", "`from` must lie before `to`."),
    ("invalid-zip", "Write a ZIP code such as 75001 or 75001-1234."),
    ("market-owned", "City, state and ZIP of a premise with an ESI ID are the market's; ask for a correction there."),
    ("must-be-null", "Write null here: another member says that this one does not apply."),
    ("invalid-word", "Write letters, digits, dots, underscores and hyphens."),
    ("missing", "A member is not there. PUT carries every editable member; PATCH changes only some."),
    ("missing-offset", "An instant needs an offset, such as -06:00; write + as %2B."),
    ("not-collected", "We need no social security number, date of birth, tax id or license, and keep none."),
    ("not-installed", "The meter was not installed at this instant."),
    ("other-wires-company", "The meter is of another wires company than the place."),
    ("out-of-range", "The number is too large or too small, or the date too far away."),
    ("prefix-too-short", "Write at least three letters before an asterisk, or the whole word without one."),
    ("read-only", "The member may be sent back, but not changed."),
    ("reading-suspect", "The reading does not fit the one beside it: it is kept without usage, and staff look at it."),
    ("too-deep", "The body is nested too deeply."),
    ("too-few-items", "The list has too few items."),
    ("too-long", "The text has too many characters."),
    (
        "too-many-buckets",
        "The window holds more buckets or readings than one answer; choose a shorter one or a longer groupBy.",
    ),
    ("too-many-ids", "The parameter names more ids than one request may."),
    ("too-many-items", "The list has too many items."),
    ("too-many-members", "An object of the body has more members than any of ours."),
    ("too-many-parameters", "The query has more parameters than any operation takes."),
    ("too-many-decimals", "The number has too many decimals."),
    ("too-many-lines", "The text, or the batch, has too many lines."),
    ("too-many-words", "A search has more words than one may have."),
    ("unknown-account", "There is no such account."),
    ("unknown-customer", "There is no such customer."),
    ("unknown-issuer", "The service takes tokens of no such issuer."),
    ("unknown-member", "There is no such member."),
    ("unknown-meter", "There is no such meter."),
    ("unknown-parameter", "There is no such query parameter."),
    ("unknown-payment-method", "Name a payment method that Billing has reported."),
    ("unknown-place", "We do not know the place of this ESI ID."),
    ("unknown-reading", "The meter has no such reading."),
    ("unknown-register", "The meter has no such register."),
    ("unknown-request", "There is no such request to the market."),
    ("unknown-value", "The member takes one of a few values."),
    ("unknown-wires-company", "Name a wires company that we know."),
    ("wrong-type", "The member has another type, such as a number instead of a text."),
];

/// An error in a query parameter, header or path; those of bodies are [`FieldError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ErrorAt {
    /// In the body.
    Body(FieldError),
    /// In the query or path.
    Parameter {
        /// The parameter's name.
        parameter: String,
        /// Stable.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// In a header.
    Header {
        /// The header's name.
        header: &'static str,
        /// Stable.
        code: &'static str,
        /// For people.
        message: String,
    },
}

/// Errors that one answer names at most.
const MOST_ERRORS: usize = 100;

/// A refusal on its way out.
#[derive(Debug)]
pub struct Problem {
    kind: &'static ProblemKind,
    detail: Option<String>,
    errors: Vec<ErrorAt>,
    allowed: Option<&'static [&'static str]>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    /// What the log is told, and the caller never.
    cause: Option<Box<str>>,
    again: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ErrorAt],
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'static [&'static str]>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: &'static ProblemKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), allowed: None, headers: Vec::new(), cause: None, again: false }
    }

    /// With a sentence about this occurrence; it never repeats what was sent.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// With what happened inside, for the log alone.
    #[must_use]
    pub fn cause(self, cause: impl std::fmt::Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..self }
    }

    /// Tells the log why an operation was not answered: once, where the request is known.
    pub(super) fn tell(&self, action: &'static str, request: &str, trace: &str) {
        let (code, cause) = (self.kind.code, self.cause.as_deref().unwrap_or_default());
        match self.kind.status {
            ..500 => {}
            500 => tracing::error!(action, request, trace, code, cause, "a request failed"),
            _ => tracing::warn!(action, request, trace, code, cause, "a request was not answered"),
        }
    }

    /// With field errors.
    #[must_use]
    pub fn errors(self, mut errors: Vec<ErrorAt>) -> Self {
        // A short request must not make a long answer.
        errors.truncate(MOST_ERRORS);
        Self { errors, ..self }
    }

    /// With what the present state allows, which may be nothing.
    #[must_use]
    pub fn allowed(self, allowed: &'static [&'static str]) -> Self {
        Self { allowed: Some(allowed), ..self }
    }

    /// A header that does not follow its grammar.
    pub fn of_header(header: &'static str, message: &str) -> Self {
        let error = ErrorAt::Header { header, code: "invalid-header", message: message.to_owned() };
        Self::new(INVALID_REQUEST).errors(vec![error])
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.kind.status
    }

    /// The code.
    pub fn code(&self) -> &'static str {
        self.kind.code
    }

    /// Whether its transaction met another one, so that doing it again may succeed.
    pub(super) fn may_be_tried_again(&self) -> bool {
        self.again
    }

    /// The response; `request_id` names the request in the body.
    pub fn into_response(self, request_id: &str) -> Response {
        let Self { kind, detail, errors, allowed, headers, cause: _, again: _ } = self;
        let body = Body {
            r#type: format!("/problems/{}", kind.code),
            title: kind.title,
            status: kind.status,
            code: kind.code,
            detail: detail.as_deref(),
            request_id,
            errors: &errors,
            allowed,
        };
        let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// The seconds after which asking again makes sense, where nothing better is known.
const RETRY_AFTER: &str = "1";

/// A window that one answer does not hold.
fn too_much() -> Problem {
    let most =
        "One answer holds at most 10,000 buckets, made of at most 1,000,000 of single meters and 400,000 readings";
    Problem::new(INVALID_REQUEST).errors(vec![ErrorAt::Parameter {
        parameter: "from".into(),
        code: "too-many-buckets",
        message: format!("{most}: choose a shorter window or a longer groupBy."),
    }])
}

fn unavailable() -> Problem {
    Problem::new(UNAVAILABLE).header(header::RETRY_AFTER, RETRY_AFTER)
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Self {
        let pointer = match &unreadable {
            Unreadable::Text(pointer) | Unreadable::Duplicate(pointer) => pointer.clone(),
            Unreadable::Syntax { .. } | Unreadable::Depth | Unreadable::Members => String::new(),
        };
        let error = FieldError { pointer, code: unreadable.code(), message: unreadable.to_string() };
        Self::new(INVALID_REQUEST).errors(vec![ErrorAt::Body(error)])
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooMuch => too_much(),
            StoreError::NoCustomer => Self::new(NOT_FOUND),
            StoreError::Inactive => Self::new(INACTIVE).allowed(&["contact data", "mailing address"]),
            StoreError::KeyReused => Self::new(KEY_REUSED),
            StoreError::KeyBusy => Self::new(KEY_BUSY).header(header::RETRY_AFTER, RETRY_AFTER),
            StoreError::OutcomeUnknown => Self::new(OUTCOME_UNKNOWN),
            StoreError::Db(DbError::Conflict) => Self { again: true, ..unavailable() },
            StoreError::AuditUnavailable | StoreError::Db(DbError::Unavailable(_)) => unavailable().cause(error),
            error => Self::new(INTERNAL).cause(error),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound => Self::new(NOT_FOUND),
            Failure::Stale { etag } => Self::new(PRECONDITION_FAILED).header(header::ETAG, &etag),
            Failure::Fields(errors) => {
                Self::new(VALIDATION_FAILED).errors(errors.into_iter().map(ErrorAt::Body).collect())
            }
            Failure::Refused { code, allowed } => {
                let kind = KINDS.iter().find(|kind| kind.code == code).unwrap_or(&INACTIVE);
                let problem = Self::new(kind);
                // A state that refuses says what it would allow.
                if kind.status == StatusCode::CONFLICT.as_u16() { problem.allowed(allowed) } else { problem }
            }
            Failure::TooMuch => too_much(),
            Failure::Throttled { seconds } => {
                Self::new(TOO_MANY_REQUESTS).header(header::RETRY_AFTER, &seconds.to_string())
            }
            Failure::Store(error) => error.into(),
        }
    }
}

/// The page of every problem, as Markdown: `docs/problems.md` is generated from it.
pub fn catalogue() -> String {
    let mut text = String::from(
        "# Problems\n\nEvery refusal is `application/problem+json` (RFC 9457) with a stable `code`. Generated; do not edit.\n",
    );
    for kind in KINDS {
        text.push_str(&format!("\n## {}\n\n{}: {} {}\n", kind.code, kind.status, kind.title, kind.about));
    }
    text.push_str("\n# Field errors\n\nThe codes of `errors[].code`.\n");
    for (code, about) in FIELD_CODES {
        text.push_str(&format!("\n## {code}\n\n{about}\n"));
    }
    text
}
