//! From stream entries to leaves that are stored.

use std::collections::HashMap;

use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_protocol::{ComputeUnits, SessionId};
use pocket_smst::{Insertion, Leaf, LoadError, Path, Tree};
use pocket_store::{Delivery, SessionCommit, SessionRecord, SessionState, StreamId};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::error::WorkError;
use crate::patience::Patience;
use crate::session::{Session, record_of};
use crate::worker::Worker;

/// The relays of one session in a batch, with the entries they came in.
#[derive(Default)]
struct Group {
    entries: Vec<StreamId>,
    relays: Vec<MinedRelayMessage>,
}

impl Worker {
    /// Takes a batch of one supplier's stream into its sessions' trees, and acknowledges what is stored.
    pub(crate) async fn take_in(&mut self, batch: Vec<Delivery>) -> Result<(), WorkError> {
        let Some(last) = batch.iter().map(|delivery| delivery.id).max() else {
            return Ok(());
        };
        let (groups, unusable) = self.sort(batch);
        if !unusable.is_empty() {
            self.acknowledge(&unusable).await?;
        }
        for (session, group) in groups {
            self.take_group(session, group).await?;
        }
        self.consumed = self.consumed.max(last);
        Ok(())
    }

    fn sort(&self, batch: Vec<Delivery>) -> (HashMap<SessionId, Group>, Vec<StreamId>) {
        let mut groups: HashMap<SessionId, Group> = HashMap::new();
        let mut unusable = Vec::new();
        for delivery in batch {
            match self.read(&delivery) {
                Ok(message) => {
                    let group = groups.entry(SessionId::from(message.session_id.as_str())).or_default();
                    group.entries.push(delivery.id);
                    group.relays.push(message);
                }
                Err(reason) => {
                    self.deps.metrics.rejected(&self.supplier, reason, 1);
                    tracing::error!(supplier = %self.supplier, entry = %delivery.id, reason, "a stream entry is no relay of ours");
                    unusable.push(delivery.id);
                }
            }
        }
        (groups, unusable)
    }

    /// Decodes and checks an entry: whatever is wrong here would make the whole claim wrong.
    fn read(&self, delivery: &Delivery) -> Result<MinedRelayMessage, &'static str> {
        let data = delivery.data.clone().ok_or("no_data")?;
        let message = MinedRelayMessage::decode(data).map_err(|_| "undecodable")?;
        if message.supplier_operator_address != self.supplier.as_str() {
            return Err("other_supplier");
        }
        if message.relay_hash != Sha256::digest(&message.relay_bytes)[..] {
            return Err("wrong_hash");
        }
        record_of(&self.supplier, &message)?;
        Ok(message)
    }

    async fn take_group(&mut self, id: SessionId, group: Group) -> Result<(), WorkError> {
        let Group { entries, relays } = group;
        self.open(&id, &relays[0]).await?;
        let session = self.sessions.get_mut(&id).expect("it was just opened");
        let service = session.record.service.clone();
        self.deps.metrics.consumed(&self.supplier, &service, relays.len());
        if session.record.state != SessionState::Active {
            // Relayers tell when they are done with a session, so this is a relayer that could not.
            let state = session.record.state.as_str();
            tracing::error!(session = %id, relays = relays.len(), state, "relays came after their session was sealed");
            self.deps.metrics.rejected(&self.supplier, "sealed", relays.len());
            return self.acknowledge(&entries).await;
        }

        let units = session.units_per_relay.unwrap_or(relays[0].compute_units_per_relay);
        let tree = session.tree.take().expect("an active session's tree is open");
        let paths: Vec<Path> = relays.iter().map(|relay| Path::of_key(&relay.relay_hash)).collect();
        let mut tree = self.prepare(&id, tree, paths).await?;
        let limit = self.settings.tree_bytes;
        // Hashing a batch takes milliseconds: not on a thread that others wait for.
        let hashing = tokio::task::spawn_blocking(move || {
            let inserted = tree.insert_batch(relays.iter().map(|relay| leaf(relay, units)));
            let changes = tree.commit();
            tree.shrink_to(limit);
            (tree, inserted, changes)
        });
        let (tree, inserted, changes) = hashing.await.expect("hashing does not panic");
        let inserted = inserted.map_err(|error| WorkError::tree(&id, error))?;

        let session = self.sessions.get_mut(&id).expect("nobody else removes sessions");
        session.tree = Some(tree);
        session.record.relays = changes.root.count();
        session.record.compute_units = ComputeUnits(changes.root.sum());
        let record = session.record.clone();
        self.retry("commit", |store, lease, _| {
            let (record, changes, entries) = (&record, &changes, &entries);
            async move {
                let commit = SessionCommit {
                    lease: &lease,
                    record,
                    tree: Some(changes),
                    acknowledged: entries,
                };
                store.commit(&commit).await
            }
        })
        .await?;
        let new = inserted
            .iter()
            .filter(|insertion| **insertion == Insertion::New)
            .count();
        self.deps.metrics.added(&self.supplier, &service, new);
        Ok(())
    }

    async fn acknowledge(&self, entries: &[StreamId]) -> Result<(), WorkError> {
        self.retry("acknowledge", |store, lease, supplier| async move {
            store.acknowledge(&lease, &supplier, entries).await
        })
        .await
    }

    /// Makes sure that the session is known and, while it is active, its tree open.
    async fn open(&mut self, id: &SessionId, first: &MinedRelayMessage) -> Result<(), WorkError> {
        if !self.sessions.contains_key(id) {
            let stored = self
                .retry("read a session", |store, _, supplier| async move {
                    store.session(&supplier, id).await
                })
                .await?;
            let record = stored.unwrap_or_else(|| record_of(&self.supplier, first).expect("it was checked on arrival"));
            self.deps.metrics.session_seen(&self.supplier, &record.service);
            tracing::info!(supplier = %self.supplier, session = %id, service = %record.service, end = %record.end, "session");
            self.sessions.insert(id.clone(), Session::new(record));
        }
        let session = &self.sessions[id];
        if session.record.state == SessionState::Active && session.tree.is_none() {
            let roots = self
                .retry("read a tree's root", |store, _, supplier| async move {
                    store.tree_roots(&supplier, id).await
                })
                .await?;
            let units = self
                .units_per_relay(&session.record, first.compute_units_per_relay)
                .await;
            let session = self.sessions.get_mut(id).expect("it was looked at above");
            session.tree = Some(roots.current().map_or_else(Tree::new, Tree::open));
            session.units_per_relay = Some(units);
        }
        Ok(())
    }

    /// The weight of a session's relays: what the chain says, or the relayer while the chain is away.
    /// The claim is checked against the chain before it is sent.
    async fn units_per_relay(&self, record: &SessionRecord, told: u64) -> u64 {
        match self
            .deps
            .chain
            .compute_units_at(record.service.as_str(), record.start)
            .await
        {
            Ok(units) => units.0,
            Err(error) => {
                tracing::warn!(%error, service = %record.service, told, "compute units are taken from the relayer");
                told
            }
        }
    }

    async fn prepare(&self, id: &SessionId, mut tree: Tree, paths: Vec<Path>) -> Result<Tree, WorkError> {
        let nodes = self.deps.store.tree(&self.supplier, id);
        let mut patience = Patience::new();
        loop {
            match tree.prepare(paths.iter().copied(), &nodes).await {
                Ok(()) => return Ok(tree),
                Err(LoadError::Store(error)) if error.is_transient() => {
                    tracing::warn!(%error, session = %id, "waiting for Redis");
                    patience.wait_unless(&self.cancel).await?;
                }
                Err(error) => return Err(WorkError::load(id, error)),
            }
        }
    }
}

fn leaf(relay: &MinedRelayMessage, units: u64) -> Leaf {
    let hash = relay
        .relay_hash
        .as_ref()
        .try_into()
        .expect("it was compared with a SHA-256");
    Leaf::of_relay(hash, &relay.relay_bytes, units)
}
