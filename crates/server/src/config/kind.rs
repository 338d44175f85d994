//! What a setting's value may be.

use domain::time::Zone;
use serde::Deserialize as _;
use toml::Value;

use super::Network;
use crate::auth::IssuerConfig;

/// What a setting's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A file or directory.
    Path,
    /// An IP address with a port.
    Address,
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IANA time zone.
    Zone,
    /// How much is logged.
    Levels,
    /// Origins of web sites; separated by commas outside the file.
    Origins,
    /// Codes in lower case; separated by commas outside the file.
    Codes,
    /// Addresses and networks; separated by commas outside the file.
    Networks,
    /// OpenID providers; a JSON array outside the file.
    Issuers,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Kind {
    /// What is expected, for people.
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Path => "path".into(),
            Self::Address => "address:port".into(),
            Self::Whole(least, most) => format!("{least} to {most}"),
            Self::Choice(words) => words.join(" or "),
            Self::Zone => "time zone".into(),
            Self::Levels => "level, or list with module=level".into(),
            Self::Origins => "list of origins".into(),
            Self::Codes => "list of codes".into(),
            Self::Networks => "list of networks".into(),
            Self::Issuers => "list of tables".into(),
        }
    }

    /// The word of the help for the value.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Path => "PATH",
            Self::Address => "ADDRESS:PORT",
            Self::Whole(..) => "N",
            Self::Choice(_) => "WORD",
            Self::Zone => "ZONE",
            Self::Levels => "LEVEL",
            Self::Origins | Self::Codes | Self::Networks | Self::Issuers => "LIST",
        }
    }

    pub(super) fn expected(self) -> String {
        format!("it takes: {}", self.describe())
    }

    /// Everything that is wrong with a value. What may be secret is not quoted.
    pub(super) fn faults(self, value: &Value) -> Vec<String> {
        let of = |items: &[Value], fault: fn(&str) -> Option<String>| -> Vec<String> {
            let fault = |item: &Value| item.as_str().map_or_else(|| Some(self.expected()), fault);
            items.iter().filter_map(fault).collect()
        };
        let fits = match (self, value) {
            (Self::Text | Self::Path, Value::String(text)) => !text.trim().is_empty(),
            (Self::Address, Value::String(text)) => text.parse::<std::net::SocketAddr>().is_ok(),
            (Self::Whole(least, most), Value::Integer(number)) => (least..=most).contains(number),
            (Self::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
            (Self::Zone, Value::String(text)) if Zone::named(text).is_none() => {
                return vec![format!("{text:?} is no IANA time zone such as America/Chicago")];
            }
            (Self::Levels, Value::String(text)) if !is_levels(text) => {
                return vec![format!(
                    "{text:?} is none of {}, nor a list such as info,server=debug",
                    LEVELS.join(", ")
                )];
            }
            (Self::Zone | Self::Levels, Value::String(_)) => true,
            (Self::Origins, Value::Array(items)) => return of(items, no_origin),
            (Self::Codes, Value::Array(items)) => return of(items, no_code),
            (Self::Networks, Value::Array(items)) => return of(items, no_network),
            (Self::Issuers, Value::Array(items)) => {
                // The message alone: the whole error quotes values.
                let fault = |item: &Value| IssuerConfig::deserialize(item.clone()).err();
                return items.iter().filter_map(fault).map(|e| e.message().trim_end().to_owned()).collect();
            }
            _ => false,
        };
        if fits { Vec::new() } else { vec![self.expected()] }
    }
}

/// Stricter than `EnvFilter`, to which a misspelt level is a module of which everything is logged, and nothing
/// of any other.
fn is_levels(text: &str) -> bool {
    text.split(',').map(str::trim).all(|part| {
        let (module, level) = part.rsplit_once('=').map_or((None, part), |(module, level)| (Some(module), level));
        let named = |module: &str| {
            !module.is_empty() && module.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        };
        LEVELS.contains(&level) && module.is_none_or(named)
    })
}

/// As browsers send it (RFC 6454, section 6.2): scheme, host and port, nothing behind.
fn no_origin(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let fits = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']));
    (!fits).then(|| format!("{text:?} is no origin such as https://portal.example"))
}

fn no_code(text: &str) -> Option<String> {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (!fits).then(|| format!("{text:?} is no code such as customer-request"))
}

fn no_network(text: &str) -> Option<String> {
    text.parse::<Network>().err().map(|e| e.to_string())
}
