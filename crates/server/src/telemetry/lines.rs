//! The log's lines on their way to standard error.
//!
//! Nothing that answers requests waits for that: a disk may be full, a pipe closed, its reader asleep. One thread
//! writes; what it has no room for, and what cannot be written, is dropped and counted.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd as _,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, SubscriberBuilder},
};

use crate::config::LogFormat;

/// Lines that wait at most.
const QUEUE: usize = 4096;
/// How long the end waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// The log is the process's, and so is this.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that were dropped since the start.
pub(super) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

enum Step {
    Line(Vec<u8>),
    /// Every line before it has been written or dropped.
    Written(SyncSender<()>),
}

/// Where the subscriber writes; each write is one line.
#[derive(Clone)]
struct Lines(SyncSender<Step>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Step::Line(line.to_vec())).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn write(mut to: impl Write, steps: &Receiver<Step>) {
    // What came before may have ended within a line.
    let mut cut = false;
    for step in steps {
        match step {
            Step::Line(line) => {
                let whole = if cut { to.write_all(b"\n") } else { Ok(()) };
                cut = whole.and_then(|()| to.write_all(&line)).is_err();
                LOST.fetch_add(u64::from(cut), Ordering::Relaxed);
            }
            // Who asked may have stopped waiting.
            Step::Written(told) => drop(told.try_send(())),
        }
    }
}

/// The log, started. Dropped, it waits a little for the last lines.
#[derive(Debug)]
pub struct Log(SyncSender<Step>);

impl Drop for Log {
    fn drop(&mut self) {
        let (told, written) = sync_channel(1);
        if self.0.try_send(Step::Written(told)).is_ok() {
            // Whoever does not read them has had their second.
            let _in_time = written.recv_timeout(LAST);
        }
    }
}

/// Starts the log, to which panics go as well.
///
/// # Errors
/// A sentence, when the level cannot be read or a log was started before.
pub fn log(format: LogFormat, level: &str) -> Result<Log, String> {
    let failed = |e: &dyn std::fmt::Display| format!("the log cannot be started: {e}");
    let filter = EnvFilter::try_new(level).map_err(|e| format!("log.level: {e}"))?;
    let stderr = io::stderr();
    let ansi = stderr.is_terminal();
    // A descriptor of its own: who waits with it holds no lock that others need.
    let to: File = stderr.as_fd().try_clone_to_owned().map_err(|e| failed(&e))?.into();
    let (queue, steps) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || write(to, &steps));
    thread.map_err(|e| failed(&e))?;
    // The subscriber would tell standard error of its own troubles, and panic when it cannot.
    let builder = SubscriberBuilder::default().with_env_filter(filter).log_internal_errors(false);
    let builder = builder.with_ansi(ansi).with_writer(Lines(queue.clone()));
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| failed(&e))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // A text that was put together may hold what must not be logged.
        let what = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
        tracing::error!(place, what, "a defect: something panicked");
    }));
    Ok(Log(queue))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full for some writes.
    struct Full(Vec<u8>, usize);

    impl Write for &mut Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(left) = self.1.checked_sub(1) {
                self.1 = left;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_written_or_has_no_room_is_counted_and_dropped() {
        let (queue, steps) = sync_channel(3);
        let before = lost();
        let mut lines = Lines(queue);
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            lines.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(lost() - before, 1, "the queue holds three");
        drop(lines);
        let mut disk = Full(Vec::new(), 2);
        write(&mut disk, &steps);
        assert_eq!((disk.0.as_slice(), lost() - before), (b"\nc\n".as_slice(), 3));
    }
}
