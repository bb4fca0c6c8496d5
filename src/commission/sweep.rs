//! Finds what jobs left in the cloud, by the job that each thing and certificate carries, and retires it.
//!
//! The ledger helps where it is there, but is not needed: a thing that was never sealed, and a certificate that no sealed
//! thing uses, were left behind by somebody.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Bench,
    retire::{self, CertificateKey},
};
use crate::{
    domain::{
        CertificateId, JobId, Problem, ThingName,
        certificate::{CertificateStatus, subject_job},
        thing::{SEALED_ATTRIBUTE, Thing},
    },
    ports::ledger::{JobState, LedgerError},
};

/// A job of another bench may still be running while it is younger than this.
const YOUNG_MILLIS: i128 = 4 * 3600 * 1000;

/// Something that a job left in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// The job that made it.
    pub job: JobId,
    /// Why it is taken for a leftover.
    pub why: String,
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Thing(name) => write!(f, "thing {name}")?,
            What::Certificate(id) => write!(f, "certificate {id}")?,
        }
        write!(f, " of job {}: {}", self.job, self.why)
    }
}

/// What was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum What {
    /// A thing.
    Thing(ThingName),
    /// A certificate.
    Certificate(CertificateId),
}

/// Finds leftovers of all jobs. Changes nothing.
///
/// # Errors
/// The cloud or the record cannot be read.
pub async fn find(bench: &Bench) -> Result<Vec<Leftover>, Problem> {
    let mut leftovers = Vec::new();
    let mut sealed = Vec::new();
    for thing in bench.cloud.things_of_jobs(None).await? {
        let Some(job) = thing.job() else { continue };
        match why_left(bench, &job, is_sealed(&thing))? {
            Some(why) => leftovers.push(Leftover { what: What::Thing(thing.name), job, why }),
            None => sealed.push(thing.name),
        }
    }
    for summary in bench.cloud.certificates().await? {
        let Some(certificate) = bench.cloud.certificate(&summary.id).await? else { continue };
        let Some(job) = subject_job(&certificate.pem) else { continue };
        let things = retire::gone_is_fine(bench.cloud.things_of(&certificate.arn).await)?;
        let is_used =
            certificate.status == CertificateStatus::Active && things.iter().any(|name| sealed.contains(name));
        if let Some(why) = why_left(bench, &job, is_used)? {
            leftovers.push(Leftover { what: What::Certificate(certificate.id), job, why });
        }
    }
    Ok(leftovers)
}

/// Retires one leftover; one that is gone already is fine. What has meanwhile been taken over by another job is left.
///
/// # Errors
/// The cloud refused.
pub async fn retire(bench: &Bench, leftover: &Leftover) -> Result<(), Problem> {
    let cloud = &*bench.cloud;
    match &leftover.what {
        What::Thing(name) => match cloud.thing(name).await? {
            Some(thing) if thing.job().as_ref() == Some(&leftover.job) => retire::thing(cloud, name).await?,
            _ => {}
        },
        What::Certificate(id) => {
            if let Some(certificate) = cloud.certificate(id).await? {
                retire::certificate(cloud, &CertificateKey::from(&certificate)).await?;
            }
        }
    }
    Ok(())
}

fn is_sealed(thing: &Thing) -> bool {
    thing.attributes.contains_key(SEALED_ATTRIBUTE)
}

/// Why something of this job is a leftover; `None` when it is not, or when the job may still be running.
fn why_left(bench: &Bench, job: &JobId, is_in_use: bool) -> Result<Option<String>, Problem> {
    // Sealed is sealed: a later job on the same board may have failed, the truck runs on.
    if is_in_use {
        return Ok(None);
    }
    let Some(record) = bench.ledger.job(job)? else {
        return Ok((!is_young(job)).then(|| "its job is not in this record and never sealed it".to_owned()));
    };
    match bench.ledger.claim(job) {
        Err(LedgerError::Claimed { .. }) => return Ok(None),
        other => drop(other?),
    }
    let why = match record.state {
        JobState::Passed => "its job passed, but it is no longer in use",
        JobState::Running => "its job was broken off",
        JobState::Failed => "its job failed",
        JobState::Cancelled => "its job was cancelled",
        JobState::Undone | JobState::PartlyUndone => "its job was undone",
        JobState::Decommissioned => "its thing was decommissioned",
    };
    Ok(Some(why.to_owned()))
}

fn is_young(job: &JobId) -> bool {
    let now_millis = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    now_millis - i128::from(job.began_unix_millis()) < YOUNG_MILLIS
}
