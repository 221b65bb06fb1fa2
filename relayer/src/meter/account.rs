//! One session's account with one supplier: what may be served without asking Redis, and what was served.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pocket_config::FailBehavior;
use pocket_protocol::{Height, ServiceId};
use prometheus::{Histogram, IntCounter};
use tokio::sync::{mpsc, watch};

use super::lease::Pace;
use super::terms::Terms;
use crate::metrics::observe;
use crate::refusal::Refusal;
use crate::verify::VerifiedRelay;

/// How long a relay waits for a lease before the meter counts as away.
const LEASE_WAIT: Duration = Duration::from_millis(500);
/// What an account has that need not count.
pub(super) const ENDLESS: i64 = i64::MAX / 2;

/// What the last visit to Redis said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There was something to lease, or nobody has asked.
    Open,
    /// Nothing is left of the budget.
    Exhausted,
    /// Redis or the chain could not be asked.
    Away,
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub session: String,
    pub supplier: String,
    pub application: String,
    pub service: ServiceId,
    pub start: Height,
    pub end: Height,
    /// First block of the claim window: no relayer serves the session any more.
    pub claim_open: Height,
}

/// Series that an account counts with.
#[derive(Clone, Debug)]
pub(super) struct AccountMetrics {
    pub within_limit: IntCounter,
    pub over_limit: IntCounter,
    pub wait: Histogram,
}

/// An account. Relays take from it by one atomic operation; the ledger fills it up in the background.
pub(crate) struct Account {
    pub(super) holder: Holder,
    /// Relays that may be served: leased and not charged. Below 0: served while Redis was away, and not told yet.
    pub(super) free: AtomicI64,
    /// At so many free relays, and fewer, a lease is asked for.
    pub(super) low_water: AtomicI64,
    asked: AtomicBool,
    /// Somebody was refused since the last visit.
    pub(super) wanted: AtomicBool,
    pub(super) standing: watch::Sender<Standing>,
    /// Price and limit; nothing until the chain has told them.
    pub(super) terms: ArcSwapOption<Terms>,
    /// The ledger's alone.
    pub(super) pace: Mutex<Pace>,
    fail: FailBehavior,
    ledger: mpsc::UnboundedSender<Arc<Self>>,
    metrics: AccountMetrics,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.free.load(Ordering::Relaxed);
        f.debug_struct("Account")
            .field("holder", &self.holder)
            .field("free", &free)
            .finish_non_exhaustive()
    }
}

impl Account {
    pub(super) fn new(
        holder: Holder,
        fail: FailBehavior,
        ledger: mpsc::UnboundedSender<Arc<Self>>,
        metrics: AccountMetrics,
    ) -> Self {
        Self {
            holder,
            free: AtomicI64::new(0),
            low_water: AtomicI64::new(0),
            asked: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            standing: watch::Sender::new(Standing::Open),
            terms: ArcSwapOption::empty(),
            pace: Mutex::default(),
            fail,
            ledger,
            metrics,
        }
    }

    /// Charges one relay. In the common case it comes out of the lease in hand; the first relay of a session, and
    /// those that come faster than leases, wait for Redis.
    pub async fn charge(self: &Arc<Self>) -> Result<Charge, Refusal> {
        let charged = if self.take() {
            Ok(())
        } else {
            // Boxed: rare, and larger than all the rest.
            Box::pin(self.wait_for_lease()).await
        };
        match charged {
            Ok(()) => {
                self.metrics.within_limit.inc();
                Ok(Charge(Some(self.clone())))
            }
            Err(refusal) => {
                if refusal == Refusal::StakeExhausted {
                    self.metrics.over_limit.inc();
                }
                Err(refusal)
            }
        }
    }

    /// Whether a relay would be refused, as far as is known without asking.
    pub fn is_exhausted(&self) -> bool {
        let is_exhausted = *self.standing.borrow() == Standing::Exhausted && self.free.load(Ordering::Acquire) <= 0;
        if is_exhausted {
            self.wanted.store(true, Ordering::Release);
        }
        is_exhausted
    }

    fn take(self: &Arc<Self>) -> bool {
        let one_less = |free: i64| (free > 0).then(|| free - 1);
        let Ok(before) = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less) else {
            return false;
        };
        if before <= self.low_water.load(Ordering::Relaxed) {
            self.ask();
        }
        true
    }

    /// Asks the ledger for a visit, unless it is asked already.
    pub(super) fn ask(self: &Arc<Self>) {
        if !self.asked.load(Ordering::Relaxed) && !self.asked.swap(true, Ordering::AcqRel) {
            // Fails only when the ledger has ended, and with it the serving.
            let _ = self.ledger.send(self.clone());
        }
    }

    /// From here on the account may be asked for again.
    pub(super) fn heard(&self) {
        self.asked.store(false, Ordering::Release);
    }

    async fn wait_for_lease(self: &Arc<Self>) -> Result<(), Refusal> {
        let started = Instant::now();
        let mut standing = self.standing.subscribe();
        let until = tokio::time::Instant::now() + LEASE_WAIT;
        let charged = loop {
            if self.take() {
                break Ok(());
            }
            match *standing.borrow_and_update() {
                Standing::Open => {}
                Standing::Exhausted => {
                    self.wanted.store(true, Ordering::Release);
                    break Err(Refusal::StakeExhausted);
                }
                Standing::Away => break self.do_without(),
            }
            self.ask();
            if !matches!(tokio::time::timeout_at(until, standing.changed()).await, Ok(Ok(()))) {
                break self.do_without();
            }
        };
        observe(&self.metrics.wait, started.elapsed());
        charged
    }

    /// What the operator wants of a meter that cannot count. What is served now is told when Redis is back.
    fn do_without(&self) -> Result<(), Refusal> {
        match self.fail {
            FailBehavior::Open => {
                self.free.fetch_sub(1, Ordering::AcqRel);
                Ok(())
            }
            FailBehavior::Closed => Err(Refusal::MeterUnavailable),
        }
    }
}

/// One relay's place in its application's budget. Dropped, it goes back: the relay was not answered. What is mined is
/// [spent](Charge::spend).
#[must_use]
#[derive(Debug)]
pub(crate) struct Charge(Option<Arc<Account>>);

impl Charge {
    /// Of a relay that is not metered.
    pub fn none() -> Self {
        Self(None)
    }

    /// The relay was answered.
    pub fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            account.free.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// A verified relay that its application can pay for. Dropped, the charge goes back.
pub(crate) struct ChargedRelay {
    pub verified: VerifiedRelay,
    pub charge: Charge,
}
