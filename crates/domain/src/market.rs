//! What the market has to do: requests that follow from an approved enrolment or a move, and what it reports.

use crate::{
    ids::{AccountId, CustomerId, EnrollmentId, MoveId, PremiseId, RequestId},
    input, named_enum,
    premises::Address,
    time::{Instant, LocalDate},
    values::{EsiId, RejectionCode, Remark, TransactionId},
};

named_enum! {
    /// What is asked of the market.
    RequestKind {
        /// The place changes to us from another retailer; whoever lives there stays.
        Switch = "switch",
        /// Somebody moves in.
        MoveIn = "move-in",
        /// Somebody moves out.
        MoveOut = "move-out",
        /// An earlier request for the same premise need not be done any more, though the market has it already.
        Cancel = "cancel",
    }
}

named_enum! {
    /// The life of a request to the market.
    RequestStatus {
        /// The market has not fetched it yet.
        Open = "open",
        /// The market has it.
        Sent = "sent",
        /// The market will do it.
        Accepted = "accepted",
        /// The market will not do it.
        Rejected = "rejected",
        /// It need not be done any more.
        Cancelled = "cancelled",
        /// It is done.
        Done = "done",
    }
}

impl RequestStatus {
    /// Whether the state machine has a step from this status to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use RequestStatus::{Accepted, Cancelled, Done, Open, Rejected, Sent};
        match self {
            Open => matches!(next, Sent | Accepted | Rejected | Cancelled),
            Sent => matches!(next, Open | Accepted | Rejected | Cancelled),
            Accepted => matches!(next, Open | Rejected | Cancelled | Done),
            Rejected | Cancelled | Done => false,
        }
    }

    /// Whether something may still become of it.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Open | Self::Sent | Self::Accepted)
    }
}

/// What a request to the market follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An approved enrolment.
    Enrollment(EnrollmentId),
    /// A move.
    Move(MoveId),
}

/// A request to the market.
#[derive(Debug, Clone)]
pub struct MarketRequest {
    /// Its id.
    pub id: RequestId,
    /// Whom it concerns.
    pub customer: CustomerId,
    /// The account that pays, or is to pay, for the premise.
    pub account: AccountId,
    /// The premise.
    pub premise: PremiseId,
    /// What it follows from.
    pub cause: Cause,
    /// What is to be done.
    pub kind: RequestKind,
    /// Where it is in its life.
    pub status: RequestStatus,
    /// The date that was asked for.
    pub requested_date: LocalDate,
    /// The market's ids of the place, by service point.
    pub esi_ids: Vec<EsiId>,
    /// Counts the changes of its row.
    pub version: i64,
}

input! {
    /// Why the market will not do something.
    Rejection {
        /// The market's code of it.
        code: RejectionCode = "code",
        /// The market's words.
        message: Option<Remark> = "message",
    }
}

/// What the market said to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Sent,
    /// It will do it; on this date, where it names one.
    Accepted(Option<LocalDate>),
    /// It will not do it.
    Rejected(Rejection),
}

input! {
    /// The market has fetched a request; done again it changes nothing.
    Acknowledge {}
}

named_enum! {
    /// What the market reports.
    TransactionKind {
        /// It will do what was requested.
        Accepted = "accepted",
        /// It will not do what was requested.
        Rejected = "rejected",
        /// Somebody moves in at a place.
        MoveIn = "move-in",
        /// Somebody moves out of a place.
        MoveOut = "move-out",
        /// A customer leaves for another retailer.
        Drop = "drop",
        /// The address of a place is another one.
        AddressCorrection = "address-correction",
        /// The place of a request has another ESI ID.
        EsiIdCorrection = "esi-id-correction",
    }
}

input! {
    /// What the market reports of one place or request; what may be absent is absent or null.
    MarketTransaction {
        /// The market's id of it: the same again does nothing.
        transaction_id: TransactionId = "transactionId",
        /// What happened.
        kind: TransactionKind = "kind",
        /// The request that it is about.
        request_id: Option<RequestId> = "requestId",
        /// The place that it is about.
        esi_id: Option<EsiId> = "esiId",
        /// The first local date on which it counts.
        effective_date: Option<LocalDate> = "effectiveDate",
        /// When it happened at the market.
        occurred_at: Instant = "occurredAt",
        /// Why the market will not do it.
        rejection: Option<Rejection> = "rejection",
        /// The place's address.
        address: Option<Address> = "address",
    }
}
