//! Meters.

mod staff;

use domain::{
    ids::{MeterId, PremiseId},
    meters::{Meter, MeterStatus, MeterType},
    policy::Categories,
    premises::{Address, Premise},
    time::{LocalDate, Zone},
    values::{City, MeterNumber, Quantity, State, Street, Unit, Zip},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::Call,
    params::PageQuery,
    problem::Problem,
    route::{Route, example, group},
    wire::{Listed, Listing, Represents, Shown, View},
};
use crate::app::meters;

/// The detail of a meter.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Meter")]
struct MeterDetail {
    meter_id: MeterId,
    /// The number on its plate, unique per wires company.
    meter_number: MeterNumber,
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
    #[schemars(with = "PremiseOfMeter")]
    premise: Option<PremiseOfMeter>,
}

/// Where a meter is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PremiseOfMeter {
    premise_id: PremiseId,
    street: Shown<Street>,
    /// Only where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Shown<Unit>")]
    unit: Option<Shown<Unit>>,
    city: Shown<City>,
    state: Shown<State>,
    zip: Shown<Zip>,
}

/// Where a premise is.
fn place(premise: Premise) -> PremiseOfMeter {
    let Address { street, unit, city, state, zip } = premise.address;
    PremiseOfMeter {
        premise_id: premise.id,
        street: Shown(street),
        unit: unit.map(Shown),
        city: Shown(city),
        state: Shown(state),
        zip: Shown(zip),
    }
}

impl MeterDetail {
    fn new(meter: Meter, premise: Option<PremiseOfMeter>, zone: &Zone) -> Self {
        let Meter { id, number, kind, status, installed_on, last_reading, .. } = meter;
        Self {
            meter_id: id,
            meter_number: number,
            kind,
            status,
            install_date: installed_on,
            last_reading: last_reading.map(|(value, _)| value),
            last_reading_date: last_reading.map(|(_, at)| zone.date(at)),
            unit: kind.unit(),
            premise,
        }
    }
}

impl Represents for MeterDetail {
    type Of = (Meter, Premise);
    type At = MeterId;
    fn of((meter, premise): (Meter, Premise), view: View<'_>) -> Self {
        Self::new(meter, Some(place(premise)), view.zone)
    }
}

impl Listed for MeterDetail {
    const PLURAL: &'static str = "meters";
    const ENVELOPE: &'static str = "Meters";
}

async fn list_meters(call: Call<PremiseId, PageQuery>) -> Result<Listing<MeterDetail>, Problem> {
    let found = meters::at_premise(&call.app, &call.scope, call.path, call.after()?, call.limit()).await?;
    call.page(found, |meter| meter.id, |meter| MeterDetail::new(meter, None, &call.app.zone)).await
}

/// The operations on meters.
pub fn routes() -> Vec<Route> {
    const METERS: Categories = Categories::METER.union(Categories::USAGE);
    let routes = [
        Route::get("/api/premises/{premiseId}/meters", "listMeters", "List meters at a premise", list_meters)
            .reveals(METERS)
            .example(example!("listMeters")),
        Route::show::<MeterDetail>("/api/meters/{meterId}", "getMeter", "Get meter details")
            .example(example!("getMeter")),
    ];
    let mut routes = group("Meters", METERS | Categories::PREMISE, routes);
    routes.extend(staff::routes());
    routes
}
