//! Premises.

use axum::response::Response;
use domain::{
    accounts::Status,
    ids::{AccountId, Id, MeterId, PremiseId},
    input::{FieldError, Members},
    meters::{Meter, MeterStatus, MeterType},
    personal::Personal,
    policy::Categories,
    premises::{Address, Premise, PremiseEdit, ServicePoint},
    time::LocalDate,
    values::{City, EsiId, Nickname, State, Street, Unit, Zip},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Call, Change, Editable},
    params::PageQuery,
    problem::{self, Problem},
    route::Route,
};
use crate::app::premises;

/// A premise as its account lists it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PremiseInAccount<'a> {
    premise_id: PremiseId,
    #[schemars(with = "Street")]
    street: &'a str,
    #[schemars(with = "Option<Unit>")]
    unit: Option<&'a str>,
    #[schemars(with = "City")]
    city: &'a str,
    #[schemars(with = "State")]
    state: &'a str,
    #[schemars(with = "Zip")]
    zip: &'a str,
    /// Whether it is the account's primary premise.
    is_primary: bool,
    /// The meters, by id.
    meters: Vec<MeterInPremise<'a>>,
}

impl<'a> PremiseInAccount<'a> {
    /// The wire form.
    pub fn of(premise: &'a Premise) -> Self {
        let PremiseDetail { premise_id, street, unit, city, state, zip, is_primary, meters, .. } =
            PremiseDetail::of(premise);
        Self { premise_id, street, unit, city, state, zip, is_primary, meters }
    }
}

/// A meter as its premise lists it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeterInPremise<'a> {
    meter_id: MeterId,
    /// The number on its plate, unique per wires company.
    meter_number: &'a str,
    #[serde(rename = "type")]
    kind: MeterType,
    status: MeterStatus,
}

/// The detail of a premise.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Premise")]
pub struct PremiseDetail<'a> {
    premise_id: PremiseId,
    account_id: AccountId,
    /// What the customer calls it.
    #[schemars(with = "Option<Nickname>")]
    nickname: Option<&'a str>,
    #[schemars(with = "Street")]
    street: &'a str,
    #[schemars(with = "Option<Unit>")]
    unit: Option<&'a str>,
    #[schemars(with = "City")]
    city: &'a str,
    #[schemars(with = "State")]
    state: &'a str,
    #[schemars(with = "Zip")]
    zip: &'a str,
    /// Whether it is the account's primary premise.
    is_primary: bool,
    status: Status,
    /// The first date of service.
    service_start_date: LocalDate,
    /// The first date without service.
    service_end_date: Option<LocalDate>,
    /// The service points, by id.
    service_points: Vec<ServicePointDetail<'a>>,
    /// The meters, by id.
    meters: Vec<MeterInPremise<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ServicePointDetail<'a> {
    /// The market's id of the service point.
    #[schemars(with = "EsiId")]
    esi_id: &'a str,
    meter_ids: Vec<MeterId>,
    wires_company: WiresCompany<'a>,
}

/// The company that owns the wires.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WiresCompany<'a> {
    name: &'a str,
    /// Where to report an outage.
    outage_phone: Option<&'a str>,
}

impl<'a> PremiseDetail<'a> {
    /// The wire form.
    #[expect(clippy::disallowed_methods, reason = "a wire module: the owner's own data, after its audit record")]
    pub fn of(premise: &'a Premise) -> Self {
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
        let point = |point: &'a ServicePoint| {
            let ServicePoint { id, esi_id, wires_company, outage_phone } = point;
            let meter_ids = meters.iter().filter(|m| m.service_point == *id).map(|m| m.id).collect();
            let wires_company = WiresCompany { name: wires_company, outage_phone: outage_phone.as_deref() };
            ServicePointDetail { esi_id: esi_id.reveal(), meter_ids, wires_company }
        };
        let meter = |meter: &'a Meter| MeterInPremise {
            meter_id: meter.id,
            meter_number: meter.number.as_str(),
            kind: meter.kind,
            status: meter.status,
        };
        Self {
            premise_id: *id,
            account_id: *account,
            nickname: nickname.as_ref().map(Personal::reveal),
            street: street.reveal(),
            unit: unit.as_ref().map(Personal::reveal),
            city: city.reveal(),
            state: state.reveal(),
            zip: zip.reveal(),
            is_primary: *is_primary,
            status: *status,
            service_start_date: *service_start,
            service_end_date: *service_end,
            service_points: service_points.iter().map(point).collect(),
            meters: meters.iter().map(meter).collect(),
        }
    }

    /// City, state and ZIP of a premise with an ESI ID are the market's.
    #[expect(clippy::disallowed_methods, reason = "a wire module: compared with the owner's own data")]
    fn refuse_market_owned(
        &self,
        members: &mut Members<'_, '_>,
        (city, state, zip): (Option<&City>, Option<&State>, Option<&Zip>),
    ) {
        if self.service_points.is_empty() {
            return;
        }
        // What could not be read has its own error already.
        let sent = [city.map(Personal::reveal), state.map(Personal::reveal), zip.map(Personal::reveal)];
        let stored = [("city", self.city), ("state", self.state), ("zip", self.zip)];
        for ((name, stored), sent) in stored.into_iter().zip(sent) {
            if sent.is_some_and(|sent| sent != stored) {
                let message = "The market owns this part of the address; ask for a correction there.";
                members.refuse(name, FieldError::new("market-owned", message));
            }
        }
    }
}

impl Editable for PremiseDetail<'_> {
    type Edit = PremiseEdit;
    const FIXED: &'static [&'static str] =
        &["premiseId", "accountId", "isPrimary", "status", "serviceStartDate", "serviceEndDate"];
    const IGNORED: &'static [&'static str] = &["servicePoints", "meters"];
    const EDITABLE: &'static [&'static str] = &["nickname", "street", "unit", "city", "state", "zip"];

    fn read(&self, members: &mut Members<'_, '_>) -> Option<PremiseEdit> {
        let (nickname, street, unit) =
            (members.required("nickname"), members.required("street"), members.required("unit"));
        let (city, state, zip) = (members.required("city"), members.required("state"), members.required("zip"));
        self.refuse_market_owned(members, (city.as_ref(), state.as_ref(), zip.as_ref()));
        let address = Address { street: street?, unit: unit?, city: city?, state: state?, zip: zip? };
        Some(PremiseEdit { nickname: nickname?, address })
    }
}

/// A page of premises.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Premises<'a> {
    /// Each as in its detail.
    premises: Vec<PremiseDetail<'a>>,
    /// What `cursor` takes for the next page; null on the last one.
    next_cursor: Option<String>,
}

async fn list_premises(call: Call<AccountId, PageQuery>) -> Result<Response, Problem> {
    let PageQuery { limit, cursor } = &call.query;
    let after = call.position::<1>(cursor.as_deref())?.and_then(|[id]| PremiseId::new(id));
    let mut found = premises::of_account(&call.app, &call.scope, call.path, after, limit.saturating_add(1)).await?;
    let next_cursor = call.next(&mut found, *limit, |premise| [premise.id.get()]);
    call.reply(&Premises { premises: found.iter().map(PremiseDetail::of).collect(), next_cursor })
}

async fn get_premise(call: Call<PremiseId>) -> Result<Response, Problem> {
    let premise = premises::find(&call.app, &call.scope, call.path).await?;
    call.reply(&PremiseDetail::of(&premise))
}

async fn edit_premise(call: Call<PremiseId, (), Change>) -> Result<Response, Problem> {
    let edit = |premise: &Premise| call.edit(&PremiseDetail::of(premise));
    let premise = premises::update(&call.app, &call.scope, call.path, edit).await?;
    call.reply(&PremiseDetail::of(&premise))
}

async fn set_primary(call: Call<PremiseId>) -> Result<Response, Problem> {
    let check = |premise: &Premise| call.check_match(&PremiseDetail::of(premise));
    let render = |premise: &Premise| call.text(&PremiseDetail::of(premise));
    let key = call.idempotency_key(&[&call.path.get().to_be_bytes()]);
    let answer = premises::make_primary(&call.app, &call.scope, call.path, key, check, render).await?;
    call.reply_text(answer)
}

const EXAMPLE: &str = r#"{"premiseId":2001,"accountId":1001,"nickname":null,"street":"123 Main Street","unit":null,"city":"Anytown","state":"TX","zip":"75001","isPrimary":true,"status":"active","serviceStartDate":"2020-03-15","serviceEndDate":null,"servicePoints":[{"esiId":"10443720001234567","meterIds":[3001],"wiresCompany":{"name":"Oncor","outagePhone":null}}],"meters":[{"meterId":3001,"meterNumber":"E-12345678","type":"electric","status":"active"}]}"#;

/// The operations on premises.
pub fn routes() -> Vec<Route> {
    const ONE: Categories = Categories::PREMISE.and(Categories::METER);
    let mut routes = vec![
        Route::get::<Premises<'_>, _, _, _>("/api/accounts/{accountId}/premises", "listPremises", list_premises)
            .about("Premises", "List premises of an account")
            .reveals(ONE),
        Route::get::<PremiseDetail<'_>, _, _, _>("/api/premises/{premiseId}", "getPremise", get_premise)
            .about("Premises", "Get premise details")
            .reveals(ONE)
            .example(EXAMPLE),
        Route::post::<PremiseDetail<'_>, _, _>(
            "/api/premises/{premiseId}/set-primary",
            "setPrimaryPremise",
            set_primary,
        )
        .about("Premises", "Make it the primary premise of its account")
        .reveals(ONE)
        .example(EXAMPLE)
        .refuses(&[problem::KEY_BUSY, problem::KEY_REUSED]),
    ];
    let path = "/api/premises/{premiseId}";
    let edit = Route::edit::<PremiseDetail<'_>, _, _>(path, ["putPremise", "patchPremise"], edit_premise);
    routes.extend(edit.map(|r| r.about("Premises", "Update premise").reveals(ONE).example(EXAMPLE)));
    routes
}
