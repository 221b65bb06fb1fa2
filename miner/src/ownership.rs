//! Which suppliers this miner works: those whose lease it holds, its fair share of all.

use std::collections::HashMap;
use std::time::Instant;

use pocket_keys::KeySet;
use pocket_protocol::{Height, SupplierAddress};
use pocket_store::{Lease, LeaseKind, StoreError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::retiring::Retiring;
use crate::status::Board;
use crate::worker::Worker;
use crate::{Deps, Settings};

/// A supplier that is worked here.
struct Owned {
    lease: Lease,
    cancel: CancellationToken,
    task: AbortOnDropHandle<bool>,
    since: Instant,
    /// Tells the worker that the supplier's key was taken away, and when.
    retire: watch::Sender<Option<Height>>,
}

/// Holds leases and runs a worker for each, until `cancel`; then hands all over.
pub(crate) async fn run(
    settings: Settings,
    deps: Deps,
    mut keys: watch::Receiver<KeySet>,
    board: Board,
    cancel: CancellationToken,
) {
    let mut owner = Owner {
        settings,
        deps,
        board,
        owned: HashMap::new(),
        retiring: Retiring::default(),
    };
    let mut tick = tokio::time::interval(owner.settings.renew_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Ok(()) = keys.changed() => {
                let new = keys.borrow_and_update().clone();
                owner.take_keys(new);
            }
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
    retiring: Retiring,
}

impl Owner {
    /// Goes by other keys. Suppliers whose key is gone are finished with first, if they are worked here.
    fn take_keys(&mut self, new: KeySet) {
        let old = self.deps.keys.current();
        let changes = old.changes_to(&new);
        for supplier in &changes.added {
            tracing::info!(%supplier, "operator key added: the supplier is worked as soon as its lease is free");
            if self.retiring.forget(supplier)
                && let Some(owned) = self.owned.get(supplier)
            {
                owned.retire.send_replace(None);
            }
        }
        for supplier in &changes.removed {
            let (Some(owned), Some(key)) = (self.owned.get(supplier), old.get(supplier)) else {
                tracing::info!(%supplier, "operator key removed: the supplier was not worked here");
                continue;
            };
            tracing::warn!(
                %supplier,
                "operator key removed: it stays in memory until the supplier's open sessions are claimed, proven and \
                 settled; if this process ends before, put the key back, or they are lost"
            );
            let since = self.deps.feed.height();
            owned.retire.send_replace(Some(since));
            self.retiring.add(supplier.clone(), key, since);
        }
        self.deps.keys.replace(new);
        self.sign_for_all();
    }

    /// Lets transactions be signed for all suppliers that are worked, or may be.
    fn sign_for_all(&self) {
        let signing = self.retiring.signing(&self.deps.keys.current());
        self.deps.tx.replace_keys(signing);
    }

    async fn balance(&mut self) -> Result<(), StoreError> {
        self.drop_ended().await;
        self.renew().await?;
        let beat = self.settings.lease_ttl;
        let alive = self.deps.store.heartbeat(&self.settings.instance, beat).await?;
        let suppliers: Vec<SupplierAddress> = self.deps.keys.current().addresses().cloned().collect();
        let share = suppliers.len().div_ceil(alive.len().max(1));
        while self.staying().count() > share {
            let newest = self
                .staying()
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
            if self.staying().count() >= share {
                break;
            }
            let supplier = &suppliers[(start + offset) % suppliers.len()];
            if !self.owned.contains_key(supplier) {
                self.try_own(supplier).await?;
            }
        }
        let metrics = &self.deps.metrics.fleet;
        metrics.spread(&self.settings.instance, self.owned.len(), share, alive.len());
        self.finish_retiring().await
    }

    /// The suppliers that are worked here and have a key.
    fn staying(&self) -> impl Iterator<Item = (&SupplierAddress, &Owned)> {
        let stays = |supplier: &SupplierAddress| self.retiring.since(supplier).is_none();
        self.owned.iter().filter(move |(supplier, _)| stays(supplier))
    }

    /// Takes suppliers that are to be finished with up again, where their work ended too early.
    async fn finish_retiring(&mut self) -> Result<(), StoreError> {
        for supplier in self.retiring.suppliers() {
            if !self.owned.contains_key(&supplier) {
                self.try_own(&supplier).await?;
            }
            if !self.owned.contains_key(&supplier) {
                tracing::info!(%supplier, "another miner has the supplier: its removed key is forgotten");
                self.retiring.forget(&supplier);
                self.sign_for_all();
            }
        }
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
        let retire = watch::Sender::new(self.retiring.since(supplier));
        let worker = Worker::new(
            self.settings.clone(),
            self.deps.clone(),
            self.board.clone(),
            supplier.clone(),
            lease.clone(),
            retire.subscribe(),
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
                retire,
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
        match owned.task.await {
            Ok(is_retired) => {
                if is_retired && self.retiring.forget(supplier) {
                    tracing::info!(%supplier, "nothing is left to do for the supplier: its removed key is forgotten");
                    self.sign_for_all();
                }
            }
            Err(error) => tracing::error!(%error, %supplier, "a worker ended badly"),
        }
        self.board.forget(supplier);
        // Lost or out of reach: it expires by itself.
        if let Err(error) = self.deps.store.release(&owned.lease).await {
            tracing::debug!(%error, %supplier, "the lease is not given back");
        }
    }

    async fn hand_over(mut self) {
        for supplier in self.retiring.suppliers() {
            tracing::error!(%supplier, "ends before a supplier without a key is settled: put its key back");
        }
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
