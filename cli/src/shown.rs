//! What each half shows on its ports for metrics and probes.

use std::path::Path;
use std::sync::Arc;

use pocket_observability::Registry;
use pocket_observability::{Readiness, Shown};
use pocket_status::Status;

/// Of a relayer with this configuration file.
pub fn relayer(relayer: pocket_relayer::StatusHandle, registry: &Registry, config: &Path) -> Shown {
    let (probed, served, config) = (relayer.clone(), relayer.clone(), Some(config.display().to_string()));
    Shown {
        registry: registry.clone(),
        ready: readiness(move || probed.not_ready()),
        status: Some(Arc::new(move || {
            let mut status = relayer.status();
            status.process.config.clone_from(&config);
            Status::Relayer(status)
        })),
        services: Some(Arc::new(move |service| served.service_readiness(service))),
    }
}

/// Of a miner with this configuration file.
pub fn miner(miner: pocket_miner::StatusHandle, registry: &Registry, config: &Path) -> Shown {
    let (probed, config) = (miner.clone(), Some(config.display().to_string()));
    Shown {
        registry: registry.clone(),
        ready: readiness(move || probed.not_ready()),
        status: Some(Arc::new(move || {
            let mut status = miner.status();
            status.process.config.clone_from(&config);
            Status::Miner(status)
        })),
        services: None,
    }
}

/// From the reasons against it.
fn readiness(not_ready: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Readiness {
    Arc::new(move || match not_ready() {
        reasons if reasons.is_empty() => Ok(()),
        reasons => Err(reasons.join("; ")),
    })
}
