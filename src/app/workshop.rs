//! What a front end orders, as plain async functions: each builds the ports of its site and runs one operation.

use std::sync::Arc;

use crate::{
    commission::{Bench, Kit},
    domain::{Problem, site::Site},
    ports::{board::OpenOptions, operator::Operator},
};

use super::world::{OpenLedger, World};

/// The ports of a site, as a job needs them.
///
/// # Errors
/// The cloud's, where it cannot be reached at all without a setting (no region).
pub async fn bench(
    world: &Arc<dyn World>,
    site: &Site,
    ledger: &OpenLedger,
    operator: Arc<dyn Operator>,
) -> Result<Bench, Problem> {
    let side = world.cloud(site).await?;
    Ok(Bench {
        boards: world.boards(),
        cloud: side.cloud,
        broker: side.broker,
        ledger: ledger.ledger.clone(),
        operator,
        host_keys: Some(world.host_keys()),
        sealer: ledger.sealer.clone(),
    })
}

/// What a job needs besides its order.
///
/// # Errors
/// A firmware, policy or CA of the site that cannot be read or is not right.
pub fn kit(world: &Arc<dyn World>, site: Site, open: OpenOptions) -> Result<Kit, Problem> {
    let image = world.firmware(&site)?;
    let templates = world.templates(&site)?;
    Ok(Kit { open, site, image, policy_document: templates.policy_document, ca_pem: templates.ca_pem })
}
