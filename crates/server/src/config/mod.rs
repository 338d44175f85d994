//! The configuration: one list of settings ([`SETTINGS`]), read from defaults, a file, the environment and
//! flags, and checked as a whole before anything starts.

mod layers;
mod network;
mod settings;

#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::auth::IssuerConfig;
pub use layers::{Given, Layered, Source};
pub use network::Network;
pub use settings::{Kind, PREFIX, SETTINGS, Setting, reference};

/// Why the configuration cannot be used. Each stops the start-up.
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
    #[error("The setting {path} ({source_of}) cannot have this value; it takes: {expected}.")]
    Value {
        /// The setting.
        path: &'static str,
        /// Where the value came from.
        source_of: String,
        /// What it takes.
        expected: String,
    },
    /// A member of a list or table is wrong, in words that name it.
    #[error("The settings cannot be used: {0}.")]
    Content(String),
    /// Two settings that exclude each other, or one that makes no sense.
    #[error("{0}")]
    Contradiction(String),
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
    pub http_trusted_proxies: Vec<Network>,
    pub http_max_connections: usize,
    http_header_timeout_seconds: u64,
    http_idle_timeout_seconds: u64,
    http_drain_seconds: u64,
    pub limits_requests_per_second: u32,
    pub limits_burst: u32,
    pub limits_failed_logins_per_minute: u32,
    pub audit_lanes: usize,
    pub audit_checkpoint_file: Option<PathBuf>,
    pub log_format: LogFormat,
    pub log_level: String,
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
    ///
    /// # Errors
    /// [`ConfigError`], a sentence that names the setting.
    pub fn load(given: &Given) -> Result<(Self, Layered), ConfigError> {
        let layered = layers::read(given)?;
        let name = |path: &str| settings::at(path).map(Setting::name).unwrap_or_default();
        let table: toml::Table = layered.iter().map(|(path, (value, _))| (name(path), value.clone())).collect();
        // The message alone: the whole error quotes values.
        let config: Self =
            table.try_into().map_err(|e: toml::de::Error| ConfigError::Content(e.message().to_owned()))?;
        config.check()?;
        Ok((config, layered))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |sentence: String| Err(ConfigError::Contradiction(sentence));
        if self.keyring.is_some() && self.keyring_file.is_some() {
            return wrong("keyring and keyring-file are both set: give the keys in one place only.".into());
        }
        if self.listen == self.management_listen && self.listen.port() != 0 {
            return wrong(format!("listen and management.listen are both {}: give them different ports.", self.listen));
        }
        if domain::time::Zone::named(&self.zone).is_none() {
            return wrong(format!("zone is {:?}, which is no IANA time zone such as America/Chicago.", self.zone));
        }
        for origin in &self.http_cors_origins {
            // As browsers send it (RFC 6454, section 6.2): scheme, host and port, nothing behind.
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if !host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' '])) {
                return wrong(format!(
                    "http.cors-origins lists {origin:?}; write an origin such as https://portal.example."
                ));
            }
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log_level).is_err() {
            return wrong("log.level is none of error, warn, info, debug, trace, nor a list of module=level.".into());
        }
        Ok(())
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
