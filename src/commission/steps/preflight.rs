//! preflight: is everything there that the job needs? Nothing is written.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    calibrate,
    claim::{self, ThingClaim},
    identify::Identify,
};
use crate::{
    commission::{
        order::CalibrationChoice,
        plan::StepName,
        run::Run,
        step::{Halt, Outcome, Step, halt},
    },
    domain::{ThingName, certificate::certificate_id, thing::Endpoint},
    ports::board::{BoardError, Found},
};

/// Signatures are refused when clocks differ by five minutes; certificates and time stamps are wrong long before.
const LARGEST_SKEW_SECS: i64 = 120;
/// Quota of AWS IoT: characters of a policy's document without white space.
const LONGEST_POLICY: usize = 2048;
/// Quota of AWS IoT: attributes of a thing with a type. Four of them are ours.
const MOST_ATTRIBUTES: usize = 50 - 5;

/// The step.
pub struct Preflight;

/// What is certain before the first effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cleared {
    /// Number of the cloud account.
    pub account: String,
    /// Where the board will connect.
    pub endpoint: Endpoint,
    /// The thing.
    pub thing: ThingName,
    /// Topic of its readings.
    pub readings_topic: String,
    /// The policy's document with everything filled in.
    pub policy_document: String,
}

impl Step for Preflight {
    type Output = Cleared;
    const NAME: StepName = StepName::Preflight;

    fn limit(_: &Run) -> Duration {
        Duration::from_secs(120)
    }

    fn intent(_: &Run) -> Value {
        json!({})
    }

    async fn check(_: &Run) -> Result<Option<Outcome<Cleared>>, Halt> {
        // Logins end and clocks drift while a job rests, so it is looked at every time.
        Ok(None)
    }

    async fn run(run: &Run) -> Result<Outcome<Cleared>, Halt> {
        let found = run.output::<Identify>()?.found;
        check_image(run, &found)?;
        if let CalibrationChoice::Earlier(job) = &run.order.calibration {
            calibrate::of_job(run, job, found.mac())?;
        }
        check_templates(run)?;
        let login = run.bench.cloud.login().await?;
        check_clock(login.clock_skew_secs)?;
        let endpoint = endpoint(run).await?;
        let held = match &found {
            Found::Running { hello } => hello.thing_name.as_deref(),
            Found::Loader { .. } => None,
        };
        claim::board_is_free(run, found.mac(), held).await?;
        let thing = claim::thing_name(run)?;
        let recognised = match claim::thing(run, found.mac()).await? {
            ThingClaim::Free => "",
            ThingClaim::SameBoard => "; the thing is this board's already",
        };
        let message = format!("Account {}, endpoint {}, thing {thing}{recognised}", login.account, endpoint.host);
        let cleared = Cleared {
            readings_topic: run.kit.site.readings_topic.replace("{thing}", thing.as_str()),
            policy_document: policy_document(run, &login.account, &endpoint),
            account: login.account,
            endpoint,
            thing,
        };
        Ok(Outcome::done(cleared, message))
    }
}

fn check_image(run: &Run, found: &Found) -> Result<(), Halt> {
    let wanted = &run.kit.image.manifest.chip;
    if !wanted.eq_ignore_ascii_case(found.chip()) {
        return Err(BoardError::WrongChip { found: found.chip().to_owned(), wanted: wanted.clone() }.into());
    }
    match found {
        Found::Loader { chip } if chip.secured => Err(BoardError::Secured.into()),
        _ => Ok(()),
    }
}

fn check_templates(run: &Run) -> Result<(), Halt> {
    let document = &run.kit.policy_document;
    if let Err(error) = serde_json::from_str::<serde_json::Map<String, Value>>(document) {
        return halt(
            "site.policy",
            format!("The policy's document is no JSON object: {error}"),
            "Correct the file that `policy_file` in the site profile names",
        );
    }
    if document.chars().filter(|c| !c.is_whitespace()).count() > LONGEST_POLICY {
        return halt(
            "site.policy",
            format!("The policy's document is longer than {LONGEST_POLICY} characters"),
            "Shorten the file that `policy_file` in the site profile names",
        );
    }
    if certificate_id(&run.kit.ca_pem).is_none() {
        return halt(
            "site.ca",
            "The CA of the message broker is no certificate in PEM form",
            "Correct the file that `ca_file` in the site profile names",
        );
    }
    if run.kit.site.attributes.len() > MOST_ATTRIBUTES {
        return halt(
            "site.attributes",
            format!("The site profile has more than {MOST_ATTRIBUTES} attributes"),
            "Take some out of `attributes`",
        );
    }
    Ok(())
}

fn check_clock(skew_secs: Option<i64>) -> Result<(), Halt> {
    match skew_secs {
        Some(skew) if skew.abs() > LARGEST_SKEW_SECS => halt(
            "cloud.clock",
            format!("The clock of this computer is wrong by {} s", skew.abs()),
            "Set the computer's clock to network time, then resume the job",
        ),
        _ => Ok(()),
    }
}

async fn endpoint(run: &Run) -> Result<Endpoint, Halt> {
    let site = &run.kit.site;
    let own = match &site.iot_endpoint {
        Some(host) => Endpoint { host: host.clone(), port: 8883 },
        None => run.bench.cloud.endpoint().await?,
    };
    Ok(Endpoint { port: site.iot_port.unwrap_or(own.port), ..own })
}

fn policy_document(run: &Run, account: &str, endpoint: &Endpoint) -> String {
    let site = &run.kit.site;
    // `…-ats.iot.eu-central-1.amazonaws.com` names the region; other endpoints do not, and any region will do there.
    let named = endpoint.host.split('.').skip_while(|part| *part != "iot").nth(1);
    let region = if site.region.is_empty() { named.unwrap_or("*") } else { &site.region };
    let own_topic = site.readings_topic.replace("{thing}", "${iot:Connection.Thing.ThingName}");
    run.kit
        .policy_document
        .replace("${account}", account)
        .replace("${region}", region)
        .replace("${readings_topic}", &own_topic)
}
