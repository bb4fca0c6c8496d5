//! One program a job: an advisory lock on a file beside the ledger.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use crate::{domain::JobId, ports::ledger::LedgerError};

/// How often the file is opened anew because its last owner took it away meanwhile.
const TRIES: usize = 16;

/// Takes the job. The system releases it when the process ends.
pub(super) fn claim(ledger: &Path, job: &JobId) -> Result<Box<dyn Send + Sync>, LedgerError> {
    let path = lock_path(ledger, job);
    let failed = |error: &dyn std::error::Error| LedgerError::Write { why: format!("{}: {error}", path.display()) };
    for _ in 0..TRIES {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) if is_current(&file, &path) => return Ok(Box::new(Claim { path, _locked: file })),
            // The last owner removed this file between our opening and our locking it.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::Claimed { job: job.clone() }),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
    }
    Err(LedgerError::Claimed { job: job.clone() })
}

fn lock_path(ledger: &Path, job: &JobId) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(format!(".lock.{job}"));
    PathBuf::from(name)
}

#[cfg(unix)]
fn is_current(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_current(_file: &File, _path: &Path) -> bool {
    // Here the file is never removed.
    true
}

/// Holds the lock; closing the file releases it.
struct Claim {
    path: PathBuf,
    _locked: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Only while the lock is held, so that nobody else's file is removed. A file that stays does no harm.
        if cfg!(unix) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
