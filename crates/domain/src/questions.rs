//! Questions: what a customer asks about a reading, and what staff answer. A question has the id of its task.

use crate::{
    ids::{MeterId, ReadingId, TaskId},
    input, named_enum,
    time::Instant,
    values::Message,
};

named_enum! {
    /// The life of a question.
    QuestionStatus {
        /// It waits for an answer.
        Open = "open",
        /// It has one.
        Answered = "answered",
    }
}

/// A question about a reading.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its id, which is its task's.
    pub id: TaskId,
    /// The meter.
    pub meter: MeterId,
    /// The reading.
    pub reading: ReadingId,
    /// What was asked.
    pub text: Message,
    /// Whether it has an answer.
    pub status: QuestionStatus,
    /// When it was asked.
    pub asked_at: Instant,
    /// The answer.
    pub answer: Option<Message>,
    /// When it was answered.
    pub answered_at: Option<Instant>,
}

input! {
    /// A customer asks about a reading.
    Ask {
        /// The reading, in any of its revisions.
        reading_id: ReadingId = "readingId",
        /// What they want to know.
        text: Message = "text",
    }
}

input! {
    /// Staff answer a task.
    Answer {
        /// The answer to a question; other tasks have none.
        answer: Option<Message> = "answer",
    }
}
