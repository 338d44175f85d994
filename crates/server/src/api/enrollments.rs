//! Enrolments: submitted and withdrawn by whoever wants to become a customer, decided by staff.

use domain::{
    customers::Customer,
    enrollments::{Application, Approve, Enrollment, EnrollmentKind, EnrollmentStatus, NextStep, Reject, Withdraw},
    ids::{AccountId, CustomerId, EnrollmentId, Id, PremiseId},
    market::Rejection,
    masks,
    policy::{Categories, Roles},
    time::{Instant, LocalDate},
    values::{RejectionCode, Remark},
};
use schemars::JsonSchema;
use serde::Serialize;
use store::Crowd;

use super::{
    call::{Applicant, Call, Given, Reply},
    params::{Leads, PageQuery, StatusQuery},
    problem::{self, Problem},
    route::{Route, example, group},
    wire::{ForStaff, Listed, Listing, Represents, Shown, Staff, View},
};
use crate::app::{
    self, Ask,
    enrollments::{self, Submission, Which},
};

/// An enrolment.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Enrollment")]
struct EnrollmentDetail {
    enrollment_id: EnrollmentId,
    /// What to name when you ask about it.
    #[schemars(regex(pattern = "^ENR-[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}$"))]
    confirmation_number: String,
    kind: EnrollmentKind,
    status: EnrollmentStatus,
    submitted_at: Instant,
    requested_start_date: LocalDate,
    /// The first day of service, when the market has said so.
    confirmed_start_date: Option<LocalDate>,
    /// The day on which service begins: until then it may be withdrawn. Null when nothing is to come any more.
    withdrawable_until: Option<LocalDate>,
    customer_id: CustomerId,
    account_id: AccountId,
    premise_id: PremiseId,
    /// Why it was rejected.
    rejection: Option<RejectionDetail>,
    /// What it waits for; null when nothing is to come any more.
    next_step: Option<NextStep>,
}

/// Why staff or the market said no.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EnrollmentRejection")]
struct RejectionDetail {
    code: RejectionCode,
    message: Option<Shown<Remark>>,
}

impl Represents for EnrollmentDetail {
    type Of = Enrollment;
    type At = ();
    fn of(enrollment: Enrollment, _: View<'_>) -> Self {
        let start = enrollment.start();
        let Enrollment {
            id,
            customer,
            account,
            premise,
            kind,
            status,
            confirmation_number,
            requested_start,
            confirmed_start,
            rejection,
            documents: _,
            submitted_at,
            approved_at: _,
            version: _,
        } = enrollment;
        let said = |Rejection { code, message }| RejectionDetail { code, message: message.map(Shown) };
        Self {
            enrollment_id: id,
            confirmation_number,
            kind,
            status,
            submitted_at,
            requested_start_date: requested_start,
            confirmed_start_date: confirmed_start,
            withdrawable_until: status.is_open().then_some(start),
            customer_id: customer,
            account_id: account,
            premise_id: premise,
            rejection: rejection.map(said),
            next_step: status.next_step(),
        }
    }
    fn location(&self) -> Option<String> {
        Some("/api/enrollment".to_owned())
    }
}

impl Leads<Which> for () {
    fn id(self) -> Which {
        Which::Newest
    }
}

impl Leads<Which> for EnrollmentId {
    fn id(self) -> Which {
        Which::One(self)
    }
}

impl ForStaff for Enrollment {
    type Path = EnrollmentId;
    fn mask(&mut self) -> Vec<String> {
        masks::rejection(&mut self.rejection)
    }
}

impl Listed for EnrollmentDetail {
    const PLURAL: &'static str = "enrollments";
    const ENVELOPE: &'static str = "Enrollments";
    const STAFF_ENVELOPE: &'static str = "StaffEnrollments";
}

/// Who is no customer yet becomes one; who was one gets another account.
async fn enroll(call: Call<(), (), Given, Applicant>) -> Result<Reply<EnrollmentDetail>, Problem> {
    let submission = Submission::new(call.body.read_as::<Application>()?);
    let write = |made: &Enrollment| call.kept::<EnrollmentDetail>(made);
    let once = call.once(&write);
    let done = match &call.scope {
        Applicant::Customer(scope) => {
            let check = |_: &Customer| Ok(());
            app::change(&call.app, Ask { scope, check: &check, once }, (), &submission).await
        }
        Applicant::New(founder) => enrollments::first(&call.app, founder, once, &submission).await,
    };
    Ok(call.made(done?))
}

/// Everybody's enrolments.
async fn list_enrollments(
    call: Call<(), StatusQuery<EnrollmentStatus>, (), Crowd>,
) -> Result<Listing<Staff<EnrollmentDetail>>, Problem> {
    let StatusQuery { status, page: PageQuery { limit, cursor } } = &call.query;
    let after = call.position::<1>(cursor.as_deref())?.and_then(|[id]| EnrollmentId::new(id));
    let mut found = enrollments::list(&call.app, &call.scope, *status, after, limit.saturating_add(1)).await?;
    let next_cursor = call.next(&mut found, *limit, |enrollment| [enrollment.id.get()]);
    let items = found.into_iter().map(|enrollment| Staff::of(enrollment, call.view())).collect();
    Ok(Listing { items, next_cursor })
}

/// The operations on enrolments.
pub fn routes() -> Vec<Route> {
    const INPUT: &str = r#"{"kind":"move-in","type":"individual","firstName":"Dana","lastName":"Reyes","email":"dana@example.com","phone":"(555) 010-2000","requestedStartDate":"2025-01-20","address":{"street":"9 Elm Street","unit":null,"city":"Anytown","state":"TX","zip":"75001"},"esiIds":["10443720001234599"],"mailingAddress":null,"language":"en","acceptedTerms":{"documents":[{"name":"terms-of-service","version":"2024-06"}]}}"#;
    const PATH: &str = "/api/enrollment";
    let own = [
        Route::founding::<Application, _, _>(PATH, "enroll", "Ask to become a customer", enroll)
            .while_inactive()
            .refuses(&[problem::ALREADY_ENROLLED])
            .input_example(INPUT),
        Route::show::<EnrollmentDetail>(PATH, "getEnrollment", "Get the newest enrolment")
            .example(example!("getEnrollment")),
        Route::operation::<EnrollmentDetail, Withdraw>(PATH, "withdrawEnrollment", "Withdraw the newest enrolment")
            .by_delete()
            .while_inactive()
            .refuses(&[problem::NOT_FOUND, problem::INVALID_TRANSITION]),
    ];
    let staff = [
        Route::get("/api/admin/enrollments", "listEnrollments", "List enrolments, the oldest first", list_enrollments)
            .staff(Roles::STAFF)
            .example(example!("listEnrollments")),
        Route::show::<Staff<EnrollmentDetail>>(
            "/api/admin/enrollments/{enrollmentId}",
            "getEnrollmentForStaff",
            "Get an enrolment",
        )
        .staff(Roles::STAFF)
        .example(example!("getEnrollmentForStaff")),
        Route::operation::<Staff<EnrollmentDetail>, Approve>(
            "/api/admin/enrollments/{enrollmentId}/approve",
            "approveEnrollment",
            "Approve an enrolment: the market is asked for it",
        )
        .staff(Roles::CLERKS)
        .refuses(&[problem::INVALID_TRANSITION, problem::PLACE_TAKEN]),
        Route::operation::<Staff<EnrollmentDetail>, Reject>(
            "/api/admin/enrollments/{enrollmentId}/reject",
            "rejectEnrollment",
            "Reject an enrolment that was not approved yet",
        )
        .staff(Roles::CLERKS)
        .refuses(&[problem::INVALID_TRANSITION])
        .input_example(r#"{"reason":"error","note":"The address is not in our area."}"#),
    ];
    let mut routes = group("Enrollment", Categories::ACCOUNT, own);
    routes.extend(group("Staff", Categories::ACCOUNT, staff));
    routes
}
