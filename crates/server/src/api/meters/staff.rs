//! Meters as staff and the Meter service see and change them.

use domain::{
    ids::{CustomerId, MeterId, PremiseId},
    input::{At, FieldError, FromInput, Node, object},
    masks,
    meters::{
        Correction, Exchange, ExchangeReport, Installation, Meter, MeterRegistration, MeterStatus, MeterType, Removal,
    },
    policy::{Categories, Role, Roles},
    premises::Premise,
    readings::Register,
    time::{LocalDate, Zone},
    values::{MeterNumber, Quantity},
};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Crowd, meters::AnyMeter};

use super::{PremiseOfMeter, place};
use crate::{
    api::{
        batch::{Batch, BatchResult, Fate, Lines},
        call::{Call, Given, Reply},
        params::PageQuery,
        problem::{self, Problem},
        route::{Route, example, group},
        wire::{Listed, Listing, Represents, View},
    },
    app::{
        Failure,
        meters::{self, Found},
    },
};

/// A meter as staff see it: as the customer who lives there does, and more. Where nobody lives, the members that come
/// from an occupancy are null or absent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StaffMeter {
    meter_id: MeterId,
    /// The number on its plate, unique per wires company.
    meter_number: MeterNumber,
    #[serde(rename = "type")]
    kind: MeterType,
    status: MeterStatus,
    /// Null until it is installed.
    install_date: Option<LocalDate>,
    /// The last register reading within the occupancy, in `unit`.
    last_reading: Option<Quantity>,
    /// The local date of the last reading.
    last_reading_date: Option<LocalDate>,
    unit: &'static str,
    /// Where it is; absent where nobody lives, or where the premise is known from the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PremiseOfMeter")]
    premise: Option<PremiseOfMeter>,
    /// The whole digits that a register shows.
    dials: u32,
    /// What one unit of the dial stands for.
    multiplier: i64,
    registers: &'static [Register],
    /// Who lives there.
    customer_id: Option<CustomerId>,
    /// Counts the changes of its row.
    version: i64,
    /// The members that this role sees in part only, as JSON pointers.
    masked: Vec<String>,
}

impl StaffMeter {
    fn occupied(meter: Meter, customer: CustomerId, zone: &Zone) -> Self {
        let Meter { id, number, kind, status, installed_on, dial, registers, version, last_reading, .. } = meter;
        Self {
            meter_id: id,
            meter_number: number,
            kind,
            status,
            install_date: Some(installed_on),
            last_reading: last_reading.map(|(value, _)| value),
            last_reading_date: last_reading.map(|(_, at)| zone.date(at)),
            unit: kind.unit(),
            premise: None,
            dials: dial.dials,
            multiplier: dial.multiplier,
            registers: registers.list(),
            customer_id: Some(customer),
            version,
            masked: Vec::new(),
        }
    }

    fn loose(meter: AnyMeter) -> Self {
        let AnyMeter { id, number, kind, status, dial, registers, installed_on, version, .. } = meter;
        Self {
            meter_id: id,
            meter_number: number,
            kind,
            status,
            install_date: installed_on,
            last_reading: None,
            last_reading_date: None,
            unit: kind.unit(),
            premise: None,
            dials: dial.dials,
            multiplier: dial.multiplier,
            registers: registers.list(),
            customer_id: None,
            version,
            masked: Vec::new(),
        }
    }

    fn at(self, premise: Premise, role: Option<Role>) -> Self {
        let (mut premise, mut masked) = (premise, Vec::new());
        if role == Some(Role::Readonly) {
            masked = masks::address(&mut premise.address, "/premise");
        }
        Self { premise: Some(place(premise)), masked, ..self }
    }
}

impl Represents for StaffMeter {
    type Of = (Meter, Premise);
    type At = MeterId;
    fn of((meter, premise): (Meter, Premise), view: View<'_>) -> Self {
        Self::occupied(meter, premise.customer, view.zone).at(premise, view.role)
    }
    fn location(&self) -> Option<String> {
        Some(format!("/api/admin/meters/{}", self.meter_id))
    }
}

impl Listed for StaffMeter {
    const PLURAL: &'static str = "meters";
    const ENVELOPE: &'static str = "StaffMeters";
}

async fn register(call: Call<(), (), Given, Crowd>) -> Result<Reply<StaffMeter>, Problem> {
    let registration: MeterRegistration = call.body.read_as()?;
    let made = StaffMeter::loose(meters::register(&call.app, &call.scope, &registration).await?);
    let location = made.location();
    Ok(Reply::Made(made, location))
}

async fn get(call: Call<MeterId, (), (), Crowd>) -> Result<StaffMeter, Problem> {
    let view = call.view();
    Ok(match meters::for_staff(&call.app, &call.scope, call.path).await? {
        Found::Occupied(meter, premise) => StaffMeter::of((meter, *premise), view),
        Found::Loose(meter) => StaffMeter::loose(meter),
    })
}

async fn list(call: Call<PremiseId, PageQuery>) -> Result<Listing<StaffMeter>, Problem> {
    let found = meters::at_premise(&call.app, &call.scope, call.path, call.after()?, call.limit()).await?;
    let customer = call.scope.customer();
    call.page(found, |meter| meter.id, |meter| StaffMeter::occupied(meter, customer, &call.app.zone)).await
}

/// A batch of exchanges: one list in an envelope.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Exchanges {
    #[schemars(with = "Vec<ExchangeReport>")]
    exchanges: Lines<ExchangeReport>,
}

impl FromInput for Exchanges {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| members.given("exchanges").map(|Batch(exchanges)| Self { exchanges }))
    }
}

async fn report_exchanges(call: Call<(), (), Given, Crowd>) -> Result<BatchResult, Problem> {
    let Exchanges { exchanges } = call.body.read_as()?;
    let (mut result, mut unchanged, mut changed) = (BatchResult::new(), Vec::new(), false);
    for (index, line) in exchanges.into_iter().enumerate() {
        let report = match line {
            Ok(report) => report,
            Err(error) => {
                result.unreadable(index, error);
                continue;
            }
        };
        let (meter, exchange) = report.into_parts();
        let done = meters::exchange_reported(&call.app, &call.scope, meter, &exchange).await;
        match done {
            Ok(true) => changed = true,
            _ => unchanged.push(meter),
        }
        match done {
            Ok(true) => result.add(index, Fate::Accepted),
            Ok(false) => result.add(index, Fate::Unchanged),
            Err(Failure::NotFound) => {
                result.add(index, Fate::Rejected("/meterId", "unknown-meter", "There is no such meter."));
            }
            Err(Failure::Refused { code, .. }) => {
                result.add(index, Fate::Rejected("/meterId", code, "The meter's state refuses it."));
            }
            Err(Failure::Fields(errors)) => {
                let error = errors.into_iter().next();
                result.unreadable(index, error.unwrap_or_else(|| FieldError::new("wrong-type", "")));
            }
            Err(other) => return Err(other.into()),
        }
    }
    if !changed || !unchanged.is_empty() {
        meters::not_exchanged(&call.app, &call.scope, &unchanged).await?;
    }
    Ok(result.sorted())
}

/// The operations of staff and of the Meter service on meters.
pub(super) fn routes() -> Vec<Route> {
    let writes = Roles::CSR | Roles::SUPERVISOR | Roles::ADMIN;
    let refused = [problem::INVALID_TRANSITION, problem::METER_EXISTS];
    let one = "/api/admin/meters/{meterId}";
    let at = "/api/admin/premises/{premiseId}/meters";
    let exchange = "/api/admin/meters/{meterId}/exchange";
    let routes = [
        Route::making::<MeterRegistration, _, _>("/api/admin/meters", "registerMeter", "Register a meter", register)
            .staff(writes)
            .refuses(&[problem::METER_EXISTS])
            .input_example(example!("registerMeter.input"))
            .example(example!("registerMeter")),
        Route::get(one, "getMeterForStaff", "Get a meter, wherever it is", get)
            .staff(Roles::STAFF)
            .example(example!("getMeterForStaff")),
        Route::get(at, "listMetersForStaff", "List meters at a premise", list)
            .staff(Roles::STAFF)
            .reveals(Categories::METER | Categories::USAGE)
            .example(example!("listMetersForStaff")),
        Route::creation::<PremiseId, Premise, StaffMeter, Installation>(at, "installMeter", "Install a meter")
            .staff(writes)
            .refuses(&refused[..1])
            .input_example(example!("installMeter.input"))
            .example(example!("getMeterForStaff")),
        Route::operation::<StaffMeter, Removal>("/api/admin/meters/{meterId}/remove", "removeMeter", "Remove a meter")
            .staff(writes)
            .refuses(&refused[..1])
            .input_example(example!("removeMeter.input"))
            .example(example!("getMeterForStaff")),
        Route::creation::<MeterId, (Meter, Premise), StaffMeter, Exchange>(
            exchange,
            "exchangeMeter",
            "Put another meter in its place",
        )
        .staff(writes)
        .refuses(&refused)
        .input_example(example!("exchangeMeter.input"))
        .example(example!("getMeterForStaff")),
        Route::operation::<StaffMeter, Correction>(
            "/api/admin/meters/{meterId}/readings",
            "correctReading",
            "Correct a reading",
        )
        .staff(writes)
        .input_example(example!("correctReading.input"))
        .example(example!("getMeterForStaff")),
    ];
    let reveals = Categories::METER | Categories::USAGE | Categories::PREMISE;
    let mut routes = group("Staff", reveals, routes);
    let report = Route::batch::<Exchanges, _, _>(
        "/api/integration/meter-exchanges",
        "reportMeterExchanges",
        "Report which meters were exchanged",
        report_exchanges,
    );
    let report = report.roles(Roles::METER).input_example(example!("reportMeterExchanges.input"));
    routes.extend(group("Integration", reveals, [report.example(example!("reportMeterExchanges"))]));
    routes
}
