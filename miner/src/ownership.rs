//! Which suppliers this miner works: those whose lease it holds, its fair share of all.

use std::collections::HashMap;
use std::time::Instant;

use pocket_protocol::SupplierAddress;
use pocket_store::{Lease, LeaseKind, StoreError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::status::Board;
use crate::worker::Worker;
use crate::{Deps, Settings};

/// A supplier that is worked here.
struct Owned {
    lease: Lease,
    cancel: CancellationToken,
    task: AbortOnDropHandle<()>,
    since: Instant,
}

/// Holds leases and runs a worker for each, until `cancel`; then hands all over.
pub(crate) async fn run(settings: Settings, deps: Deps, board: Board, cancel: CancellationToken) {
    let mut owner = Owner {
        settings,
        deps,
        board,
        owned: HashMap::new(),
    };
    let mut tick = tokio::time::interval(owner.settings.renew_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = tick.tick() => {}
        }
        if let Err(error) = owner.balance().await {
            tracing::warn!(%error, "cannot look after leases, trying again");
        }
    }
    owner.hand_over().await;
}

struct Owner {
    settings: Settings,
    deps: Deps,
    board: Board,
    owned: HashMap<SupplierAddress, Owned>,
}

impl Owner {
    async fn balance(&mut self) -> Result<(), StoreError> {
        self.drop_ended().await;
        self.renew().await?;
        let beat = self.settings.lease_ttl;
        let alive = self.deps.store.heartbeat(&self.settings.instance, beat).await?;
        let suppliers: Vec<SupplierAddress> = self.deps.keys.addresses().cloned().collect();
        let share = suppliers.len().div_ceil(alive.len().max(1));
        while self.owned.len() > share {
            let newest = self
                .owned
                .iter()
                .max_by_key(|(_, owned)| owned.since)
                .map(|(supplier, _)| supplier.clone());
            let Some(supplier) = newest else { break };
            tracing::info!(%supplier, share, "supplier is left to another miner");
            self.release(&supplier).await;
        }
        // Each miner starts at another supplier, so that they do not all try the same first.
        let place = alive
            .iter()
            .position(|name| *name == self.settings.instance)
            .unwrap_or(0);
        let start = place * share;
        for offset in 0..suppliers.len() {
            if self.owned.len() >= share {
                break;
            }
            let supplier = &suppliers[(start + offset) % suppliers.len()];
            if !self.owned.contains_key(supplier) {
                self.try_own(supplier).await?;
            }
        }
        let metrics = &self.deps.metrics.fleet;
        metrics.spread(&self.settings.instance, self.owned.len(), share, alive.len());
        Ok(())
    }

    async fn try_own(&mut self, supplier: &SupplierAddress) -> Result<(), StoreError> {
        let kind = LeaseKind::Supplier(supplier.clone());
        let (instance, ttl) = (&self.settings.instance, self.settings.lease_ttl);
        let Some(lease) = self.deps.store.acquire(&kind, instance, ttl).await? else {
            return Ok(());
        };
        tracing::info!(%supplier, instance, "supplier is worked here");
        self.deps.metrics.fleet.took(supplier, instance);
        let cancel = CancellationToken::new();
        let worker = Worker::new(
            self.settings.clone(),
            self.deps.clone(),
            self.board.clone(),
            supplier.clone(),
            lease.clone(),
            cancel.clone(),
        );
        let task = AbortOnDropHandle::new(tokio::spawn(
            worker.run().instrument(tracing::trace_span!("worker", %supplier)),
        ));
        self.owned.insert(
            supplier.clone(),
            Owned {
                lease,
                cancel,
                task,
                since: Instant::now(),
            },
        );
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        let suppliers: Vec<SupplierAddress> = self.owned.keys().cloned().collect();
        for supplier in suppliers {
            let lease = &self.owned[&supplier].lease;
            match self.deps.store.renew(lease, self.settings.lease_ttl).await {
                Ok(()) => {}
                Err(StoreError::Fenced) => {
                    self.deps.metrics.lease_lost(&supplier);
                    tracing::warn!(%supplier, "the lease was lost");
                    self.release(&supplier).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Workers that ended by themselves; their suppliers may be taken again at once.
    async fn drop_ended(&mut self) {
        let ended = self.owned.iter().filter(|(_, owned)| owned.task.is_finished());
        for supplier in ended.map(|(supplier, _)| supplier.clone()).collect::<Vec<_>>() {
            self.release(&supplier).await;
        }
    }

    async fn release(&mut self, supplier: &SupplierAddress) {
        let Some(owned) = self.owned.remove(supplier) else {
            return;
        };
        self.deps.metrics.fleet.released(supplier, &self.settings.instance);
        owned.cancel.cancel();
        if let Err(error) = owned.task.await {
            tracing::error!(%error, %supplier, "a worker ended badly");
        }
        self.board.forget(supplier);
        // Lost or out of reach: it expires by itself.
        if let Err(error) = self.deps.store.release(&owned.lease).await {
            tracing::debug!(%error, %supplier, "the lease is not given back");
        }
    }

    async fn hand_over(mut self) {
        for owned in self.owned.values() {
            owned.cancel.cancel();
        }
        for supplier in self.owned.keys().cloned().collect::<Vec<_>>() {
            self.release(&supplier).await;
        }
        if let Err(error) = self.deps.store.farewell(&self.settings.instance).await {
            tracing::debug!(%error, "the heartbeat is left to expire");
        }
    }
}
