//! Moves: planned, re-dated and given up until they take effect.

use domain::{
    accounts::Account,
    ids::{AccountId, MoveId, PremiseId},
    market::Rejection,
    masks,
    moves::{CancelMove, Move, MoveIn, MoveKind, MoveOut, MoveStatus, Redate},
    policy::{Categories, Roles},
    premises::Premise,
    time::LocalDate,
    values::{RejectionCode, Remark},
};
use schemars::JsonSchema;
use serde::Serialize;
use store::Crowd;

use super::{
    call::Call,
    params::{PageQuery, StatusQuery},
    problem::{self, Problem},
    route::{Route, example, group},
    wire::{ForStaff, Listed, Listing, Represents, Shown, Staff, View},
};
use crate::app::moves;

/// A move.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Move")]
struct MoveDetail {
    move_id: MoveId,
    kind: MoveKind,
    account_id: AccountId,
    /// The premise that begins or ends.
    premise_id: PremiseId,
    /// The first local date with service, or without it.
    date: LocalDate,
    /// Where it is in its life.
    status: MoveStatus,
    /// Until when the customer may re-date it or give it up; null when they may not, or not any more.
    cancellable_until: Option<LocalDate>,
    /// Why the market will not do it.
    rejection: Option<RejectionDetail>,
}

/// Why the market will not do something.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rejection")]
pub(super) struct RejectionDetail {
    /// The market's code of it.
    code: RejectionCode,
    /// The market's words.
    message: Option<Shown<Remark>>,
}

impl RejectionDetail {
    /// The wire form.
    pub(super) fn of(rejection: Rejection) -> Self {
        let Rejection { code, message } = rejection;
        Self { code, message: message.map(Shown) }
    }
}

impl Represents for MoveDetail {
    type Of = Move;
    type At = MoveId;
    fn of(moved: Move, _: View<'_>) -> Self {
        let Move {
            id,
            customer: _,
            account,
            premise,
            kind,
            status,
            date,
            confirmed: _,
            by_market,
            rejection,
            forwarding: _,
            version: _,
        } = moved;
        Self {
            move_id: id,
            kind,
            account_id: account,
            premise_id: premise,
            date,
            status,
            cancellable_until: (status.is_live() && !by_market).then_some(date),
            rejection: rejection.map(RejectionDetail::of),
        }
    }
    fn location(&self) -> Option<String> {
        Some(format!("/api/moves/{}", self.move_id))
    }
}

impl Listed for MoveDetail {
    const PLURAL: &'static str = "moves";
    const ENVELOPE: &'static str = "Moves";
    const STAFF_ENVELOPE: &'static str = "StaffMoves";
}

impl ForStaff for Move {
    type Path = MoveId;
    fn mask(&mut self) -> Vec<String> {
        masks::rejection(&mut self.rejection)
    }
}

async fn list_moves(call: Call<(), PageQuery>) -> Result<Listing<MoveDetail>, Problem> {
    let found = moves::list(&call.app, &call.scope, call.after()?, call.limit()).await?;
    call.page(found, |moved| moved.id, |moved| MoveDetail::of(moved, call.view())).await
}

async fn list_moves_for_staff(
    call: Call<(), StatusQuery<MoveStatus>, (), Crowd>,
) -> Result<Listing<Staff<MoveDetail>>, Problem> {
    let StatusQuery { status, page } = &call.query;
    let after = call.position::<1>(page.cursor.as_deref())?.and_then(|[id]| domain::ids::Id::new(id));
    let found = store::moves::of_all(&call.app.store, *status, after, page.limit.saturating_add(1)).await?;
    let mut found = call.app.store.disclose(&call.scope, found).await?;
    let next_cursor = call.next(&mut found, page.limit, |moved| [domain::ids::Id::get(moved.id)]);
    Ok(Listing { items: found.into_iter().map(|moved| Staff::of(moved, call.view())).collect(), next_cursor })
}

const IN: &str = r#"{"date":"2025-02-01","address":{"street":"9 Elm Street","unit":null,"city":"Anytown","state":"TX","zip":"75001"},"esiIds":["10443720001234599"]}"#;
const OUT: &str =
    r#"{"date":"2025-02-01","forwardingAddress":{"street":"PO Box 1234","city":"Anytown","state":"TX","zip":"75001"}}"#;

/// What may be done to a move at a path: GET, PATCH and DELETE.
fn one<R: Represents<Of = Move, At = MoveId>>(
    path: &'static str,
    actions: [&'static str; 3],
    example: &'static str,
) -> [Route; 3] {
    let [get, redate, cancel] = actions;
    let refusals = [problem::INVALID_TRANSITION, problem::PLACE_TAKEN];
    [
        Route::show::<R>(path, get, "Get a move"),
        Route::operation::<R, Redate>(path, redate, "Re-date a move that has not taken effect")
            .by_patch()
            .refuses(&refusals)
            .input_example(r#"{"date":"2025-02-15"}"#),
        Route::operation::<R, CancelMove>(path, cancel, "Give up a move that has not taken effect")
            .by_delete()
            .refuses(&refusals[..1]),
    ]
    .map(|route| route.example(example))
}

/// The operations on moves.
pub fn routes() -> Vec<Route> {
    let move_in = [problem::PLACE_TAKEN, problem::ACCOUNT_ENDS];
    let move_out = [problem::INVALID_TRANSITION];
    let own = [
        Route::creation::<AccountId, Account, MoveDetail, MoveIn>(
            "/api/accounts/{accountId}/premises",
            "moveIn",
            "Move in somewhere: a premise more of an account",
        )
        .refuses(&move_in)
        .input_example(IN)
        .example(example!("getMove")),
        Route::creation::<PremiseId, Premise, MoveDetail, MoveOut>(
            "/api/premises/{premiseId}/move-out",
            "moveOut",
            "Move out of a premise",
        )
        .refuses(&move_out)
        .input_example(OUT)
        .example(example!("getMove")),
        Route::get("/api/moves", "listMoves", "List the moves of the customer", list_moves)
            .example(example!("listMoves")),
    ];
    let mut routes = group(
        "Moves",
        Categories::PREMISE,
        own.into_iter().chain(one::<MoveDetail>(
            "/api/moves/{moveId}",
            ["getMove", "redateMove", "cancelMove"],
            example!("getMove"),
        )),
    );
    let (all, acts) = (Roles::STAFF, Roles::CSR | Roles::SUPERVISOR | Roles::ADMIN);
    let staff = [
        Route::creation::<AccountId, Account, Staff<MoveDetail>, MoveIn>(
            "/api/admin/accounts/{accountId}/premises",
            "moveInForStaff",
            "Move an account in somewhere",
        )
        .staff(acts)
        .refuses(&move_in)
        .refuses(&[problem::INACTIVE])
        .input_example(IN)
        .example(example!("getMoveForStaff")),
        Route::creation::<PremiseId, Premise, Staff<MoveDetail>, MoveOut>(
            "/api/admin/premises/{premiseId}/move-out",
            "moveOutForStaff",
            "Move an account out of a premise",
        )
        .staff(acts)
        .refuses(&move_out)
        .refuses(&[problem::INACTIVE])
        .input_example(OUT)
        .example(example!("getMoveForStaff")),
        Route::get("/api/admin/moves", "listMovesForStaff", "List everybody's moves", list_moves_for_staff)
            .staff(all)
            .example(example!("listMovesForStaff")),
    ];
    let [get, redate, cancel] = one::<Staff<MoveDetail>>(
        "/api/admin/moves/{moveId}",
        ["getMoveForStaff", "redateMoveForStaff", "cancelMoveForStaff"],
        example!("getMoveForStaff"),
    );
    let one = [get.staff(all), redate.staff(acts), cancel.staff(acts)];
    routes.extend(group("Staff", Categories::PREMISE, staff.into_iter().chain(one)));
    routes
}
