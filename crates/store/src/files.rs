//! The files of an embedded database, known again by device and inode: one that is deleted or replaced under a
//! running service goes on working for it alone, and what is written into it is lost with the process.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Files as they were when a service opened them.
#[derive(Debug, Clone, Default)]
pub struct Files(Vec<(PathBuf, Identity)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|found| Identity { device: found.dev(), inode: found.ino() })
}

impl Files {
    pub(crate) fn of(paths: &[&Path]) -> io::Result<Self> {
        paths.iter().map(|path| Ok((path.to_path_buf(), identity(path)?))).collect::<io::Result<_>>().map(Self)
    }

    /// A sentence for each file that is no longer the one that was opened.
    pub fn troubles(&self) -> Vec<String> {
        let trouble = |(path, opened): &(PathBuf, Identity)| {
            let what = match identity(path) {
                Ok(found) if found == *opened => return None,
                Ok(_) => "is another file than the running service works on".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    "is gone, but the running service works on it".to_owned()
                }
                Err(error) => format!("cannot be looked at: {error}"),
            };
            Some(format!("{} {what}", path.display()))
        };
        self.0.iter().filter_map(trouble).collect()
    }

    /// Writes down which files these are, for [`under_a_service`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, lock: &mut File) -> io::Result<()> {
        lock.set_len(0)?;
        lock.rewind()?;
        for (path, Identity { device, inode }) in &self.0 {
            writeln!(lock, "{device} {inode} {}", path.display())?;
        }
        Ok(())
    }
}

/// Looks, from another process, at the files of the service that runs on a data directory: its lock file holds
/// what [`Files::note`] wrote. `None` when no service runs there.
///
/// # Errors
/// When the lock file cannot be read.
pub fn under_a_service(lock: &Path) -> io::Result<Option<Vec<String>>> {
    let mut file = match File::open(lock) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // Shared and let go at once: a service that starts at this very moment may have to be started again.
    if file.try_lock_shared().is_ok() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let noted = text.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next()?.parse().ok();
        let opened = Identity { device: number()?, inode: number()? };
        Some((PathBuf::from(words.next()?), opened))
    });
    Ok(Some(Files(noted.collect()).troubles()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_sees_what_became_of_the_files_while_the_service_runs() {
        let made = crate::testing::TestDb::sqlite().unwrap();
        let crate::Location::Directory(dir) = made.location() else { unreachable!() };
        let (main, lock) = (dir.join("main.sqlite"), dir.join("serve.lock"));
        assert_eq!(under_a_service(&lock).unwrap(), None);
        let mut held = File::create(&lock).unwrap();
        held.lock().unwrap();
        Files::of(&[&main]).unwrap().note(&mut held).unwrap();
        assert_eq!(under_a_service(&lock).unwrap(), Some(Vec::new()));
        fs::remove_file(&main).unwrap();
        let troubles = under_a_service(&lock).unwrap().unwrap();
        assert!(troubles.iter().all(|trouble| trouble.contains("main.sqlite is gone")), "{troubles:?}");
        assert_eq!(troubles.len(), 1);
        drop(held);
        assert_eq!(under_a_service(&lock).unwrap(), None, "the service has ended");
    }
}
