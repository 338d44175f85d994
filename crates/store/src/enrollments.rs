//! Enrolments, with the accepted terms and what was said when one was rejected sealed under the customer's key.

use crypto::DataKey;
use domain::{
    enrollments::{Application, Document, Enrollment, EnrollmentKind, EnrollmentStatus, confirmation_number},
    ids::{AccountId, CustomerId, EnrollmentId, Id, PremiseId},
    market::Rejection,
    personal::Personal,
    policy::Categories,
    time::{Instant, LocalDate},
    values::{RejectionCode, Remark},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Crowd, Guarded, Session, Store, StoreError,
    db::{Columns, DbError, Param, Reader, Sql, Text, columns, params, sql, statements},
    sealed::{self, SealedRow, reveal},
};

columns! {
    /// An enrolment's own columns.
    EnrollmentRow of "e" {
        enrollment_id: EnrollmentId, account_id: AccountId, premise_id: PremiseId, kind: EnrollmentKind,
        status: EnrollmentStatus, confirmation_number: String, requested_start_date: LocalDate,
        confirmed_start_date: Option<LocalDate>, rejection_code: Option<RejectionCode>, submitted_at: Instant,
        approved_at: Option<Instant>, version: i64, sealed: Vec<u8>,
    }
}

const NEW: Text =
    Text::insert("enrollment", &[&[("customer_id", "int8"), ("updated_at", "timestamptz")], EnrollmentRow::COLUMNS])
        .add(" ON CONFLICT (confirmation_number) DO NOTHING");

statements! {
    FIND = {sql!("SELECT k.wrapped, " [EnrollmentRow] " FROM enrollment e
        JOIN customer_key k ON k.customer_id = e.customer_id WHERE e.customer_id = $1 AND e.enrollment_id = $2")};
    NEWEST = {sql!("SELECT k.wrapped, " [EnrollmentRow] " FROM enrollment e
        JOIN customer_key k ON k.customer_id = e.customer_id WHERE e.customer_id = $1
        ORDER BY e.enrollment_id DESC LIMIT 1")};
    OF_PREMISE = {sql!("SELECT k.wrapped, " [EnrollmentRow] " FROM enrollment e
        JOIN customer_key k ON k.customer_id = e.customer_id WHERE e.customer_id = $1 AND e.premise_id = $2")};
    INSERT = { NEW.as_str() };
    UPDATE = {"UPDATE enrollment SET status = $3, confirmed_start_date = $4, rejection_code = $5, approved_at = $6,
            sealed = $7, version = version + 1, updated_at = $8
        WHERE customer_id = $1 AND enrollment_id = $2"};
    // Every enrolment makes one account; staff make others.
    TOLD = {"SELECT (SELECT count(*) FROM account WHERE customer_id = $1)
        > (SELECT count(*) FROM enrollment WHERE customer_id = $1 AND approved_at IS NULL)"};
    PROMISED = {"SELECT count(*) FROM premise_service_point ps
        JOIN service_point_wanted w ON w.service_point_id = ps.service_point_id AND w.premise_id <> ps.premise_id
        WHERE ps.customer_id = $1 AND ps.premise_id = $2"};
    REMAIN = {"SELECT count(*) FROM account WHERE customer_id = $1 AND status <> 'inactive'"};
    ALL = {sql!("SELECT e.customer_id, k.wrapped, " [EnrollmentRow] " FROM enrollment e
        JOIN customer_key k ON k.customer_id = e.customer_id WHERE e.enrollment_id > $1
        ORDER BY e.enrollment_id LIMIT $2")};
    WITH_STATUS = {sql!("SELECT e.customer_id, k.wrapped, " [EnrollmentRow] " FROM enrollment e
        JOIN customer_key k ON k.customer_id = e.customer_id WHERE e.enrollment_id > $1 AND e.status = $3
        ORDER BY e.enrollment_id LIMIT $2")};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EnrollmentSealedV1 {
    documents: Vec<DocumentV1>,
    message: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct DocumentV1 {
    name: String,
    version: String,
}

impl SealedRow for EnrollmentSealedV1 {
    const TABLE: &'static str = "enrollment";
    const VERSION: u8 = 1;
}

impl EnrollmentSealedV1 {
    fn of(documents: &[Document], rejection: Option<&Rejection>) -> Self {
        let document =
            |Document { name, version }: &Document| DocumentV1 { name: name.clone(), version: version.clone() };
        let message = rejection.and_then(|rejection| rejection.message.as_ref()).map(|message| reveal!(message));
        Self { documents: documents.iter().map(document).collect(), message }
    }
}

/// What an enrolment reveals.
const CATEGORIES: Categories = Categories::ACCOUNT;

impl Session<'_> {
    async fn one_enrollment(
        &mut self,
        sql: &'static Sql,
        more: Vec<Param>,
    ) -> Result<Option<Guarded<Enrollment>>, StoreError> {
        let Some(row) = self.own(sql, more).await?.into_iter().next() else { return Ok(None) };
        let found = read(self.store, self.customer(), &mut row.read())?;
        Ok(Some(self.guard(found, CATEGORIES)))
    }
}

fn read(store: &Store, customer: CustomerId, row: &mut Reader) -> Result<Enrollment, StoreError> {
    let wrapped: Vec<u8> = row.get()?;
    let key = store.keyring.data_key(customer, &wrapped)?;
    let EnrollmentRow {
        enrollment_id: id,
        account_id: account,
        premise_id: premise,
        kind,
        status,
        confirmation_number,
        requested_start_date: requested_start,
        confirmed_start_date: confirmed_start,
        rejection_code,
        submitted_at,
        approved_at,
        version,
        sealed,
    } = EnrollmentRow::read(row)?;
    let EnrollmentSealedV1 { documents, message } = sealed::open(&key, customer, id.get(), &sealed)?;
    let document = |DocumentV1 { name, version }| Document { name, version };
    Ok(Enrollment {
        id,
        customer,
        account,
        premise,
        kind,
        status,
        confirmation_number,
        requested_start,
        confirmed_start,
        rejection: rejection_code.map(|code| Rejection { code, message: message.map(Remark::from_record) }),
        documents: documents.into_iter().map(document).collect(),
        submitted_at,
        approved_at,
        version,
    })
}

/// An enrolment.
pub async fn find(session: &mut Session<'_>, id: EnrollmentId) -> Result<Option<Guarded<Enrollment>>, StoreError> {
    session.one_enrollment(&FIND, params![id]).await
}

/// The customer's newest enrolment.
pub async fn newest(session: &mut Session<'_>) -> Result<Option<Guarded<Enrollment>>, StoreError> {
    session.one_enrollment(&NEWEST, params![]).await
}

/// The enrolment that made a premise.
pub async fn of_premise(
    session: &mut Session<'_>,
    premise: PremiseId,
) -> Result<Option<Guarded<Enrollment>>, StoreError> {
    session.one_enrollment(&OF_PREMISE, params![premise]).await
}

/// A page of everybody's enrolments, behind an id, the oldest first.
pub async fn list(
    store: &Store,
    _: &Crowd,
    status: Option<EnrollmentStatus>,
    after: Option<EnrollmentId>,
    limit: i64,
) -> Result<Vec<Guarded<Enrollment>>, StoreError> {
    let after = after.map_or(0, Id::get);
    let rows = match status {
        Some(status) => store.db.read(&WITH_STATUS, params![after, limit, status]).await?,
        None => store.db.read(&ALL, params![after, limit]).await?,
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let mut row = row.read();
        let customer: CustomerId = row.get()?;
        found.push(Guarded::new(read(store, customer, &mut row)?, customer, CATEGORIES));
    }
    Ok(found)
}

/// The insert of an enrolment, for those that are brought along.
pub(crate) fn insert() -> &'static Sql {
    &INSERT
}

/// The values of a new row.
pub(crate) fn bind(key: &DataKey, enrollment: &Enrollment) -> Result<Vec<Param>, StoreError> {
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
        documents,
        submitted_at,
        approved_at,
        version,
    } = enrollment.clone();
    let sealed = sealed::seal(key, customer, id.get(), &EnrollmentSealedV1::of(&documents, rejection.as_ref()))?;
    let row = EnrollmentRow {
        enrollment_id: id,
        account_id: account,
        premise_id: premise,
        kind,
        status,
        confirmation_number,
        requested_start_date: requested_start,
        confirmed_start_date: confirmed_start,
        rejection_code: rejection.map(|rejection| rejection.code),
        submitted_at,
        approved_at,
        version,
        sealed,
    };
    Ok(params![submitted_at].into_iter().chain(row.bind()).collect())
}

/// How often another confirmation number is drawn when one is in use.
const TRIES: usize = 4;

/// Stores an enrolment that was submitted, for an account and a premise that are yet to come.
pub async fn submit(
    change: &mut Change<'_>,
    application: &Application,
    (account, premise): (AccountId, PremiseId),
) -> Result<EnrollmentId, StoreError> {
    let id: EnrollmentId = change.new_id().await?;
    let key = change.own_key().await?;
    let mut submitted = Enrollment {
        id,
        customer: change.customer(),
        account,
        premise,
        kind: application.kind,
        status: EnrollmentStatus::Submitted,
        confirmation_number: String::new(),
        requested_start: application.requested_start,
        confirmed_start: None,
        rejection: None,
        documents: application.documents.clone(),
        submitted_at: change.now(),
        approved_at: None,
        version: 1,
    };
    for _ in 0..TRIES {
        let mut random = [0; 8];
        change.store.random.fill(&mut random)?;
        submitted.confirmation_number = confirmation_number(u64::from_be_bytes(random));
        if change.change(&INSERT, bind(&key, &submitted)?).await? == 1 {
            change.owns("enrollment", id).await?;
            return Ok(id);
        }
    }
    Err(DbError::Conflict.into())
}

/// Stores an enrolment as it is after a step.
pub async fn update(change: &mut Change<'_>, next: &Enrollment) -> Result<(), StoreError> {
    let Enrollment { id, status, confirmed_start, rejection, documents, approved_at, .. } = next;
    let (key, now) = (change.own_key().await?, change.now());
    let plain = EnrollmentSealedV1::of(documents, rejection.as_ref());
    let sealed = sealed::seal(&key, change.customer(), id.get(), &plain)?;
    let code = rejection.as_ref().map(|rejection| rejection.code.clone());
    Ok(change.change_one(&UPDATE, params![*id, *status, *confirmed_start, code, *approved_at, sealed, now]).await?)
}

/// Whether neighbours have been told of the customer: by an approval, or because staff made an account.
pub async fn is_told(change: &mut Change<'_>) -> Result<bool, StoreError> {
    let row = change.own(&TOLD, params![]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
    Ok(row.read().get()?)
}

/// Whether the customer has accounts that are, or will be, in service.
pub async fn has_accounts(change: &mut Change<'_>) -> Result<bool, StoreError> {
    let row = change.own(&REMAIN, params![]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
    let remain: i64 = row.read().get()?;
    Ok(remain > 0)
}

/// Whether the places of a premise are promised to nobody else.
pub async fn is_free(change: &mut Change<'_>, premise: PremiseId) -> Result<bool, StoreError> {
    let row = change.own(&PROMISED, params![premise]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
    let promised: i64 = row.read().get()?;
    Ok(promised == 0)
}
