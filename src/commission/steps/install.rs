//! install: certificate, CA, endpoint, thing name and network onto the board, read back and compared.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ask,
    key::{Key, Origin},
    preflight::{Cleared, Preflight},
    register::{Register, Registered},
};
use crate::{
    commission::{
        plan::StepName,
        run::{Run, lock},
        step::{Halt, Outcome, Step, halt},
    },
    domain::{CertificateId, Identity, Install as Instructions, certificate::certificate_id},
    ports::board::BoardError,
};
use coldbench_protocol::Refusal;

/// The step.
pub struct Install;

/// What the board was read to hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    /// Id of its certificate.
    pub certificate: CertificateId,
    /// Its broker, `host:port`.
    pub endpoint: String,
}

impl Step for Install {
    type Output = Installed;
    const NAME: StepName = StepName::Install;

    fn limit(_: &Run) -> Duration {
        Duration::from_secs(90)
    }

    fn intent(run: &Run) -> Value {
        json!({ "thing": run.record().thing })
    }

    async fn check(run: &Run) -> Result<Option<Outcome<Installed>>, Halt> {
        // The network's passphrase cannot be read back, so only what this job installed is known to be right.
        let Some(earlier) = run.earlier::<Install>()? else { return Ok(None) };
        let identity = ask::identity(&*run.board().await?).await?;
        let holds = Expected::of(run)?.first_difference(&identity).is_none();
        Ok(holds.then(|| Outcome::skipped(earlier, "The board holds its identity already")))
    }

    async fn run(run: &Run) -> Result<Outcome<Installed>, Halt> {
        let board = run.board().await?;
        let instructions = instructions(run)?;
        match ask::install(&*board, instructions).await {
            Err(BoardError::Refused(Refusal::KeyMismatch | Refusal::NoKey)) => {
                return halt(
                    "install.key-mismatch",
                    "The certificate does not belong to the key on the board",
                    "Resume the job, so that the board gets a new key and certificate",
                );
            }
            other => other?,
        };
        let expected = Expected::of(run)?;
        let identity = ask::identity(&*board).await?;
        if let Some(what) = expected.first_difference(&identity) {
            return halt(
                "install.differs",
                format!("The board does not hold the {what} that was installed"),
                "Resume the job; if it happens again, the board's flash is worn: replace it",
            );
        }
        *lock(&run.host_key) = None;
        let installed =
            Installed { certificate: expected.registered.certificate.clone(), endpoint: expected.endpoint.clone() };
        let message = format!("The board is {} at {}", expected.registered.thing, expected.endpoint);
        Ok(Outcome::done(installed, message))
    }
}

fn instructions(run: &Run) -> Result<Instructions, Halt> {
    let (cleared, registered) = (run.output::<Preflight>()?, run.output::<Register>()?);
    let host_key_pem = match run.output::<Key>()?.origin {
        Origin::Host { .. } => lock(&run.host_key).as_ref().map(|key| key.key_pem.to_string()),
        Origin::Board { .. } | Origin::Kept { .. } => None,
    };
    Ok(Instructions {
        thing_name: registered.thing.to_string(),
        certificate_pem: registered.certificate_pem,
        ca_pem: run.kit.ca_pem.clone(),
        endpoint: cleared.endpoint.host,
        port: cleared.endpoint.port,
        readings_topic: cleared.readings_topic,
        network: run.kit.site.board_network(),
        host_key_pem,
    })
}

/// What the board must be read to hold.
struct Expected {
    registered: Registered,
    public_key_hex: String,
    ca: Option<CertificateId>,
    endpoint: String,
}

impl Expected {
    fn of(run: &Run) -> Result<Self, Halt> {
        let Cleared { endpoint, .. } = run.output::<Preflight>()?;
        Ok(Expected {
            registered: run.output::<Register>()?,
            public_key_hex: run.output::<Key>()?.public_key_hex,
            ca: certificate_id(&run.kit.ca_pem),
            endpoint: format!("{}:{}", endpoint.host, endpoint.port),
        })
    }

    fn first_difference(&self, identity: &Identity) -> Option<&'static str> {
        let certificate = identity.certificate_sha256.as_ref().map(CertificateId::from_sha256);
        let ca = identity.ca_sha256.as_ref().map(CertificateId::from_sha256);
        let public_key = identity.public_key_der.as_ref().map(hex::encode);
        let differences = [
            (public_key.as_ref() != Some(&self.public_key_hex), "key"),
            (certificate.as_ref() != Some(&self.registered.certificate), "certificate"),
            (ca != self.ca, "CA"),
            (identity.thing_name != self.registered.thing.as_str(), "thing name"),
            (identity.endpoint != self.endpoint, "endpoint"),
        ];
        differences.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
    }
}
