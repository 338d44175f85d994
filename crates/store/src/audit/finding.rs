//! What a verification can find.

/// What is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Finding {
    /// A record's MAC is wrong: a column was changed, or it does not stand where it was written.
    #[error("lane {lane}, record {number}: changed, exchanged or inserted")]
    Altered {
        /// The lane.
        lane: i64,
        /// The number within the lane.
        number: i64,
    },
    /// Records are missing within a lane.
    #[error("lane {lane}: records {from} to {to} are missing")]
    Gap {
        /// The lane.
        lane: i64,
        /// The first missing number.
        from: i64,
        /// The last missing number.
        to: i64,
    },
    /// Two records have one number.
    #[error("lane {lane}: record {number} is there more than once")]
    Repeated {
        /// The lane.
        lane: i64,
        /// The number.
        number: i64,
    },
    /// A record is not the one that a checkpoint signed.
    #[error("lane {lane}, record {number}: not the record that checkpoint {checkpoint} signed")]
    NotAsSigned {
        /// The lane.
        lane: i64,
        /// The number.
        number: i64,
        /// The checkpoint.
        checkpoint: i64,
    },
    /// The end of a lane is missing.
    #[error("lane {lane} ends with record {last}, but checkpoint {checkpoint} signed it up to {signed}")]
    CutTail {
        /// The lane.
        lane: i64,
        /// The last number that is there.
        last: i64,
        /// The number that was signed.
        signed: i64,
        /// The checkpoint.
        checkpoint: i64,
    },
    /// A whole lane is missing.
    #[error("lane {lane} is missing; checkpoint {checkpoint} signed it up to {signed}")]
    LostLane {
        /// The lane.
        lane: i64,
        /// The number that was signed.
        signed: i64,
        /// The checkpoint.
        checkpoint: i64,
    },
    /// A lane has records, but nothing says that it was opened.
    #[error("lane {lane} has records but was never opened")]
    UnlistedLane {
        /// The lane.
        lane: i64,
    },
    /// Records are there that a signed drop names: the drop was cut short, or they were inserted.
    #[error("lane {lane}: {records} records up to {through} are there, which a drop took; repeat the drop")]
    Undropped {
        /// The lane.
        lane: i64,
        /// How many.
        records: u64,
        /// The last number that was dropped.
        through: i64,
    },
    /// Records stand where no lane can be.
    #[error("{records} records stand in lanes below 1, which were never opened")]
    NoLane {
        /// How many.
        records: i64,
    },
    /// A record or checkpoint names a key that the keyring does not have.
    #[error("audit key {key} is not in the keyring; first needed for {place}")]
    UnknownKey {
        /// The key's id.
        key: i64,
        /// Where it was met first.
        place: String,
    },
    /// A checkpoint in the database was changed.
    #[error("checkpoint {number}: changed")]
    CheckpointAltered {
        /// Its number.
        number: i64,
    },
    /// Checkpoints in the database are missing.
    #[error("checkpoints {from} to {to} are missing")]
    CheckpointGap {
        /// The first missing number.
        from: i64,
        /// The last missing number.
        to: i64,
    },
    /// The log is another one's, an older copy or gone: the main database saw a later checkpoint signed.
    #[error("{0}")]
    NotItsDatabases(String),
    /// A checkpoint stands outside the database, but not, or another one, inside.
    #[error("checkpoint {number} outside the database is not the one inside, or there is none")]
    CheckpointNotInside {
        /// Its number.
        number: i64,
    },
    /// Nothing was kept outside the database where it was looked for: nothing could be compared.
    #[error("there is no checkpoint outside the database: the file is empty")]
    NoneOutside,
    /// A line outside the database is no checkpoint that this keyring signed.
    #[error("line {line} of the checkpoint file is not a checkpoint of this keyring")]
    CheckpointLine {
        /// The line, from 1.
        line: usize,
    },
}
