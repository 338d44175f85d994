//! `doctor`: what would keep the service from working, one line each, found without changing anything: a file that
//! it makes to see whether it can is gone again.

mod token;

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::time::{Clock as _, SystemClock};
use reqwest::redirect::Policy;
use store::{
    Location,
    inspect::{self, Inspection, Verdict},
};

use super::{Failure, keys, print, serve};
use crate::config::Config;
pub(super) use token::token;

/// What `doctor` looks at in place of the whole.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Doctor {
    /// Explain why an access token is accepted or refused, without showing it. Exit code 0 or 1
    Token {
        /// The file that holds it; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Less free space than this is worth a warning, in bytes.
const LOW_DISK: u64 = 1024 * 1024 * 1024;
/// Less than this will soon stop every change.
const NO_DISK: u64 = 64 * 1024 * 1024;

#[derive(Default)]
struct Report {
    failures: usize,
}

impl Report {
    fn ok(&self, subject: &str, what: impl Display) -> Result<(), Failure> {
        print(format_args!("OK    {subject}: {what}"))
    }
    fn warn(&self, subject: &str, what: impl Display) -> Result<(), Failure> {
        print(format_args!("WARN  {subject}: {what}"))
    }
    fn fail(&mut self, subject: &str, what: impl Display) -> Result<(), Failure> {
        self.failures += 1;
        print(format_args!("FAIL  {subject}: {what}"))
    }
}

/// `doctor`. Exit code 3 when a line says FAIL.
pub(super) async fn doctor(config: &Config) -> Result<(), Failure> {
    let mut report = Report::default();
    let location = config.location();
    let inspection = database(&mut report, &location).await?;
    keyring(&mut report, config, inspection.as_ref())?;
    if let Location::Directory(dir) = &location {
        folder(&mut report, dir)?;
        files(&mut report, dir)?;
    }
    disk(&mut report, config)?;
    checkpoints(&mut report, config.audit_checkpoint_file.as_deref())?;
    let installed = inspection.and_then(|inspection| inspection.installed);
    issuers(&mut report, config, installed.is_some_and(|installed| installed.demo_anchor.is_some())).await?;
    match report.failures {
        0 => Ok(()),
        1 => Err(Failure::findings("One thing needs mending before the service can work.")),
        found => Err(Failure::findings(format_args!("{found} things need mending before the service can work."))),
    }
}

/// `None` when nobody could look.
async fn database(report: &mut Report, location: &Location) -> Result<Option<Inspection>, Failure> {
    let name = location.place();
    let inspection = match inspect::inspect(location).await {
        Ok(inspection) => inspection,
        Err(error) => {
            report.fail("database", error)?;
            return Ok(None);
        }
    };
    let known = store::migrate::VERSION;
    match inspection.schema {
        Some(schema) if schema == known => report.ok("database", format_args!("{name} has schema {known}"))?,
        Some(schema) if schema > known => {
            report.fail(
                "database",
                format_args!("{name} has schema {schema}, this program knows {known}: use the newer one"),
            )?;
        }
        _ if matches!(location, Location::Directory(_)) => {
            report.ok("database", format_args!("{name} will be made or brought up to date by `serve`"))?;
        }
        _ => report.fail("database", format_args!("{name} is not migrated: run `customer-service migrate`"))?,
    }
    if inspection.schema.is_some() {
        match inspect::examine(location, SystemClock.now()).await {
            Err(error) => report.fail("database", error)?,
            Ok(findings) => {
                for finding in findings {
                    match finding.verdict {
                        Verdict::Trouble(what) => report.fail(finding.subject, what)?,
                        Verdict::Warning(what) => report.warn(finding.subject, what)?,
                        Verdict::Fine => report.ok(finding.subject, "as it should be")?,
                    }
                }
            }
        }
    }
    if inspection.installed.is_some() {
        match store::missing_audit(location).await {
            Ok(None) => report.ok("audit log", "holds what the database saw signed")?,
            Ok(Some(missing)) => report.fail("audit log", missing)?,
            Err(error) => report.fail("audit log", error)?,
        }
    }
    if let Some(installed) = &inspection.installed {
        let now = SystemClock.now();
        if now < installed.created_at {
            let made = installed.created_at;
            report.fail("clock", format_args!("it is {now} here, before the database was made ({made})"))?;
        }
        if let Some(anchor) = installed.demo_anchor {
            report.warn("database", format_args!("it holds sample data of a demonstration as of {anchor}"))?;
        }
    }
    Ok(Some(inspection))
}

/// Those that a running service works on may not be those that lie there.
fn files(report: &mut Report, dir: &Path) -> Result<(), Failure> {
    match store::files::under_a_service(&dir.join(serve::LOCK)) {
        Err(error) => report.warn("files", error),
        Ok(None) => Ok(()),
        Ok(Some(troubles)) if troubles.is_empty() => report.ok("files", "the running service works on them"),
        Ok(Some(troubles)) => troubles.iter().try_for_each(|trouble| report.fail("files", trouble)),
    }
}

fn keyring(report: &mut Report, config: &Config, inspection: Option<&Inspection>) -> Result<(), Failure> {
    let keyring = match keys::load_for(config) {
        Err(failure) => return report.fail("keyring", failure),
        Ok(keyring) => keyring,
    };
    match inspection.map(|inspection| &inspection.installed) {
        None => report.warn("keyring", "complete; whether it is the database's own cannot be seen"),
        Some(None) => report.ok("keyring", "complete; the database does not know it yet"),
        Some(Some(installed)) => match keys::belongs(&keyring, installed) {
            Ok(sentence) => report.ok("keyring", sentence),
            Err(other) => report.fail("keyring", other),
        },
    }
}

/// Whether the embedded database's files can be made and written.
fn folder(report: &mut Report, dir: &Path) -> Result<(), Failure> {
    let files = ["main.sqlite", "audit.sqlite", serve::LOCK].map(|name| dir.join(name));
    let tried = nearest(dir).and_then(|existing| probe(&existing)).and_then(|()| {
        let there = files.iter().filter(|file| file.exists());
        there.map(|file| appendable(file)).collect::<Result<Vec<()>, _>>()
    });
    match tried {
        Ok(_) => report.ok("folder", format_args!("{} can be written", dir.display())),
        Err(error) => report.fail("folder", format_args!("{} cannot be written: {error}", dir.display())),
    }
}

/// The nearest existing folder on the way up: what does not exist yet will be made in it.
fn nearest(place: &Path) -> io::Result<PathBuf> {
    let place = std::path::absolute(place)?;
    for dir in place.ancestors() {
        if dir.try_exists()? {
            return Ok(dir.to_owned());
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Makes a file and removes it again: rights, quotas, read-only media and full disks all show.
fn probe(dir: &Path) -> io::Result<()> {
    let file = dir.join(format!(".customer-service-doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&file)?;
    fs::remove_file(file)
}

fn appendable(file: &Path) -> io::Result<()> {
    let opened = fs::OpenOptions::new().append(true).open(file);
    opened.map(drop).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))
}

fn disk(report: &mut Report, config: &Config) -> Result<(), Failure> {
    let mut places = Vec::new();
    if config.database_url.is_none() {
        places.push(config.data_dir.as_path());
    }
    places.extend(config.audit_checkpoint_file.as_deref().and_then(Path::parent));
    for place in places {
        match nearest(place).and_then(|existing| Ok(rustix::fs::statvfs(&existing)?)) {
            Err(error) => report.warn("disk", format_args!("{}: {error}", place.display()))?,
            Ok(figures) => {
                let free = figures.f_bavail.saturating_mul(figures.f_frsize);
                let text = format!("{} MiB free for {}", free / (1024 * 1024), place.display());
                match free {
                    ..NO_DISK => report.fail("disk", text)?,
                    NO_DISK..LOW_DISK => report.warn("disk", text)?,
                    _ => report.ok("disk", text)?,
                }
            }
        }
    }
    Ok(())
}

fn checkpoints(report: &mut Report, file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file else {
        return report.warn(
            "checkpoints",
            "audit.checkpoint-file is not set: whoever owns the database can cut off the audit log's end unseen",
        );
    };
    let existed = file.exists();
    match fs::OpenOptions::new().append(true).create(true).open(file) {
        Err(error) => report.fail("checkpoints", format_args!("{} cannot be written: {error}", file.display())),
        Ok(_) => {
            if !existed {
                // Only to see whether it can be made.
                drop(fs::remove_file(file));
            }
            report.ok("checkpoints", format_args!("{} can be written", file.display()))
        }
    }
}

async fn issuers(report: &mut Report, config: &Config, demo: bool) -> Result<(), Failure> {
    if config.issuers.is_empty() {
        return if demo {
            report.ok("issuers", "none is configured; the demonstration brings its own")
        } else {
            report.fail("issuers", "none is configured: nobody could sign in")
        };
    }
    let clock = std::sync::Arc::new(SystemClock);
    if let Err(error) = crate::auth::Authenticator::new(config.issuers.clone(), clock) {
        return report.fail("issuers", error);
    }
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).redirect(Policy::none()).no_proxy();
    let client = client.build().map_err(Failure::failed)?;
    for issuer in &config.issuers {
        let keys = async {
            let answer = client.get(&issuer.jwks_url).send().await?.error_for_status()?;
            answer.json::<serde_json::Value>().await
        };
        let name = &issuer.issuer;
        match keys.await {
            Err(error) => {
                // The service starts all the same, and answers 503 to this issuer's tokens until it is back.
                report.warn("issuers", format_args!("{name}: its keys cannot be fetched: {}", error.without_url()))?;
            }
            Ok(set) => match set.get("keys").and_then(serde_json::Value::as_array) {
                Some(keys) if !keys.is_empty() => {
                    report.ok("issuers", format_args!("{name} has {} keys", keys.len()))?
                }
                _ => report.fail("issuers", format_args!("{name}: {} is no set of keys", issuer.jwks_url))?,
            },
        }
    }
    Ok(())
}
