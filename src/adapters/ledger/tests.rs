#![allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]

use std::{sync::Arc, thread};

use serde_json::json;

use super::*;
use crate::{
    domain::Problem,
    ports::{
        keys::Sealer,
        ledger::{JobKind, JobState},
    },
};

fn job(number: u128) -> JobRecord {
    JobRecord {
        job: JobId::from(ulid::Ulid::from_parts(1_700_000_000_000 + number as u64, number)),
        kind: JobKind::Commission,
        state: JobState::Running,
        truck: "T001".parse().ok(),
        thing: "truckSensor01".parse().ok(),
        mac: "60:55:f9:00:00:01".parse().ok(),
        port: "/dev/ttyUSB0".into(),
        order: json!({"host_key": false}),
        began: OffsetDateTime::UNIX_EPOCH,
        ended: None,
        problem: None,
        leftovers: Vec::new(),
    }
}

fn ledger() -> (tempfile::TempDir, SqliteLedger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&folder.path().join("deep/ledger.db")).unwrap();
    (folder, ledger)
}

#[test]
fn jobs_read_back_newest_first_also_after_reopening() {
    let (folder, ledger) = ledger();
    let (first, mut second) = (job(1), job(2));
    ledger.open_job(&first).unwrap();
    ledger.open_job(&second).unwrap();
    second.state = JobState::Failed;
    second.problem = Some(Problem::new("board.silent", "The board does not answer", "Check the cable"));
    ledger.update_job(&second).unwrap();
    drop(ledger);
    let ledger = SqliteLedger::open(&folder.path().join("deep/ledger.db")).unwrap();
    assert_eq!(ledger.jobs().unwrap(), [second.clone(), first]);
    assert_eq!(ledger.job(&second.job).unwrap(), Some(second));
    assert_eq!(ledger.job(&job(3).job).unwrap(), None);
    assert!(matches!(ledger.update_job(&job(3)), Err(LedgerError::Write { .. })));
}

#[test]
fn a_step_keeps_its_notes_and_place_when_it_is_begun_again() {
    let (_folder, ledger) = ledger();
    let id = job(1).job;
    ledger.begin_step(&id, "flash", &json!({"bytes": 7})).unwrap();
    ledger.begin_step(&id, "register", &json!({})).unwrap();
    ledger.note_step(&id, "flash", "certificate", &json!("abc")).unwrap();
    ledger.end_step(&id, "flash", &StepEnd::Done { output: json!(1) }).unwrap();
    assert!(ledger.steps(&id).unwrap()[0].ended.is_some());
    ledger.begin_step(&id, "flash", &json!({"bytes": 8})).unwrap();
    let steps = ledger.steps(&id).unwrap();
    assert_eq!(steps.iter().map(|step| step.step.as_str()).collect::<Vec<_>>(), ["flash", "register"]);
    assert_eq!(steps[0].intent, json!({"bytes": 8}));
    assert_eq!(steps[0].notes["certificate"], "abc");
    assert_eq!((steps[0].ended, &steps[0].end), (None, &None));
    assert!(ledger.note_step(&id, "key", "a", &json!(1)).is_err());
    assert!(ledger.end_step(&id, "key", &StepEnd::Done { output: json!(1) }).is_err());
}

#[test]
fn facts_are_recalled_as_last_remembered() {
    let (_folder, ledger) = ledger();
    assert_eq!(ledger.recall("baud").unwrap(), None);
    ledger.remember("baud", "921600").unwrap();
    ledger.remember("baud", "460800").unwrap();
    assert_eq!(ledger.recall("baud").unwrap().as_deref(), Some("460800"));
}

#[test]
fn a_newer_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(LedgerError::Newer { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_no_ledger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    std::fs::write(&path, "this is a letter, not a database, and it is long enough to be looked at ".repeat(20))
        .unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(LedgerError::Open { .. })));
    assert!(matches!(SqliteLedger::open(folder.path()), Err(LedgerError::Open { .. })));
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let opened: Vec<_> = (0..6_u128)
        .map(|number| {
            let path = path.clone();
            thread::spawn(move || SqliteLedger::open(&path).and_then(|ledger| ledger.open_job(&job(number))))
        })
        .collect();
    for thread in opened {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(SqliteLedger::open(&path).unwrap().jobs().unwrap().len(), 6);
}

#[test]
fn a_full_disk_is_named() {
    let (_folder, ledger) = ledger();
    // SQLite's own limit answers as a full disk does.
    ledger.connection().execute_batch("PRAGMA max_page_count = 8").unwrap();
    let error = (0..1000).find_map(|n| ledger.remember(&format!("{n}"), &"x".repeat(1000)).err());
    assert!(matches!(error, Some(LedgerError::DiskFull)), "{error:?}");
}

#[test]
fn a_job_is_claimed_once_and_free_again_after() {
    let (_folder, ledger) = ledger();
    let ledger = Arc::new(ledger);
    let claim = ledger.claim(&job(1).job).unwrap();
    assert!(matches!(ledger.claim(&job(1).job), Err(LedgerError::Claimed { .. })));
    drop(ledger.claim(&job(2).job).unwrap());
    drop(claim);
    drop(ledger.claim(&job(1).job).unwrap());
}

#[test]
fn a_seal_can_be_checked_and_its_key_stays() {
    let folder = tempfile::tempdir().unwrap();
    let sealer = FileSealer::beside(&folder.path().join("ledger.db"));
    let (first, second) = (sealer.seal(b"record").unwrap(), sealer.seal(b"record").unwrap());
    assert_eq!(first.public_key_pem, second.public_key_pem);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("ledger.db.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(folder.path().join("ledger.db.key"), "no key").unwrap();
    assert!(matches!(sealer.seal(b"record"), Err(crate::ports::keys::KeyError::Keep { .. })));
}
