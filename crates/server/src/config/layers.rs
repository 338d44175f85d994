//! Defaults, then a TOML file, then the environment, then flags: each value with where it came from.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    ConfigError,
    settings::{Kind, PREFIX, SETTINGS, Setting, at, nearest},
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

/// Puts the layers on each other.
pub(super) fn read(given: &Given) -> Result<Layered, ConfigError> {
    let mut layered = Layered::new();
    for setting in SETTINGS {
        if let Some(default) = setting.default {
            layered.insert(setting.path, (from_text(setting, default, &Source::Default)?, Source::Default));
        }
    }
    let named = given.variables.iter().find(|(name, _)| *name == config_variable());
    if let Some(file) = given.file.clone().or_else(|| named.map(|(_, file)| file.into())) {
        let source = Source::File(file.clone());
        let text =
            fs::read_to_string(&file).map_err(|e| ConfigError::File { file: file.clone(), reason: e.to_string() })?;
        let table: Table = text.parse().map_err(|e: toml::de::Error| ConfigError::File {
            file: file.clone(),
            // The whole error quotes the line, which may hold a secret.
            reason: match e.span() {
                Some(span) => format!("line {}: {}", line_at(&text, span.start), e.message()),
                None => e.message().to_owned(),
            },
        })?;
        from_table(&table, "", &file, &mut |setting, value| {
            layered.insert(setting.path, (from_value(setting, value, &source)?, source.clone()));
            Ok(())
        })?;
    }
    for (name, text) in &given.variables {
        if !name.starts_with(PREFIX) || *name == config_variable() || is_kubernetes(name) {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *name) else {
            let known = SETTINGS.iter().map(Setting::variable).chain([config_variable()]);
            return Err(unknown(format!("environment variable {name}"), name, known));
        };
        let source = Source::Variable(name.clone());
        layered.insert(setting.path, (from_text(setting, text, &source)?, source));
    }
    for (name, text) in &given.flags {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name() == *name) {
            let source = Source::Flag(name.clone());
            layered.insert(setting.path, (from_text(setting, text, &source)?, source));
        }
    }
    Ok(layered)
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

fn unknown(what: String, word: &str, known: impl IntoIterator<Item = String>) -> ConfigError {
    ConfigError::Unknown { what, nearest: nearest(word, known).unwrap_or_default() }
}

type Take<'a> = dyn FnMut(&'static Setting, &Value) -> Result<(), ConfigError> + 'a;

fn from_table(table: &Table, prefix: &str, file: &Path, take: &mut Take<'_>) -> Result<(), ConfigError> {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (at(&path), value) {
            (Some(setting), value) => take(setting, value)?,
            (None, Value::Table(inner)) if SETTINGS.iter().any(|s| s.path.starts_with(&format!("{path}."))) => {
                from_table(inner, &path, file, take)?;
            }
            _ => {
                let what = format!("setting {path} in {}", file.display());
                return Err(unknown(what, &path, SETTINGS.iter().map(|s| s.path.to_owned())));
            }
        }
    }
    Ok(())
}

fn wrong(setting: &Setting, source: &Source) -> ConfigError {
    ConfigError::Value { path: setting.path, source_of: source.to_string(), expected: setting.kind.describe() }
}

fn from_text(setting: &Setting, text: &str, source: &Source) -> Result<Value, ConfigError> {
    let value = match setting.kind {
        Kind::Whole(..) => text.trim().parse().map(Value::Integer).map_err(|_| wrong(setting, source))?,
        Kind::Texts => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        Kind::Tables => serde_json::from_str(text).map_err(|_| wrong(setting, source))?,
        Kind::Text | Kind::Path | Kind::Address | Kind::Choice(_) => Value::String(text.to_owned()),
    };
    from_value(setting, &value, source)
}

fn from_value(setting: &Setting, value: &Value, source: &Source) -> Result<Value, ConfigError> {
    let fits = match (setting.kind, value) {
        (Kind::Text | Kind::Path, Value::String(text)) => !text.trim().is_empty(),
        (Kind::Address, Value::String(text)) => text.parse::<std::net::SocketAddr>().is_ok(),
        (Kind::Whole(least, most), Value::Integer(number)) => (least..=most).contains(number),
        (Kind::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
        (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_str),
        (Kind::Tables, Value::Array(items)) => items.iter().all(Value::is_table),
        _ => false,
    };
    if fits { Ok(value.clone()) } else { Err(wrong(setting, source)) }
}
