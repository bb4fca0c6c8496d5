//! seal: the record closed and signed. The point of no return.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    boot::Boot,
    calibrate::{Calibrate, Calibrated},
    flash::Flash,
    identify::Identify,
    preflight::Preflight,
    prove::{Proof, Prove},
    register::{self, Register},
};
use crate::{
    commission::{
        plan::StepName,
        retire::{self, CertificateKey},
        run::Run,
        step::{Halt, Outcome, Step, halt, to_value},
    },
    domain::{
        CertificateId, JobId, Mac, ThingName, TruckId,
        thing::{Endpoint, SEALED_ATTRIBUTE},
    },
    ports::keys::Signature,
};

/// The step.
pub struct Seal;

/// What a truck is handed over with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandOver {
    /// The job.
    pub job: JobId,
    /// The truck.
    pub truck: TruckId,
    /// The thing.
    pub thing: ThingName,
    /// The board.
    pub mac: Mac,
    /// Its chip.
    pub chip: String,
    /// Version of its firmware.
    pub firmware: String,
    /// Digest of its firmware.
    pub image_sha256: String,
    /// The cloud account.
    pub account: String,
    /// Where it connects.
    pub endpoint: Endpoint,
    /// Topic of its readings.
    pub readings_topic: String,
    /// Id of its certificate.
    pub certificate: CertificateId,
    /// Whether its sensors are calibrated.
    pub calibrated: bool,
    /// How they are calibrated.
    pub calibration: Calibrated,
    /// What was proven.
    pub proof: Proof,
    /// When the job began, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// When the record was sealed, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub sealed: OffsetDateTime,
}

/// The record as it was signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The [`HandOver`] as the very text that was signed.
    pub record: String,
    /// SHA-256 of that text, hex.
    pub sha256: String,
    /// The signature over that text.
    pub signature: Signature,
}

impl Step for Seal {
    type Output = Sealed;
    const NAME: StepName = StepName::Seal;

    fn limit(_: &Run) -> Duration {
        Duration::from_secs(180)
    }

    fn intent(_: &Run) -> Value {
        json!({})
    }

    async fn check(run: &Run) -> Result<Option<Outcome<Sealed>>, Halt> {
        let earlier = run.earlier::<Seal>()?;
        Ok(earlier.map(|sealed| Outcome::skipped(sealed, "The record is sealed already")))
    }

    async fn run(run: &Run) -> Result<Outcome<Sealed>, Halt> {
        let sealed_at = OffsetDateTime::now_utc();
        mark_thing(run, sealed_at).await?;
        let retired = retire_superseded(run).await?;
        let hand_over = hand_over(run, sealed_at)?;
        let record = to_value(&hand_over)?.to_string();
        let signature = run.bench.sealer.seal(record.as_bytes())?;
        let sha256 = hex::encode(Sha256::digest(record.as_bytes()));
        let calibrated = hand_over.calibrated;
        let sealed = Sealed { record, sha256, signature };
        let message = match retired {
            0 => "Record sealed".to_owned(),
            number => format!("Record sealed; {number} superseded certificates retired"),
        };
        Ok(match calibrated {
            true => Outcome::done(sealed, message),
            false => Outcome::warning(sealed, format!("{message}; the board is not calibrated")),
        })
    }
}

/// Says on the thing itself that it is proven, so that a sweep without this record leaves it alone.
async fn mark_thing(run: &Run, sealed_at: OffsetDateTime) -> Result<(), Halt> {
    let name = run.output::<Register>()?.thing;
    let Some(mut thing) = run.bench.cloud.thing(&name).await? else {
        return halt(
            "cloud.thing-gone",
            format!("The thing {name} is no longer in the cloud"),
            "Undo the job and begin anew",
        );
    };
    // Whole seconds: an attribute's value takes no "+", and no more is needed.
    let at = sealed_at.replace_nanosecond(0).unwrap_or(sealed_at).format(&Rfc3339);
    thing.attributes.insert(SEALED_ATTRIBUTE.to_owned(), at.unwrap_or_else(|_| "yes".to_owned()));
    Ok(run.bench.cloud.set_attributes(&thing).await?)
}

/// Retires what an earlier job, or an earlier run of this one, had made for the same thing. Only now: until the board
/// was proven with its new certificate, the old one was the way back.
async fn retire_superseded(run: &Run) -> Result<usize, Halt> {
    let cloud = &*run.bench.cloud;
    let registered = run.output::<Register>()?;
    let mut superseded = Vec::new();
    for arn in cloud.principals_of(&registered.thing).await? {
        superseded.extend(retire::ours(cloud, &arn).await?);
    }
    // Asked for twice, because an answer was lost, this job may have one more that is attached to nothing.
    if run.noted::<bool>(StepName::Register, register::CERTIFICATE_ASKED)?.unwrap_or(false) {
        let record = run.record();
        let made = register::made_by(cloud, &record.job, record.began).await?;
        superseded.extend(made.iter().map(CertificateKey::from));
    }
    superseded.retain(|key| key.id != registered.certificate);
    superseded.sort_by(|one, other| one.id.cmp(&other.id));
    superseded.dedup();
    for key in &superseded {
        retire::certificate(cloud, key).await?;
    }
    Ok(superseded.len())
}

fn hand_over(run: &Run, sealed: OffsetDateTime) -> Result<HandOver, Halt> {
    let record = run.record();
    let (cleared, registered) = (run.output::<Preflight>()?, run.output::<Register>()?);
    let found = run.output::<Identify>()?.found;
    let calibration = run.output::<Calibrate>()?;
    Ok(HandOver {
        job: record.job,
        truck: run.order.truck.clone(),
        thing: registered.thing,
        mac: found.mac(),
        chip: found.chip().to_owned(),
        firmware: run.output::<Boot>()?.firmware,
        image_sha256: run.output::<Flash>()?.image_sha256,
        account: cleared.account,
        endpoint: cleared.endpoint,
        readings_topic: cleared.readings_topic,
        certificate: registered.certificate,
        calibrated: !calibration.calibration.job.is_empty(),
        calibration,
        proof: run.output::<Prove>()?,
        began: record.began,
        sealed,
    })
}
