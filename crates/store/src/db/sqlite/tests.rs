//! Parameters, and threads whose jobs are cut off, panic, or find their files gone.

use super::*;

#[test]
fn parameters_are_bound_by_number_not_by_appearance() {
    static SWAPPED: Sql = Sql::new("SWAPPED", "SELECT $2, $1, $2", "SELECT $2, $1, $2", false);
    let connection = Connection::open_in_memory().unwrap();
    let row = rows(&connection, &SWAPPED, &[Param::Int(1), Param::Int(2)]).unwrap().remove(0);
    assert_eq!(row.cells, [Cell::Int(2), Cell::Int(1), Cell::Int(2)]);
}

#[tokio::test]
async fn who_is_cut_off_while_it_begins_leaves_no_transaction_open() {
    let made = crate::testing::TestDb::sqlite().unwrap();
    let crate::Location::Directory(dir) = made.location() else { unreachable!() };
    let db = Sqlite::open(dir).unwrap();
    let other = connect(&Sqlite::main_file(dir), false).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), db.begin()).await.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    drop(db.begin().await.unwrap());
    db.begin().await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_job_that_panics_ends_neither_thread_nor_connection_for_others() {
    let made = crate::testing::TestDb::sqlite().unwrap();
    let crate::Location::Directory(dir) = made.location() else { unreachable!() };
    let db = Sqlite::open(dir).unwrap();
    static KINDS: Sql = Sql::new("KINDS", "CREATE TABLE seen (one)", "", false);
    static COUNT: Sql = Sql::new("COUNT", "SELECT count(*) FROM sqlite_schema WHERE name = 'seen'", "", false);
    for panics in 1..=3 {
        let mut tx = db.begin().await.unwrap();
        tx.execute(&KINDS, Vec::new()).await.unwrap();
        let cut_off = tx.run(|_| panic!("a test lets this job panic")).await;
        assert!(matches!(cut_off, Err(DbError::Unavailable(_))), "{cut_off:?}");
        let after = tx.execute(&KINDS, Vec::new()).await;
        assert!(matches!(after, Err(DbError::Engine(_))), "outside any transaction: {after:?}");
        let mut next = db.begin().await.unwrap();
        assert_eq!(next.rows(&COUNT, Vec::new()).await.unwrap().remove(0).cells, [Cell::Int(0)], "rolled back");
        next.commit().await.unwrap();
        assert_eq!(db.panics(), panics);
    }
}

#[tokio::test]
async fn files_that_are_deleted_or_replaced_are_noticed() {
    let made = crate::testing::TestDb::sqlite().unwrap();
    let crate::Location::Directory(dir) = made.location() else { unreachable!() };
    let db = Sqlite::open(dir).unwrap();
    assert!(db.files.troubles().is_empty());
    let (main, audit) = (Sqlite::main_file(dir), Sqlite::audit_file(dir));
    std::fs::remove_file(&audit).unwrap();
    std::fs::copy(&main, dir.join("copy")).unwrap();
    std::fs::rename(dir.join("copy"), &main).unwrap();
    let [replaced, gone] = <[String; 2]>::try_from(db.files.troubles()).unwrap();
    assert!(replaced.contains("main.sqlite") && replaced.contains("another file"), "{replaced}");
    assert!(gone.contains("audit.sqlite") && gone.contains("gone"), "{gone}");
    assert!(db.audit_writer().is_err() && !audit.exists(), "it does not come back empty");
}
