//! key: made on the board, or on this computer when ordered so; or kept, when board and cloud agree on one already.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ask, claim};
use crate::{
    commission::{
        plan::StepName,
        run::{Run, lock},
        step::{Halt, Outcome, Step, halt},
    },
    domain::{
        CertificateId, Identity, Subject,
        certificate::{CertificateStatus, csr_public_key_der, public_key_der},
    },
};

/// Note: this job gives the board a key, so that an undo takes it away.
pub(in crate::commission) const MADE: &str = "made";

/// The step.
pub struct Key;

/// The board's key, as far as it may be known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// The public key, DER `SubjectPublicKeyInfo`, hex.
    pub public_key_hex: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "origin")]
pub enum Origin {
    /// The board made it; this is its certificate signing request, PEM.
    Board {
        /// The request.
        csr_pem: String,
    },
    /// This computer made it; this is its certificate signing request, PEM.
    Host {
        /// The request.
        csr_pem: String,
    },
    /// It was there, with a certificate that the cloud accepts.
    Kept {
        /// The certificate.
        certificate: CertificateId,
    },
}

impl Step for Key {
    type Output = KeyFacts;
    const NAME: StepName = StepName::Key;

    fn limit(_: &Run) -> Duration {
        Duration::from_secs(90)
    }

    fn intent(run: &Run) -> Value {
        json!({ "made_on": if run.order.host_key { "host" } else { "board" } })
    }

    async fn check(run: &Run) -> Result<Option<Outcome<KeyFacts>>, Halt> {
        let identity = ask::identity(&*run.board().await?).await?;
        let Some(on_board) = identity.public_key_der.as_ref().map(hex::encode) else { return lost_or_new(run) };
        match run.earlier::<Key>()? {
            Some(KeyFacts { origin: Origin::Kept { .. }, .. }) | None => kept(run, &identity, on_board).await,
            Some(facts) if facts.public_key_hex == on_board => Ok(Some(still_there(facts))),
            Some(_) => lost_or_new(run),
        }
    }

    async fn run(run: &Run) -> Result<Outcome<KeyFacts>, Halt> {
        run.note(StepName::Key, MADE, &true)?;
        let thing = claim::thing_name(run)?;
        let subject = Subject { common_name: thing.to_string(), organizational_unit: run.job().organizational_unit() };
        match &run.bench.host_keys {
            Some(maker) if run.order.host_key => {
                let key = maker.make(&subject)?;
                let csr_pem = key.csr_pem.clone();
                *lock(&run.host_key) = Some(key);
                let facts = facts(&csr_pem, Origin::Host { csr_pem: csr_pem.clone() })?;
                Ok(Outcome::done(facts, "Key made on this computer"))
            }
            _ => {
                let csr_pem = ask::make_key(&*run.board().await?, subject).await?;
                let facts = facts(&csr_pem, Origin::Board { csr_pem: csr_pem.clone() })?;
                Ok(Outcome::done(facts, "Key made on the board, where it stays"))
            }
        }
    }
}

/// Without its key on the board, a key is there only while this process holds it.
fn lost_or_new(run: &Run) -> Result<Option<Outcome<KeyFacts>>, Halt> {
    let held = lock(&run.host_key).as_ref().map(|key| key.csr_pem.clone());
    let facts = run.earlier::<Key>()?.filter(|facts| match &facts.origin {
        Origin::Host { csr_pem } => held.as_ref() == Some(csr_pem),
        Origin::Board { .. } | Origin::Kept { .. } => false,
    });
    Ok(facts.map(still_there))
}

fn still_there(facts: KeyFacts) -> Outcome<KeyFacts> {
    Outcome::skipped(facts, "The key is there already")
}

/// A board that was commissioned as this thing before keeps its key, if the cloud has its certificate and accepts it.
async fn kept(run: &Run, identity: &Identity, on_board: String) -> Result<Option<Outcome<KeyFacts>>, Halt> {
    let Some(sha256) = identity.certificate_sha256 else { return Ok(None) };
    if identity.thing_name != claim::thing_name(run)?.as_str() {
        return Ok(None);
    }
    let Some(certificate) = run.bench.cloud.certificate(&CertificateId::from_sha256(&sha256)).await? else {
        return Ok(None);
    };
    let same_key = public_key_der(&certificate.pem).map(hex::encode).as_deref() == Some(&*on_board);
    if certificate.status != CertificateStatus::Active || !same_key {
        return Ok(None);
    }
    let facts = KeyFacts { public_key_hex: on_board, origin: Origin::Kept { certificate: certificate.id } };
    Ok(Some(Outcome::skipped(facts, "The board keeps the key and certificate it was commissioned with")))
}

fn facts(csr_pem: &str, origin: Origin) -> Result<KeyFacts, Halt> {
    match csr_public_key_der(csr_pem) {
        Some(der) => Ok(KeyFacts { public_key_hex: hex::encode(der), origin }),
        None => halt(
            "key.request",
            "The certificate signing request cannot be read",
            "Flash the site's firmware and resume the job",
        ),
    }
}
