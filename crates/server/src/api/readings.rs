//! Readings of a meter, as JSON pages or as a CSV stream; and as Meter reports them.

mod report;

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use domain::{
    ids::{Id, MeterId, ReadingId},
    input::Named,
    meters::Meter,
    named_enum,
    policy::{Categories, Roles},
    readings::{Dial, Quality, Reading, Register, advances},
    time::{Instant, LocalDate, Zone},
    values::Quantity,
};
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;
use store::readings::Page;

use super::{
    call::{Call, JSON, Reply},
    params::{FromQuery, Parameter, Query, cursor_parameter, limit_parameter},
    problem::Problem,
    route::{Route, example, group},
    usage::moment_parameter,
};
use crate::app::{
    App,
    readings::{self, Stream},
};

const PAGE: i64 = 100;
const MOST: i64 = 5_000;
const CSV: &str = "text/csv";

/// The furthest instants that a window without bounds covers.
const EVER: (Instant, Instant) =
    (Instant::from_micros(-62_135_596_800_000_000), Instant::from_micros(253_402_207_200_000_000));

named_enum! {
    /// The order of a list of readings.
    Order {
        /// Newest first.
        Desc = "desc",
        /// Oldest first.
        Asc = "asc",
    }
}

named_enum! {
    /// What a list of readings also holds.
    Include {
        /// Current revisions only.
        Current = "current",
        /// Superseded revisions too.
        Superseded = "superseded",
    }
}

/// Which readings.
#[derive(Debug, Clone)]
struct ReadingsQuery {
    page: Page,
    limit: i64,
    cursor: Option<String>,
}

impl FromQuery for ReadingsQuery {
    fn parameters() -> Vec<Parameter> {
        let named = |name, about, values: &[&str]| {
            let schema = serde_json::json!({"type": "string", "enum": values, "default": values.first()});
            Parameter { name, about, schema }
        };
        vec![
            moment_parameter("from", "The first local date or instant, inclusive."),
            moment_parameter("to", "The last local date or instant, exclusive."),
            named("order", "Newest or oldest first.", &["desc", "asc"]),
            named("include", "`superseded` shows replaced revisions too.", &["current", "superseded"]),
            limit_parameter(PAGE, MOST),
            cursor_parameter(),
        ]
    }

    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (from, to) = (query.moment("from"), query.moment("to"));
        let (order, include) = (query.named("order", Order::Desc), query.named("include", Include::Current));
        let (limit, cursor) = (query.limit("limit", PAGE, MOST), query.text("cursor"));
        let (from, to) = (from?.map_or(EVER.0, |m| m.instant), to?.map_or(EVER.1, |m| m.instant));
        if from >= to {
            query.refuse("from", "invalid-window", "Write a from that lies before to.");
            return None;
        }
        let page = Page {
            from,
            to,
            newest_first: order? == Order::Desc,
            superseded: include? == Include::Superseded,
            after: None,
            limit: 0,
        };
        Some(Self { page, limit: limit?, cursor })
    }

    fn bounds(&self) -> Option<String> {
        Some(format!("readings from={} to={}", self.page.from, self.page.to))
    }
}

/// A page of readings.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Readings {
    meter_id: MeterId,
    unit: &'static str,
    /// What one unit of the dial stands for.
    multiplier: i64,
    /// The whole digits that the register shows.
    dials: u32,
    readings: Vec<ReadingDetail>,
    /// What `cursor` takes for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// One revision of one register reading.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reading")]
struct ReadingDetail {
    reading_id: ReadingId,
    register: Register,
    read_at: Instant,
    /// The local date of `readAt`.
    reading_date: LocalDate,
    /// What the dials showed, before the multiplier.
    value: Quantity,
    quality: Quality,
    /// The advance from the reading before, times the multiplier; null for the first reading of an
    /// occupancy and where the two values do not fit together.
    usage: Option<Quantity>,
    /// Whether the register started over in between.
    rollover: bool,
    revision: i64,
    /// When a correction made this revision.
    corrected_at: Option<Instant>,
}

impl ReadingDetail {
    fn of(reading: &Reading, dial: Dial, zone: &Zone) -> Self {
        let advance = reading.before.and_then(|before| advances(&[before, reading.register_reading()], dial).pop());
        Self {
            reading_id: reading.id,
            register: reading.register,
            read_at: reading.read_at,
            reading_date: zone.date(reading.read_at),
            value: reading.value,
            quality: reading.quality,
            usage: advance.as_ref().and_then(|advance| advance.usage),
            rollover: advance.is_some_and(|advance| advance.rollover),
            revision: reading.revision,
            corrected_at: reading.corrected_at,
        }
    }
}

async fn list_readings(call: Call<MeterId, ReadingsQuery>) -> Result<Reply<Readings>, Problem> {
    let ReadingsQuery { page, limit, cursor } = &call.query;
    let after = call.position::<2>(cursor.as_deref())?;
    let after = after.and_then(|[at, id]| Some((Instant::from_micros(at), ReadingId::new(id)?)));
    if call.accepted() == CSV {
        return stream(&call, *page).await.map(Reply::Pieces);
    }
    let page = Page { after, limit: limit.saturating_add(1), ..*page };
    let ((meter, _), mut found) = call.open(readings::page(&call.app, &call.scope, call.path, page).await?).await?;
    // Newest first, the reading before the last one of the page is the extra one: it was linked already.
    let next_cursor = call.next(&mut found, *limit, |reading| [reading.read_at.micros(), reading.id.get()]);
    let Meter { id, kind, dial, .. } = &meter;
    Ok(Reply::Now(Readings {
        meter_id: *id,
        unit: kind.unit(),
        multiplier: dial.multiplier,
        dials: dial.dials,
        readings: found.iter().map(|reading| ReadingDetail::of(reading, *dial, &call.app.zone)).collect(),
        next_cursor,
    }))
}

/// All readings of the window as CSV (RFC 4180), without a cap, fetched piece by piece as the client reads.
async fn stream(call: &Call<MeterId, ReadingsQuery>, page: Page) -> Result<Response, Problem> {
    let stream = Stream::start(&call.app, &call.scope, Arc::clone(call.asked()?), call.path, page).await?;
    let head = Bytes::from_static(
        b"readingId,register,readAt,readingDate,value,unit,quality,usage,rollover,revision,correctedAt\r\n",
    );
    let state = (Arc::clone(&call.app), stream, Some(head));
    let pieces = futures_util::stream::try_unfold(state, |(app, mut stream, head)| async move {
        if let Some(head) = head {
            return Ok(Some((head, (app, stream, None))));
        }
        match stream.piece(&app).await {
            Ok(Some(readings)) => Ok(Some((csv(&app, &stream.meter, &readings)?, (app, stream, None)))),
            Ok(None) => Ok(None),
            // The status is sent: an aborted body is all that is left to say.
            Err(failure) => Err(std::io::Error::other(format!("{:?}", Problem::from(failure).code()))),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"readings.csv\""));
    Ok(response)
}

fn csv(app: &App, meter: &Meter, readings: &[Reading]) -> std::io::Result<Bytes> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for reading in readings {
        let detail = ReadingDetail::of(reading, meter.dial, &app.zone);
        let optional = |value: Option<String>| value.unwrap_or_default();
        let cells = [
            detail.reading_id.to_string(),
            text_cell(detail.register.name()),
            detail.read_at.to_string(),
            detail.reading_date.to_string(),
            detail.value.to_string(),
            text_cell(meter.kind.unit()),
            text_cell(detail.quality.name()),
            optional(detail.usage.map(|usage| usage.to_string())),
            detail.rollover.to_string(),
            detail.revision.to_string(),
            optional(detail.corrected_at.map(|at| at.to_string())),
        ];
        writer.write_record(cells)?;
    }
    writer.into_inner().map(Bytes::from).map_err(|error| std::io::Error::other(error.to_string()))
}

/// A cell of text that no spreadsheet takes for a formula (OWASP, CSV injection).
fn text_cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// The operations on readings.
pub fn routes() -> Vec<Route> {
    let list =
        Route::stream("/api/meters/{meterId}/readings", "listReadings", "Get meter reading history", list_readings);
    let list = list.produces(&[JSON, CSV]).example(example!("listReadings"));
    let staff = Route::stream(
        "/api/admin/meters/{meterId}/readings",
        "listReadingsForStaff",
        "Get meter reading history",
        list_readings,
    );
    let staff = staff.produces(&[JSON, CSV]).staff(Roles::STAFF).example(example!("listReadingsForStaff"));
    let mut routes = group("Meters", Categories::METER | Categories::USAGE | Categories::PREMISE, [list]);
    let reveals = Categories::METER | Categories::USAGE | Categories::PREMISE;
    routes.extend(group("Staff", reveals, [staff]));
    routes.extend(report::routes());
    routes
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_cells_are_no_formulas() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(super::text_cell(text), format!("'{text}"));
        }
        assert_eq!(super::text_cell("actual"), "actual");
    }
}
