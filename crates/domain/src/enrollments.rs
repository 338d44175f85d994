//! Enrolments: what a person asks for who wants to become a customer at a place, and what becomes of it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    customers::{CustomerEdit, CustomerName, CustomerType},
    ids::{AccountId, CustomerId, EnrollmentId, PremiseId},
    input,
    input::{At, FieldError, FromInput, Members, Named as _, Node, list, object},
    market::Rejection,
    named_enum,
    preferences::{Language, MailingAddress, Preferences},
    premises::Address,
    status::StatusReason,
    time::{Instant, LocalDate},
    values::{
        BusinessName, City, EmailAddress, EsiId, EsiIds, PersonName, PhoneNumber, RejectionCode, Remark, State,
        StreetLines, Zip,
    },
};

named_enum! {
    /// Why somebody enrols.
    EnrollmentKind {
        /// They live there, and change their provider.
        Switch = "switch",
        /// They move there.
        MoveIn = "move-in",
    }
}

named_enum! {
    /// The life of an enrolment; its steps are [`EnrollmentStatus::STEPS`].
    EnrollmentStatus {
        /// Asked for; staff have to look at it.
        Submitted = "submitted",
        /// Approved; the market has to hear of it.
        Approved = "approved",
        /// The market has it.
        Sent = "sent",
        /// The market said yes, from a date on.
        Accepted = "accepted",
        /// Service has begun.
        Active = "active",
        /// Staff or the market said no.
        Rejected = "rejected",
        /// Who asked took it back.
        Withdrawn = "withdrawn",
    }
}

impl EnrollmentStatus {
    /// Every step of the state machine. The market may answer what it has not acknowledged.
    pub const STEPS: &'static [(Self, Self)] = {
        use EnrollmentStatus::{Accepted, Active, Approved, Rejected, Sent, Submitted, Withdrawn};
        &[
            (Submitted, Approved),
            (Submitted, Rejected),
            (Submitted, Withdrawn),
            (Approved, Sent),
            (Approved, Accepted),
            (Approved, Rejected),
            (Approved, Withdrawn),
            (Sent, Accepted),
            (Sent, Rejected),
            (Sent, Withdrawn),
            (Accepted, Active),
            (Accepted, Rejected),
            (Accepted, Withdrawn),
        ]
    };

    /// Whether the state machine has a step from this status to `next`.
    pub fn may_become(self, next: Self) -> bool {
        Self::STEPS.contains(&(self, next))
    }

    /// Whether something is still to come.
    pub fn is_open(self) -> bool {
        self.may_become(Self::Withdrawn)
    }

    /// What it waits for.
    pub fn next_step(self) -> Option<NextStep> {
        match self {
            Self::Submitted => Some(NextStep::Approval),
            Self::Approved | Self::Sent => Some(NextStep::Market),
            Self::Accepted => Some(NextStep::Service),
            Self::Active | Self::Rejected | Self::Withdrawn => None,
        }
    }
}

named_enum! {
    /// What an enrolment waits for.
    NextStep {
        /// That staff approve it.
        Approval = "approval",
        /// That the market accepts it.
        Market = "market",
        /// The first day of service.
        Service = "service",
    }
}

/// How many days ahead service may begin.
pub const DAYS_AHEAD: i64 = 90;
/// Documents that one enrolment may accept.
const MOST_DOCUMENTS: usize = 10;

/// A document in the version that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Such as `terms-of-service`.
    pub name: String,
    /// Such as `2024-06`.
    pub version: String,
}

/// What a person who wants to become a customer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Why.
    pub kind: EnrollmentKind,
    /// Name, e-mail and telephone.
    pub profile: CustomerEdit,
    /// From when on.
    pub requested_start: LocalDate,
    /// Where; `None` where the service points say so.
    pub address: Option<Address>,
    /// The service points, as far as the person knows them.
    pub esi_ids: Vec<EsiId>,
    /// Where letters go.
    pub mailing_address: MailingAddress,
    /// In which language.
    pub language: Language,
    /// What was accepted.
    pub documents: Vec<Document>,
}

/// What is never asked for: whoever sends it learns why it is not taken.
struct Uncollected;

impl Uncollected {
    const NAMES: [&'static str; 11] = [
        "ssn",
        "socialSecurityNumber",
        "dateOfBirth",
        "birthDate",
        "dob",
        "taxId",
        "taxpayerId",
        "tin",
        "itin",
        "ein",
        "driversLicense",
    ];
}

impl FromInput for Uncollected {
    fn from_input(_: &Node, at: &mut At<'_>) -> Option<Self> {
        let message = "Leave this out: social security numbers, dates of birth, tax ids and licenses are not needed \
                       to enrol, and we keep none.";
        at.refuse(FieldError::new("not-collected", message));
        None
    }
    fn absent() -> Option<Self> {
        Some(Self)
    }
}

/// A short text of letters, digits and `.`, `_`, `-`.
struct Word(String);

impl FromInput for Word {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::text(node, at, |text| {
            let fits = (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            let message = "Write 1 to 64 letters, digits, dots, underscores and hyphens.";
            if fits { Ok(Self(text.to_owned())) } else { Err(FieldError::new("invalid-word", message)) }
        })
    }
}

impl FromInput for Document {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| {
            let (name, version) = (members.given::<Word>("name"), members.given::<Word>("version"));
            Some(Self { name: name?.0, version: version?.0 })
        })
    }
}

/// The documents of `acceptedTerms`.
struct Accepted(Vec<Document>);

impl FromInput for Accepted {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        struct Documents(Vec<Document>);
        impl FromInput for Documents {
            fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
                list(node, at, 1..=MOST_DOCUMENTS).map(Self)
            }
        }
        object(node, at, |members| members.given::<Documents>("documents").map(|documents| Self(documents.0)))
    }
}

/// The name, of the kind that the application says.
fn name(members: &mut Members<'_, '_>) -> Option<CustomerName> {
    match members.given("type") {
        Some(CustomerType::Business) => members.given("businessName").map(|name| CustomerName::Business { name }),
        Some(CustomerType::Individual) => {
            let (first, last) = (members.given("firstName"), members.given("lastName"));
            first.zip(last).map(|(first, last)| CustomerName::Individual { first, last })
        }
        None => {
            // Read for their own errors: which of them should be there is not known.
            let _: [Option<Option<PersonName>>; 2] = [members.given("firstName"), members.given("lastName")];
            let _: Option<Option<BusinessName>> = members.given("businessName");
            None
        }
    }
}

impl FromInput for Application {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        object(node, at, |members| {
            for unwanted in Uncollected::NAMES {
                members.given::<Uncollected>(unwanted);
            }
            let (kind, name) = (members.given("kind"), name(members));
            let (email, phone) = (members.given::<EmailAddress>("email"), members.given("phone"));
            let requested_start = members.given("requestedStartDate");
            let (address, esi_ids) =
                (members.given::<Option<Address>>("address"), members.given::<Option<EsiIds>>("esiIds"));
            let mailing = members.given::<Option<MailingAddress>>("mailingAddress");
            let (language, accepted) =
                (members.given::<Option<Language>>("language"), members.given::<Accepted>("acceptedTerms"));
            let nowhere = esi_ids.as_ref().is_some_and(|ids| ids.as_ref().is_none_or(|EsiIds(ids)| ids.is_empty()));
            if matches!(address, Some(None)) && nowhere {
                let message = "Write the address, or the ESI IDs of the place.";
                members.refuse("address", FieldError::new("missing", message));
            }
            Some(Self {
                kind: kind?,
                profile: CustomerEdit { name: name?, email: Some(email?), phone: phone? },
                requested_start: requested_start?,
                address: address?,
                esi_ids: esi_ids?.map_or_else(Vec::new, |ids| ids.0),
                mailing_address: mailing?.unwrap_or(MailingAddress::SameAsPrimaryPremise),
                language: language?.unwrap_or(Language::English),
                documents: accepted?.0,
            })
        })
    }
}

impl JsonSchema for Application {
    fn schema_name() -> Cow<'static, str> {
        "Application".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = json_schema!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._-]+$"});
        let nullable = |schema: Schema| json_schema!({"anyOf": [schema, {"type": "null"}]});
        let mailing = json_schema!({
            "type": "object",
            "properties": {
                "sameAsPrimaryPremise": {"type": "boolean"},
                "street": nullable(generator.subschema_for::<StreetLines>()),
                "city": nullable(generator.subschema_for::<City>()),
                "state": nullable(generator.subschema_for::<State>()),
                "zip": nullable(generator.subschema_for::<Zip>()),
            },
            "required": ["sameAsPrimaryPremise", "street", "city", "state", "zip"],
        });
        json_schema!({
            "type": "object",
            "description": "What a person who wants to become a customer sends: `firstName` and `lastName` of an individual, `businessName` of a business; `address`, `esiIds` or both.",
            "properties": {
                "kind": generator.subschema_for::<EnrollmentKind>(),
                "type": generator.subschema_for::<CustomerType>(),
                "firstName": generator.subschema_for::<PersonName>(),
                "lastName": generator.subschema_for::<PersonName>(),
                "businessName": generator.subschema_for::<BusinessName>(),
                "email": generator.subschema_for::<EmailAddress>(),
                "phone": nullable(generator.subschema_for::<PhoneNumber>()),
                "requestedStartDate": generator.subschema_for::<LocalDate>(),
                "address": nullable(generator.subschema_for::<Address>()),
                "esiIds": nullable(generator.subschema_for::<EsiIds>()),
                "mailingAddress": nullable(mailing),
                "language": nullable(generator.subschema_for::<Language>()),
                "acceptedTerms": {
                    "type": "object",
                    "properties": {
                        "documents": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {"name": word.clone(), "version": word},
                                "required": ["name", "version"],
                            },
                            "minItems": 1,
                            "maxItems": MOST_DOCUMENTS,
                        },
                    },
                    "required": ["documents"],
                },
            },
            "required": ["kind", "type", "email", "requestedStartDate", "acceptedTerms"],
        })
    }
}

impl Application {
    /// What the newcomer's preferences become.
    #[must_use]
    pub fn preferences(&self, current: &Preferences) -> Preferences {
        let mut next = current.clone();
        next.mailing_address = self.mailing_address.clone();
        next.communication.language = self.language;
        next
    }

    /// Checks that service may begin on the day that was asked for.
    ///
    /// # Errors
    /// `out-of-range`, for the member `requestedStartDate`.
    pub fn check(&self, today: LocalDate) -> Result<(), FieldError> {
        if (today..=today.plus_days(DAYS_AHEAD)).contains(&self.requested_start) {
            return Ok(());
        }
        let message = format!("Write a date from today to {DAYS_AHEAD} days ahead.");
        Err(FieldError { pointer: "/requestedStartDate".into(), ..FieldError::new("out-of-range", message) })
    }
}

/// The letters and digits of confirmation numbers: none that looks like another.
const CLEAR: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// A new confirmation number from 64 random bits: `ENR-7K2M-9QXD`. Uniqueness is the database's to prove.
pub fn confirmation_number(random: u64) -> String {
    let (mut text, mut rest) = (String::from("ENR"), random);
    for place in 0..8 {
        if place % 4 == 0 {
            text.push('-');
        }
        let letters = CLEAR.len() as u64;
        let letter = usize::try_from(rest % letters).ok().and_then(|index| CLEAR.get(index));
        text.extend(letter.map(|letter| char::from(*letter)));
        rest /= letters;
    }
    text
}

/// An enrolment.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// Whose.
    pub customer: CustomerId,
    /// The account that it makes.
    pub account: AccountId,
    /// The premise that it makes.
    pub premise: PremiseId,
    /// Why.
    pub kind: EnrollmentKind,
    /// Where it is in its life.
    pub status: EnrollmentStatus,
    /// What the person has in hand.
    pub confirmation_number: String,
    /// From when on they asked for service.
    pub requested_start: LocalDate,
    /// From when on the market gives it.
    pub confirmed_start: Option<LocalDate>,
    /// Why it was rejected.
    pub rejection: Option<Rejection>,
    /// What was accepted when it was submitted.
    pub documents: Vec<Document>,
    /// When that was.
    pub submitted_at: Instant,
    /// When it was approved.
    pub approved_at: Option<Instant>,
    /// Counts the changes of the row.
    pub version: i64,
}

impl Enrollment {
    /// The first day of service, as far as it is known.
    pub fn start(&self) -> LocalDate {
        self.confirmed_start.unwrap_or(self.requested_start)
    }
}

input! {
    /// An enrolment is approved: the market hears of it.
    Approve {}
}

input! {
    /// An enrolment is rejected.
    Reject {
        /// Why.
        reason: StatusReason = "reason",
        /// What the person who enrolled may read about it.
        note: Option<Remark> = "note",
    }
}

impl Reject {
    /// As the person who enrolled reads it.
    pub fn rejection(&self) -> Rejection {
        Rejection { code: RejectionCode::from_record(self.reason.name().to_owned()), message: self.note.clone() }
    }
}

input! {
    /// Who enrolled takes it back.
    Withdraw {}
}

#[cfg(test)]
mod tests;
