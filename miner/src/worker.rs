//! One supplier's sessions: a task that owns them, takes their relays in and walks them through the lifecycle.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use pocket_protocol::{Height, SessionId, SupplierAddress, Windows};
use pocket_query::QueryError;
use pocket_store::{Lease, SessionState};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::claim::{Due, Finding, claim};
use crate::draining::Draining;
use crate::error::WorkError;
use crate::lifecycle::{Effect, Event, step};
use crate::metrics::{Phase, Standing};
use crate::patience::Outages;
use crate::proof::prove;
use crate::reader::Reader;
use crate::rehearsal::Rehearsal;
use crate::session::Session;
use crate::status::Board;
use crate::{Deps, Settings, registry};

/// Between two looks at sessions that wait for something else than a block.
const LOOK: Duration = Duration::from_millis(200);
/// Longest wait for an answer of the chain that relays have to wait for too.
const CHAIN_PATIENCE: Duration = Duration::from_secs(3);
/// Batches read ahead of the one that is taken in.
const READ_AHEAD: usize = 2;

pub(crate) struct Worker {
    pub settings: Settings,
    pub deps: Deps,
    pub board: Board,
    pub supplier: SupplierAddress,
    pub lease: Lease,
    pub cancel: CancellationToken,
    pub sessions: HashMap<SessionId, Session>,
    pub draining: Draining,
    jobs: JoinSet<Vec<(SessionId, Finding)>>,
    pub outages: Outages,
    rehearsal: Arc<Rehearsal>,
    registry_at: Option<Instant>,
    /// The height at which the supplier's key was taken away.
    pub retire: watch::Receiver<Option<Height>>,
    pub told_at: Option<std::time::Instant>,
}

impl Worker {
    pub fn new(
        settings: Settings,
        deps: Deps,
        board: Board,
        supplier: SupplierAddress,
        lease: Lease,
        retire: watch::Receiver<Option<Height>>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            rehearsal: Arc::new(Rehearsal::new(settings.rehearsal)),
            settings,
            deps,
            board,
            supplier,
            lease,
            cancel,
            sessions: HashMap::new(),
            draining: Draining::default(),
            jobs: JoinSet::new(),
            outages: Outages::default(),
            registry_at: None,
            retire,
            told_at: None,
        }
    }

    /// Works until the cancellation or until the lease is lost. Whatever is in memory only, Redis and
    /// the chain have too: to stop at any moment loses nothing. `true` if the supplier has no key any more and needs
    /// none.
    pub async fn run(mut self) -> bool {
        let worked = self.work().await;
        let is_retired = matches!(worked, Ok(true));
        match worked {
            Ok(_) | Err(WorkError::Stopped) => {}
            Err(WorkError::Fenced) => {
                self.deps.metrics.lease_lost(&self.supplier);
                tracing::warn!(supplier = %self.supplier, "another miner has this supplier now");
            }
            Err(error) => {
                tracing::error!(supplier = %self.supplier, %error, "work on a supplier stopped, it starts again");
            }
        }
        self.jobs.shutdown().await;
        self.deps.metrics.sessions.gone(&self.supplier);
        is_retired
    }

    async fn work(&mut self) -> Result<bool, WorkError> {
        self.load().await?;
        let (entries, mut batches) = mpsc::channel(READ_AHEAD);
        let mut reader = JoinSet::new();
        let read = Reader {
            store: self.deps.store.clone(),
            settings: self.settings.clone(),
            supplier: self.supplier.clone(),
            lease: self.lease.clone(),
            outages: self.outages.clone(),
            metrics: self.deps.metrics.clone(),
        };
        reader.spawn(
            read.run(entries)
                .instrument(tracing::trace_span!("reader", supplier = %self.supplier)),
        );
        let mut blocks = self.deps.feed.subscribe();
        let mut last = self.deps.feed.height();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let cancel = self.cancel.clone();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(false),
                Some(found) = self.jobs.join_next() => {
                    let mut found = Some(found);
                    // Of many that end together all are heard before it is looked what is next.
                    while let Some(findings) = found {
                        for (session, finding) in findings.map_err(|_| WorkError::Panicked)? {
                            self.learn(&session, finding).await?;
                        }
                        found = self.jobs.try_join_next();
                    }
                    self.at_height(self.deps.feed.height()).await?;
                }
                changed = blocks.changed() => {
                    if changed.is_err() {
                        return Ok(false);
                    }
                    let height = blocks.borrow_and_update().height;
                    self.deps.metrics.height(height);
                    self.deps.metrics.sessions.lag(&self.supplier, height - std::mem::replace(&mut last, height));
                    self.sessions.values_mut().for_each(|session| session.again_at = None);
                    self.at_height(height).await?;
                    if self.is_retired(height).await? {
                        return Ok(true);
                    }
                    self.refresh_registry(height).await?;
                }
                batch = batches.recv() => self.take_in(batch.ok_or(WorkError::Panicked)?).await?,
                _ = look.tick() => {
                    self.tell();
                    let height = self.deps.feed.height();
                    if self.sessions.values().any(|session| session.is_pressing(height)) {
                        self.at_height(height).await?;
                    }
                }
            }
        }
    }

    /// Sessions that a former owner left.
    async fn load(&mut self) -> Result<(), WorkError> {
        let records = self
            .retry("read sessions", |store, _, supplier| async move {
                store.sessions(&supplier).await
            })
            .await?;
        for record in records {
            self.deps.metrics.sessions.found(&record);
            if record.settlement.is_some() {
                self.board.ended(&record, None);
            } else {
                let record = self.inherit(record).await?;
                self.sessions.insert(record.session.clone(), Session::new(record));
            }
        }
        if !self.sessions.is_empty() {
            tracing::info!(supplier = %self.supplier, sessions = self.sessions.len(), "sessions are taken up again");
        }
        Ok(())
    }

    /// Takes every session as far as it gets at this height.
    async fn at_height(&mut self, height: Height) -> Result<(), WorkError> {
        let (mut claims, mut proofs, mut over) = (Vec::new(), Vec::new(), Vec::new());
        self.find_windows(height).await;
        self.find_worth().await;
        let sight = self.look_for_drained(height).await?;
        for id in self.sessions.keys().cloned().collect::<Vec<_>>() {
            let session = self.session_mut(&id);
            let Some(windows) = session.windows else {
                continue;
            };
            if session.busy || session.again_at.is_some_and(|at| at > Instant::now()) {
                continue;
            }
            session.again_at = None;
            let end = self.sessions[&id].record.end;
            let drained = sight.is_some_and(|sight| self.draining.is_over(end, height, &windows, &sight));
            let effect = self
                .apply(
                    &id,
                    Event::Block {
                        height,
                        windows,
                        drained,
                    },
                )
                .await?;
            let effect = match effect {
                Some(Effect::Seal) => self.seal(&id, sight.map(|sight| sight.connection)).await?,
                effect => effect,
            };
            match effect {
                Some(Effect::Claim) => claims.extend(self.due(&id, windows)),
                Some(Effect::Prove) => proofs.extend(self.due(&id, windows)),
                Some(Effect::Settle) => over.push((windows.settlement(), id)),
                Some(Effect::Seal) | None => {}
            }
        }
        self.start_jobs(claims, proofs);
        self.settle(over).await?;
        self.draining
            .keep(|end| self.sessions.values().any(|session| session.record.end == end));
        let active = self
            .sessions
            .values()
            .filter(|session| session.record.state == SessionState::Active);
        self.deps.metrics.active_sessions(&self.supplier, active.count());
        let mut standing = Standing::default();
        for session in self.sessions.values() {
            standing.add(session.record.state, session.windows.as_ref(), height);
        }
        let (jobs, metrics) = (self.jobs.len(), &self.deps.metrics.sessions);
        metrics.stand(&self.supplier, &standing, jobs);
        Ok(())
    }

    /// Finds the windows of sessions that are over, by the parameters at their end; nothing moves before
    /// they are known.
    async fn find_windows(&mut self, height: Height) {
        let unknown = |session: &&mut Session| session.windows.is_none() && session.record.end <= height;
        let ends: BTreeSet<Height> = self
            .sessions
            .values_mut()
            .filter(unknown)
            .map(|session| session.record.end)
            .collect();
        for end in ends {
            let params = self.ask(self.deps.chain.shared_params_at(end)).await;
            for session in self.sessions.values_mut().filter(|session| session.record.end == end) {
                match &params {
                    Ok(params) => session.windows = Some(Windows::of(params, end)),
                    Err(_) => session.try_later(),
                }
            }
            if let Err(error) = params {
                tracing::warn!(%error, %end, "the parameters at a session's end are not known yet");
                return;
            }
        }
    }

    /// An answer of the chain, if it comes soon: relays must not wait for a node that hangs.
    pub(crate) async fn ask<T>(&self, answer: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        let late = |_| Err(QueryError::Unavailable("no answer in time".to_owned()));
        tokio::time::timeout(CHAIN_PATIENCE, answer).await.unwrap_or_else(late)
    }

    pub(crate) fn session_mut(&mut self, id: &SessionId) -> &mut Session {
        self.sessions.get_mut(id).expect("only settlement removes sessions")
    }

    fn due(&mut self, id: &SessionId, windows: Windows) -> Option<Due> {
        let session = self.sessions.get_mut(id)?;
        let root = session.claimed_root()?;
        session.busy = true;
        Some(Due {
            record: session.record.clone(),
            windows,
            root,
        })
    }

    /// One job for all claims, and one for all proofs, of sessions with the same end.
    fn start_jobs(&mut self, claims: Vec<Due>, proofs: Vec<Due>) {
        let by_end = |due: Vec<Due>| {
            let mut groups: HashMap<Height, Vec<Due>> = HashMap::new();
            for due in due {
                groups.entry(due.record.end).or_default().push(due);
            }
            groups.into_values()
        };
        let (deps, settings, rehearsal) = (self.deps.clone(), self.settings.clone(), self.rehearsal.clone());
        let shared = Arc::new((deps, settings, self.supplier.clone(), rehearsal));
        let lease = Arc::new(self.lease.clone());
        for group in by_end(claims) {
            let (shared, lease) = (shared.clone(), lease.clone());
            let claiming = async move { claim(&shared.0, &shared.1, &shared.2, &lease, &shared.3, group).await };
            self.jobs.spawn(claiming.instrument(tracing::trace_span!("claim")));
        }
        for group in by_end(proofs) {
            let (shared, lease) = (shared.clone(), lease.clone());
            let proving = async move { prove(&shared.0, &shared.1, &shared.2, &lease, &shared.3, group).await };
            self.jobs.spawn(proving.instrument(tracing::trace_span!("prove")));
        }
    }

    /// What a job found out.
    async fn learn(&mut self, id: &SessionId, finding: Finding) -> Result<(), WorkError> {
        let Some(session) = self.sessions.get_mut(id) else {
            return Ok(());
        };
        session.busy = false;
        let phase = match session.record.state {
            SessionState::Proving => Phase::Proof,
            _ => Phase::Claim,
        };
        match finding {
            Finding::Event(event, tx) => {
                if matches!(event, Event::ClaimRefused(_) | Event::ProofRefused(_)) {
                    self.deps.metrics.claiming.refused(&self.supplier, phase);
                }
                match (&event, tx) {
                    (Event::ClaimIncluded, Some(tx)) => session.record.claim_tx = Some(tx),
                    (Event::ProofAccepted, Some(tx)) => session.record.proof_tx = Some(tx),
                    _ => {}
                }
                self.apply(id, event).await?;
            }
            Finding::OtherRoot(root) => self.seal_again(id, root).await?,
            Finding::NextBlock(height, reason) => {
                // Others of its batch may have waited for a block meanwhile.
                if self.deps.feed.height() <= height {
                    session.wait_for_block();
                }
                tracing::warn!(session = %id, reason, "held back until the next block");
            }
            Finding::Later(reason) => {
                let state = session.record.state.as_str();
                session.try_later();
                self.deps.metrics.claiming.put_off(&self.supplier, phase);
                session.trouble = Some(reason.as_str().into());
                tracing::warn!(session = %id, state, reason, "not done yet, it is tried again");
            }
        }
        Ok(())
    }

    /// Lets the lifecycle decide, stores a new state, and returns what is to be done then.
    pub(crate) async fn apply(&mut self, id: &SessionId, event: Event) -> Result<Option<Effect>, WorkError> {
        let session = self
            .sessions
            .get_mut(id)
            .expect("events are for sessions that are here");
        let next = step(session.record.state, event);
        if next.state == session.record.state {
            return Ok(next.effect);
        }
        let (from, worth) = (session.record.state, session.worth);
        let late = session.windows.map(|windows| match next.state {
            SessionState::Proved => self.deps.feed.height() - windows.proof_open,
            _ => self.deps.feed.height() - windows.claim_open,
        });
        session.record.state = next.state;
        session.record.reason = next.reason;
        session.trouble = None;
        let (record, keep) = (session.record.clone(), self.settings.keep_seconds);
        self.retry("save a session", |store, lease, _| {
            let record = &record;
            async move { store.save_session(&lease, record, keep).await }
        })
        .await?;
        self.deps.metrics.sessions.saved(&self.supplier);
        self.deps.metrics.moved(&record, from, late, worth);
        let reason = record.reason.as_deref().unwrap_or_default();
        let (from, to, relays) = (from.as_str(), record.state.as_str(), record.relays);
        if reason.is_empty() || record.state == SessionState::ClaimSkipped {
            tracing::info!(session = %id, from, to, relays, reason, "session moved on");
        } else {
            tracing::error!(session = %id, from, to, relays, reason, "session failed");
        }
        Ok(next.effect)
    }

    async fn refresh_registry(&mut self, height: Height) -> Result<(), WorkError> {
        if self
            .registry_at
            .is_some_and(|at| at.elapsed() < self.settings.registry_interval)
        {
            return Ok(());
        }
        let entry = registry::entry(&self.deps.chain, &self.supplier, height, &self.settings.instance);
        match self.ask(entry).await {
            Ok(entry) => {
                self.retry("write the registry", |store, _, _| {
                    let entry = &entry;
                    async move { store.write_supplier(entry).await }
                })
                .await?;
                self.registry_at = Some(Instant::now());
                self.deps.metrics.fleet.registry_updated();
            }
            Err(QueryError::NotFound(_)) => {}
            Err(error) => {
                self.deps.metrics.fleet.registry_skipped();
                tracing::warn!(%error, supplier = %self.supplier, "the supplier's stake is not known yet");
            }
        }
        Ok(())
    }
}
