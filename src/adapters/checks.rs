//! The pre-shift check: what would stop a job in an hour is better known now.

use std::{path::Path, time::Duration};

use time::{OffsetDateTime, macros::format_description};
use tokio::{net::TcpStream, time::timeout};

use super::drivers;
use crate::{
    domain::{
        Problem,
        finding::{Finding, FindingState},
        site::Site,
        thing::{Endpoint, Login},
    },
    ports::{
        board::{Access, Boards},
        cloud::{Cloud, CloudError},
    },
};

/// How long a connection attempt may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// AWS refuses signatures more than five minutes off (Signature Version 4); this warns long before.
const MAX_SKEW_SECS: i64 = 60;
/// A record, an image and a support bundle need far less.
const MIN_FREE_BYTES: u64 = 200 * 1024 * 1024;
/// A login that ends sooner will end within the next jobs.
const MIN_LOGIN: time::Duration = time::Duration::minutes(30);

/// Looks at login, clock, network, serial ports and disk. Ends within a minute also where nothing answers.
pub async fn look_around(
    site: &Site,
    cloud: Result<&dyn Cloud, CloudError>,
    boards: &dyn Boards,
    data: &Path,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match cloud {
        Ok(cloud) => cloud_findings(site, cloud, &mut findings).await,
        Err(error) => findings.push(Finding::bad("login", error.into())),
    }
    findings.push(serial_ports(boards).await);
    if cfg!(windows) {
        findings.extend(drivers::missing().await);
    }
    findings.push(disk(data));
    findings
}

async fn cloud_findings(site: &Site, cloud: &dyn Cloud, findings: &mut Vec<Finding>) {
    match cloud.login().await {
        Ok(login) => {
            findings.push(login_finding(&login, OffsetDateTime::now_utc()));
            findings.push(clock_finding(login.clock_skew_secs));
        }
        Err(CloudError::Clock) => findings.push(Finding::bad("clock", CloudError::Clock.into())),
        Err(error) => findings.push(Finding::bad("login", error.into())),
    }
    match cloud.endpoint().await {
        Ok(endpoint) => findings.extend(broker_findings(site, &endpoint).await),
        Err(error) => findings.push(Finding::bad("broker", error.into())),
    }
}

fn login_finding(login: &Login, now: OffsetDateTime) -> Finding {
    let who = format!("{} in account {}", login.arn, login.account);
    match login.expires {
        Some(expires) if expires - now < MIN_LOGIN => {
            let until = expires.format(format_description!("[hour]:[minute] UTC")).unwrap_or_default();
            Finding::warning("login", format!("{who}, ends at {until}"), "Sign in again before you begin")
        }
        _ => Finding::good("login", who),
    }
}

fn clock_finding(skew_secs: Option<i64>) -> Finding {
    match skew_secs {
        None => Finding::warning("clock", "The cloud did not tell its time", "Compare the clock yourself"),
        Some(skew) if skew.abs() > MAX_SKEW_SECS => {
            let what = format!("This computer's clock is {} s off", skew.abs());
            Finding::bad("clock", Problem::new("cloud.clock", what, "Set the clock to network time"))
        }
        Some(skew) => Finding::good("clock", format!("Right to {} s", skew.abs().max(1))),
    }
}

/// Boards use 8883; where that is blocked, 443 with ALPN does.
async fn broker_findings(site: &Site, endpoint: &Endpoint) -> Vec<Finding> {
    let mut ports = vec![endpoint.port];
    if site.iot_port.is_none() && endpoint.port == 8883 {
        ports.push(443);
    }
    let mut open = Vec::new();
    let mut closed = Vec::new();
    for port in ports {
        match timeout(CONNECT_LIMIT, TcpStream::connect((endpoint.host.as_str(), port))).await {
            Ok(Ok(_)) => open.push(port),
            _ => closed.push(port),
        }
    }
    let place = |ports: &[u16]| {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        format!("{} port {}", endpoint.host, ports.join(" and "))
    };
    match (open.is_empty(), closed.is_empty()) {
        (false, true) => vec![Finding::good("broker", format!("{} answers", place(&open)))],
        (false, false) => {
            let advice = match closed.contains(&443) {
                true => "Ask for port 443 to be opened; until then this computer observes over the boards' port",
                false => "Ask for the port to be opened, or set `iot_port = 443` in the site profile",
            };
            vec![Finding::warning("broker", format!("{} answers, {} does not", place(&open), place(&closed)), advice)]
        }
        _ => vec![Finding::bad(
            "broker",
            Problem::new(
                "broker.unreachable",
                format!("{} does not answer", place(&closed)),
                "Check network and firewall",
            ),
        )],
    }
}

async fn serial_ports(boards: &dyn Boards) -> Finding {
    let ports = boards.ports().await;
    let denied: Vec<&str> =
        ports.iter().filter(|port| port.access == Access::NoPermission).map(|port| port.port.as_str()).collect();
    match (denied.first(), ports.len()) {
        (Some(_), _) => Finding {
            what: "ports".to_owned(),
            state: FindingState::Bad,
            found: format!("You may not open {}", denied.join(", ")),
            advice: ports
                .iter()
                .find(|port| port.access == Access::NoPermission)
                .map(|port| port.advice.clone())
                .unwrap_or_default(),
        },
        (None, 0) => Finding::good("ports", "No board is plugged in"),
        (None, 1) => Finding::good("ports", "1 port, may be opened"),
        (None, count) => Finding::good("ports", format!("{count} ports, all may be opened")),
    }
}

fn disk(data: &Path) -> Finding {
    // The folder may not exist yet; its nearest ancestor is on the same disk.
    let Some(existing) = data.ancestors().find(|path| path.exists()) else {
        return Finding::warning("disk", format!("{} cannot be looked at", data.display()), "Check the folder");
    };
    match fs4::available_space(existing) {
        Ok(free) if free < MIN_FREE_BYTES => {
            let what = format!("Only {} MiB are free for the record", free / 1024 / 1024);
            Finding::bad("disk", Problem::new("ledger.disk-full", what, "Free some space"))
        }
        Ok(free) => Finding::good("disk", format!("{} MiB free", free / 1024 / 1024)),
        Err(error) => Finding::warning("disk", format!("Free space cannot be measured: {error}"), "Look at the disk"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_off_by_minutes_is_bad_and_by_a_second_is_good() {
        assert_eq!(clock_finding(Some(-240)).state, FindingState::Bad);
        assert_eq!(clock_finding(Some(1)).state, FindingState::Good);
        assert_eq!(clock_finding(None).state, FindingState::Warning);
    }

    #[test]
    fn a_login_that_ends_soon_is_told() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let login = |expires| Login { account: "1".into(), arn: "arn".into(), clock_skew_secs: None, expires };
        assert_eq!(login_finding(&login(Some(now + time::Duration::minutes(10))), now).state, FindingState::Warning);
        assert_eq!(login_finding(&login(Some(now + time::Duration::hours(8))), now).state, FindingState::Good);
        assert_eq!(login_finding(&login(None), now).state, FindingState::Good);
    }
}
