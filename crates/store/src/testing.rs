//! Databases made for one test: migrated, with a keyring of their own, gone when the value is dropped. And what tests
//! see of guarded values.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use crypto::{Keyring, Random, SystemRandom};
use domain::{policy::Categories, time::Clock};

use crate::{DbError, Location, OpenError, Options, Store, StoreError, db::postgres::Connector, migrate};

/// The variable that names the PostgreSQL server for tests, as a superuser's URL.
pub const POSTGRES: &str = "OSSREP_TEST_POSTGRES";

/// By operation, the categories of what its reads opened in this process.
static OPENED: Mutex<BTreeMap<&'static str, Categories>> = Mutex::new(BTreeMap::new());

pub(crate) fn opens(action: &'static str, categories: Categories) {
    *OPENED.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default() |= categories;
}

/// The categories of all that reads of an operation opened in this process: its rule should name no more.
pub fn opened(action: &str) -> Categories {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner).get(action).copied().unwrap_or_default()
}

/// A database of a test.
#[derive(Debug)]
pub struct TestDb {
    location: Location,
    keyring: Arc<Keyring>,
    cleanup: Cleanup,
}

#[derive(Debug)]
enum Cleanup {
    Directory(PathBuf),
    Database { server: String, name: String },
}

impl TestDb {
    /// SQLite files in a fresh directory.
    ///
    /// # Errors
    /// [`OpenError`] when they cannot be made.
    pub fn sqlite() -> Result<Self, OpenError> {
        let dir = std::env::temp_dir().join(fresh_name()?);
        let cleanup = Cleanup::Directory(dir.clone());
        let this = Self { location: Location::Directory(dir.clone()), keyring: keyring()?, cleanup };
        migrate::sqlite(&dir)?;
        Ok(this)
    }

    /// A fresh database on the server that [`POSTGRES`] names.
    ///
    /// # Errors
    /// [`OpenError`] when the variable is not set (`./dev services start` prints it) or the server refuses.
    pub async fn postgres() -> Result<Self, OpenError> {
        let server = std::env::var(POSTGRES).map_err(|_| {
            DbError::Unavailable(format!("{POSTGRES} is not set; run `./dev services start` and export what it prints"))
        })?;
        let name = fresh_name()?;
        Connector::new(&server)?.connect().await?.batch(&format!("CREATE DATABASE {name}")).await?;
        let url = with_database(&server, &name);
        let cleanup = Cleanup::Database { server, name };
        let this = Self { location: Location::Server(url.clone()), keyring: keyring()?, cleanup };
        migrate::postgres(&url, domain::time::Clock::now(&domain::time::SystemClock)).await?;
        Ok(this)
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Its keys.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Opens it with a small pool.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(&self, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
        let options = Options { checkpoint_file: None, pool_size: 4 };
        Store::open(&self.location, Arc::clone(&self.keyring), clock, Arc::new(SystemRandom), options).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // What cannot be removed is left behind: a test that failed says more than its cleaning up.
        match std::mem::replace(&mut self.cleanup, Cleanup::Directory(PathBuf::new())) {
            Cleanup::Directory(dir) => drop(std::fs::remove_dir_all(dir)),
            // A runtime of its own: the test's may be the one that is ending.
            Cleanup::Database { server, name } => {
                drop(std::thread::spawn(move || drop_database(&server, &name)).join())
            }
        }
    }
}

fn drop_database(server: &str, name: &str) -> Option<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let connection = Connector::new(server).ok()?.connect().await.ok()?;
        connection.batch(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.ok()
    })
}

fn fresh_name() -> Result<String, OpenError> {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes).map_err(StoreError::from)?;
    Ok(format!("ossrep_test_{}", hex::encode(bytes)))
}

fn keyring() -> Result<Arc<Keyring>, OpenError> {
    let text = Keyring::generate(&SystemRandom, "test").map_err(StoreError::from)?;
    Ok(Arc::new(text.reveal().parse().map_err(StoreError::from)?))
}

/// A server's URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let path = address.get(authority..).and_then(|rest| rest.find('/')).map_or(address.len(), |at| authority + at);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{}/{name}{query}", address.get(..path).unwrap_or(address))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn the_database_of_a_url_is_replaced() {
        for (url, right) in [
            ("postgres://me@host:1/old", "postgres://me@host:1/new"),
            ("postgres://me@host", "postgres://me@host/new"),
            ("postgres://host/old?sslmode=disable", "postgres://host/new?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "new"), right);
        }
    }
}
