//! The meter's dealings with Redis: leases asked for, given back, and told after the fact; many in one round trip.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pocket_store::{MeterGrant, MeterRecord, MeterVisit};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Meter;
use super::account::{Account, Standing};

/// Between two looks at all accounts.
const TICK: Duration = Duration::from_millis(500);
/// How long a round trip may take. Relays that wait for it wait a little longer.
const ROUND_TRIP: Duration = Duration::from_millis(400);
/// Most accounts in one round trip.
const BATCH: usize = 256;

/// The one task that visits Redis for all accounts.
pub(crate) struct Ledger {
    meter: Arc<Meter>,
    asks: mpsc::UnboundedReceiver<Arc<Account>>,
}

/// A visit on its way, and what it settles.
struct Open {
    account: Arc<Account>,
    visit: MeterVisit,
    /// Relays served without a lease that it tells.
    debt: i64,
}

impl Ledger {
    pub(super) fn new(meter: Arc<Meter>, asks: mpsc::UnboundedReceiver<Arc<Account>>) -> Self {
        Self { meter, asks }
    }

    /// Works until `cancel`, then gives all leases back. To be cancelled when no relay is served any more.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                _ = self.asks.recv_many(&mut asked, BATCH) => {
                    let visits = asked.drain(..).filter_map(Self::refill).collect();
                    self.visit(visits).await;
                }
                _ = ticks.tick() => self.tick().await,
            }
        }
        let last = self.meter.all().into_iter().filter_map(Self::settle_all);
        let last: Vec<_> = last.collect();
        self.visit(last).await;
    }

    /// A lease for an account that runs low.
    fn refill(account: Arc<Account>) -> Option<Open> {
        account.heard();
        let free = account.free.load(Ordering::Acquire);
        let wanted = account.pace.lock().wants(free);
        open(account, wanted, 0)
    }

    /// All that is owed or in hand, at the end.
    fn settle_all(account: Arc<Account>) -> Option<Open> {
        let back = account.free.load(Ordering::Acquire).max(0);
        open(account, 0, back)
    }

    /// What an account needs that nobody asked for: debts told, unused leases given back, another try.
    fn review(&self, account: Arc<Account>) -> Option<Open> {
        let free = account.free.load(Ordering::Acquire);
        let (back, keeps_long) = {
            let mut pace = account.pace.lock();
            let back = pace.tick(free);
            account.low_water.store(pace.low_water(), Ordering::Relaxed);
            (
                back,
                pace.visited
                    .is_none_or(|at| at.elapsed() < self.meter.config.cache_ttl / 4),
            )
        };
        let is_wanted = match *account.standing.borrow() {
            Standing::Open => false,
            Standing::Exhausted => account.wanted.swap(false, Ordering::AcqRel),
            Standing::Away => true,
        };
        if free >= 0 && back == 0 && !is_wanted && keeps_long {
            return None;
        }
        let wanted = if is_wanted { account.pace.lock().wants(free) } else { 0 };
        open(account, wanted, back)
    }

    /// One round trip for up to [`BATCH`] accounts.
    async fn visit(&self, visits: Vec<Open>) {
        let mut visits = visits.into_iter().peekable();
        while visits.peek().is_some() {
            let (open, asked): (Vec<_>, Vec<_>) = visits
                .by_ref()
                .take(BATCH)
                .map(|open| ((open.account, open.debt), open.visit))
                .unzip();
            let config = &self.meter.config;
            let answer = self
                .meter
                .store
                .visit_meters(&config.redis_key_prefix, &asked, config.cache_ttl);
            let failure = match timeout(ROUND_TRIP, answer).await {
                Ok(Ok(grants)) => {
                    for (((account, debt), asked), grant) in open.into_iter().zip(asked).zip(grants) {
                        settle(&account, debt, &asked, grant);
                    }
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            self.meter
                .metrics
                .redis_errors
                .with_label_values(&["settle accounts"])
                .inc();
            tracing::warn!(failure, fail_behavior = ?config.fail_behavior, "relays cannot be metered");
            for (account, _) in open {
                account.standing.send_replace(Standing::Away);
            }
        }
    }

    async fn tick(&self) {
        let accounts = self.meter.all();
        let sessions = &self.meter.metrics.sessions;
        sessions.reset();
        for account in &accounts {
            let labels = [account.holder.supplier.as_str(), account.holder.service.as_str()];
            sessions.with_label_values(&labels).inc();
        }
        self.visit(
            accounts
                .into_iter()
                .filter_map(|account| self.review(account))
                .collect(),
        )
        .await;
    }
}

/// `back` is taken from the lease before it is given back: if the answer is lost, the budget is smaller, never
/// spent twice.
fn open(account: Arc<Account>, wanted: u64, back: i64) -> Option<Open> {
    let Some(terms) = account.terms.load_full() else {
        account.standing.send_replace(Standing::Away);
        return None;
    };
    if terms.cost == 0 {
        return None;
    }
    let mut pace = account.pace.lock();
    let less = |free: i64| (free >= back).then(|| free - back);
    let back = match account.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, less) {
        Ok(_) => back,
        Err(_) => 0,
    };
    pace.changed(-back);
    let debt = -account.free.load(Ordering::Acquire).min(0);
    if back == 0 && debt == 0 && wanted == 0 && pace.visited.is_none() {
        return None;
    }
    let replace = std::mem::take(&mut pace.has_new_terms);
    drop(pace);
    let holder = &account.holder;
    let amount = |amount: u128| i64::try_from(amount).unwrap_or(i64::MAX);
    let record = MeterRecord {
        session_id: holder.session.clone(),
        app_address: holder.application.clone(),
        service_id: holder.service.as_str().to_owned(),
        supplier_address: holder.supplier.clone(),
        session_end_height: holder.end.0,
        max_stake_upokt: amount(terms.limit.0),
        created_at: unix_now(),
        created_with_factor: terms.factor.unwrap_or(0.0),
        created_with_app_stake: amount(terms.stake.0),
    };
    let visit = MeterVisit {
        record,
        replace,
        cost: terms.cost,
        told: debt - back,
        wanted,
    };
    Some(Open { account, visit, debt })
}

/// What came of a visit.
fn settle(account: &Arc<Account>, debt: i64, asked: &MeterVisit, grant: MeterGrant) {
    let granted = i64::try_from(grant.relays).unwrap_or(0);
    let mut pace = account.pace.lock();
    pace.changed(debt + granted);
    pace.visited = Some(Instant::now());
    let before = account.free.fetch_add(debt + granted, Ordering::AcqRel);
    let is_dry = asked.wanted > 0 && granted == 0;
    // A dry account is asked for again at the next tick, not by every relay that takes from what is left.
    let low_water = if is_dry { -1 } else { pace.low_water().min(granted / 2) };
    drop(pace);
    if asked.wanted > 0 {
        account.low_water.store(low_water, Ordering::Relaxed);
    }
    let is_exhausted = is_dry && before + debt <= 0;
    let standing = if is_exhausted {
        Standing::Exhausted
    } else {
        Standing::Open
    };
    let was = account.standing.send_replace(standing);
    if is_exhausted && was != Standing::Exhausted {
        let holder = &account.holder;
        tracing::warn!(
            application = holder.application,
            service = %holder.service,
            supplier = holder.supplier,
            session = holder.session,
            limit = asked.record.max_stake_upokt,
            consumed = grant.consumed,
            "an application's budget for a session is used up"
        );
    }
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
