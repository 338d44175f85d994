//! Background tasks that must not end before they are told to.
//!
//! One that ends or panics is started again, after a pause that grows. It is counted, and until its successor has
//! lived for a moment, [`Supervisor::is_well`] is false, so that a service whose task fails again and again is not
//! ready. What a task keeps from one life to the next belongs behind an [`Arc`], outside of what `start` makes.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::watch, time::timeout};

/// A successor that lives for so long is well.
const PROBATION: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Watches over tasks; its clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct Supervisor(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    down: AtomicUsize,
    restarts: AtomicU64,
}

/// A task that ended and whose successor is not well yet.
struct Down(Arc<Counts>);

impl Down {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.down.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        self.0.down.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Supervisor {
    /// Whether no task is down.
    pub fn is_well(&self) -> bool {
        self.0.down.load(Ordering::Relaxed) == 0
    }

    /// How often a task ended that should not have.
    pub fn restarts(&self) -> u64 {
        self.0.restarts.load(Ordering::Relaxed)
    }

    /// Runs what `start` makes, again and again, until `end` holds true or its sender is gone. It is for the task
    /// itself to end then. What is returned is to be spawned, or run on a thread of its own.
    pub async fn keep<F>(self, name: &'static str, mut end: watch::Receiver<bool>, mut start: impl FnMut() -> F)
    where
        F: Future<Output = ()>,
    {
        let (mut pause, mut down) = (PAUSE, None);
        loop {
            let mut run = Box::pin(AssertUnwindSafe(async { start().await }).catch_unwind());
            let ended = match timeout(PROBATION, &mut run).await {
                Ok(ended) => ended,
                Err(_) => {
                    (pause, down) = (PAUSE, None);
                    run.await
                }
            };
            if *end.borrow() || end.has_changed().is_err() {
                if ended.is_err() {
                    tracing::error!(task = name, "a background task panicked while it ended");
                }
                return;
            }
            self.0.restarts.fetch_add(1, Ordering::Relaxed);
            down.get_or_insert_with(|| Down::new(&self.0));
            let how = if ended.is_err() { "panicked" } else { "ended" };
            tracing::error!(task = name, how, "a background task is started again");
            if let Ok(Ok(_)) = timeout(pause, end.wait_for(|end| *end)).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_or_panics_is_started_again_and_is_not_well_meanwhile() {
        let supervisor = Supervisor::default();
        let (end, ended) = watch::channel(false);
        let lives = Arc::new(AtomicU64::new(0));
        let kept = tokio::spawn(supervisor.clone().keep("test", ended.clone(), {
            let lives = Arc::clone(&lives);
            move || {
                let (life, mut ended) = (lives.fetch_add(1, Ordering::Relaxed), ended.clone());
                async move {
                    match life {
                        0 => panic!("the first life"),
                        1 => {}
                        _ => drop(ended.wait_for(|end| *end).await),
                    }
                }
            }
        }));
        while lives.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!supervisor.is_well(), "it has not lived for long");
        assert_eq!(supervisor.restarts(), 2);
        tokio::time::sleep(PROBATION + Duration::from_millis(300)).await;
        assert!(supervisor.is_well());
        end.send_replace(true);
        timeout(Duration::from_secs(1), kept).await.unwrap().unwrap();
        assert_eq!((lives.load(Ordering::Relaxed), supervisor.restarts()), (3, 2));
    }
}
