//! What goes on beside the appends: checkpoints, the counts of floods and of lost records, next months' partitions.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    ActorKind, Outcome, Record,
    checkpoint::Checkpointer,
    lane::{Waiting, ended},
    log::Shared,
};
use crate::partitions;

const FLOOD_CHECK: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// Makes checkpoints until the log is closed; its end makes the last one.
pub(super) async fn sign(shared: Arc<Shared>, mut end: watch::Receiver<bool>) {
    let mut checkpointer = Checkpointer::new(Arc::clone(&shared));
    let mut signing = ticks(shared.options.checkpoint_every);
    loop {
        tokio::select! {
            _ = signing.tick() => if let Err(failed) = checkpointer.checkpoint().await {
                tracing::warn!(error = %failed, "no checkpoint of the audit log could be written");
                checkpointer = Checkpointer::new(Arc::clone(&shared));
            },
            () = ended(&mut end) => return,
        }
    }
}

/// Counts floods and what was lost, and makes partitions.
pub(super) async fn run(shared: &Shared, queue: &mpsc::Sender<Waiting>, mut end: watch::Receiver<bool>) {
    let (mut counting, mut days) = (ticks(FLOOD_CHECK), ticks(DAY));
    let sent = |record| queue.try_send(Waiting { record, more: Vec::new(), done: None }).is_ok();
    loop {
        tokio::select! {
            _ = counting.tick() => {
                for record in shared.floods.passed(Some(shared.clock.now())) {
                    if !sent(record) {
                        shared.lost(1);
                    }
                }
                let lost = shared.stats.unreported.swap(0, Ordering::Relaxed);
                if lost > 0 && !sent(lost_record(shared, lost)) {
                    shared.stats.unreported.fetch_add(lost, Ordering::Relaxed);
                }
            }
            _ = days.tick() => partitions::daily(&shared.db, shared.clock.now()).await,
            () = ended(&mut end) => return,
        }
    }
}

/// The record that says how many records were lost.
fn lost_record(shared: &Shared, lost: u64) -> Record {
    Record {
        detail: Some(format!("count={lost}")),
        ..Record::new(shared.clock.now(), ActorKind::System, "audit.lost", Outcome::Unauthenticated)
    }
}
