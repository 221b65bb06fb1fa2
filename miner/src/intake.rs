//! From stream entries to leaves that are stored.

use std::collections::HashMap;
use std::time::Instant;

use futures::future::try_join_all;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_protocol::{ComputeUnits, SessionId};
use pocket_smst::{Changes, Insertion, Leaf, NodeStore as _, Path};
use pocket_store::{Delivery, SessionCommit, SessionRecord, SessionState, StreamId};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::error::WorkError;
use crate::session::{Session, record_of};
use crate::worker::Worker;

/// Sessions whose relays are taken in side by side.
const SESSIONS_AT_ONCE: usize = 16;
/// Relays whose hashing takes less than a millisecond, so that no other thread is woken for it. More of them are not
/// hashed on a thread that others wait for.
const HASHED_AT_ONCE: usize = 32;

/// The relays of one session in a batch, with the entries they came in.
#[derive(Default)]
struct Group {
    entries: Vec<StreamId>,
    relays: Vec<MinedRelayMessage>,
}

impl Worker {
    /// Takes a batch of one supplier's stream into its sessions' trees, and acknowledges what is stored.
    pub(crate) async fn take_in(&mut self, batch: Vec<Delivery>) -> Result<(), WorkError> {
        let (groups, unusable) = self.sort(batch);
        if !unusable.is_empty() {
            self.acknowledge(&unusable).await?;
        }
        let mut parts = Vec::with_capacity(groups.len());
        for (id, group) in groups {
            parts.push((self.sessions.remove(&id), id, group));
        }
        // Their trees have nothing in common: Redis answers for one while another is hashed.
        let mut parts = parts.into_iter();
        loop {
            let some = parts.by_ref().take(SESSIONS_AT_ONCE);
            let taken: Vec<_> = some
                .map(|(known, id, group)| self.take_group(known, id, group))
                .collect();
            if taken.is_empty() {
                return Ok(());
            }
            for session in try_join_all(taken).await? {
                // A session that is over is not taken up again for a relay that comes so late.
                if session.record.settlement.is_none() {
                    self.sessions.insert(session.record.session.clone(), session);
                }
            }
        }
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
                    if reason == "undecodable" {
                        self.deps.metrics.intake.unreadable(&self.supplier);
                    }
                    self.deps.metrics.rejected(&self.supplier, reason, "unknown", 1);
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

    /// Takes relays of one session in; gives the session back with its tree grown.
    async fn take_group(&self, known: Option<Session>, id: SessionId, group: Group) -> Result<Session, WorkError> {
        let Group { entries, relays } = group;
        let mut session = match known {
            Some(session) => session,
            None => self.find(&id, &relays[0]).await?,
        };
        let (service, began) = (session.record.service.clone(), Instant::now());
        self.deps.metrics.consumed(&self.supplier, &service, relays.len());
        if session.record.state != SessionState::Active {
            if self.restore(&session, &relays).await? {
                self.acknowledge(&entries).await?;
            } else {
                self.refuse_late(&session.record, &entries).await?;
            }
            return Ok(session);
        }
        let mut held = if let Some(held) = session.tree.take() {
            held
        } else {
            let (tree, live_root) = self.open_tree(&session.record).await?;
            session.live_root = live_root;
            self.settings.tree_memory.hold(tree)
        };
        let units = match session.units_per_relay {
            Some(units) => units,
            None => {
                self.units_per_relay(&session.record, relays[0].compute_units_per_relay)
                    .await
            }
        };
        session.units_per_relay = Some(units);

        let paths: Vec<Path> = relays.iter().map(|relay| Path::of_key(&relay.relay_hash)).collect();
        let mut tree = self
            .prepare(&session.record, std::mem::take(&mut held.tree), &paths)
            .await?;
        let limit = self.settings.tree_memory.share();
        let published: Vec<i64> = relays.iter().map(|relay| relay.published_at_unix_nano).collect();
        let few = relays.len() <= HASHED_AT_ONCE;
        let hashing = move || {
            let inserted = tree.insert_batch(relays.iter().map(|relay| leaf(relay, units)));
            let changes = tree.commit();
            tree.shrink_to(limit);
            (tree, inserted, changes)
        };
        let (tree, inserted, changes) = if few {
            hashing()
        } else {
            let hashed = tokio::task::spawn_blocking(hashing).await;
            hashed.expect("hashing does not panic")
        };
        let inserted = inserted.map_err(|error| WorkError::tree(&id, error))?;

        held.tree = tree;
        session.tree = Some(held);
        session.record.relays = changes.root.count();
        session.record.compute_units = ComputeUnits(changes.root.sum());
        self.commit(&session, &changes, &entries).await?;
        session.live_root = Some(changes.root);
        let new = inserted
            .iter()
            .filter(|insertion| **insertion == Insertion::New)
            .count();
        let metrics = &self.deps.metrics;
        metrics.added(&self.supplier, &service, new);
        metrics.intake.acknowledged(&self.supplier, entries.len());
        metrics
            .intake
            .stored(&self.supplier, &service, &published, new, began.elapsed());
        Ok(session)
    }

    /// Fails for good when Redis went back to an older state: the worker starts again from that one.
    async fn commit(&self, session: &Session, changes: &Changes, entries: &[StreamId]) -> Result<(), WorkError> {
        self.retry("commit", |store, lease, _| async move {
            let commit = SessionCommit {
                lease: &lease,
                record: &session.record,
                tree: Some(changes),
                base: session.live_root.as_ref(),
                acknowledged: entries,
            };
            store.commit(&commit).await
        })
        .await
    }

    /// Stores the leaves of relays that come again because Redis went back to an older state, for the
    /// repair that the proof will need; `false` if the claimed tree is there and needs nothing.
    async fn restore(&self, session: &Session, relays: &[MinedRelayMessage]) -> Result<bool, WorkError> {
        let (id, record) = (&session.record.session, &session.record);
        let Some(root) = session
            .claimed_root()
            .filter(|root| !record.state.is_terminal() && !root.is_empty())
        else {
            return Ok(false);
        };
        let stored = self
            .retry("look for a claimed root", |store, _, supplier| async move {
                store.tree(&supplier, id).get_many(&[root]).await
            })
            .await?;
        if stored.iter().all(Option::is_some) {
            return Ok(false);
        }
        tracing::error!(session = %id, relays = relays.len(), "Redis lost a claimed tree, relays that came again are kept");
        let leaves = relays.iter().map(|relay| leaf(relay, root.sum() / root.count()));
        let changes = Changes {
            set: leaves.map(|leaf| (leaf.digest(), leaf.encoded().clone())).collect(),
            removed: Vec::new(),
            root,
        };
        self.retry("restore leaves", |store, lease, supplier| {
            let changes = &changes;
            async move { store.write_nodes(&lease, &supplier, id, changes).await }
        })
        .await?;
        Ok(true)
    }

    async fn refuse_late(&self, record: &SessionRecord, entries: &[StreamId]) -> Result<(), WorkError> {
        // What was delivered twice is in the tree and acknowledged.
        let late = self.acknowledge(entries).await?;
        if late > 0 {
            // Relayers tell when they are done with a session, so this is a relayer that could not.
            let (session, state) = (&record.session, record.state.as_str());
            tracing::error!(%session, relays = late, state, "relays came after their session was sealed");
            self.deps
                .metrics
                .rejected(&self.supplier, "sealed", record.service.as_str(), late as usize);
        }
        Ok(())
    }

    async fn acknowledge(&self, entries: &[StreamId]) -> Result<u64, WorkError> {
        let deleted = self
            .retry("acknowledge", |store, lease, supplier| async move {
                store.acknowledge(&lease, &supplier, entries).await
            })
            .await?;
        self.deps.metrics.intake.acknowledged(&self.supplier, entries.len());
        Ok(deleted)
    }

    /// The session as stored, or a new one.
    async fn find(&self, id: &SessionId, first: &MinedRelayMessage) -> Result<Session, WorkError> {
        let stored = self
            .retry("read a session", |store, _, supplier| async move {
                store.session(&supplier, id).await
            })
            .await?;
        let record = stored.unwrap_or_else(|| {
            let record = record_of(&self.supplier, first).expect("it was checked on arrival");
            self.deps.metrics.session_seen(&self.supplier, &record.service);
            tracing::info!(supplier = %self.supplier, session = %id, service = %record.service, end = %record.end, "session");
            record
        });
        Ok(Session::new(record))
    }

    /// The weight of a session's relays: what the chain says, or the relayer while the chain is away.
    /// The claim is checked against the chain before it is sent.
    async fn units_per_relay(&self, record: &SessionRecord, told: u64) -> u64 {
        let units = self.deps.chain.compute_units_at(record.service.as_str(), record.start);
        match self.ask(units).await {
            Ok(units) => units.0,
            Err(error) => {
                tracing::warn!(%error, service = %record.service, told, "compute units are taken from the relayer");
                told
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
