//! Readings, as Meter reports them: JSON, lines of JSON, or CSV.
//!
//! A body is read line by line and stored chunk by chunk: beside the body itself only one chunk is held, however many
//! lines there are. A body of JSON is checked as a whole first: when it is broken, nothing is applied.

use domain::{
    input::{At, FieldError, FromInput, Node, object},
    policy::{Categories, Roles},
    readings::ReadingReport,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{Crowd, readings::Received};

use crate::{
    api::{
        batch::{self, BatchResult, Fate},
        call::{Call, Unparsed},
        problem::Problem,
        route::{Route, example, group},
        wire::read_input,
    },
    app::{
        meters::refusal,
        readings::{self, CHUNK},
    },
};

/// Lines of JSON.
const NDJSON: &str = "application/x-ndjson";

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
        let list =
            |node: &Node| if let Node::List(lines) = node { Some(lines.iter().map(of_node).collect()) } else { None };
        object(node, at, |members| {
            members.given::<List>("readings").and_then(|List(node)| Some(Self { readings: list(&node)? }))
        })
    }
}

/// A member that must be a list.
struct List(Node);

impl FromInput for List {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        if !matches!(node, Node::List(_)) {
            at.refuse(FieldError::new("wrong-type", "Write a list here."));
            return None;
        }
        Some(Self(node.clone()))
    }
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
    let node = Node::parse(text).map_err(|unreadable| FieldError::new(unreadable.code(), unreadable.to_string()))?;
    of_node(&node)
}

/// The lines of a body.
fn lines<'a>(media_type: &str, body: &'a [u8]) -> Result<Box<dyn Iterator<Item = Line> + Send + 'a>, Problem> {
    Ok(match media_type {
        NDJSON => {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            Box::new(lines.filter(|line| !line.is_empty()).map(of_text))
        }
        super::CSV => Box::new(of_csv(body)),
        _ => match serde_json::from_slice::<Envelope<'_>>(body) {
            Ok(Envelope { readings }) => Box::new(readings.into_iter().map(|raw| of_text(raw.get().as_bytes()))),
            // What is wrong with it, in the words of every other body.
            Err(_) => Box::new(read_input::<Readings>(&Node::parse(body)?)?.readings.into_iter()),
        },
    })
}

/// Lines of CSV (RFC 4180), whose first one names the members.
fn of_csv(body: &[u8]) -> impl Iterator<Item = Line> + Send + '_ {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body);
    let names: Vec<String> =
        reader.headers().map(|names| names.iter().map(str::to_owned).collect()).unwrap_or_default();
    reader.into_records().map(move |record| {
        let record = record.map_err(|_| FieldError::new("invalid-text", "Write a line of CSV in UTF-8."))?;
        if record.len() > names.len() {
            return Err(FieldError::new("too-many-members", "The line has more cells than the first one has names."));
        }
        let cells = names.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let member = |(name, cell): (&String, &str)| {
            let number = ["meterId", "value"].contains(&name.as_str());
            (name.clone(), if number { Node::Number(cell.to_owned()) } else { Node::Text(cell.to_owned()) })
        };
        of_node(&Node::Object(cells.map(member).collect()))
    })
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

async fn report_readings(call: Call<(), (), Unparsed, Crowd>) -> Result<BatchResult, Problem> {
    let body = call.body_bytes();
    let (mut result, mut chunk, mut any) = (BatchResult::new(), Chunk::default(), false);
    for (index, line) in lines(call.media_type(), &body)?.enumerate() {
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
        let header = "meterId,register,readAt,value,quality,reportedAt\n";
        let row = "1,delivered,2025-01-10T06:00:00Z,x,actual,2025-01-10T07:00:00Z,9\n1,delivered,2025-01-10T06:00:00Z,x,actual,\n";
        assert_eq!(
            codes(super::super::CSV, &format!("{header}{row}")),
            Ok(vec![Err("too-many-members"), Err("invalid-number")])
        );
    }
}
