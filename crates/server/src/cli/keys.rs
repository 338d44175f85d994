//! The keyring: reading it, making it, checking it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Subcommand;
use crypto::{Keyring, OtherKeys, SystemRandom};
use domain::time::{Clock as _, SystemClock};
use store::inspect::Installed;
use zeroize::Zeroizing;

use super::{Failure, print};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a whole new keyring. Whoever has it reads everything; whoever loses it, nothing
    Generate {
        /// A file that does not exist yet; without it the keyring is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check that the keyring can be used, and that each of its keys is the database's own
    Check,
}

/// `keys generate`.
pub(super) fn generate(out: Option<&Path>) -> Result<(), Failure> {
    let created = SystemClock.now().to_string();
    let keyring = Keyring::generate(&SystemRandom, &created).map_err(Failure::failed)?;
    match out {
        None => print(keyring.reveal().trim_end()),
        Some(file) => {
            write(file, keyring.reveal())?;
            print(format_args!(
                "{} holds a new keyring. Keep a copy apart from the database's backups.",
                file.display()
            ))
        }
    }
}

/// Writes a new keyring, for its owner alone.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::failed(format_args!(
            "{} exists already and is not overwritten: without its keys the data sealed under them is lost.",
            file.display()
        )),
        _ => Failure::failed(format_args!("{} cannot be written: {e}.", file.display())),
    };
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)
}

/// The configured keyring.
pub(super) fn load(config: &Config) -> Result<Arc<Keyring>, Failure> {
    match (&config.keyring, &config.keyring_file) {
        (Some(text), _) => parse(text.expose(), "the setting keyring"),
        (None, Some(file)) => read(file),
        (None, None) => Err(Failure::usage(
            "There is no keyring. Make one with `customer-service keys generate --out FILE` and name it with \
             --keyring-file FILE or CUSTOMER_SERVICE_KEYRING_FILE. If the database was made with another one, give that.",
        )),
    }
}

/// The keyring for commands: the configured one, or the one that a demonstration left in its data directory.
pub(super) fn load_for(config: &Config) -> Result<Arc<Keyring>, Failure> {
    let of_demo = config.data_dir.join("keyring");
    if config.keyring.is_none() && config.keyring_file.is_none() && of_demo.exists() {
        return read(&of_demo);
    }
    load(config).map_err(|failure| match (&config.keyring, &config.keyring_file) {
        (None, None) => {
            let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
            let folder = folder.display();
            Failure::usage(format_args!(
                "{failure}\nA demonstration's lies in its data directory; {folder} has none: see --data-dir."
            ))
        }
        _ => failure,
    })
}

/// Reads a keyring from a file that only its owner can read.
pub(super) fn read(file: &Path) -> Result<Arc<Keyring>, Failure> {
    let failed =
        |e: std::io::Error| Failure::failed(format_args!("The keyring {} cannot be read: {e}.", file.display()));
    let mut opened = fs::File::open(file).map_err(failed)?;
    // Of the opened file, not of the name: the two could differ.
    let mode = opened.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::failed(format_args!(
            "The keyring {0} can be read by others (mode {1:04o}). Run `chmod 600 {0}`.",
            file.display(),
            mode & 0o7777
        )));
    }
    // Larger than any keyring: growing would leave copies of the keys behind.
    let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
    opened.read_to_string(&mut text).map_err(failed)?;
    parse(&text, &file.display().to_string())
}

fn parse(text: &str, place: &str) -> Result<Arc<Keyring>, Failure> {
    text.parse().map(Arc::new).map_err(|e| Failure::failed(format_args!("The keyring ({place}) cannot be used: {e}.")))
}

/// `keys check`.
pub(super) async fn check(config: &Config) -> Result<(), Failure> {
    let keyring = load_for(config)?;
    for key in keyring.checks() {
        print(format_args!("{:<6}  {}  {}", key.purpose.name(), key.id, key.short()))?;
    }
    print("The keyring is complete.")?;
    let inspection = store::inspect::inspect(&config.location()).await.map_err(Failure::failed)?;
    let Some(installed) = inspection.installed else {
        return print("The database is empty; it will belong to this keyring.");
    };
    print(belongs(&keyring, &installed).map_err(Failure::findings)?)
}

/// How a ring fits a database, for people.
pub(super) fn belongs(keyring: &Keyring, installed: &Installed) -> Result<String, OtherKeys> {
    let new = keyring.compare(&installed.keys)?;
    let new: Vec<String> = new.into_iter().map(|key| format!("{} {}", key.purpose.name(), key.id)).collect();
    Ok(match new.join(", ") {
        none if none.is_empty() => "Every key is the database's own.".into(),
        new => format!("Every key that the database knows is its own; the next start notes what is new: {new}."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keyring");
        generate(Some(&file)).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        read(&file).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o666] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let sentence = read(&file).unwrap_err().to_string();
            assert!(sentence.contains("chmod 600"), "{mode:o}: {sentence}");
        }
        let before = fs::read(&file).unwrap();
        assert!(generate(Some(&file)).unwrap_err().to_string().contains("not overwritten"));
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}
