//! Copies of the embedded database's two files, taken beside a running service.
//!
//! The main file goes first, then the audit log: a record that left the intake in between stands in both
//! copies (its id tells), and none is missing. Keys are in neither file, and never in the copy.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crypto::KeyCheck;
use rusqlite::{Connection, OpenFlags, backup::Backup, backup::StepResult};

use crate::db::{
    DbError,
    sqlite::{Sqlite, connect, error, rows},
};
use crate::keys;

/// The files of a backup, in the order in which they are made.
pub const FILES: [&str; 2] = ["main.sqlite", "audit.sqlite"];

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> DbError {
    let path = path.display().to_string();
    move |e| DbError::Unavailable(format!("{path}: {e}"))
}

/// Copies the files of the data directory `from` into the directory `to`, which must be there. Blocks for as
/// long as the copying takes; readers and the writer of a running service go on.
pub fn backup(from: &Path, to: &Path) -> Result<(), DbError> {
    let sources = [Sqlite::main_file(from), Sqlite::audit_file(from)];
    for source in &sources {
        if !source.exists() {
            return Err(DbError::Unavailable(format!("{} does not exist", source.display())));
        }
    }
    for (source, name) in sources.iter().zip(FILES) {
        copy(source, &to.join(name))?;
    }
    Ok(())
}

/// One step: a read transaction for its time. A copy in several steps begins anew whenever another process
/// writes, and beside a busy service would never end.
fn copy(source: &Path, target: &Path) -> Result<(), DbError> {
    let source = connect(source, true)?;
    // Without the settings of a live file: no `-wal` shall be left beside the copy.
    let mut copy = Connection::open(target).map_err(error)?;
    {
        let backup = Backup::new(&source, &mut copy).map_err(error)?;
        match backup.step(-1).map_err(error)? {
            StepResult::Done => {}
            _ => return Err(DbError::Conflict),
        }
    }
    // A file in WAL mode needs a directory that can be written to; a backup may lie on read-only media.
    copy.execute_batch("PRAGMA journal_mode=DELETE").map_err(error)?;
    drop(copy);
    private_and_durable(target)
}

fn private_and_durable(file: &Path) -> Result<(), DbError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).map_err(io(file))?;
    fs::File::open(file).and_then(|file| file.sync_all()).map_err(io(file))
}

/// The schema of a backup and the keys that it needs, after a check of every page of both files.
///
/// # Errors
/// [`DbError::Corrupt`] names the file that is damaged.
pub fn check(dir: &Path) -> Result<(i64, Vec<KeyCheck>), DbError> {
    let mut found = None;
    for name in FILES {
        let file = dir.join(name);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(error)?;
        let damaged = |said: String| DbError::Corrupt(format!("{} is damaged: {said}", file.display()));
        let said = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        let said = said.map_err(|e| damaged(e.to_string()))?;
        if said != "ok" {
            return Err(damaged(said));
        }
        let newest = "SELECT max(version) FROM schema_migration";
        let version: i64 = connection.query_row(newest, [], |row| row.get(0)).map_err(|e| damaged(e.to_string()))?;
        if version > crate::migrate::VERSION {
            return Err(DbError::Engine(format!("{} was made by a newer version", file.display())));
        }
        if found.is_none() {
            found = Some((version, keys::known(rows(&connection, &keys::KNOWN, &[])?)?));
        }
    }
    found.ok_or_else(|| DbError::Corrupt("no files".into()))
}

/// Puts the files of the backup `from` into the data directory `to`, which must hold no database.
///
/// # Errors
/// [`DbError`] when a backup's file is damaged, a database is there already, or a file cannot be written;
/// nothing is left behind then.
pub fn restore(from: &Path, to: &Path) -> Result<(), DbError> {
    check(from)?;
    fs::create_dir_all(to).map_err(io(to))?;
    let targets = [Sqlite::main_file(to), Sqlite::audit_file(to)];
    let beside = |file: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", file.display()));
    for target in &targets {
        for file in [target.clone(), beside(target, "-wal"), beside(target, "-shm"), beside(target, "-journal")] {
            if file.exists() {
                return Err(DbError::Unavailable(format!("{} is there already; nothing was changed", file.display())));
            }
        }
    }
    let parts: Vec<PathBuf> = targets.iter().map(|target| beside(target, ".restoring")).collect();
    let put = || -> Result<(), DbError> {
        for (part, name) in parts.iter().zip(FILES) {
            fs::copy(from.join(name), part).map_err(io(part))?;
            private_and_durable(part)?;
        }
        // The main file last: without it there is no database, so that half a restore is none.
        for (part, target) in parts.iter().zip(&targets).rev() {
            fs::rename(part, target).map_err(io(target))?;
        }
        fs::File::open(to).and_then(|dir| dir.sync_all()).map_err(io(to))
    };
    put().inspect_err(|_| {
        for file in parts.iter().chain(&targets) {
            // What is not there need not go.
            drop(fs::remove_file(file));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        crate::migrate::sqlite(&data).unwrap();
        let main = connect(&Sqlite::main_file(&data), false).unwrap();
        main.execute("INSERT INTO installation VALUES (1, NULL, 7)", []).unwrap();
        main.execute("INSERT INTO key_check VALUES ('master', 3, randomblob(32), 7)", []).unwrap();
        (dir, data)
    }

    #[test]
    fn a_copy_taken_beside_an_open_transaction_comes_back() {
        let (dir, data) = made();
        let writer = connect(&Sqlite::main_file(&data), false).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE; UPDATE installation SET created_at = 8").unwrap();
        let to = dir.path().join("backup");
        fs::create_dir(&to).unwrap();
        backup(&data, &to).unwrap();
        let (schema, keys) = check(&to).unwrap();
        assert_eq!((schema, keys[0].id, keys.len()), (crate::migrate::VERSION, 3, 1));
        let back = dir.path().join("back");
        restore(&to, &back).unwrap();
        let main = connect(&Sqlite::main_file(&back), false).unwrap();
        let created: i64 = main.query_row("SELECT created_at FROM installation", [], |row| row.get(0)).unwrap();
        assert_eq!(created, 7, "what was not committed is not in the copy");
        let refused = restore(&to, &back).unwrap_err().to_string();
        assert!(refused.contains("there already"), "{refused}");
        crate::migrate::sqlite(&back).unwrap();
    }

    #[test]
    fn a_damaged_copy_is_refused_and_leaves_nothing() {
        let (dir, data) = made();
        let to = dir.path().join("backup");
        fs::create_dir(&to).unwrap();
        backup(&data, &to).unwrap();
        let file = to.join(FILES[1]);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[4096..middle].fill(0x5a);
        fs::write(&file, bytes).unwrap();
        let back = dir.path().join("back");
        assert!(matches!(restore(&to, &back), Err(DbError::Corrupt(_))));
        assert!(!Sqlite::main_file(&back).exists());
    }
}
