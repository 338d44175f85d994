//! Tasks: what staff have to decide or look at. A task holds ids and listed codes, never personal data; what it is
//! about is opened by its resource, with a reason.

use crate::{
    ids::{AccountId, CustomerId, EnrollmentId, Id, MeterId, MoveId, TaskId},
    named_enum,
    time::Instant,
};

named_enum! {
    /// What is to be decided or looked at.
    TaskKind {
        /// Somebody asked to become a customer.
        Enrollment = "enrollment",
        /// A reading does not fit the one before it.
        SuspectReading = "suspect-reading",
        /// Readings of a meter came that was never registered.
        UnmatchedReading = "unmatched-reading",
        /// A customer asks about a reading.
        QuestionedReading = "questioned-reading",
        /// The market rejected a move.
        RejectedMove = "rejected-move",
        /// Messages to a customer's address come back.
        BouncedAddress = "bounced-address",
    }
}

named_enum! {
    /// The life of a task.
    TaskStatus {
        /// It waits for somebody.
        Open = "open",
        /// It was answered.
        Done = "done",
    }
}

named_enum! {
    /// What kind of thing a task is about.
    Topic {
        /// A customer.
        Customer = "customer",
        /// An account.
        Account = "account",
        /// An enrolment.
        Enrollment = "enrollment",
        /// A move.
        Move = "move",
        /// A meter.
        Meter = "meter",
        /// A reading that is parked.
        Parked = "parked",
    }
}

/// What a task is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The kind of thing.
    pub topic: Topic,
    /// Its number.
    pub id: i64,
}

macro_rules! about {
    ($($id:ident $topic:ident;)+) => {$(
        impl From<$id> for About {
            fn from(id: $id) -> Self {
                Self { topic: Topic::$topic, id: id.get() }
            }
        }
    )+};
}
about! {
    CustomerId Customer;
    AccountId Account;
    EnrollmentId Enrollment;
    MoveId Move;
    MeterId Meter;
}

/// What staff have to decide or look at.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What is to be done.
    pub kind: TaskKind,
    /// Whom it concerns; nobody where no customer is known.
    pub customer: Option<CustomerId>,
    /// What it is about.
    pub about: About,
    /// Whether somebody has answered it.
    pub status: TaskStatus,
    /// Since when it waits.
    pub opened_at: Instant,
    /// When it was answered.
    pub closed_at: Option<Instant>,
}
