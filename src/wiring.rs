//! Puts the adapters behind the core's world. `main` and tests of the whole program start here.
//!
//! The sandbox is wired as AWS is: by a site profile, an access key and serial ports.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

use crate::{
    adapters::{
        board::SerialBoards,
        broker::RumqttBroker,
        checks,
        cloud::AwsCloud,
        files::{self, Folders},
        host_key::RcgenKeys,
        image,
        ledger::{FileSealer, SqliteLedger},
        log::LogRing,
        tls,
    },
    app::world::{CloudSide, OpenLedger, Templates, World},
    domain::{Problem, finding::Finding, image::Image, site::Site},
    ports::{board::Boards, cloud::CloudError, keys::HostKeys},
};

/// Policy of the boards where the site names no other.
const TRUCK_POLICY: &str = include_str!("../assets/cloud/truck-policy.json");

/// The real world, or the sandbox: the difference is in the values, not in the code.
pub struct Wiring {
    folders: Folders,
    /// The site profile that is taken without `--site`.
    site_file: Option<PathBuf>,
    /// The record that is taken without `--ledger`.
    ledger_file: Option<PathBuf>,
    /// Ports that the system does not list.
    named_ports: Vec<String>,
    /// An access key instead of the technician's login.
    access_key: Option<(String, String)>,
    /// What the program said last.
    log: LogRing,
}

impl Wiring {
    /// The user's own files, serial ports and cloud login.
    ///
    /// # Errors
    /// `files.home` when the user has no home folder.
    pub fn of_user() -> Result<Self, Problem> {
        let folders = Folders::of_user()?;
        Ok(Wiring {
            folders,
            site_file: None,
            ledger_file: None,
            named_ports: Vec::new(),
            access_key: None,
            log: LogRing::default(),
        })
    }

    /// The same, with ports that the system does not list.
    pub fn with_ports(mut self, ports: Vec<String>) -> Self {
        self.named_ports.extend(ports);
        self
    }

    /// The same, with another site profile and record where they are named.
    pub fn with_files(mut self, site_file: Option<PathBuf>, ledger_file: Option<PathBuf>) -> Self {
        self.site_file = site_file.or(self.site_file);
        self.ledger_file = ledger_file.or(self.ledger_file);
        self
    }

    /// A world in one folder: its site profile, record, ports and key.
    pub fn in_folder(dir: &Path, site_file: PathBuf, named_ports: Vec<String>, access_key: (String, String)) -> Self {
        Wiring {
            folders: Folders { config: dir.to_owned(), data: dir.to_owned() },
            site_file: Some(site_file),
            ledger_file: Some(dir.join("ledger.sqlite")),
            named_ports,
            access_key: Some(access_key),
            log: LogRing::default(),
        }
    }

    /// The same, with the log that the support bundle ends with.
    pub fn with_log(mut self, log: LogRing) -> Self {
        self.log = log;
        self
    }

    async fn aws(&self, site: &Site) -> Result<AwsCloud, CloudError> {
        match &self.access_key {
            Some((id, secret)) => AwsCloud::connect_with_key(site, id, secret).await,
            None => AwsCloud::connect(site).await,
        }
    }
}

#[async_trait]
impl World for Wiring {
    fn boards(&self) -> Arc<dyn Boards> {
        Arc::new(SerialBoards::new(self.named_ports.clone()))
    }

    async fn cloud(&self, site: &Site) -> Result<CloudSide, Problem> {
        let cloud = self.aws(site).await?;
        let broker = RumqttBroker::new(site, cloud.clone());
        Ok(CloudSide { cloud: Arc::new(cloud), broker: Arc::new(broker) })
    }

    fn ledger(&self, file: Option<&Path>) -> Result<OpenLedger, Problem> {
        let own = || self.ledger_file.clone().unwrap_or_else(|| self.folders.ledger_file());
        let file = file.map_or_else(own, Path::to_owned);
        let ledger = Arc::new(SqliteLedger::open(&file)?);
        Ok(OpenLedger { ledger, sealer: Arc::new(FileSealer::beside(&file)), file })
    }

    fn host_keys(&self) -> Arc<dyn HostKeys> {
        Arc::new(RcgenKeys)
    }

    fn site(&self, file: Option<&Path>) -> Result<Site, Problem> {
        match file.or(self.site_file.as_deref()) {
            Some(file) => files::read_site(file),
            // Without any profile the built-in values and the AWS environment do.
            None => match self.folders.site_file() {
                own if own.exists() => files::read_site(&own),
                _ => Ok(Site::default()),
            },
        }
    }

    fn firmware(&self, site: &Site) -> Result<Image, Problem> {
        match &site.firmware {
            Some(path) => image::load(path, site.firmware_key.as_deref()),
            None => image::shipped(),
        }
    }

    fn image(&self, file: &Path, address: Option<u32>) -> Result<Image, Problem> {
        match address {
            Some(address) => image::raw(file, address),
            None => image::load(file, self.site(None)?.firmware_key.as_deref()),
        }
    }

    fn templates(&self, site: &Site) -> Result<Templates, Problem> {
        let policy_document = match &site.policy_file {
            Some(file) => files::read_text(file)?,
            None => TRUCK_POLICY.to_owned(),
        };
        Ok(Templates { policy_document, ca_pem: tls::broker_ca_pem(site)? })
    }

    fn read_text(&self, file: &Path) -> Result<String, Problem> {
        files::read_text(file)
    }

    fn write_file(&self, file: &Path, bytes: &[u8]) -> Result<(), Problem> {
        files::write(file, bytes)
    }

    fn site_file(&self) -> PathBuf {
        self.site_file.clone().unwrap_or_else(|| self.folders.site_file())
    }

    fn log_lines(&self) -> Vec<String> {
        self.log.lines()
    }

    async fn look_around(&self, site: &Site) -> Vec<Finding> {
        let cloud = self.aws(site).await;
        let cloud = cloud.as_ref().map(|cloud| cloud as _).map_err(|_| CloudError::NoRegion);
        checks::look_around(site, cloud, &*self.boards(), &self.folders.data).await
    }
}
