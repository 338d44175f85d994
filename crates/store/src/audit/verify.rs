//! Verification of the whole log: chains, checkpoints inside the database and outside it.
//!
//! The order makes it safe beside a running service: first the checkpoints outside, then those inside, then
//! the records; each of them can only have grown meanwhile. It holds one page of rows, and one head for
//! each lane: a right chain up to the highest signed head agrees with every lower one.

mod checkpoints;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use crypto::Keyring;
use domain::time::Instant;

use super::{
    chain::{LogRow, log_columns},
    finding::Finding,
    retention::{self, DroppedLane, Plan, Retention},
};
use crate::db::{Db, DbError, params, statements};

const PAGE: i64 = 1000;
/// Findings that a report lists; more are counted.
const LISTED: usize = 10_000;
/// Lines of a checkpoint file that are compared with the database at once.
const LINES: usize = 500;

statements! {
    [audit] RECORDS = {concat!("SELECT ", log_columns!(), " FROM audit_log WHERE (lane, number) > ($1, $2)
        ORDER BY lane, number LIMIT $3")};
    [audit] STRAY = {"SELECT count(*) FROM audit_log WHERE lane < 1"};
    // PostgreSQL's key includes the instant: a page may end between two rows of one number.
    [audit] SAME_NUMBER = {"SELECT count(*) FROM audit_log WHERE lane = $1 AND number = $2"};
    [audit] CHECKPOINTS = {"SELECT number, at, body, key_id, mac FROM audit_checkpoint WHERE number > $1
        ORDER BY number LIMIT $2"};
    [audit] CHECKPOINTS_BY_NUMBER = {
        sqlite "SELECT number, mac FROM audit_checkpoint WHERE number IN (SELECT value FROM json_each($1))",
        postgres "SELECT number, mac FROM audit_checkpoint WHERE number = ANY ($1)"
    };
    [audit] LANES = {"SELECT lane FROM audit_lane"};
    PENDING = {"SELECT count(*) FROM audit_intake"};
}

/// What a verification saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Records in the log.
    pub records: u64,
    /// Lanes with records.
    pub lanes: u64,
    /// Checkpoints in the database.
    pub checkpoints: u64,
    /// Checkpoints read outside the database.
    pub outside: u64,
    /// Records of changes that still wait in the intake, outside the chains.
    pub pending: u64,
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub unlisted: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether nothing is wrong but a drop that was cut short, so that another one may follow.
    pub fn may_be_dropped(&self) -> bool {
        self.findings.iter().all(|finding| matches!(finding, Finding::Undropped { .. }))
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < LISTED {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

/// Why a verification could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The checkpoint file.
    #[error("the checkpoint file cannot be read: {0}")]
    Lines(#[from] std::io::Error),
    /// The keyring is not the one that wrote the log.
    #[error(transparent)]
    Keys(#[from] crypto::OtherKeys),
}

/// The highest signed head of a lane.
struct Signed {
    number: i64,
    mac: String,
    checkpoint: i64,
}

struct Verifier<'a> {
    db: &'a Db,
    keyring: &'a Keyring,
    report: Report,
    signed: BTreeMap<i64, Signed>,
    unknown_keys: BTreeSet<i64>,
    dropped: BTreeMap<i64, DroppedLane>,
    /// The first checkpoint that must be there, and the MAC before it.
    first: (i64, String),
    /// What may be dropped, when that was asked: records before this instant.
    before: Option<Instant>,
    droppable: BTreeMap<i64, DroppedLane>,
    /// The first checkpoint at that instant or later, and the MAC before it.
    first_kept: Option<(i64, String)>,
    /// Numbers of checkpoints that stand outside only.
    outside_only: Vec<i64>,
}

/// Verifies the whole log. `lines` are the checkpoints that were kept outside the database, one JSON text
/// a line: with them, what was cut off together with the checkpoints inside is found too.
///
/// # Errors
/// [`VerifyError`] when something could not be read; what is wrong with the log is in the report.
pub(crate) async fn verify(
    db: &Db,
    keyring: &Keyring,
    lines: Option<Box<dyn BufRead + Send>>,
) -> Result<Report, VerifyError> {
    Ok(Verifier::run(db, keyring, lines, None).await?.report)
}

/// Verifies the whole log, and says what of it is older than an instant and may be dropped: of each lane the
/// beginning that was found right.
///
/// # Errors
/// As [`verify`].
pub(crate) async fn examine(
    db: &Db,
    keyring: &Keyring,
    lines: Option<Box<dyn BufRead + Send>>,
    before: Instant,
) -> Result<(Report, Plan), VerifyError> {
    let Verifier { report, mut dropped, droppable, first, first_kept, .. } =
        Verifier::run(db, keyring, lines, Some(before)).await?;
    dropped.extend(droppable);
    let (checkpoint, previous) = first_kept.unwrap_or(first);
    let lanes = dropped.into_values().collect();
    let mut stated = Retention { before: before.micros(), checkpoint, previous, lanes };
    retention::remembered(db, &mut stated).await?;
    Ok((report, Plan(stated)))
}

impl<'a> Verifier<'a> {
    async fn run(
        db: &'a Db,
        keyring: &'a Keyring,
        lines: Option<Box<dyn BufRead + Send>>,
        before: Option<Instant>,
    ) -> Result<Self, VerifyError> {
        let mut this = Verifier {
            db,
            keyring,
            report: Report::default(),
            signed: BTreeMap::new(),
            unknown_keys: BTreeSet::new(),
            dropped: BTreeMap::new(),
            first: (1, String::new()),
            before,
            droppable: BTreeMap::new(),
            first_kept: None,
            outside_only: Vec::new(),
        };
        if let Some(lines) = lines {
            this.outside(lines).await?;
        }
        this.inside().await?;
        this.records().await?;
        let pending = db.read(&PENDING, Vec::new()).await?.into_iter().next();
        let pending: Option<i64> = pending.map(|row| row.read().get()).transpose()?;
        this.report.pending = pending.unwrap_or_default().unsigned_abs();
        Ok(this)
    }

    fn key(&mut self, id: i64, place: impl FnOnce() -> String) -> Option<&'a crypto::TagKey> {
        let key = u32::try_from(id).ok().and_then(|id| self.keyring.audit_of(id));
        if key.is_none() && self.unknown_keys.insert(id) {
            self.report.find(Finding::UnknownKey { key: id, place: place() });
        }
        key
    }

    async fn records(&mut self) -> Result<(), VerifyError> {
        let mut seen = BTreeSet::new();
        let stray = self.db.read_audit(&STRAY, Vec::new()).await?.into_iter().next();
        let stray: Option<i64> = stray.map(|row| row.read().get()).transpose()?;
        if let Some(records @ 1..) = stray {
            self.report.find(Finding::NoLane { records });
        }
        let mut walk = Walk { lane: 0, number: 0, mac: Vec::new(), undropped: 0, droppable: false };
        let mut last = (0, i64::MAX);
        let mut buffer = Vec::with_capacity(512);
        loop {
            let page = self.db.read_audit(&RECORDS, params![last.0, last.1, PAGE]).await?;
            let full = i64::try_from(page.len()).unwrap_or(i64::MAX) >= PAGE;
            for row in page {
                let row = LogRow::read(row)?;
                last = (row.lane, row.number);
                self.report.records += 1;
                if row.lane != walk.lane {
                    self.end_lane(&mut walk);
                    seen.insert(row.lane);
                    walk = self.walk(row.lane);
                }
                self.step(&mut walk, row, &mut buffer);
            }
            if !full {
                break;
            }
            let (lane, number) = last;
            let same = self.db.read_audit(&SAME_NUMBER, params![lane, number]).await?;
            let same: Option<i64> = same.into_iter().next().map(|row| row.read().get()).transpose()?;
            if same.unwrap_or_default() > 1 {
                self.report.find(Finding::Repeated { lane, number });
            }
        }
        self.end_lane(&mut walk);
        self.report.lanes = seen.len() as u64;
        for (lane, signed) in &self.signed {
            let dropped = self.dropped.get(lane).is_some_and(|dropped| dropped.through >= signed.number);
            if !dropped && !seen.contains(lane) {
                let Signed { number, mac: _, checkpoint } = *signed;
                self.report.find(Finding::LostLane { lane: *lane, signed: number, checkpoint });
            }
        }
        let mut opened = BTreeSet::new();
        for row in self.db.read_audit(&LANES, Vec::new()).await? {
            opened.insert(row.read().get::<i64>()?);
        }
        for lane in seen.difference(&opened) {
            self.report.find(Finding::UnlistedLane { lane: *lane });
        }
        Ok(())
    }

    /// Where the chain of a lane begins: behind what was dropped.
    fn walk(&self, lane: i64) -> Walk {
        let (number, mac) = match self.dropped.get(&lane) {
            Some(dropped) => (dropped.through, hex::decode(&dropped.mac).unwrap_or_default()),
            None => (0, vec![0; crypto::TAG_LENGTH]),
        };
        Walk { lane, number, mac, undropped: 0, droppable: self.before.is_some() }
    }

    fn step(&mut self, walk: &mut Walk, row: LogRow, buffer: &mut Vec<u8>) {
        let (lane, number) = (row.lane, row.number);
        if self.dropped.get(&lane).is_some_and(|dropped| number <= dropped.through) {
            walk.undropped += 1;
            return;
        }
        if number < 1 {
            self.report.find(Finding::Altered { lane, number });
            return;
        }
        if number == walk.number {
            self.report.find(Finding::Repeated { lane, number });
            return;
        }
        let next = walk.number.saturating_add(1);
        let mut right = number == next;
        if !right {
            self.report.find(Finding::Gap { lane, from: next, to: number - 1 });
        }
        // After a gap the MAC before is not known: the record itself cannot be judged.
        let key = self.key(row.key_id, || format!("lane {lane}, record {number}"));
        if right
            && let Some(key) = key
            && row.right_mac(key, &walk.mac, buffer).as_slice() != row.mac
        {
            self.report.find(Finding::Altered { lane, number });
            right = false;
        }
        if let Some(signed) = self.signed.get(&lane)
            && signed.number == number
            && signed.mac != hex::encode(&row.mac)
        {
            let checkpoint = signed.checkpoint;
            self.report.find(Finding::NotAsSigned { lane, number, checkpoint });
            right = false;
        }
        if !right || key.is_none() || self.before.is_none_or(|before| row.at >= before) {
            self.end_droppable(walk);
        }
        walk.number = number;
        walk.mac = row.mac;
    }

    /// Notes how far the beginning of a lane is right and old: to the record before this one.
    fn end_droppable(&mut self, walk: &mut Walk) {
        let Walk { lane, number, .. } = *walk;
        if std::mem::take(&mut walk.droppable) && number > 0 {
            self.droppable.insert(lane, DroppedLane { lane, through: number, mac: hex::encode(&walk.mac) });
        }
    }

    fn end_lane(&mut self, walk: &mut Walk) {
        self.end_droppable(walk);
        if walk.undropped > 0 {
            let through = self.dropped.get(&walk.lane).map_or(0, |dropped| dropped.through);
            self.report.find(Finding::Undropped { lane: walk.lane, records: walk.undropped, through });
        }
        if let Some(signed) = self.signed.get(&walk.lane)
            && signed.number > walk.number
        {
            let (lane, last, signed, checkpoint) = (walk.lane, walk.number, signed.number, signed.checkpoint);
            self.report.find(Finding::CutTail { lane, last, signed, checkpoint });
        }
    }
}

/// Where the walk through the log stands.
struct Walk {
    lane: i64,
    number: i64,
    mac: Vec<u8>,
    /// Records that were to be dropped.
    undropped: u64,
    /// Whether every record so far is right and older than what is to be kept.
    droppable: bool,
}
