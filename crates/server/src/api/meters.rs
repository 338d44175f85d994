//! Meters.

use axum::response::Response;
use domain::{
    ids::{Id, MeterId, PremiseId},
    meters::{Meter, MeterStatus, MeterType},
    personal::Personal,
    policy::Categories,
    premises::{Address, Premise},
    time::{LocalDate, Zone},
    values::{City, Quantity, State, Street, Unit, Zip},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{call::Call, params::PageQuery, problem::Problem, route::Route};
use crate::app::meters;

/// The detail of a meter.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Meter")]
struct MeterDetail<'a> {
    meter_id: MeterId,
    /// The number on its plate, unique per wires company.
    meter_number: &'a str,
    #[serde(rename = "type")]
    kind: MeterType,
    status: MeterStatus,
    install_date: LocalDate,
    /// The last register reading within the occupancy, in `unit`.
    last_reading: Option<Quantity>,
    /// The local date of the last reading.
    last_reading_date: Option<LocalDate>,
    unit: &'static str,
    /// Where it is; absent where the premise is known from the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PremiseOfMeter<'_>")]
    premise: Option<PremiseOfMeter<'a>>,
}

/// Where a meter is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PremiseOfMeter<'a> {
    premise_id: PremiseId,
    #[schemars(with = "Street")]
    street: &'a str,
    /// Only where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Unit")]
    unit: Option<&'a str>,
    #[schemars(with = "City")]
    city: &'a str,
    #[schemars(with = "State")]
    state: &'a str,
    #[schemars(with = "Zip")]
    zip: &'a str,
}

impl<'a> MeterDetail<'a> {
    fn of(meter: &'a Meter, premise: Option<&'a Premise>, zone: &Zone) -> Self {
        let Meter { id, number, kind, status, service_point: _, installed_on, dial: _, last_reading, visible: _ } =
            meter;
        Self {
            meter_id: *id,
            meter_number: number.as_str(),
            kind: *kind,
            status: *status,
            install_date: *installed_on,
            last_reading: last_reading.map(|(value, _)| value),
            last_reading_date: last_reading.map(|(_, at)| zone.date(at)),
            unit: kind.unit(),
            premise: premise.map(PremiseOfMeter::of),
        }
    }
}

impl<'a> PremiseOfMeter<'a> {
    #[expect(clippy::disallowed_methods, reason = "a wire module: the owner's own data, after its audit record")]
    fn of(premise: &'a Premise) -> Self {
        let Address { street, unit, city, state, zip } = &premise.address;
        Self {
            premise_id: premise.id,
            street: street.reveal(),
            unit: unit.as_ref().map(Personal::reveal),
            city: city.reveal(),
            state: state.reveal(),
            zip: zip.reveal(),
        }
    }
}

/// A page of meters.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Meters<'a> {
    /// Each as in its detail, without the premise.
    meters: Vec<MeterDetail<'a>>,
    /// What `cursor` takes for the next page; null on the last one.
    next_cursor: Option<String>,
}

async fn get_meter(call: Call<MeterId>) -> Result<Response, Problem> {
    let (meter, premise) = meters::find(&call.app, &call.scope, call.path).await?;
    call.reply(&MeterDetail::of(&meter, Some(&premise), &call.app.zone))
}

async fn list_meters(call: Call<PremiseId, PageQuery>) -> Result<Response, Problem> {
    let PageQuery { limit, cursor } = &call.query;
    let after = call.position::<1>(cursor.as_deref())?.and_then(|[id]| MeterId::new(id));
    let mut found = meters::at_premise(&call.app, &call.scope, call.path, after, limit.saturating_add(1)).await?;
    let next_cursor = call.next(&mut found, *limit, |meter| [meter.id.get()]);
    let meters = found.iter().map(|meter| MeterDetail::of(meter, None, &call.app.zone)).collect();
    call.reply(&Meters { meters, next_cursor })
}

const EXAMPLE: &str = r#"{"meterId":3001,"meterNumber":"E-12345678","type":"electric","status":"active","installDate":"2020-03-15","lastReading":1245,"lastReadingDate":"2025-01-10","unit":"kWh","premise":{"premiseId":2001,"street":"123 Main Street","city":"Anytown","state":"TX","zip":"75001"}}"#;

/// The operations on meters.
pub fn routes() -> Vec<Route> {
    const ONE: Categories = Categories::METER.and(Categories::USAGE);
    vec![
        Route::get::<Meters<'_>, _, _, _>("/api/premises/{premiseId}/meters", "listMeters", list_meters)
            .about("Meters", "List meters at a premise")
            .reveals(ONE.and(Categories::PREMISE)),
        Route::get::<MeterDetail<'_>, _, _, _>("/api/meters/{meterId}", "getMeter", get_meter)
            .about("Meters", "Get meter details")
            .reveals(ONE.and(Categories::PREMISE))
            .example(EXAMPLE),
    ]
}
