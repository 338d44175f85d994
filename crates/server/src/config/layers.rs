//! Defaults, then a TOML file, then the environment, then flags: each value with where it came from.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    ConfigError,
    kind::Kind,
    settings::{PREFIX, SETTINGS, Setting, at, nearest},
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said otherwise.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file) => write!(f, "file {}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// What comes from outside the program.
#[derive(Debug, Default)]
pub struct Given {
    /// The file, when one is named by flag.
    pub file: Option<PathBuf>,
    /// The whole environment.
    pub variables: Vec<(String, String)>,
    /// Flags, by setting's name.
    pub flags: Vec<(String, String)>,
}

/// Every setting's value and source; settings without a value are absent.
pub type Layered = BTreeMap<&'static str, (Value, Source)>;

/// The layers as far as they were put on each other, and everything that was wrong with them.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) values: Layered,
    pub(super) errors: Vec<ConfigError>,
}

impl Layers {
    /// A value that cannot be used takes the ones below it away: nothing shall be judged by them.
    fn put(&mut self, setting: &'static Setting, value: Result<Value, String>, source: Source) {
        let faults = match value {
            Ok(value) => {
                let faults = setting.kind.faults(&value);
                if faults.is_empty() {
                    self.values.insert(setting.path, (value, source));
                    return;
                }
                faults.join("; ")
            }
            Err(fault) => fault,
        };
        self.values.remove(setting.path);
        self.errors.push(ConfigError::Value { path: setting.path, source_of: source.to_string(), faults });
    }

    fn unknown(&mut self, what: String, word: &str, known: impl IntoIterator<Item = String>) {
        self.errors.push(ConfigError::Unknown { what, nearest: nearest(word, known).unwrap_or_default() });
    }

    fn file(&mut self, file: &Path) {
        match read_table(file) {
            Ok(table) => self.table(&table, "", file),
            Err(reason) => self.errors.push(ConfigError::File { file: file.to_owned(), reason }),
        }
    }

    fn table(&mut self, table: &Table, prefix: &str, file: &Path) {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match (at(&path), value) {
                (Some(setting), value) => self.put(setting, Ok(value.clone()), Source::File(file.to_owned())),
                (None, Value::Table(inner)) if SETTINGS.iter().any(|s| s.path.starts_with(&format!("{path}."))) => {
                    self.table(inner, &path, file);
                }
                _ => {
                    let what = format!("setting {path} in {}", file.display());
                    self.unknown(what, &path, SETTINGS.iter().map(|s| s.path.to_owned()));
                }
            }
        }
    }
}

/// Puts the layers on each other.
pub(super) fn read(given: &Given) -> Layers {
    let mut layers = Layers::default();
    for setting in SETTINGS {
        if let Some(default) = setting.default {
            layers.put(setting, from_text(setting.kind, default), Source::Default);
        }
    }
    let named = given.variables.iter().find(|(name, _)| *name == config_variable());
    if let Some(file) = given.file.clone().or_else(|| named.map(|(_, file)| file.into())) {
        layers.file(&file);
    }
    for (name, text) in &given.variables {
        if !name.starts_with(PREFIX) || *name == config_variable() || is_kubernetes(name) {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *name) else {
            let known = SETTINGS.iter().map(Setting::variable).chain([config_variable()]);
            layers.unknown(format!("environment variable {name}"), name, known);
            continue;
        };
        layers.put(setting, from_text(setting.kind, text), Source::Variable(name.clone()));
    }
    for (name, text) in &given.flags {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name() == *name) {
            layers.put(setting, from_text(setting.kind, text), Source::Flag(name.clone()));
        }
    }
    layers
}

fn read_table(file: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(file).map_err(|e| e.to_string())?;
    // The whole error quotes the line, which may hold a secret.
    text.parse().map_err(|e: toml::de::Error| match e.span() {
        Some(span) => format!("line {}: {}", line_at(&text, span.start), e.message()),
        None => e.message().to_owned(),
    })
}

fn config_variable() -> String {
    format!("{PREFIX}CONFIG")
}

/// Kubernetes gives every container the addresses of the services in its namespace, ours among them when it
/// is called `customer-service`: `CUSTOMER_SERVICE_SERVICE_HOST`, `CUSTOMER_SERVICE_PORT_8080_TCP_ADDR`.
fn is_kubernetes(name: &str) -> bool {
    let rest = name.trim_start_matches(PREFIX);
    rest == "SERVICE_HOST" || rest == "PORT" || rest.starts_with("SERVICE_PORT") || rest.starts_with("PORT_")
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// A value as the environment and flags spell it.
fn from_text(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Whole(..) => text.trim().parse().map(Value::Integer).map_err(|_| kind.expected()),
        Kind::Origins | Kind::Codes | Kind::Networks => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        Kind::Issuers => serde_json::from_str(text).map_err(|_| kind.expected()),
        _ => Ok(Value::String(text.to_owned())),
    }
}
