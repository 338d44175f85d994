//! Moves: an account leaves a place, or comes to one. Service is half open, [start, end).

use crate::{
    ids::{AccountId, CustomerId, MoveId, PremiseId},
    input,
    market::Rejection,
    named_enum,
    premises::Address,
    time::LocalDate,
    values::{City, EsiIds, State, StreetLines, Zip},
};

/// How far ahead a move may be planned.
pub const DAYS_AHEAD: i64 = 90;
/// How far back a move may have happened.
pub const DAYS_BACK: i64 = 270;

named_enum! {
    /// Which way.
    MoveKind {
        /// Service begins.
        MoveIn = "move-in",
        /// Service ends.
        MoveOut = "move-out",
    }
}

named_enum! {
    /// The life of a move.
    MoveStatus {
        /// It is to happen on its date.
        Planned = "planned",
        /// The market knows of it.
        Sent = "sent",
        /// The market will do it.
        Accepted = "accepted",
        /// The market will not do it.
        Rejected = "rejected",
        /// It is not to happen any more.
        Cancelled = "cancelled",
        /// It has happened.
        Done = "done",
    }
}

impl MoveStatus {
    /// Whether the state machine has a step from this status to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use MoveStatus::{Accepted, Cancelled, Done, Planned, Rejected, Sent};
        match self {
            Planned => matches!(next, Sent | Accepted | Rejected | Cancelled | Done),
            Sent => matches!(next, Planned | Accepted | Rejected | Cancelled | Done),
            Accepted => matches!(next, Planned | Rejected | Cancelled | Done),
            Rejected | Cancelled | Done => false,
        }
    }

    /// Whether it may still be changed: it has neither taken effect nor been given up.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Accepted)
    }
}

/// A move of one account.
#[derive(Debug, Clone)]
pub struct Move {
    /// Its id.
    pub id: MoveId,
    /// Who moves.
    pub customer: CustomerId,
    /// The account that pays for the premise.
    pub account: AccountId,
    /// The premise that begins or ends.
    pub premise: PremiseId,
    /// Which way.
    pub kind: MoveKind,
    /// Where it is in its life.
    pub status: MoveStatus,
    /// The first local date with service, or without it.
    pub date: LocalDate,
    /// Whether somebody other than the mover decided it, on this date: staff, or the market. Without that nobody who
    /// lives at the place has to leave for it.
    pub confirmed: bool,
    /// Whether the market made it, unasked: then it is not the customer's to change.
    pub by_market: bool,
    /// Why the market will not do it.
    pub rejection: Option<Rejection>,
    /// Where letters go afterwards.
    pub forwarding: Option<ForwardingAddress>,
    /// Counts the changes of its row.
    pub version: i64,
}

input! {
    /// Where letters go after a move.
    ForwardingAddress {
        /// One or two lines.
        street: StreetLines = "street",
        /// City.
        city: City = "city",
        /// Two letters.
        state: State = "state",
        /// ZIP code.
        zip: Zip = "zip",
    }
}

input! {
    /// An account moves in somewhere: at an address, at service points, or both.
    MoveIn {
        /// The first local date with service.
        date: LocalDate = "date",
        /// Where.
        address: Option<Address> = "address",
        /// The market's ids of the place.
        esi_ids: Option<EsiIds> = "esiIds",
    }
}

input! {
    /// An account moves out of a premise.
    MoveOut {
        /// The first local date without service.
        date: LocalDate = "date",
        /// Where letters go afterwards; without it they go where they went.
        forwarding_address: Option<ForwardingAddress> = "forwardingAddress",
    }
}

input! {
    /// A move that has not taken effect gets another date.
    Redate {
        /// The date.
        date: LocalDate = "date",
    }
}

input! {
    /// A move that has not taken effect is given up.
    CancelMove {}
}
