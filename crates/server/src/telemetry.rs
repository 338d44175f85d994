//! The log and the figures.
//!
//! Both name the operation and ids only: never a raw path, a query, a header or a body, nor a token or a
//! subject. The log goes to standard error, so that what commands print can be piped.

mod lines;

use std::{
    fmt::Error,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, family::Family, gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use store::{Store, supervise::Supervisor};

pub use self::lines::{Log, log};
use crate::{auth::Authenticator, listen::Connections};

/// Upper bounds of the histogram in seconds: dense where answers should be.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    status: &'static str,
}

/// The figures of one process.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Histogram>,
    sources: Arc<OnceLock<Sources>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("customer_service");
        let requests = Family::<Request, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let help = "Requests by operation and class of status";
        registry.register_with_unit("request_duration", help, Unit::Seconds, requests.clone());
        let sources = Arc::default();
        registry.register_collector(Box::new(Figures(Arc::clone(&sources))));
        Self { registry, requests, sources }
    }
}

impl Metrics {
    /// Counts an answered request. `operation` is the name in the table of routes, never a path.
    pub fn request(&self, operation: &'static str, status: u16, elapsed: Duration) {
        let status = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Request { operation, status }).observe(elapsed.as_secs_f64());
    }

    /// From where the other figures are taken when they are asked for. The second call does nothing.
    pub fn watch(&self, sources: Sources) {
        // Set already: the first sources stay.
        drop(self.sources.set(sources));
    }

    /// All figures in the text format of OpenMetrics, which Prometheus reads.
    ///
    /// # Errors
    /// When a figure cannot be written as text.
    pub fn text(&self) -> Result<String, Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Where figures come from. Weak, so that metrics keep no store open.
#[derive(Debug)]
pub struct Sources {
    /// Of the database and its audit log.
    pub store: Weak<Store>,
    /// Of the issuers.
    pub authenticator: Weak<Authenticator>,
    /// Of the API's listener.
    pub connections: Arc<Connections>,
    /// Of what runs beside the requests.
    pub tasks: Supervisor,
}

#[derive(Debug)]
struct Figures(Arc<OnceLock<Sources>>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut counter = |name: &str, help: &str, value: u64| {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        counter("log_lines_lost", "Lines of the log that could not be written in time", lines::lost())?;
        let sources = self.0.get();
        if let Some(store) = sources.and_then(|sources| sources.store.upgrade()) {
            let audit = store.audit_log().stats();
            counter("audit_records", "Records written to the audit log", audit.records)?;
            counter("audit_commits", "Commits of the audit log", audit.commits)?;
            counter("audit_lanes_lost", "Lanes given up after a commit with unknown outcome", audit.lanes_lost)?;
            counter("audit_lost", "Records of failed authentications that could not be written", audit.lost)?;
            counter("audit_checkpoints", "Checkpoints of the audit log", audit.checkpoints)?;
            counter("audit_restarts", "Tasks of the audit log that ended and were started again", audit.restarts)?;
            counter("database_panics", "Work for the database that panicked", store.panics())?;
        }
        if let Some(Sources { connections, tasks, .. }) = sources {
            counter("task_restarts", "Background tasks that ended and were started again", tasks.restarts())?;
            counter("connections_accepted", "Accepted connections", connections.accepted())?;
            counter("connections_refused", "Connections closed because too many were open", connections.refused())?;
            counter(
                "connections_timed_out",
                "Connections closed because the client was slow",
                connections.timed_out(),
            )?;
        }
        let mut gauge = |name: &str, help: &str, value: u64| {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        if let Some(store) = sources.and_then(|sources| sources.store.upgrade()) {
            gauge("audit_waiting", "Records that wait for the audit log", store.audit_log().stats().waiting)?;
        }
        if let Some(authenticator) = sources.and_then(|sources| sources.authenticator.upgrade()) {
            let without = authenticator.issuers().filter(|(_, has_keys)| !has_keys).count();
            gauge("issuers_without_keys", "Issuers whose keys were never fetched", without as u64)?;
            let unreachable = authenticator.unreachable() as u64;
            gauge("issuers_unreachable", "Issuers whose keys could not be fetched at the last try", unreachable)?;
            let none = authenticator.publishing_none() as u64;
            gauge("issuers_publishing_no_keys", "Issuers that publish no usable key", none)?;
        }
        if let Some(Sources { connections, .. }) = sources {
            gauge("connections_open", "Open connections", connections.open())?;
        }
        if let Some(bytes) = resident_bytes() {
            gauge("resident_memory_bytes", "Resident memory", bytes)?;
        }
        Ok(())
    }
}

/// The resident memory of this process, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_text_that_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.request("getAccount", 200, Duration::from_micros(700));
        metrics.request("getAccount", 404, Duration::from_millis(3));
        let text = metrics.text().unwrap();
        for line in [
            "customer_service_request_duration_seconds_count{operation=\"getAccount\",status=\"2xx\"} 1",
            "customer_service_request_duration_seconds_bucket{le=\"0.001\",operation=\"getAccount\",status=\"2xx\"} 1",
            "customer_service_request_duration_seconds_count{operation=\"getAccount\",status=\"4xx\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("customer_service_resident_memory_bytes "));
    }
}
