//! What a miner can be told while it works: other keys, other limits.

use pocket_keys::KeySet;
use pocket_store::ServiceFactors;
use tokio::sync::watch;

use crate::{Deps, Settings};

/// Tells a running miner what its configuration says now. Clones tell the same miner.
#[derive(Clone, Debug)]
pub struct MinerControl {
    keys: watch::Sender<KeySet>,
    factors: watch::Sender<ServiceFactors>,
}

impl MinerControl {
    pub(crate) fn new(settings: &Settings, deps: &Deps) -> Self {
        Self {
            keys: watch::Sender::new(deps.keys.current()),
            factors: watch::Sender::new(settings.service_factors.clone()),
        }
    }

    pub(crate) fn subscribe(&self) -> (watch::Receiver<ServiceFactors>, watch::Receiver<KeySet>) {
        (self.factors.subscribe(), self.keys.subscribe())
    }

    /// Goes by these keys and limits from now on. Suppliers with a new key are worked as soon as their lease is free.
    /// One whose key is gone is worked with that key until its open sessions are settled, and then no more.
    pub fn reload(&self, keys: KeySet, factors: ServiceFactors) {
        self.keys.send_replace(keys);
        self.factors.send_if_modified(|known| {
            let is_new = *known != factors;
            *known = factors;
            is_new
        });
    }
}
