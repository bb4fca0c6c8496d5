//! The embedded stand-ins: imitated boards behind serial lines, a cloud behind HTTP and MQTT.
//!
//! A folder holds everything: started again in the same folder, the sandbox has the same boards, cloud and ports.

pub mod board;
pub mod cloud;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::cloud::{Cloud, CloudOptions, FaultPlan};

/// How long a reference point must be steady, seconds: the imitated baths settle sooner than real ones.
const STABILITY_SECS: i64 = 10;

/// How to start a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The folder that holds everything; made when it is missing.
    pub dir: PathBuf,
    /// What everything random follows from.
    pub seed: u64,
    /// How many boards.
    pub boards: u8,
    /// Rate the serial lines are held to, baud.
    pub pace_baud: Option<u32>,
}

/// Why a sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Its folder could not be made.
    #[error("The sandbox's folder {path} could not be made: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its site profile could not be written.
    #[error("The sandbox's site profile {path} could not be written: {source}")]
    SiteFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its cloud did not start.
    #[error("The sandbox's cloud could not be started: {0}")]
    Cloud(#[from] cloud::CloudError),
    /// A board did not start.
    #[error("An imitated board could not be started: {0}")]
    Board(#[from] board::BoardError),
}

/// A running sandbox. It ends when it is dropped; its folder stays.
pub struct Sandbox {
    cloud: Cloud,
    boards: Vec<board::ImitatedBoard>,
    site_file: PathBuf,
}

/// Where everything of a sandbox is: the line that `demo --serve --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Serial ports of the imitated boards.
    pub ports: Vec<String>,
    /// URL of the cloud.
    pub aws_endpoint_url: String,
    /// Host of the message broker.
    pub iot_endpoint: String,
    /// Port of the message broker.
    pub iot_port: u16,
    /// CA of the message broker.
    pub ca_file: PathBuf,
    /// Region.
    pub region: String,
    /// Access key of the sandbox's technician.
    pub access_key_id: String,
    /// Its secret, which opens nothing but this sandbox.
    pub secret_access_key: String,
    /// Site profile that leads here.
    pub site_file: PathBuf,
}

impl Sandbox {
    /// Starts cloud and boards, and writes a site profile that leads to them.
    ///
    /// # Errors
    /// Whatever could not be started; nothing keeps running then.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        Self::start_on(options, &[]).await
    }

    /// The same with the boards on crossed serial ports, as many as are given, where `lines` names any.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn start_on(options: SandboxOptions, lines: &[board::PortPair]) -> Result<Self, SandboxError> {
        let SandboxOptions { dir, seed, .. } = &options;
        fs::create_dir_all(dir).map_err(|source| SandboxError::Folder { path: dir.clone(), source })?;
        let cloud_options = CloudOptions { dir: dir.join("cloud"), seed: *seed, faults: FaultPlan::default() };
        let cloud = Cloud::start(cloud_options).await?;
        let site_file = dir.join("site.toml");
        write_site(&site_file, &cloud)?;
        Ok(Sandbox { boards: start_boards(&options, lines)?, cloud, site_file })
    }

    /// Where everything is.
    pub fn facts(&self) -> Facts {
        Facts {
            ports: self.ports(),
            aws_endpoint_url: self.cloud.endpoint_url(),
            iot_endpoint: self.cloud.mqtt_host().to_owned(),
            iot_port: self.cloud.mqtt_port(),
            ca_file: self.cloud.ca_file(),
            region: self.cloud.region().to_owned(),
            access_key_id: self.cloud.access_key_id().to_owned(),
            secret_access_key: self.cloud.secret_access_key().to_owned(),
            site_file: self.site_file.clone(),
        }
    }

    /// The cloud, for its faults and its clock.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The boards, for a hand on them.
    pub fn boards(&self) -> &[board::ImitatedBoard] {
        &self.boards
    }

    fn ports(&self) -> Vec<String> {
        self.boards.iter().map(|board| board.port().display().to_string()).collect()
    }
}

fn start_boards(
    options: &SandboxOptions,
    lines: &[board::PortPair],
) -> Result<Vec<board::ImitatedBoard>, board::BoardError> {
    let count = if lines.is_empty() { usize::from(options.boards) } else { lines.len() };
    (1..=count as u64)
        .map(|number| {
            // Boards of one sandbox differ; those of two with the same seed are the same.
            let seed = options.seed.wrapping_mul(1000).wrapping_add(number);
            let dir = options.dir.join(format!("board-{number}"));
            let mut board = board::BoardOptions::new(format!("Board{number}"), dir, seed);
            board.pace_baud = options.pace_baud;
            board.line = lines.get(number as usize - 1).cloned();
            board::ImitatedBoard::start(board)
        })
        .collect()
}

fn write_site(file: &Path, cloud: &Cloud) -> Result<(), SandboxError> {
    let ca_file = cloud.ca_file();
    // An operator may have edited the profile: everything but the cloud's address stays. The depot has
    // a network; who empties `ssid` has boards that go through the computer.
    let kept = fs::read_to_string(file).ok().and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let mut site = kept;
    site.insert("region".into(), cloud.region().into());
    site.insert("aws_endpoint_url".into(), cloud.endpoint_url().into());
    site.insert("iot_endpoint".into(), cloud.mqtt_host().into());
    site.insert("iot_port".into(), i64::from(cloud.mqtt_port()).into());
    site.insert("ca_file".into(), ca_file.display().to_string().into());
    let network = toml::Table::from_iter([("ssid".to_owned(), "depot".into())]);
    site.entry("network").or_insert(network.into());
    let gate = toml::Table::from_iter([("stability_secs".to_owned(), STABILITY_SECS.into())]);
    site.entry("tolerances").or_insert(gate.into());
    fs::write(file, site.to_string()).map_err(|source| SandboxError::SiteFile { path: file.to_owned(), source })
}
