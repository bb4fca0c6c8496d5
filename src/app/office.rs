//! What every task of the core works with: the world, the site in use, the record, the way to the screen.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    outbox::Outbox,
    update::{SiteView, Update},
    workshop,
    world::{CloudSide, OpenLedger, World},
};
use crate::{
    commission::{Bench, Kit},
    domain::{Problem, site::Site},
    ports::{board::OpenOptions, operator::Operator},
};

/// Shared by all tasks of the core.
pub(super) struct Office {
    pub world: Arc<dyn World>,
    pub outbox: Outbox,
    pub open: OpenOptions,
    ledger_file: Option<PathBuf>,
    ledger: Mutex<Option<OpenLedger>>,
    site: Mutex<Option<SiteView>>,
    cloud: Mutex<Option<(Site, CloudSide)>>,
}

impl Office {
    pub fn new(world: Arc<dyn World>, outbox: Outbox, open: OpenOptions, ledger_file: Option<PathBuf>) -> Self {
        Office {
            world,
            outbox,
            open,
            ledger_file,
            ledger: Mutex::new(None),
            site: Mutex::new(None),
            cloud: Mutex::new(None),
        }
    }

    /// The record, opened at the first use.
    pub fn ledger(&self) -> Result<OpenLedger, Problem> {
        let mut ledger = lock(&self.ledger);
        if let Some(ledger) = &*ledger {
            return Ok(ledger.clone());
        }
        Ok(ledger.insert(self.world.ledger(self.ledger_file.as_deref())?).clone())
    }

    /// The site in use: the one that was loaded last, else the configured one.
    pub fn site(&self) -> Result<Site, Problem> {
        match &*lock(&self.site) {
            Some(view) => Ok(view.site.clone()),
            None => self.world.site(None),
        }
    }

    /// The file of the site in use.
    pub fn site_file(&self) -> Option<PathBuf> {
        lock(&self.site).as_ref().and_then(|view| view.file.clone())
    }

    /// Takes another site.
    pub async fn take_site(&self, view: SiteView) {
        *lock(&self.site) = Some(view.clone());
        self.outbox.tell(Update::Site(Box::new(view))).await;
    }

    /// The cloud of the site in use.
    pub async fn cloud(&self) -> Result<CloudSide, Problem> {
        let site = self.site()?;
        if let Some((_, side)) = lock(&self.cloud).as_ref().filter(|(of, _)| *of == site) {
            return Ok(side.clone());
        }
        let side = self.world.cloud(&site).await?;
        *lock(&self.cloud) = Some((site, side.clone()));
        Ok(side)
    }

    /// Forgets the cloud, because somebody may have signed in meanwhile.
    pub fn forget_cloud(&self) {
        *lock(&self.cloud) = None;
    }

    /// Waits until the broker's side has taken back what following a thing needed. To be called last.
    pub async fn close(&self) {
        let side = lock(&self.cloud).take();
        if let Some((_, side)) = side {
            side.broker.close().await;
        }
    }

    /// What a job works with.
    pub async fn bench(&self, operator: Arc<dyn Operator>) -> Result<Bench, Problem> {
        let ledger = self.ledger()?;
        workshop::bench(&self.world, &self.site()?, &ledger, operator).await
    }

    /// What a job needs besides its order.
    pub fn kit(&self) -> Result<Kit, Problem> {
        workshop::kit(&self.world, self.site()?, self.open)
    }

    /// Tells the record anew.
    pub async fn tell_jobs(&self) -> Result<(), Problem> {
        let jobs = self.ledger()?.ledger.jobs()?;
        self.outbox.tell(Update::Jobs(Arc::new(jobs))).await;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
