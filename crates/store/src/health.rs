//! What an operator is told about the database of a running service.

use crate::{Store, db::Db, files::Files};

impl Store {
    /// The files that were opened; none on a server.
    pub fn files(&self) -> Files {
        match &*self.db {
            Db::Sqlite(db) => db.files.clone(),
            Db::Postgres(_) => Files::default(),
        }
    }

    /// Work for the database that panicked since the start: each time a defect.
    pub fn panics(&self) -> u64 {
        match &*self.db {
            Db::Sqlite(db) => db.panics(),
            Db::Postgres(_) => 0,
        }
    }
}
