//! The record in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{World, lock};
use crate::{
    domain::JobId,
    ports::ledger::{JobRecord, Ledger, LedgerError, StepEnd, StepRecord},
};

#[derive(Default)]
pub struct LedgerState {
    pub jobs: BTreeMap<JobId, JobRecord>,
    pub steps: BTreeMap<JobId, Vec<StepRecord>>,
    facts: BTreeMap<String, String>,
    claimed: BTreeSet<JobId>,
    pub disk_is_full: bool,
}

pub struct FakeLedger(pub Arc<World>);

impl FakeLedger {
    /// A write, and the moment after it.
    fn write(&self, write: impl FnOnce(&mut LedgerState)) -> Result<(), LedgerError> {
        if !self.0.is_alive() {
            return Err(LedgerError::Write { why: "dead".into() });
        }
        let mut state = lock(&self.0.ledger);
        if state.disk_is_full {
            return Err(LedgerError::DiskFull);
        }
        write(&mut state);
        self.0.live_on();
        Ok(())
    }

    fn change(&self, job: &JobId, step: &str, change: impl FnOnce(&mut StepRecord)) -> Result<(), LedgerError> {
        self.write(|state| {
            let steps = state.steps.entry(job.clone()).or_default();
            let step = steps.iter_mut().find(|known| known.step == step);
            change(step.expect("a step is begun before it is changed"));
        })
    }
}

impl Ledger for FakeLedger {
    fn open_job(&self, job: &JobRecord) -> Result<(), LedgerError> {
        self.write(|state| drop(state.jobs.insert(job.job.clone(), job.clone())))
    }

    fn update_job(&self, job: &JobRecord) -> Result<(), LedgerError> {
        self.open_job(job)
    }

    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, LedgerError> {
        Ok(lock(&self.0.ledger).jobs.get(id).cloned())
    }

    fn jobs(&self) -> Result<Vec<JobRecord>, LedgerError> {
        Ok(lock(&self.0.ledger).jobs.values().rev().cloned().collect())
    }

    fn begin_step(&self, job: &JobId, step: &str, intent: &Value) -> Result<(), LedgerError> {
        self.write(|state| {
            let steps = state.steps.entry(job.clone()).or_default();
            let now = OffsetDateTime::now_utc();
            match steps.iter_mut().find(|known| known.step == step) {
                Some(known) => (known.intent, known.began, known.ended, known.end) = (intent.clone(), now, None, None),
                None => steps.push(StepRecord {
                    step: step.into(),
                    intent: intent.clone(),
                    notes: Map::new(),
                    began: now,
                    ended: None,
                    end: None,
                }),
            }
        })
    }

    fn note_step(&self, job: &JobId, step: &str, key: &str, value: &Value) -> Result<(), LedgerError> {
        self.change(job, step, |step| drop(step.notes.insert(key.into(), value.clone())))
    }

    fn end_step(&self, job: &JobId, step: &str, end: &StepEnd) -> Result<(), LedgerError> {
        self.change(job, step, |step| {
            (step.ended, step.end) = (Some(OffsetDateTime::now_utc()), Some(end.clone()));
        })
    }

    fn steps(&self, job: &JobId) -> Result<Vec<StepRecord>, LedgerError> {
        Ok(lock(&self.0.ledger).steps.get(job).cloned().unwrap_or_default())
    }

    fn remember(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.write(|state| drop(state.facts.insert(key.into(), value.into())))
    }

    fn recall(&self, key: &str) -> Result<Option<String>, LedgerError> {
        Ok(lock(&self.0.ledger).facts.get(key).cloned())
    }

    fn claim(&self, job: &JobId) -> Result<Box<dyn Send + Sync>, LedgerError> {
        if !lock(&self.0.ledger).claimed.insert(job.clone()) {
            return Err(LedgerError::Claimed { job: job.clone() });
        }
        Ok(Box::new(Claim(self.0.clone(), job.clone())))
    }
}

struct Claim(Arc<World>, JobId);

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.0.ledger).claimed.remove(&self.1);
    }
}
