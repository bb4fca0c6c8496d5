//! What support needs to see, as one text. It is put together from named fields, so that what could hold a secret (the
//! site's passphrase, keys, credentials) is not in it to begin with; log lines are looked through besides.

use super::{
    hand_over::{kind_words, stamp, state_words},
    office::Office,
    world::OpenLedger,
};
use crate::{
    domain::{Problem, finding::Finding, site::Site},
    ports::ledger::{JobRecord, StepEnd, StepRecord},
};

/// Jobs that are told, newest first.
const MAX_JOBS: usize = 20;
/// Log lines that are told, from the end.
const MAX_LINES: usize = 500;
/// What a line that holds a secret is replaced by.
const REDACTED: &str = "[a line with a secret was left out]";

/// The bundle of this computer. What cannot be read is told as the problem it is.
pub(super) async fn of(office: &Office) -> String {
    let site = office.site();
    let findings = match &site {
        Ok(site) => office.world.look_around(site).await,
        Err(_) => Vec::new(),
    };
    let jobs = office.ledger().and_then(|open| Ok((open.clone(), jobs(&open)?)));
    text(&site, &findings, &jobs, &office.world.log_lines(), office.outbox.dropped())
}

type Jobs = Vec<(JobRecord, Vec<StepRecord>)>;

fn jobs(open: &OpenLedger) -> Result<Jobs, Problem> {
    let jobs = open.ledger.jobs()?.into_iter().take(MAX_JOBS);
    jobs.map(|job| Ok((job.clone(), open.ledger.steps(&job.job)?))).collect()
}

fn text(
    site: &Result<Site, Problem>,
    findings: &[Finding],
    jobs: &Result<(OpenLedger, Jobs), Problem>,
    log: &[String],
    dropped: u64,
) -> String {
    let mut lines = vec![
        format!("Coldbench {} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH),
        format!("Updates dropped: {dropped}"),
        String::new(),
        "# Site".to_owned(),
    ];
    match site {
        Ok(site) => lines.extend(site_lines(site)),
        Err(problem) => lines.push(problem.to_string()),
    }
    lines.extend([String::new(), "# This computer".to_owned()]);
    lines.extend(findings.iter().map(|finding| format!("{:?} {}: {}", finding.state, finding.what, finding.found)));
    lines.extend([String::new(), "# Jobs".to_owned()]);
    match jobs {
        Ok((open, jobs)) => {
            lines.push(open.file.display().to_string());
            lines.extend(jobs.iter().flat_map(|(job, steps)| job_lines(job, steps)));
        }
        Err(problem) => lines.push(problem.to_string()),
    }
    lines.extend([String::new(), "# Log".to_owned()]);
    let passphrase = site.as_ref().map_or("", |site| &site.network.passphrase);
    let from = log.len().saturating_sub(MAX_LINES);
    lines.extend(log.iter().skip(from).map(|line| match holds_secret(line, passphrase) {
        true => REDACTED.to_owned(),
        false => line.clone(),
    }));
    lines.join("\n") + "\n"
}

/// The site without its network and without what names a person's login.
fn site_lines(site: &Site) -> Vec<String> {
    vec![
        format!("region {}", site.region),
        format!("thing type {}, group {}, policy {}", site.thing_type, site.thing_group, site.policy),
        format!("topic {}, thing name {}", site.readings_topic, site.thing_name),
        format!("interval {} s, power {}", site.interval_secs, site.power.as_str()),
        format!("own cloud address: {}", if site.aws_endpoint_url.is_some() { "yes" } else { "no" }),
        format!("own firmware: {}", if site.firmware.is_some() { "yes" } else { "no" }),
    ]
}

fn job_lines(job: &JobRecord, steps: &[StepRecord]) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let mut lines = vec![format!(
        "{} {} {} began {} truck {} thing {} board {} port {}",
        job.job,
        kind_words(job.kind),
        state_words(job.state),
        stamp(job.began),
        text(job.truck.as_ref().map(ToString::to_string)),
        text(job.thing.as_ref().map(ToString::to_string)),
        text(job.mac.map(|mac| mac.to_string())),
        job.port,
    )];
    lines.extend(job.problem.iter().map(|problem| format!("  problem: {problem}")));
    lines.extend(job.leftovers.iter().map(|leftover| format!("  left over: {leftover}")));
    lines.extend(steps.iter().map(|step| format!("  {} {}: {}", stamp(step.began), step.step, end_words(step))));
    lines
}

fn end_words(step: &StepRecord) -> String {
    match &step.end {
        None => "not ended".to_owned(),
        Some(StepEnd::Done { .. }) => "done".to_owned(),
        Some(StepEnd::Warning { message, .. }) => format!("done, but {message}"),
        Some(StepEnd::Skipped { message, .. }) => format!("skipped, {message}"),
        Some(StepEnd::Failed { problem }) => format!("failed, {problem}"),
        Some(StepEnd::Undone { leftovers }) => format!("undone, {} left over", leftovers.len()),
    }
}

/// Whether a line looks like one that must not leave this computer.
fn holds_secret(line: &str, passphrase: &str) -> bool {
    const SIGNS: [&str; 8] =
        ["private key", "passphrase", "password", "secret", "session_token", "session-token", "akia", "asia"];
    let lower = line.to_lowercase();
    (!passphrase.is_empty() && line.contains(passphrase)) || SIGNS.iter().any(|sign| lower.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_the_site_or_the_log_is_told() {
        let mut site = Site::default();
        site.network.ssid = "depot".to_owned();
        site.network.passphrase = "open sesame".to_owned();
        site.aws_profile = "somebody".to_owned();
        let log = ["joining with open sesame", "aws_secret_access_key=x", "-----BEGIN PRIVATE KEY-----", "port opened"];
        let none = Err(Problem::new("ledger.open", "The record cannot be opened", "Check it"));
        let bundle = text(&Ok(site), &[], &none, &log.map(str::to_owned), 3);
        for secret in ["open sesame", "secret_access", "PRIVATE KEY", "somebody"] {
            assert!(!bundle.contains(secret), "{secret} is told:\n{bundle}");
        }
        assert!(bundle.contains("port opened") && bundle.contains("Updates dropped: 3"), "{bundle}");
        assert_eq!(bundle.matches(REDACTED).count(), 3);
    }
}
