//! The checkpoints' part of a verification: outside the database, then inside.

use std::{collections::BTreeMap, io::BufRead};

use super::{CHECKPOINTS, CHECKPOINTS_BY_NUMBER, LINES, PAGE, Signed, Verifier, VerifyError};
use crate::{
    audit::{
        checkpoint::{Body, Checkpoint},
        finding::Finding,
    },
    db::params,
};

/// Checkpoints that are not there, and the MAC that the next one names for the last of them.
struct Missing {
    from: i64,
    to: i64,
    previous: Option<String>,
}

impl Verifier<'_> {
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

    pub(super) async fn outside(&mut self, lines: Box<dyn BufRead + Send>) -> Result<(), VerifyError> {
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
        if self.report.outside == 0 {
            self.report.find(Finding::NoneOutside);
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

    pub(super) async fn inside(&mut self) -> Result<(), VerifyError> {
        let gaps = self.checkpoints().await?;
        // Only now it is known which ones were dropped.
        let (first, before_first) = self.first.clone();
        for gap in gaps.into_iter().filter(|gap| gap.to >= first.saturating_sub(1) && gap.to > 0) {
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
        let (mut last, mut previous) = (0_i64, String::new());
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
                let next = last.saturating_add(1);
                let follows = number == next;
                let mut gap = Missing { from: next, to: number.saturating_sub(1), previous: None };
                if let Some(key) = self.key(checkpoint.key, || format!("checkpoint {number}")) {
                    match checkpoint.verified(key) {
                        Some(body) if !follows || body.previous == previous => {
                            gap.previous = Some(body.previous.clone());
                            if self.before.is_some_and(|before| checkpoint.at >= before.micros()) {
                                self.first_kept.get_or_insert_with(|| (number, body.previous.clone()));
                            }
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
}
