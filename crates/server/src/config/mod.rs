//! The configuration: one list of settings ([`SETTINGS`]), read from defaults, a file, the environment and
//! flags, and checked as a whole before anything starts.

mod kind;
mod layers;
mod network;
mod settings;

#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::auth::IssuerConfig;
pub use kind::Kind;
use layers::Layers;
pub use layers::{Given, Layered, Source};
pub use network::{ForwardedHeader, Network, Proxies};
pub use settings::{PREFIX, SETTINGS, Setting, reference};

/// Something for which the configuration cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No setting has this name.
    #[error("There is no {what}. Did you mean {nearest}?")]
    Unknown {
        /// What was written, and where.
        what: String,
        /// The known name that is most alike.
        nearest: String,
    },
    /// The file cannot be read.
    #[error("The configuration file {} cannot be used: {reason}.", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A value is not what the setting takes.
    #[error("The setting {path} ({source_of}) cannot have this value: {faults}.")]
    Value {
        /// The setting.
        path: &'static str,
        /// Where the value came from.
        source_of: String,
        /// What is wrong with it.
        faults: String,
    },
    /// Two settings that exclude each other, or one that makes no sense.
    #[error("{0}")]
    Contradiction(String),
}

/// Everything for which the configuration cannot be used, a sentence a line. It stops the start-up.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<String> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&sentences.join("\n"))
    }
}

/// A text that no log and no error shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The settings in force. What each means stands in [`SETTINGS`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS describes each, and a test holds both together")]
pub struct Config {
    pub listen: SocketAddr,
    pub management_listen: SocketAddr,
    pub data_dir: PathBuf,
    pub database_url: Option<Secret>,
    pub database_pool_size: usize,
    pub keyring_file: Option<PathBuf>,
    pub keyring: Option<Secret>,
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    pub zone: String,
    pub http_cors_origins: Vec<String>,
    pub access_reasons: Vec<String>,
    pub enrollment_approval: ApprovedBy,
    http_trusted_proxies: Vec<Network>,
    http_forwarded_header: ForwardedHeader,
    pub http_max_connections: usize,
    http_header_timeout_seconds: u64,
    http_idle_timeout_seconds: u64,
    http_drain_seconds: u64,
    pub limits_requests_per_second: u32,
    pub limits_burst: u32,
    pub limits_failed_logins_per_minute: u32,
    pub audit_checkpoint_file: Option<PathBuf>,
    runtime_worker_threads: usize,
    pub log_format: LogFormat,
    pub log_level: String,
}

/// Who approves enrolments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovedBy {
    /// Staff, one by one.
    Staff,
    /// The service itself, when one is submitted.
    Automatic,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads and checks the settings; also gives where each came from.
    pub fn load(given: &Given) -> Result<(Self, Layered), ConfigErrors> {
        let Layers { values, mut errors } = layers::read(given);
        errors.extend(contradictions(&values).into_iter().map(ConfigError::Contradiction));
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let name = |path: &str| settings::at(path).map(Setting::name).unwrap_or_default();
        let table: toml::Table = values.iter().map(|(path, (value, _))| (name(path), value.clone())).collect();
        // The message alone: the whole error quotes values.
        let unfit = |e: toml::de::Error| ConfigErrors(vec![ConfigError::Contradiction(e.message().to_owned())]);
        Ok((table.try_into().map_err(unfit)?, values))
    }

    /// Threads that answer requests.
    pub fn worker_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.runtime_worker_threads > 0 { self.runtime_worker_threads } else { cores().div_ceil(2) }
    }
    /// The proxies in front.
    pub fn proxies(&self) -> Proxies {
        Proxies { trusted: self.http_trusted_proxies.clone(), header: self.http_forwarded_header }
    }
    /// How long the head of a request may take.
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.http_header_timeout_seconds)
    }
    /// How long a connection may be still.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.http_idle_timeout_seconds)
    }
    /// How long draining may take.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.http_drain_seconds)
    }
    /// Where the data is.
    pub fn location(&self) -> store::Location {
        match &self.database_url {
            Some(url) => store::Location::Server(url.expose().to_owned()),
            None => store::Location::Directory(self.data_dir.clone()),
        }
    }
}

/// What two settings say against each other.
fn contradictions(values: &Layered) -> Vec<String> {
    let text = |path: &str| values.get(path).and_then(|(value, _)| value.as_str());
    let mut found = Vec::new();
    if text("keyring").is_some() && text("keyring-file").is_some() {
        found.push("keyring and keyring-file are both set: give the keys in one place only.".to_owned());
    }
    let address = |path| text(path).and_then(|text| text.parse::<SocketAddr>().ok());
    if let Some(listen) = address("listen").filter(|listen| listen.port() != 0)
        && address("management.listen") == Some(listen)
    {
        found.push(format!("listen and management.listen are both {listen}: give them different ports."));
    }
    found
}

/// What `customer-service config` prints: every setting, its value and its source, as a TOML file that could
/// be used, but for masked secrets.
pub fn show(layered: &Layered) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let line = match layered.get(setting.path) {
            None => format!("# {} is not set", setting.path),
            Some((_, source)) if setting.secret => format!("# {} = (secret)  # {source}", setting.path),
            Some((value, source)) => format!("{} = {value}  # {source}", setting.path),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}
