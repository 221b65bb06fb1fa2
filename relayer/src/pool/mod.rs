//! Several servers that can answer the same relay: which one is asked, and which ones are left alone.
//!
//! An [`Endpoint`] is a connection of whatever kind with a health and a load. A pick takes no lock and allocates
//! nothing: what is known of an endpoint is a handful of atomics. Rule: spec `relay.md` §5.5.

mod attempt;
mod backends;
mod health;
mod limit;
mod load;
mod outlier;
mod probe;
mod probe_grpc;
mod reach;
mod series;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pocket_config::BackendSelection;

pub(crate) use backends::{Backends, Common, endpoint_names};
use health::{Entry, Health};
pub(crate) use health::{HealthRules, State};
pub(crate) use limit::{Limit, Place};
use load::Load;
use outlier::Tally;
pub use reach::{Reach, Reached, reach_backends};
pub(crate) use series::{ConnectionMetrics, EndpointMetrics, PoolSeries};
pub(crate) use watch::watch_all;

/// Nanoseconds since a pool began.
pub(crate) type Moment = u64;

/// Endpoints of one service and type.
#[derive(Debug)]
pub(crate) struct Pool<C> {
    /// `service:type`, for logs.
    name: Arc<str>,
    endpoints: Box<[Endpoint<C>]>,
    selection: BackendSelection,
    /// Where the next pick starts to look.
    turn: AtomicUsize,
    began: Instant,
}

/// One server of a pool.
#[derive(Debug)]
pub(crate) struct Endpoint<C> {
    /// For logs and metrics; the operator's name, or host and port.
    pub name: Arc<str>,
    /// How it is asked.
    pub connection: Arc<C>,
    standing: Arc<Standing>,
    metrics: EndpointMetrics,
}

/// What is known of a server. It outlives the configuration under which it was learnt.
#[derive(Debug)]
struct Standing {
    health: Health,
    load: Load,
    tally: Tally,
}

/// What came of asking an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It works, whatever it said.
    Answered,
    /// It refused, broke off or said that it failed: what opens the breaker.
    Failed,
    /// It may only be slow: no reason to open the breaker, but one to look at it beside the others.
    TimedOut,
    /// The fault was not its own.
    Blameless,
}

/// The endpoints that one relay has been to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    indices: [usize; Self::MOST],
    count: usize,
}

impl Tried {
    /// One attempt, three retries and a hedge for each.
    const MOST: usize = 8;

    fn contains(&self, index: usize) -> bool {
        self.indices[..self.count].contains(&index)
    }

    /// Remembers an endpoint. A relay never goes to more of them than there is room for.
    pub fn add<C>(&mut self, picked: &Picked<'_, C>) {
        if self.count < Self::MOST {
            self.indices[self.count] = picked.index;
            self.count += 1;
        }
    }
}

impl<C> Pool<C> {
    /// A pool of endpoints. Those of `old` that are taken over count time as it does.
    pub fn new(
        name: Arc<str>,
        selection: BackendSelection,
        old: Option<&Self>,
        endpoints: impl IntoIterator<Item = Endpoint<C>>,
    ) -> Self {
        Self {
            name,
            endpoints: endpoints.into_iter().collect(),
            selection,
            turn: AtomicUsize::new(0),
            began: old.map_or_else(Instant::now, |old| old.began),
        }
    }

    /// Puts the pool to use: what it took over goes by these rules from now on, and its state is shown. What nobody
    /// looks after any more is forgotten.
    pub fn begin(&self, rules: HealthRules, is_probed: bool, is_outlier_sought: bool) {
        let now = self.now();
        for endpoint in &self.endpoints {
            let health = &endpoint.standing.health;
            health.set_rules(rules, now);
            if !is_probed {
                health.forget_probes();
            }
            if !is_outlier_sought {
                health.eject(0);
            }
            endpoint.metrics.is(health.state(now));
        }
    }

    /// All endpoints, in the configuration's order.
    pub fn endpoints(&self) -> &[Endpoint<C>] {
        &self.endpoints
    }

    /// The time as this pool counts it.
    pub fn now(&self) -> Moment {
        self.began.elapsed().as_nanos() as u64
    }

    /// Whether a relay would find an endpoint now.
    pub fn is_available(&self) -> bool {
        // Nearly always the first is there: then no clock is read.
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.standing.health.is_closed())
            || {
                let now = self.now();
                self.endpoints
                    .iter()
                    .any(|endpoint| endpoint.standing.health.may_enter(now))
            }
    }

    /// The endpoint that a relay goes to, and its place there; `None` when all that were not `tried` are out.
    pub fn pick(&self, tried: &Tried) -> Option<Picked<'_, C>> {
        self.pick_at(self.now(), tried)
    }

    fn pick_at(&self, now: Moment, tried: &Tried) -> Option<Picked<'_, C>> {
        let count = self.endpoints.len();
        let start = match self.selection {
            BackendSelection::FirstHealthy => 0,
            _ if count == 1 => 0,
            BackendSelection::RoundRobin | BackendSelection::LeastLatency => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        let mut order = (0..count)
            .map(|offset| start.wrapping_add(offset) % count)
            .filter(|index| !tried.contains(*index));
        if self.selection != BackendSelection::LeastLatency || count == 1 {
            return order.find_map(|index| self.enter(index, now));
        }
        // An endpoint that another relay takes on trial meanwhile is no longer free: the next best is.
        for _ in 0..count {
            let free = order
                .clone()
                .filter(|index| self.endpoints[*index].standing.health.may_enter(now));
            let best = free.min_by_key(|index| self.endpoints[*index].cost(now))?;
            if let Some(picked) = self.enter(best, now) {
                return Some(picked);
            }
        }
        None
    }

    fn enter(&self, index: usize, now: Moment) -> Option<Picked<'_, C>> {
        let endpoint = &self.endpoints[index];
        let entry = endpoint.standing.health.enter(now)?;
        endpoint.standing.load.enter();
        if entry != Entry::Ordinary {
            endpoint.metrics.entered(State::HalfOpen);
        }
        Some(Picked {
            pool: self,
            index,
            entry,
            began: now,
            is_reported: false,
        })
    }

    /// Notes a probe's result, and what follows from it.
    pub fn probed(&self, index: usize, is_down: bool) {
        let endpoint = &self.endpoints[index];
        let now = self.now();
        let was = endpoint.standing.health.state(now);
        endpoint.standing.health.probed(is_down, now);
        self.tell(endpoint, was, now, "probe");
    }

    /// Leaves an endpoint alone for a while, because it is worse than the others.
    fn eject(&self, endpoint: &Endpoint<C>, time: Duration) {
        let now = self.now();
        let was = endpoint.standing.health.state(now);
        endpoint
            .standing
            .health
            .eject(now.saturating_add(time.as_nanos() as u64));
        self.tell(endpoint, was, now, "outlier");
    }

    /// Says what became of an endpoint, if anything did.
    fn tell(&self, endpoint: &Endpoint<C>, was: State, now: Moment, reason: &'static str) {
        let is = endpoint.standing.health.state(now);
        // Half-open is told when a relay tries it.
        if is == was || is == State::HalfOpen {
            return;
        }
        endpoint.metrics.entered(is);
        let (pool, name, state) = (&*self.name, &*endpoint.name, is.label());
        if is == State::Closed {
            tracing::info!(pool, endpoint = name, "endpoint is healthy again");
        } else {
            tracing::warn!(pool, endpoint = name, state, reason, "endpoint is left alone");
        }
    }
}

impl<C> Endpoint<C> {
    /// An endpoint that nothing is known of, and that is believed to be healthy.
    pub fn new(name: Arc<str>, connection: Arc<C>, metrics: EndpointMetrics, rules: HealthRules) -> Self {
        Self {
            name,
            connection,
            standing: Arc::new(Standing {
                health: Health::new(rules),
                load: Load::default(),
                tally: Tally::default(),
            }),
            metrics,
        }
    }

    /// The same server under other settings: what is known of it still holds.
    pub fn renewed(&self, name: Arc<str>, connection: Arc<C>, metrics: EndpointMetrics) -> Self {
        Self {
            name,
            connection,
            standing: self.standing.clone(),
            metrics,
        }
    }

    /// What is known of it now.
    pub fn state(&self, now: Moment) -> State {
        self.standing.health.state(now)
    }

    /// Relays that it works on.
    pub fn in_flight(&self) -> u32 {
        self.standing.load.in_flight()
    }

    /// How long its recent answers took, on average; nothing before the first.
    pub fn latency(&self) -> Option<Duration> {
        self.standing.load.latency()
    }

    fn cost(&self, now: Moment) -> u64 {
        if self.standing.health.is_closed() {
            self.standing.load.cost(now)
        } else {
            // It waits for a relay to try it.
            0
        }
    }
}

/// A relay's place at an endpoint. Dropped without a report, it says nothing about the endpoint.
#[derive(Debug)]
pub(crate) struct Picked<'p, C> {
    pool: &'p Pool<C>,
    index: usize,
    entry: Entry,
    began: Moment,
    is_reported: bool,
}

impl<'p, C> Picked<'p, C> {
    /// The endpoint.
    pub fn endpoint(&self) -> &'p Endpoint<C> {
        &self.pool.endpoints[self.index]
    }

    /// Says what came of it.
    pub fn report(mut self, outcome: Outcome) {
        self.report_at(self.pool.now(), outcome);
    }

    fn report_at(&mut self, now: Moment, outcome: Outcome) {
        self.is_reported = true;
        let endpoint = self.endpoint();
        let was = match self.entry {
            Entry::Ordinary => endpoint.standing.health.state(now),
            Entry::Trial(_) => State::HalfOpen,
        };
        match outcome {
            Outcome::Answered => {
                endpoint.standing.load.answered(now.saturating_sub(self.began), now);
                endpoint.standing.tally.add(false);
                endpoint.standing.health.succeeded(self.entry);
            }
            Outcome::Failed => {
                endpoint.standing.tally.add(true);
                endpoint.standing.health.failed(self.entry, now);
            }
            Outcome::TimedOut => endpoint.standing.tally.add(true),
            Outcome::Blameless => endpoint.standing.health.given_back(self.entry, now),
        }
        // Only these two change what an endpoint is.
        if matches!(outcome, Outcome::Answered | Outcome::Failed) {
            self.pool.tell(endpoint, was, now, "relays");
        }
    }
}

impl<C> Drop for Picked<'_, C> {
    fn drop(&mut self) {
        let endpoint = self.endpoint();
        endpoint.standing.load.leave();
        if !self.is_reported {
            endpoint.standing.health.given_back(self.entry, self.pool.now());
        }
    }
}

#[cfg(test)]
mod tests;
