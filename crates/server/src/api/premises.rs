//! Premises.

use domain::{
    ids::{AccountId, MeterId, PremiseId},
    input::{FieldError, Members},
    masks,
    meters::{Meter, MeterStatus, MeterType},
    policy::{Categories, Roles},
    premises::{Address, Premise, PremiseEdit, ServicePoint},
    status::Status,
    time::{Instant, LocalDate},
    values::{City, EsiId, MeterNumber, Nickname, State, Street, Unit, Zip},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::Call,
    params::PageQuery,
    problem::{self, Problem},
    route::{Route, example, group},
    wire::{Editable, ForStaff, Listed, Listing, Represents, Shown, Staff, View},
};
use crate::app::premises::{self, MakePrimary};

/// A premise as its account lists it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PremiseInAccount {
    premise_id: PremiseId,
    street: Shown<Street>,
    unit: Option<Shown<Unit>>,
    city: Shown<City>,
    state: Shown<State>,
    zip: Shown<Zip>,
    /// Whether it is the account's primary premise.
    is_primary: bool,
    /// The meters, by id.
    meters: Vec<MeterInPremise>,
}

impl PremiseInAccount {
    /// The wire form.
    pub fn of(premise: Premise) -> Self {
        let PremiseDetail { premise_id, street, unit, city, state, zip, is_primary, meters, .. } = detail(premise);
        Self { premise_id, street, unit, city, state, zip, is_primary, meters }
    }
}

/// A meter as its premise lists it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeterInPremise {
    meter_id: MeterId,
    /// The number on its plate, unique per wires company.
    meter_number: MeterNumber,
    #[serde(rename = "type")]
    kind: MeterType,
    status: MeterStatus,
}

/// The detail of a premise.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Premise")]
struct PremiseDetail {
    premise_id: PremiseId,
    account_id: AccountId,
    /// What the customer calls it.
    nickname: Option<Shown<Nickname>>,
    street: Shown<Street>,
    unit: Option<Shown<Unit>>,
    city: Shown<City>,
    state: Shown<State>,
    zip: Shown<Zip>,
    /// Whether it is the account's primary premise.
    is_primary: bool,
    status: Status,
    /// The first date of service.
    service_start_date: LocalDate,
    /// The first date without service.
    service_end_date: Option<LocalDate>,
    /// The service points, by id.
    service_points: Vec<ServicePointDetail>,
    /// The meters, by id.
    meters: Vec<MeterInPremise>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ServicePointDetail {
    /// The market's id of the service point.
    esi_id: Shown<EsiId>,
    meter_ids: Vec<MeterId>,
    wires_company: WiresCompany,
}

/// The company that owns the wires.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WiresCompany {
    name: String,
    /// Where to report an outage.
    outage_phone: Option<String>,
}

fn detail(premise: Premise) -> PremiseDetail {
    let Premise {
        id,
        customer: _,
        account,
        nickname,
        address: Address { street, unit, city, state, zip },
        is_primary,
        status,
        service_start,
        service_end,
        occupancy: _,
        version: _,
        service_points,
        meters,
    } = premise;
    let point = |point: ServicePoint| {
        let ServicePoint { id, esi_id, wires_company: name, outage_phone } = point;
        let meter_ids = meters.iter().filter(|m| m.service_point == id).map(|m| m.id).collect();
        ServicePointDetail { esi_id: Shown(esi_id), meter_ids, wires_company: WiresCompany { name, outage_phone } }
    };
    let service_points = service_points.into_iter().map(point).collect();
    let meter = |Meter { id, number, kind, status, .. }: Meter| MeterInPremise {
        meter_id: id,
        meter_number: number,
        kind,
        status,
    };
    PremiseDetail {
        premise_id: id,
        account_id: account,
        nickname: nickname.map(Shown),
        street: Shown(street),
        unit: unit.map(Shown),
        city: Shown(city),
        state: Shown(state),
        zip: Shown(zip),
        is_primary,
        status,
        service_start_date: service_start,
        service_end_date: service_end,
        service_points,
        meters: meters.into_iter().map(meter).collect(),
    }
}

impl Represents for PremiseDetail {
    type Of = Premise;
    type At = PremiseId;
    fn of(premise: Premise, _: View<'_>) -> Self {
        detail(premise)
    }
}

impl Editable for PremiseDetail {
    const EDITABLE: &'static [&'static str] = PremiseEdit::MEMBERS;
    const IGNORED: &'static [&'static str] = &["servicePoints", "meters"];
    fn read(members: &mut Members<'_, '_>, current: &Premise, _: Instant) -> Option<PremiseEdit> {
        // City, state and ZIP of a premise with an ESI ID are the market's.
        if !current.service_points.is_empty() {
            let now = &current.address;
            let changed = [
                ("city", members.glimpse("city").is_some_and(|city: City| city != now.city)),
                ("state", members.glimpse("state").is_some_and(|state: State| state != now.state)),
                ("zip", members.glimpse("zip").is_some_and(|zip: Zip| zip != now.zip)),
            ];
            for (name, _) in changed.into_iter().filter(|(_, changed)| *changed) {
                let message = "The market owns this part of the address; ask for a correction there.";
                members.refuse(name, FieldError::new("market-owned", message));
            }
        }
        PremiseEdit::read(members)
    }
    fn read_for_staff(members: &mut Members<'_, '_>, _: &Premise, _: Instant) -> Option<PremiseEdit> {
        PremiseEdit::read(members)
    }
}

impl ForStaff for Premise {
    type Path = PremiseId;
    fn mask(&mut self) -> Vec<String> {
        masks::premise(self)
    }
}

impl Listed for PremiseDetail {
    const PLURAL: &'static str = "premises";
    const ENVELOPE: &'static str = "Premises";
    const STAFF_ENVELOPE: &'static str = "StaffPremises";
}

async fn list_premises(call: Call<AccountId, PageQuery>) -> Result<Listing<PremiseDetail>, Problem> {
    let found = premises::of_account(&call.app, &call.scope, call.path, call.after()?, call.limit()).await?;
    call.page(found, |premise| premise.id, detail).await
}

async fn list_for_staff(call: Call<AccountId, PageQuery>) -> Result<Listing<Staff<PremiseDetail>>, Problem> {
    let found = premises::of_account(&call.app, &call.scope, call.path, call.after()?, call.limit()).await?;
    call.page(found, |premise| premise.id, |premise| Staff::of(premise, call.view())).await
}

/// What staff see and correct.
fn for_staff() -> Vec<Route> {
    let acts = Roles::CSR | Roles::SUPERVISOR | Roles::ADMIN;
    let (list, path) = ("/api/admin/accounts/{accountId}/premises", "/api/admin/premises/{premiseId}");
    let list = Route::get(list, "listPremisesForStaff", "List premises of an account", list_for_staff);
    let show = Route::show::<Staff<PremiseDetail>>(path, "getPremiseForStaff", "Get premise details");
    let [_, patch] = Route::edit::<Staff<PremiseDetail>>(
        path,
        ["putPremiseForStaff", "patchPremiseForStaff"],
        "Correct a premise, also what the market owns of its address",
    );
    let routes = [
        list.staff(Roles::STAFF).example(example!("listPremisesForStaff")),
        show.staff(Roles::STAFF).example(example!("getPremiseForStaff")),
        patch.staff(acts).refuses(&[problem::INACTIVE]).example(example!("getPremiseForStaff")),
    ];
    group("Staff", Categories::PREMISE | Categories::METER, routes)
}

/// The operations on premises.
pub fn routes() -> Vec<Route> {
    let list =
        Route::get("/api/accounts/{accountId}/premises", "listPremises", "List premises of an account", list_premises);
    let resource = Route::resource::<PremiseDetail>(
        "/api/premises/{premiseId}",
        ["getPremise", "putPremise", "patchPremise"],
        ["Get premise details", "Update premise"],
        example!("getPremise"),
    );
    let primary = Route::operation::<PremiseDetail, MakePrimary>(
        "/api/premises/{premiseId}/set-primary",
        "setPrimaryPremise",
        "Make it the primary premise of its account",
    );
    let own = [list.example(example!("listPremises")), primary.example(example!("getPremise"))];
    let mut routes = group("Premises", Categories::PREMISE | Categories::METER, own.into_iter().chain(resource));
    routes.extend(for_staff());
    routes
}
