//! Queries: typed, every error at once, unknown parameters refused.

use std::borrow::Cow;

use domain::{
    input::Named,
    time::{Instant, LocalDate, Zone},
};
use serde_json::{Value, json};

pub use super::paths::{FromPath, Leads};
use super::problem::ErrorAt;

/// A parameter as the API description names it.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its JSON Schema.
    pub schema: Value,
}

/// Parameters that one query may have: many more than any operation takes.
const MOST_PARAMETERS: usize = 50;

pub(super) fn error(parameter: &str, code: &'static str, message: impl Into<String>) -> ErrorAt {
    ErrorAt::Parameter { parameter: parameter.chars().take(64).collect(), code, message: message.into() }
}

/// What stands in a query.
pub trait FromQuery: Sized + Send + 'static {
    /// The parameters.
    fn parameters() -> Vec<Parameter>;
    /// Reads the query; `None` after at least one error was noted.
    fn read(query: &mut Query<'_>) -> Option<Self>;
    /// The bounds of what is asked for, for the audit log.
    fn bounds(&self) -> Option<String> {
        None
    }
}

impl FromQuery for () {
    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }
    fn read(_: &mut Query<'_>) -> Option<Self> {
        Some(())
    }
}

/// A query while it is read.
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    known: Vec<&'static str>,
    errors: &'a mut Vec<ErrorAt>,
    zone: &'a Zone,
    today: LocalDate,
}

/// An instant or local date of a query, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The instant; of a date, its beginning in the market's zone.
    pub instant: Instant,
    /// The market's date of it.
    pub date: LocalDate,
}

impl<'a> Query<'a> {
    /// Splits a query (`application/x-www-form-urlencoded`, without its `+` for blanks in instants).
    pub fn new(text: &'a str, zone: &'a Zone, today: LocalDate, errors: &'a mut Vec<ErrorAt>) -> Self {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        if text.split('&').nth(MOST_PARAMETERS).is_some() {
            errors.push(error("query", "too-many-parameters", format!("Write at most {MOST_PARAMETERS} parameters.")));
        }
        for pair in text.split('&').take(MOST_PARAMETERS).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => {
                    if pairs.iter().any(|(n, _)| *n == name) {
                        errors.push(error(&name, "duplicate-parameter", "Write this parameter once."));
                    }
                    pairs.push((name, value));
                }
                (name, _) => {
                    let name = name.unwrap_or_default();
                    errors.push(error(&name, "invalid-text", "Write percent-encoded UTF-8 without NUL."));
                }
            }
        }
        Self { pairs, known: Vec::new(), errors, zone, today }
    }

    /// The market's zone.
    pub fn zone(&self) -> &Zone {
        self.zone
    }

    /// The market's date today.
    pub fn today(&self) -> LocalDate {
        self.today
    }

    /// Notes an error.
    pub fn refuse(&mut self, parameter: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(error(parameter, code, message));
    }

    /// A parameter as text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.to_string())
    }

    /// A whole number within bounds.
    pub fn limit(&mut self, name: &'static str, default: i64, most: i64) -> Option<i64> {
        let Some(text) = self.text(name) else { return Some(default) };
        let plain = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        let value = plain.then(|| text.parse().ok()).flatten().filter(|n| (1..=most).contains(n));
        if value.is_none() {
            self.refuse(name, "invalid-limit", format!("Write a whole number from 1 to {most}."));
        }
        value
    }

    /// One of a few names, or the default.
    pub fn named<N: Named>(&mut self, name: &'static str, default: N) -> Option<N> {
        self.any(name).map(|value| value.unwrap_or(default))
    }

    /// One of a few names, where there is one. The outer `None` means an error, the inner absence.
    pub fn any<N: Named>(&mut self, name: &'static str) -> Option<Option<N>> {
        let Some(text) = self.text(name) else { return Some(None) };
        let value = N::named(&text);
        if value.is_none() {
            let names: Vec<_> = N::ALL.iter().map(|(_, name)| *name).collect();
            self.refuse(name, "invalid-value", format!("Write one of: {}.", names.join(", ")));
        }
        value.map(Some)
    }

    /// What `read` makes of a parameter, where it is there. The outer `None` means an error, the inner absence.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        code: &'static str,
        message: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(text) = self.text(name) else { return Some(None) };
        let value = read(&text);
        if value.is_none() {
            self.refuse(name, code, message);
        }
        value.map(Some)
    }

    /// A local date or an instant with its offset. The outer `None` means an error, the inner absence.
    pub fn moment(&mut self, name: &'static str) -> Option<Option<Moment>> {
        let Some(text) = self.text(name) else { return Some(None) };
        if let Some(date) = LocalDate::parse(&text) {
            return Some(Some(Moment { instant: self.zone.start(date), date }));
        }
        if let Some(instant) = Instant::parse(&text) {
            return Some(Some(Moment { instant, date: self.zone.date(instant) }));
        }
        let (code, message) = if text.contains(' ') {
            ("missing-offset", "A plus in a query means a blank: write %2B for the + of an offset.")
        } else if Instant::parse(&format!("{text}Z")).is_some() {
            ("missing-offset", "Add an offset, such as -06:00.")
        } else {
            ("invalid-date", "Write a date as 2025-01-15, or an instant as 2025-01-15T12:00:00-06:00.")
        };
        self.refuse(name, code, message);
        None
    }

    /// Ends reading: what nobody asked for is an error.
    pub fn finish(self) -> String {
        let Self { pairs, known, errors, .. } = self;
        for (name, _) in &pairs {
            if !known.contains(&&**name) {
                errors.push(error(name, "unknown-parameter", "There is no such parameter."));
            }
        }
        filters(&pairs, "\n")
    }

    /// The filters in one line, for the audit log: of a query whose every value is a code or an id.
    pub fn filters(&self) -> String {
        filters(&self.pairs, " ")
    }
}

/// What a cursor is bound to: everything but the page's own parameters, in order.
fn filters(pairs: &[(Cow<'_, str>, Cow<'_, str>)], end: &str) -> String {
    let mut filters: Vec<_> = pairs.iter().filter(|(n, _)| n != "cursor" && n != "limit").collect();
    filters.sort();
    filters.iter().map(|(name, value)| format!("{name}={value}{end}")).collect()
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok().filter(|byte| *byte != 0)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Everything that the pages of accounts, premises and meters share.
pub const PAGE: i64 = 200;
/// The most that one page holds.
pub const MOST: i64 = 500;

/// Which page of a list.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// How many at most.
    pub limit: i64,
    /// Behind which.
    pub cursor: Option<String>,
}

/// The parameter `cursor`.
pub fn cursor_parameter() -> Parameter {
    let schema = json!({"type": "string", "maxLength": 200, "pattern": "^[A-Za-z0-9_-]+$"});
    Parameter { name: "cursor", about: "The `nextCursor` of the page before, with the same filters.", schema }
}

/// The parameter `limit`.
pub fn limit_parameter(default: i64, most: i64) -> Parameter {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": most, "default": default});
    Parameter { name: "limit", about: "How many at most, in JSON.", schema }
}

impl FromQuery for PageQuery {
    fn parameters() -> Vec<Parameter> {
        vec![limit_parameter(PAGE, MOST), cursor_parameter()]
    }
    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (limit, cursor) = (query.limit("limit", PAGE, MOST), query.text("cursor"));
        Some(Self { limit: limit?, cursor })
    }
}

/// Which page of a list, of those with one status where it is named.
#[derive(Debug, Clone)]
pub struct StatusQuery<S> {
    /// Only those with this status.
    pub status: Option<S>,
    /// Which page.
    pub page: PageQuery,
}

impl<S: Named + Send> FromQuery for StatusQuery<S> {
    fn parameters() -> Vec<Parameter> {
        let names: Vec<&str> = S::ALL.iter().map(|(_, name)| *name).collect();
        let about = "Only those with this status.";
        let status = Parameter { name: "status", about, schema: json!({"type": "string", "enum": names}) };
        std::iter::once(status).chain(PageQuery::parameters()).collect()
    }
    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (status, page) = (query.any("status"), PageQuery::read(query));
        Some(Self { status: status?, page: page? })
    }
    fn bounds(&self) -> Option<String> {
        self.status.map(|status| format!("status={}", status.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors_of(query: &str, read: impl FnOnce(&mut Query<'_>)) -> Vec<String> {
        let (zone, mut errors) = (Zone::named("America/Chicago").unwrap(), Vec::new());
        let today = LocalDate::parse("2025-01-15").unwrap();
        let mut query = Query::new(query, &zone, today, &mut errors);
        read(&mut query);
        query.finish();
        let code = |e: &ErrorAt| match e {
            ErrorAt::Parameter { parameter, code, .. } => format!("{parameter}:{code}"),
            other => format!("{other:?}"),
        };
        errors.iter().map(code).collect()
    }

    #[test]
    fn moments_need_an_offset_and_a_calendar() {
        let of = |query: &str| errors_of(query, |q| assert!(q.moment("from").is_none_or(|m| m.is_some())));
        assert!(of("from=2025-01-15").is_empty());
        assert!(of("from=2025-01-15T12:00:00%2B02:00").is_empty());
        assert_eq!(of("from=2025-01-15T12:00:00+02:00"), ["from:missing-offset"]);
        assert_eq!(of("from=2025-01-15T12:00:00"), ["from:missing-offset"]);
        assert_eq!(of("from=2025-02-30"), ["from:invalid-date"]);
        assert_eq!(of("from=2025-02-30T00:00:00"), ["from:invalid-date"]);
    }

    #[test]
    fn strange_queries_are_named() {
        let of = |query: &str| errors_of(query, |q| assert!(q.limit("limit", 10, 100) != Some(0)));
        assert_eq!(of("limit=0"), ["limit:invalid-limit"]);
        assert_eq!(of("limit=101&x=1"), ["limit:invalid-limit", "x:unknown-parameter"]);
        assert_eq!(of("limit=1&limit=2"), ["limit:duplicate-parameter"]);
        assert_eq!(of("limit=%"), [":invalid-text"].map(|s| format!("limit{s}")));
        assert_eq!(of("limit=%00"), ["limit:invalid-text"]);
        assert_eq!(of("%ff=1"), [":invalid-text"]);
        assert!(of("limit=100&&").is_empty());
    }
}
