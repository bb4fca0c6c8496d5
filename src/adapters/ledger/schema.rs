//! Opening the file: version, tables, and how durable it is.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::ports::ledger::LedgerError;

/// Version of the tables, kept as the file's `user_version`.
const VERSION: i64 = 1;
/// How long one statement waits for another program.
const BUSY: Duration = Duration::from_secs(5);
/// How long opening is tried while another program makes the same file.
const OPENING: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE jobs (job TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE steps (
        job TEXT NOT NULL,
        step TEXT NOT NULL,
        position INTEGER NOT NULL,
        intent TEXT NOT NULL,
        notes TEXT NOT NULL,
        began TEXT NOT NULL,
        ended TEXT,
        outcome TEXT,
        PRIMARY KEY (job, step)
    ) STRICT;
    CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";

/// Opens or makes the file.
pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| opening(path, &error))?;
    }
    // Changing to WAL does not wait as other statements do, so two programs that make one file may meet here.
    let deadline = Instant::now() + OPENING;
    loop {
        match try_open(path) {
            Err(Refused::Busy(_)) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(Refused::Busy(error)) => return Err(opening(path, &error)),
            Err(Refused::Ledger(error)) => return Err(error),
            Ok(connection) => return Ok(connection),
        }
    }
}

enum Refused {
    Busy(rusqlite::Error),
    Ledger(LedgerError),
}

fn try_open(path: &Path) -> Result<Connection, Refused> {
    let refused = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Refused::Busy(error),
        Some(ErrorCode::DiskFull) => Refused::Ledger(LedgerError::DiskFull),
        _ => Refused::Ledger(opening(path, &error)),
    };
    let mut connection = Connection::open(path).map_err(refused)?;
    connection.busy_timeout(BUSY).map_err(refused)?;
    // Before anything is changed: a newer file is left as it is.
    check_version(&connection, path).map_err(|error| error.into_refused(refused))?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(refused)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(refused)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    if check_version(&transaction, path).map_err(|error| error.into_refused(refused))? == 0 {
        transaction.execute_batch(TABLES).map_err(refused)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(refused)?;
    }
    transaction.commit().map_err(refused)?;
    Ok(connection)
}

/// Why the version is not to be used.
enum VersionError {
    Sqlite(rusqlite::Error),
    Newer(LedgerError),
}

impl VersionError {
    fn into_refused(self, refused: impl Fn(rusqlite::Error) -> Refused) -> Refused {
        match self {
            VersionError::Sqlite(error) => refused(error),
            VersionError::Newer(error) => Refused::Ledger(error),
        }
    }
}

fn check_version(connection: &Connection, path: &Path) -> Result<i64, VersionError> {
    let version: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(VersionError::Sqlite)?;
    match version {
        0..=VERSION => Ok(version),
        _ => Err(VersionError::Newer(LedgerError::Newer { path: path.display().to_string() })),
    }
}

fn opening(path: &Path, error: &dyn std::error::Error) -> LedgerError {
    LedgerError::Open { path: path.display().to_string(), why: error.to_string() }
}
