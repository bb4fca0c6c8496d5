//! What the program is wired to. `main` builds one; nothing here knows whether the cloud is AWS or the sandbox, because
//! both are reached through the same adapters.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

use super::{sound::Sound, truck::TruckHands};
use crate::{
    domain::{Problem, finding::Finding, image::Image, release::Release, site::Site},
    ports::{
        board::Boards,
        broker::Broker,
        cloud::Cloud,
        keys::{HostKeys, Sealer},
        ledger::Ledger,
    },
};

/// Makes the ports of a site, and reads the operator's files.
#[async_trait]
pub trait World: Send + Sync {
    /// Serial ports and boards.
    fn boards(&self) -> Arc<dyn Boards>;
    /// The cloud of a site, and its message broker as the tool sees it.
    async fn cloud(&self, site: &Site) -> Result<CloudSide, Problem>;
    /// The record; the user's own without a file.
    fn ledger(&self, file: Option<&Path>) -> Result<OpenLedger, Problem>;
    /// Keys made on this computer.
    fn host_keys(&self) -> Arc<dyn HostKeys>;
    /// The site profile; the configured one without a file.
    fn site(&self, file: Option<&Path>) -> Result<Site, Problem>;
    /// The firmware that the site wants on its boards.
    fn firmware(&self, site: &Site) -> Result<Image, Problem>;
    /// Firmware from a file: a folder or manifest, or with an address a raw binary.
    fn image(&self, file: &Path, address: Option<u32>) -> Result<Image, Problem>;
    /// What the site's cloud objects are made of.
    fn templates(&self, site: &Site) -> Result<Templates, Problem>;
    /// Reads a small text file of the operator.
    fn read_text(&self, file: &Path) -> Result<String, Problem>;
    /// Writes a file of the operator, whole or not at all.
    fn write_file(&self, file: &Path, bytes: &[u8]) -> Result<(), Problem>;
    /// Where the configured site profile is, or would be.
    fn site_file(&self) -> PathBuf;
    /// What the program said last, oldest first, for support; empty where nobody keeps it.
    fn log_lines(&self) -> Vec<String> {
        Vec::new()
    }
    /// Hands on the imitated trucks; a real bench has none.
    fn truck_hands(&self) -> Option<Arc<dyn TruckHands>> {
        None
    }
    /// Asks for the newest version of the program, at the project's address or another one. One request, within seconds,
    /// and only when somebody asks.
    async fn newest_release(&self, from: Option<&str>) -> Result<Release, Problem>;
    /// Plays a sound to its end. Ends within seconds.
    async fn play(&self, _sound: Sound) -> Result<(), Problem> {
        Ok(())
    }
    /// Looks at this computer: clock, network, disk, permissions. Ends within seconds.
    async fn look_around(&self, site: &Site) -> Vec<Finding>;
}

/// The cloud of a site.
#[derive(Clone)]
pub struct CloudSide {
    /// Registry and shadows.
    pub cloud: Arc<dyn Cloud>,
    /// The message broker, as the tool sees it.
    pub broker: Arc<dyn Broker>,
}

/// An open record with its place.
#[derive(Clone)]
pub struct OpenLedger {
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// What signs it.
    pub sealer: Arc<dyn Sealer>,
    /// Where it is.
    pub file: PathBuf,
}

/// What the site's cloud objects are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    /// Document of the boards' policy, JSON.
    pub policy_document: String,
    /// CA that boards check the broker against, PEM.
    pub ca_pem: String,
}
