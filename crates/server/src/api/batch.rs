//! Batches: one list in an envelope, whose lines count one by one. A line that is wrong is one of the batch's errors, and
//! the others count.

use domain::input::{At, FieldError, FromInput, Node};
use schemars::JsonSchema;
use serde::Serialize;

/// Lines of one batch at most: more of them would hold up everybody else.
pub(super) const MOST_LINES: usize = 10_000;

/// Lines of a batch, each as far as it can be read.
pub(super) type Lines<T> = Vec<Result<T, FieldError>>;

/// The list of a batch.
pub(super) struct Batch<T>(pub(super) Lines<T>);

impl<T: FromInput> FromInput for Batch<T> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Node::List(lines) = node else {
            at.refuse(FieldError::new("wrong-type", "Write a list here."));
            return None;
        };
        if lines.len() > MOST_LINES {
            at.refuse(FieldError::new("too-many-lines", format!("Write at most {MOST_LINES} lines in one batch.")));
            return None;
        }
        Some(Self(lines.iter().map(line).collect()))
    }
}

/// What became of a batch. Lines count one by one: what was accepted stays, whatever became of the others.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchResult {
    /// Lines that were stored.
    accepted: usize,
    /// Lines that were known already, or older than what is stored.
    unchanged: usize,
    /// Lines that wait for what they are about.
    parked: usize,
    /// Lines that were not taken.
    rejected: usize,
    /// Why not.
    errors: Vec<LineError>,
}

/// Why a line was not taken.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineError {
    /// The line's place in the batch, from 0.
    index: usize,
    /// The member that is wrong, as a JSON pointer into the line; empty for the whole.
    pointer: String,
    /// What, for programs: stable.
    code: &'static str,
    /// What to do, for people.
    message: String,
}

/// Reads one line; the first of its errors tells of it.
pub(super) fn line<T: FromInput>(node: &Node) -> Result<T, FieldError> {
    let mut errors = Vec::new();
    let read = T::from_input(node, &mut At::root(&mut errors));
    read.ok_or_else(|| errors.into_iter().next().unwrap_or_else(|| FieldError::new("wrong-type", "")))
}

/// What became of a line.
pub(super) enum Fate {
    /// It is stored.
    Accepted,
    /// It was known already, or is older than what is stored.
    Unchanged,
    /// It waits for what it is about.
    Parked,
    /// It was not taken: the member that is wrong, the code and what to do.
    Rejected(&'static str, &'static str, &'static str),
}

impl BatchResult {
    /// Errors that one answer lists: `rejected` counts all of them.
    pub(super) const MOST_ERRORS: usize = 1_000;

    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { accepted: 0, unchanged: 0, parked: 0, rejected: 0, errors: Vec::new() }
    }

    /// Of lines of which some could not be read; `report` says what became of the others, in their order.
    pub(super) async fn of<T, E>(
        lines: Lines<T>,
        report: impl AsyncFnOnce(Vec<T>) -> Result<Vec<Fate>, E>,
    ) -> Result<Self, E> {
        let (mut result, mut places, mut read) = (Self::new(), Vec::new(), Vec::with_capacity(lines.len()));
        for (index, line) in lines.into_iter().enumerate() {
            match line {
                Ok(line) => {
                    places.push(index);
                    read.push(line);
                }
                Err(error) => result.unreadable(index, error),
            }
        }
        let fates = report(read).await?;
        places.into_iter().zip(fates).for_each(|(index, fate)| result.add(index, fate));
        Ok(result.sorted())
    }

    /// Counts a line that could be read.
    pub(super) fn add(&mut self, index: usize, fate: Fate) {
        match fate {
            Fate::Accepted => self.accepted += 1,
            Fate::Unchanged => self.unchanged += 1,
            Fate::Parked => self.parked += 1,
            Fate::Rejected(pointer, code, message) => {
                self.unreadable(index, FieldError { pointer: pointer.to_owned(), ..FieldError::new(code, message) });
            }
        }
    }

    /// Counts a line that could not be read.
    pub(super) fn unreadable(&mut self, index: usize, FieldError { pointer, code, message }: FieldError) {
        self.rejected += 1;
        if self.errors.len() < Self::MOST_ERRORS {
            self.errors.push(LineError { index, pointer, code, message });
        }
    }

    /// With the errors in the order of the lines.
    pub(super) fn sorted(mut self) -> Self {
        self.errors.sort_by_key(|error| error.index);
        self
    }
}
