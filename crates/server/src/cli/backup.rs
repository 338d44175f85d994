//! `backup` and `restore` of the embedded database.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use domain::time::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use store::backup::FILES;

use super::{Failure, print};
use crate::config::{Config, Layered, Source};

const MANIFEST: &str = "backup.json";

/// What a backup holds, beside its files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    version: u32,
    made_at: String,
    schema: i64,
    /// The keys that it needs, as `keys check` prints them, without revealing them.
    keys: Vec<String>,
    files: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    sha256: String,
}

fn embedded(config: &Config) -> Result<&Path, Failure> {
    match config.database_url {
        None => Ok(&config.data_dir),
        Some(_) => Err(Failure::usage(
            "backup and restore are for the embedded database. For PostgreSQL use its own tools, such as pg_basebackup.",
        )),
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none())
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path: PathBuf = path.to_owned();
    move |e| Failure::failed(format_args!("{}: {e}", path.display()))
}

/// `backup --to DIR`.
pub(super) fn backup(config: &Config, to: &Path) -> Result<(), Failure> {
    let from = embedded(config)?;
    if !is_empty(to) {
        return Err(Failure::failed(format_args!("{} is not empty; give a new directory.", to.display())));
    }
    fs::DirBuilder::new().recursive(true).create(to).map_err(failed(to))?;
    store::backup::backup(from, to).map_err(Failure::failed)?;
    let (schema, keys) = store::backup::check(to).map_err(Failure::failed)?;
    let entry = |name: &str| Ok(Entry { name: name.to_owned(), sha256: sha256(&to.join(name))? });
    let manifest = Manifest {
        version: 1,
        made_at: SystemClock.now().to_string(),
        schema,
        keys: keys.iter().map(|key| format!("{} {} {}", key.purpose.name(), key.id, key.short())).collect(),
        files: FILES.iter().map(|name| entry(name)).collect::<Result<_, Failure>>()?,
    };
    let text = serde_json::to_string_pretty(&manifest).map_err(Failure::failed)?;
    let file = to.join(MANIFEST);
    // Last and synced: a directory without it is not a finished backup.
    fs::write(&file, text).and_then(|()| fs::File::open(&file)?.sync_all()).map_err(failed(&file))?;
    fs::File::open(to).and_then(|dir| dir.sync_all()).map_err(failed(to))?;
    print(format_args!(
        "{} holds a backup. It has no keys: without the keyring nobody can open it, you neither.",
        to.display()
    ))
}

/// `restore --from DIR`.
pub(super) fn restore(config: &Config, layered: &Layered, from: &Path) -> Result<(), Failure> {
    let to = embedded(config)?;
    // A folder of the default's name, wherever one stands at the moment, is not where anybody means it to go.
    if layered.get("data-dir").is_none_or(|(_, source)| *source == Source::Default) {
        return Err(Failure::usage("Say where to: --data-dir DIR, a new or empty directory."));
    }
    let file = from.join(MANIFEST);
    let text = fs::read_to_string(&file)
        .map_err(|e| Failure::failed(format_args!("{} is not a finished backup: {MANIFEST}: {e}.", from.display())))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|e| Failure::failed(format_args!("{}: {e}", file.display())))?;
    for name in FILES {
        let listed = manifest.files.iter().find(|entry| entry.name == name).map(|entry| entry.sha256.as_str());
        if listed != Some(sha256(&from.join(name))?.as_str()) {
            return Err(Failure::failed(format_args!(
                "{name} is not the file that was backed up; nothing was restored."
            )));
        }
    }
    // A keyring may lie there already; anything else belongs to a database.
    let others =
        fs::read_dir(to).into_iter().flatten().filter_map(Result::ok).any(|entry| entry.file_name() != "keyring");
    if others {
        return Err(Failure::failed(format_args!(
            "{} is not empty; restore into an empty data directory.",
            to.display()
        )));
    }
    store::backup::restore(from, to).map_err(Failure::failed)?;
    print(format_args!(
        "{} holds the database as of {}. It needs the keyring with {}.",
        to.display(),
        manifest.made_at,
        manifest.keys.join(", ")
    ))
}

fn sha256(path: &Path) -> Result<String, Failure> {
    let mut file = fs::File::open(path).map_err(failed(path))?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(failed(path))?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        context.update(part);
    }
    Ok(hex::encode(context.finish().as_ref()))
}
