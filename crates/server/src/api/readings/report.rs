//! Readings, as Meter reports them: JSON, lines of JSON, or CSV.
//!
//! A body is read line by line, on a thread where that holds up nobody else, and stored chunk by chunk: beside the body
//! itself only a few chunks are held. What is wrong with it as a whole (broken JSON, the first line of CSV, too many
//! lines) is said before anything is applied.

use domain::{
    input::{At, FieldError, FromInput, Node, Unreadable, object},
    policy::{Categories, Roles},
    readings::ReadingReport,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{Crowd, DbError, StoreError, readings::Received};
use tokio::sync::mpsc;

use crate::{
    api::{
        batch::{self, BatchResult, Fate},
        call::{Call, Unparsed},
        problem::Problem,
        route::{Route, example, group},
        wire::read_input,
    },
    app::{
        Failure,
        meters::refusal,
        readings::{self, CHUNK},
    },
};

/// Lines of JSON.
const NDJSON: &str = "application/x-ndjson";

/// Lines of one body at most.
const MOST_LINES: usize = 100_000;

/// A batch of readings: one list in an envelope.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Readings {
    #[schemars(with = "Vec<ReadingReport>")]
    readings: Vec<Line>,
}

type Line = Result<ReadingReport, FieldError>;

impl FromInput for Readings {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| members.given::<List>("readings").map(|List(readings)| Self { readings }))
    }
}

/// The list of readings.
struct List(Vec<Line>);

impl FromInput for List {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Node::List(lines) = node else {
            at.refuse(FieldError::new("wrong-type", "Write a list here."));
            return None;
        };
        if lines.len() > MOST_LINES {
            at.refuse(too_many_lines());
            return None;
        }
        Some(Self(lines.iter().map(of_node).collect()))
    }
}

fn too_many_lines() -> FieldError {
    FieldError::new("too-many-lines", format!("Write at most {MOST_LINES} lines in one batch."))
}

/// The envelope, its lines not read yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    readings: Vec<&'a RawValue>,
}

fn of_node(node: &Node) -> Line {
    let report: ReadingReport = batch::line(node)?;
    report.which().map(drop)?;
    Ok(report)
}

fn of_text(text: &[u8]) -> Line {
    let node = Node::parse(text).map_err(|unreadable| {
        let message = match &unreadable {
            // Which line it is, the error's index says.
            Unreadable::Syntax { column, .. } => format!("The line is not JSON: column {column}."),
            other => other.to_string(),
        };
        FieldError::new(unreadable.code(), message)
    })?;
    of_node(&node)
}

/// The lines of a body.
fn lines<'a>(media_type: &str, body: &'a [u8]) -> Result<Box<dyn Iterator<Item = Line> + Send + 'a>, Problem> {
    if media_type == NDJSON || media_type == super::CSV {
        // Blank ones do not count, and the first one of CSV is no reading.
        let lines = body.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty());
        if lines.count() > MOST_LINES + usize::from(media_type == super::CSV) {
            return Err(Failure::Fields(vec![too_many_lines()]).into());
        }
    }
    Ok(match media_type {
        NDJSON => {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            Box::new(lines.filter(|line| !line.is_empty()).map(of_text))
        }
        super::CSV => Box::new(of_csv(body)?),
        _ => match serde_json::from_slice::<Envelope<'_>>(body) {
            Ok(Envelope { readings }) if readings.len() <= MOST_LINES => {
                Box::new(readings.into_iter().map(|raw| of_text(raw.get().as_bytes())))
            }
            Ok(_) => {
                return Err(
                    Failure::Fields(vec![FieldError { pointer: "/readings".into(), ..too_many_lines() }]).into()
                );
            }
            // What is wrong with it, in the words of every other body.
            Err(_) => Box::new(read_input::<Readings>(&Node::parse(body)?)?.readings.into_iter()),
        },
    })
}

/// What the columns of CSV are named: as the members of a line.
const COLUMNS: [&str; 8] = ["meterId", "esiId", "meterNumber", "register", "readAt", "value", "quality", "reportedAt"];

/// What is wrong with the first line of CSV. It repeats nothing of it: what stands there may be a reading.
fn header(names: &csv::StringRecord) -> Vec<FieldError> {
    let there = |name: &&str| names.iter().any(|named| named == *name);
    let mut errors = Vec::new();
    for (place, name) in names.iter().enumerate().take(COLUMNS.len() + 1) {
        let column = place + 1;
        if !COLUMNS.contains(&name) {
            let message = format!("Column {column} is none of {}, divided by commas.", COLUMNS.join(", "));
            errors.push(FieldError::new("unknown-member", message));
        } else if names.iter().take(place).any(|before| before == name) {
            errors.push(FieldError::new("duplicate-member", format!("Column {column} stands there twice.")));
        }
    }
    let [id, esi, number, needed @ ..] = &COLUMNS;
    let missing =
        |name: &str, message: String| FieldError { pointer: format!("/{name}"), ..FieldError::new("missing", message) };
    if !(there(id) || (there(esi) && there(number))) {
        errors.push(missing(id, format!("The first line names neither {id}, nor {esi} and {number}.")));
    }
    let absent = needed.iter().filter(|name| !there(name));
    errors.extend(absent.map(|name| missing(name, format!("The first line does not name {name}."))));
    errors
}

/// Lines of CSV (RFC 4180), whose first one names the members.
fn of_csv(body: &[u8]) -> Result<impl Iterator<Item = Line> + Send + '_, Failure> {
    let text = || FieldError::new("invalid-text", "Write a line of CSV in UTF-8.");
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body);
    let names = reader.headers().map_err(|_| Failure::Fields(vec![text()]))?.clone();
    let errors = header(&names);
    if !errors.is_empty() {
        return Err(Failure::Fields(errors));
    }
    Ok(reader.into_records().map(move |record| {
        let record = record.map_err(|_| text())?;
        if record.len() > names.len() {
            return Err(FieldError::new("too-many-members", "The line has more cells than the first one has names."));
        }
        let cells = names.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let member = |(name, cell): (&str, &str)| {
            let number = ["meterId", "value"].contains(&name);
            (name.to_owned(), if number { Node::Number(cell.to_owned()) } else { Node::Text(cell.to_owned()) })
        };
        of_node(&Node::Object(cells.map(member).collect()))
    }))
}

fn fate(received: Received) -> Fate {
    let suspect = "It does not fit the reading beside it. It is kept without usage, and staff look at it.";
    match (received, refusal(received)) {
        (_, Some((pointer, code, message))) => Fate::Rejected(pointer, code, message),
        (Received::Suspect, None) => Fate::Rejected("/value", "reading-suspect", suspect),
        (Received::Parked, None) => Fate::Parked,
        (Received::Unchanged, None) => Fate::Unchanged,
        (_, None) => Fate::Accepted,
    }
}

/// A chunk of lines, and where they stand in the batch.
#[derive(Default)]
struct Chunk {
    places: Vec<usize>,
    reports: Vec<ReadingReport>,
}

impl Chunk {
    async fn store(&mut self, call: &Call<(), (), Unparsed, Crowd>, result: &mut BatchResult) -> Result<(), Problem> {
        let Self { places, reports } = std::mem::take(self);
        let received = readings::report(&call.app, &call.scope, &reports).await?;
        places.into_iter().zip(received).for_each(|(index, received)| result.add(index, fate(received)));
        Ok(())
    }
}

/// Lines with their places in the batch.
type Piece = Vec<(usize, Line)>;

/// Reads a body piece by piece, as fast as the pieces are taken.
fn read(media_type: &str, body: &[u8], pieces: &mpsc::Sender<Piece>) -> Result<(), Problem> {
    let mut lines = lines(media_type, body)?.enumerate();
    loop {
        let piece: Piece = lines.by_ref().take(CHUNK).collect();
        // Nobody takes them when the batch has failed.
        if piece.is_empty() || pieces.blocking_send(piece).is_err() {
            return Ok(());
        }
    }
}

async fn report_readings(call: Call<(), (), Unparsed, Crowd>) -> Result<BatchResult, Problem> {
    let (media_type, body) = (call.media_type(), call.body_bytes());
    let (sender, mut pieces) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || read(media_type, &body, &sender));
    let (mut result, mut chunk, mut any) = (BatchResult::new(), Chunk::default(), false);
    while let Some(piece) = pieces.recv().await {
        for (index, line) in piece {
            match line {
                Ok(report) => {
                    chunk.places.push(index);
                    chunk.reports.push(report);
                }
                Err(error) => result.unreadable(index, error),
            }
            if chunk.reports.len() == CHUNK {
                chunk.store(&call, &mut result).await?;
                any = true;
            }
        }
    }
    reading.await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(ended) => Err(Failure::from(StoreError::from(DbError::Unavailable(ended.to_string()))).into()),
    })?;
    // A batch without a line that can be read leaves its record, too.
    if !chunk.reports.is_empty() || !any {
        chunk.store(&call, &mut result).await?;
    }
    Ok(result.sorted())
}

/// The reporting of readings.
pub fn routes() -> Vec<Route> {
    let report = Route::bulk::<Readings, _, _>(
        "/api/integration/readings",
        "reportReadings",
        "Report what meters showed",
        report_readings,
    );
    let report = report.also_consumes(&[NDJSON, super::CSV]).roles(Roles::METER);
    let report = report.input_example(example!("reportReadings.input")).example(example!("reportReadings"));
    group("Integration", Categories::METER | Categories::USAGE, [report])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::call::JSON;

    fn codes(media_type: &str, body: &str) -> Result<Vec<Result<i64, &'static str>>, u16> {
        let lines = lines(media_type, body.as_bytes()).map_err(|problem| problem.status())?;
        Ok(lines.map(|line| line.map(|report| report.value.thousandths()).map_err(|error| error.code)).collect())
    }

    const LINE: &str = r#"{"meterId":1,"register":"delivered","readAt":"2025-01-10T06:00:00Z","value":1.5,"quality":"actual","reportedAt":"2025-01-10T07:00:00Z"}"#;

    #[test]
    fn three_forms_are_one() {
        let json = format!(r#"{{"readings":[{LINE},{LINE}]}}"#);
        assert_eq!(codes(JSON, &json), Ok(vec![Ok(1500), Ok(1500)]));
        assert_eq!(codes(NDJSON, &format!("{LINE}\r\n\n{LINE}")), Ok(vec![Ok(1500), Ok(1500)]));
        let csv = "meterId,esiId,meterNumber,register,readAt,value,quality,reportedAt\r\n\
            1,,,delivered,2025-01-10T06:00:00Z,1.5,actual,2025-01-10T07:00:00Z\r\n\
            ,10443720001234567,E-1,delivered,2025-01-10T06:00:00Z,2,actual,2025-01-10T07:00:00Z\r\n";
        assert_eq!(codes(super::super::CSV, csv), Ok(vec![Ok(1500), Ok(2000)]));
    }

    #[test]
    fn a_bad_line_is_an_error_and_a_broken_body_is_none() {
        let bad = LINE.replace("1.5", "1.2345");
        let both = LINE.replace(r#""meterId":1"#, r#""meterId":1,"esiId":"10443720001234567","meterNumber":"E-1""#);
        let none = LINE.replace(r#""meterId":1,"#, "");
        let expected = vec![Err("too-many-decimals"), Err("ambiguous"), Err("missing"), Err("invalid-json"), Ok(1500)];
        assert_eq!(codes(NDJSON, &[&bad, &both, &none, "{", LINE].join("\n")), Ok(expected));
        let twice = LINE.replace("{", r#"{"value":1,"#);
        assert_eq!(
            codes(JSON, &format!(r#"{{"readings":[{twice},1]}}"#)),
            Ok(vec![Err("duplicate-member"), Err("wrong-type")])
        );
        assert_eq!(codes(JSON, &format!(r#"{{"readings":[{LINE}"#)), Err(400));
        for body in [r#"{"readings":1}"#, "{}", "[]", r#"{"readings":[],"more":1}"#] {
            assert_eq!(codes(JSON, body), Err(422), "{body}");
        }
        for (first, errors) in [
            (
                "meterId;register",
                vec!["unknown-member", "missing", "missing", "missing", "missing", "missing", "missing"],
            ),
            ("meterId,register,readAt,value,quality,reportedAt,value,note", vec!["duplicate-member", "unknown-member"]),
            ("esiId,register,readAt,value,quality,reportedAt", vec!["missing"]),
        ] {
            let names = csv::StringRecord::from(first.split(',').collect::<Vec<_>>());
            assert_eq!(super::header(&names).iter().map(|error| error.code).collect::<Vec<_>>(), errors, "{first}");
        }
        let header = "meterId,register,readAt,value,quality,reportedAt\n";
        let row = "1,delivered,2025-01-10T06:00:00Z,x,actual,2025-01-10T07:00:00Z,9\n1,delivered,2025-01-10T06:00:00Z,x,actual,\n";
        assert_eq!(
            codes(super::super::CSV, &format!("{header}{row}")),
            Ok(vec![Err("too-many-members"), Err("invalid-number")])
        );
    }
}
