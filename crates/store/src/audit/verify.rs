//! Verification of the whole log: chains, checkpoints inside the database and outside it.
//!
//! The order makes it safe beside a running service: first the checkpoints outside, then those inside, then
//! the records; each of them can only have grown meanwhile. It holds one page of rows, and one head for
//! each lane: a right chain up to the highest signed head agrees with every lower one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use crypto::Keyring;

use super::{
    chain::{LogRow, log_columns},
    checkpoint::{Body, Checkpoint},
    finding::Finding,
    retention::DroppedLane,
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
    /// Records that a signed drop names and that are still there: it was cut short, the next one takes them.
    pub undropped: u64,
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
    let report = Report::default();
    let mut this = Verifier {
        db,
        keyring,
        report,
        signed: BTreeMap::new(),
        unknown_keys: BTreeSet::new(),
        dropped: BTreeMap::new(),
        first: (1, String::new()),
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
    Ok(this.report)
}

impl<'a> Verifier<'a> {
    fn key(&mut self, id: i64, place: impl FnOnce() -> String) -> Option<&'a crypto::TagKey> {
        let key = u32::try_from(id).ok().and_then(|id| self.keyring.audit_of(id));
        if key.is_none() && self.unknown_keys.insert(id) {
            self.report.find(Finding::UnknownKey { key: id, place: place() });
        }
        key
    }

    /// Remembers the heads that a checkpoint signs, and what it says was dropped.
    fn sign(&mut self, checkpoint: i64, body: Body) {
        if let Some(retention) = body.retention {
            if retention.checkpoint > self.first.0 {
                self.first = (retention.checkpoint, retention.previous);
            }
            for lane in retention.lanes {
                let known = self.dropped.get(&lane.lane).is_some_and(|known| known.through > lane.through);
                if !known {
                    self.dropped.insert(lane.lane, lane);
                }
            }
        }
        for head in body.lanes {
            let known = self.signed.get(&head.lane).is_some_and(|known| known.number >= head.number);
            if !known {
                self.signed.insert(head.lane, Signed { number: head.number, mac: head.mac, checkpoint });
            }
        }
    }

    async fn outside(&mut self, lines: Box<dyn BufRead + Send>) -> Result<(), VerifyError> {
        let mut compared: BTreeMap<i64, String> = BTreeMap::new();
        for (index, line) in lines.lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            self.report.outside += 1;
            let checkpoint = serde_json::from_str::<Checkpoint>(&line).ok();
            let key = checkpoint.as_ref().and_then(|c| self.key(c.key, || format!("line {}", index + 1)));
            let body = checkpoint.as_ref().zip(key).and_then(|(c, key)| c.verified(key));
            let (Some(checkpoint), Some(body)) = (checkpoint, body) else {
                self.report.find(Finding::CheckpointLine { line: index + 1 });
                continue;
            };
            self.sign(checkpoint.number, body);
            compared.insert(checkpoint.number, checkpoint.mac);
            if compared.len() >= LINES {
                self.compare(std::mem::take(&mut compared)).await?;
            }
        }
        self.compare(compared).await
    }

    /// Every checkpoint outside must stand inside.
    async fn compare(&mut self, outside: BTreeMap<i64, String>) -> Result<(), VerifyError> {
        let numbers: Vec<i64> = outside.keys().copied().collect();
        let mut inside = BTreeMap::new();
        for row in self.db.read_audit(&CHECKPOINTS_BY_NUMBER, params![numbers]).await? {
            let mut row = row.read();
            inside.insert(row.get::<i64>()?, hex::encode(row.get::<Vec<u8>>()?));
        }
        for (number, mac) in outside {
            if inside.get(&number) != Some(&mac) {
                self.outside_only.push(number);
            }
        }
        Ok(())
    }

    async fn inside(&mut self) -> Result<(), VerifyError> {
        let gaps = self.checkpoints().await?;
        // Only now it is known which ones were dropped.
        let (first, before_first) = self.first.clone();
        for gap in gaps.into_iter().filter(|gap| gap.to >= first - 1 && gap.to > 0) {
            if gap.to >= first {
                self.report.find(Finding::CheckpointGap { from: gap.from.max(first), to: gap.to });
            } else if gap.previous.is_some_and(|previous| previous != before_first) {
                self.report.find(Finding::CheckpointAltered { number: first });
            }
        }
        for number in std::mem::take(&mut self.outside_only).into_iter().filter(|number| *number >= first) {
            self.report.find(Finding::CheckpointNotInside { number });
        }
        Ok(())
    }

    /// Verifies the checkpoints inside; the gaps between them.
    async fn checkpoints(&mut self) -> Result<Vec<Missing>, VerifyError> {
        let (mut last, mut previous) = (0, String::new());
        let mut gaps = Vec::new();
        loop {
            let page = self.db.read_audit(&CHECKPOINTS, params![last, PAGE]).await?;
            if page.is_empty() {
                return Ok(gaps);
            }
            for row in page {
                let checkpoint = Checkpoint::read(row)?;
                let number = checkpoint.number;
                self.report.checkpoints += 1;
                let follows = number == last + 1;
                let mut gap = Missing { from: last + 1, to: number - 1, previous: None };
                if let Some(key) = self.key(checkpoint.key, || format!("checkpoint {number}")) {
                    match checkpoint.verified(key) {
                        Some(body) if !follows || body.previous == previous => {
                            gap.previous = Some(body.previous.clone());
                            self.sign(number, body);
                        }
                        _ => self.report.find(Finding::CheckpointAltered { number }),
                    }
                }
                if !follows {
                    gaps.push(gap);
                }
                (last, previous) = (number, checkpoint.mac);
            }
        }
    }

    async fn records(&mut self) -> Result<(), VerifyError> {
        let mut seen = BTreeSet::new();
        let mut walk = Walk { lane: i64::MIN, number: 0, mac: Vec::new() };
        let mut last = (i64::MIN, 0);
        let mut buffer = Vec::with_capacity(512);
        loop {
            let page = self.db.read_audit(&RECORDS, params![last.0, last.1, PAGE]).await?;
            let full = i64::try_from(page.len()).unwrap_or(i64::MAX) >= PAGE;
            for row in page {
                let row = LogRow::read(row)?;
                last = (row.lane, row.number);
                self.report.records += 1;
                if row.lane != walk.lane {
                    self.end_lane(&walk);
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
        self.end_lane(&walk);
        self.report.lanes = seen.len() as u64;
        let gaps: Vec<(i64, i64)> =
            self.dropped.values().flat_map(|d| d.kept.iter().map(|k| (d.lane, k.number))).collect();
        for (lane, number) in gaps {
            self.report.find(Finding::Gap { lane, from: number, to: number });
        }
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
        match self.dropped.get(&lane) {
            Some(dropped) => Walk { lane, number: dropped.through, mac: hex::decode(&dropped.mac).unwrap_or_default() },
            None => Walk { lane, number: 0, mac: vec![0; crypto::TAG_LENGTH] },
        }
    }

    /// A record that stands before the end of what was dropped from its lane: kept, or not dropped yet.
    fn among_dropped(&mut self, row: &LogRow, buffer: &mut Vec<u8>) {
        let (lane, number) = (row.lane, row.number);
        let key = self.key(row.key_id, || format!("lane {lane}, record {number}"));
        let kept = self.dropped.get_mut(&lane).and_then(|dropped| {
            let index = dropped.kept.iter().position(|kept| kept.number == number)?;
            Some(dropped.kept.swap_remove(index))
        });
        let Some(kept) = kept else {
            self.report.undropped += 1;
            return;
        };
        let previous = hex::decode(&kept.previous).unwrap_or_default();
        let right = key.is_none_or(|key| row.right_mac(key, &previous, buffer).as_slice() == row.mac);
        if !right || hex::encode(&row.mac) != kept.mac {
            self.report.find(Finding::Altered { lane, number });
        }
    }

    fn step(&mut self, walk: &mut Walk, row: LogRow, buffer: &mut Vec<u8>) {
        let (lane, number) = (row.lane, row.number);
        if self.dropped.get(&lane).is_some_and(|dropped| number <= dropped.through) {
            return self.among_dropped(&row, buffer);
        }
        if number == walk.number {
            self.report.find(Finding::Repeated { lane, number });
            return;
        }
        let follows = number == walk.number + 1;
        if !follows {
            self.report.find(Finding::Gap { lane, from: walk.number + 1, to: number - 1 });
        }
        // After a gap the MAC before is not known: the record itself cannot be judged.
        if let Some(key) = self.key(row.key_id, || format!("lane {lane}, record {number}")).filter(|_| follows)
            && row.right_mac(key, &walk.mac, buffer).as_slice() != row.mac
        {
            self.report.find(Finding::Altered { lane, number });
        }
        if let Some(signed) = self.signed.get(&lane)
            && signed.number == number
            && signed.mac != hex::encode(&row.mac)
        {
            let checkpoint = signed.checkpoint;
            self.report.find(Finding::NotAsSigned { lane, number, checkpoint });
        }
        walk.number = number;
        walk.mac = row.mac;
    }

    fn end_lane(&mut self, walk: &Walk) {
        if let Some(signed) = self.signed.get(&walk.lane)
            && signed.number > walk.number
        {
            let (lane, last, signed, checkpoint) = (walk.lane, walk.number, signed.number, signed.checkpoint);
            self.report.find(Finding::CutTail { lane, last, signed, checkpoint });
        }
    }
}

/// Checkpoints that are not there, and the MAC that the next one names for the last of them.
struct Missing {
    from: i64,
    to: i64,
    previous: Option<String>,
}

/// Where the walk through the log stands.
struct Walk {
    lane: i64,
    number: i64,
    mac: Vec<u8>,
}
