//! What an application's stake can pay for (spec `relay.md` §6.6), shared by all relayers of a fleet.
//!
//! What is spoken for of a session's budget is one integer in Redis. A relayer leases relays from it, about a second's
//! worth at a time, and charges its relays to the lease without asking anybody. A lease is granted only within the
//! limit, so that relayers together never serve more than it, whatever their number. What they may serve less, while
//! some are leased and not used, is bounded: a lease is at most an eighth of what is left, and goes back unused after
//! five seconds.

mod account;
mod budget;
mod lease;
mod ledger;
mod metrics;
mod standing;
mod terms;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pocket_config::{RelayMeterConfig, RelayerConfig};
use pocket_protocol::{Height, ServiceId};
use pocket_query::ChainClient;
use pocket_store::{ServiceFactors, Store};
use tokio::sync::mpsc;

pub(crate) use account::{Account, Charge, ChargedRelay, Holder};
pub(crate) use ledger::Ledger;
pub(crate) use metrics::MeterMetrics;
pub(crate) use upkeep::keep;

use account::ENDLESS;
use terms::Terms;

/// Session id and supplier.
type Name = (String, String);

/// The accounts of all sessions that are served here.
pub(crate) struct Meter {
    config: RelayMeterConfig,
    chain: ChainClient,
    store: Store,
    services: ArcSwap<Vec<ServiceId>>,
    // Locked when a session's first relay comes, and by the ledger; not by relays.
    accounts: Mutex<HashMap<Name, Arc<Account>>>,
    factors: ArcSwap<ServiceFactors>,
    ledger: mpsc::UnboundedSender<Arc<Account>>,
    metrics: MeterMetrics,
}

impl Meter {
    /// A meter and the ledger that keeps it; `None` when the operator wants none.
    pub fn new(
        config: &RelayerConfig,
        chain: ChainClient,
        store: Store,
        metrics: MeterMetrics,
    ) -> Option<(Arc<Self>, Ledger)> {
        if !config.relay_meter.enabled {
            return None;
        }
        let (ledger, asks) = mpsc::unbounded_channel();
        let meter = Arc::new(Self {
            config: config.relay_meter.clone(),
            chain,
            store,
            services: ArcSwap::from_pointee(config.services.keys().cloned().collect()),
            accounts: Mutex::default(),
            factors: ArcSwap::default(),
            ledger,
            metrics,
        });
        Some((meter.clone(), Ledger::new(meter, asks)))
    }

    /// The account of a session that the chain knows. Waits for the chain only for the session's first relay; if the
    /// chain cannot tell the terms, the account does without until it can.
    pub async fn open(&self, holder: Holder, current: Height) -> Arc<Account> {
        let name = (holder.session.clone(), holder.supplier.clone());
        let account = {
            let mut accounts = self.accounts.lock();
            let account = accounts.entry(name).or_insert_with(|| {
                let metrics = self.metrics.of(holder.service.as_str());
                Arc::new(Account::new(
                    holder,
                    self.config.fail_behavior,
                    self.ledger.clone(),
                    metrics,
                ))
            });
            account.clone()
        };
        if account.terms.load().is_none() {
            self.learn(&account, current).await;
        }
        account
    }

    /// Follows the factors of these services from now on.
    pub fn follow(&self, services: Vec<ServiceId>) {
        self.services.store(services.into());
    }

    /// Reads the factors that miners told; what cannot be read stays as it was.
    pub async fn read_factors(&self) {
        let services = self.services.load_full();
        let factors = self.store.service_factors(services.iter().map(ServiceId::as_str));
        match factors.await {
            Ok(factors) if factors != **self.factors.load() => {
                tracing::info!(default = ?factors.default, services = ?factors.by_service, "service factors changed");
                self.factors.store(factors.into());
            }
            Ok(_) => {}
            Err(error) => {
                self.metrics
                    .redis_errors
                    .with_label_values(&["read service factors"])
                    .inc();
                tracing::debug!(%error, "service factors cannot be read");
            }
        }
    }

    /// Computes an account's price and limit, if the chain tells.
    async fn learn(&self, account: &Arc<Account>, current: Height) {
        let holder = &account.holder;
        let factor = self.factors.load().of(holder.service.as_str());
        let terms = match Terms::ask(&self.chain, holder, factor, current).await {
            Ok(terms) => Arc::new(terms),
            Err(error) => {
                tracing::warn!(%error, service = %holder.service, application = holder.application,
                    "a session's budget cannot be computed");
                return;
            }
        };
        let known = account.terms.swap(Some(terms.clone()));
        match known {
            None if terms.cost == 0 => {
                tracing::warn!(service = %holder.service, "a relay costs nothing: relays are not limited");
                account.free.store(ENDLESS, std::sync::atomic::Ordering::Release);
            }
            None => warn_of_high_limit(holder, &terms),
            Some(known) if !known.is_same_limit(&terms) => {
                tracing::info!(session = holder.session, service = %holder.service, before = known.limit.0,
                    limit = terms.limit.0, "a session's budget changed");
                account.pace.lock().has_new_terms = true;
                account.ask();
            }
            Some(_) => {}
        }
    }

    fn all(&self) -> Vec<Arc<Account>> {
        self.accounts.lock().values().cloned().collect()
    }
}

fn warn_of_high_limit(holder: &Holder, terms: &Terms) {
    if terms.limit > terms.base {
        tracing::warn!(
            service = %holder.service,
            application = holder.application,
            factor = terms.factor,
            limit = terms.limit.0,
            sure = terms.base.0,
            "the service factor allows more than the stake is sure to pay"
        );
    }
}
