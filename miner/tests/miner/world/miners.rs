//! Miners that a test starts, stops and lets die.

use std::time::Duration;

use pocket_config::{BalanceMonitorConfig, BlockHealthConfig};
use pocket_devnet::Actor;
use pocket_keys::{KeySet, SigningKey};
use pocket_metrics::Registry;
use pocket_miner::{Deps, Metrics, Miner, Refused, RehearsalSettings, Settings, WatchSettings};
use pocket_protocol::Upokt;
use pocket_query::{BlockFeed, ChainClient, FeedTiming, NodeConfig, RetryPolicy};
use pocket_status::MinerStatus;
use pocket_store::{Store, StoreConfig};
use pocket_tx::{TxConfig, TxSender};
use prometheus::proto::{LabelPair, MetricFamily};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::World;

pub const LEASE: Duration = Duration::from_millis(700);

impl World {
    /// A miner with the keys of these suppliers.
    pub fn miner(&self, instance: &str, suppliers: &[&str]) -> RunningMiner {
        self.miner_with(instance, suppliers, |_| ())
    }

    pub fn miner_with(&self, instance: &str, suppliers: &[&str], adjust: impl FnOnce(&mut Settings)) -> RunningMiner {
        self.miner_at(self.redis_port, instance, suppliers, adjust)
    }

    /// A miner that finds Redis on another port.
    pub fn miner_at(
        &self,
        redis_port: u16,
        instance: &str,
        suppliers: &[&str],
        adjust: impl FnOnce(&mut Settings),
    ) -> RunningMiner {
        let mut prepared = self.prepare(redis_port, instance, suppliers);
        adjust(&mut prepared.settings);
        RunningMiner {
            miner: Miner::start(prepared.settings, prepared.deps, prepared.cancel.clone()),
            cancel: prepared.cancel,
            registry: prepared.registry,
            _feed: prepared.feed,
        }
    }

    /// All that a miner needs to start.
    pub fn prepare(&self, redis_port: u16, instance: &str, suppliers: &[&str]) -> Prepared {
        let cancel = CancellationToken::new();
        let retry = RetryPolicy {
            attempts: 2,
            first_wait: Duration::from_millis(10),
            longest_wait: Duration::from_millis(50),
        };
        let node = NodeConfig {
            retry,
            ..NodeConfig::new(self.rpc.url(), self.grpc.url())
        };
        let chain = ChainClient::new(node).unwrap();
        let timing = FeedTiming {
            poll: Duration::from_millis(20),
            reconnect: retry,
            ..FeedTiming::default()
        };
        let (feed, feed_task) = BlockFeed::start_with(chain.clone(), timing, cancel.clone());
        let keys = suppliers.iter().map(|name| key(name)).collect::<KeySet>();
        let registry = Registry::new();
        let deps = Deps {
            tx: TxSender::new(chain.clone(), keys.clone(), TxConfig::default()),
            chain,
            feed,
            store: Store::new(StoreConfig::at(format!("redis://127.0.0.1:{redis_port}"))).unwrap(),
            keys: keys.into(),
            metrics: Metrics::register(&registry).unwrap(),
        };
        let settings = Settings {
            instance: instance.to_owned(),
            batch: 100,
            block: Duration::from_millis(50),
            lease_ttl: LEASE,
            renew_interval: Duration::from_millis(50),
            registry_interval: Duration::MAX,
            keep_seconds: 600,
            tree_memory: pocket_miner::TreeMemory::new(16 << 20, 1 << 20),
            claims_a_transaction: 50,
            proofs_a_transaction: 20,
            service_factors: pocket_store::ServiceFactors::default(),
            service_factors_ttl: Duration::from_mins(5),
            refused: Refused::default(),
            watch: watch(),
            rehearsal: RehearsalSettings::default(),
        };
        Prepared {
            settings,
            deps,
            cancel,
            registry,
            feed: AbortOnDropHandle::new(feed_task),
        }
    }
}

/// A miner before its start.
pub struct Prepared {
    pub settings: Settings,
    pub deps: Deps,
    pub cancel: CancellationToken,
    registry: Registry,
    pub feed: AbortOnDropHandle<()>,
}

pub struct RunningMiner {
    miner: Miner,
    cancel: CancellationToken,
    registry: Registry,
    _feed: AbortOnDropHandle<()>,
}

impl RunningMiner {
    /// Stops as on SIGTERM.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.miner.stopped().await;
    }

    /// Stops as on SIGKILL: leases stay until they expire.
    pub fn crash(self) {
        drop(self.miner);
        self.cancel.cancel();
    }

    /// What the miner can be told while it works.
    pub fn control(&self) -> pocket_miner::MinerControl {
        self.miner.control()
    }

    /// What it tells of itself.
    pub fn status(&self) -> MinerStatus {
        self.miner.status().status()
    }

    /// A gauge without labels.
    pub fn gauge(&self, name: &str) -> i64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("ha_miner_{name}"));
        family.map_or(0, |family| family.get_metric()[0].get_gauge().get_value() as i64)
    }

    /// A supplier's gauge; `None` while it has none.
    pub fn gauge_of(&self, name: &str, supplier: &str) -> Option<i64> {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("ha_miner_{name}"))?;
        let own =
            |series: &&prometheus::proto::Metric| series.get_label().iter().any(|label| label.value() == supplier);
        let series = family.get_metric().iter().find(own)?;
        Some(series.get_gauge().get_value() as i64)
    }

    /// Sum of a counter over those series that have all of these label values.
    pub fn counted(&self, name: &str, labels: &[&str]) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("ha_miner_{name}"));
        let series = family.into_iter().flat_map(MetricFamily::get_metric);
        let matching = series.filter(|series| {
            let values: Vec<&str> = series.get_label().iter().map(LabelPair::value).collect();
            labels.iter().all(|label| values.contains(label))
        });
        matching.map(|series| series.get_counter().get_value() as u64).sum()
    }
}

/// Nothing is asked of the chain; Redis is looked at often.
fn watch() -> WatchSettings {
    WatchSettings {
        accounts: BalanceMonitorConfig {
            enabled: false,
            check_interval: Duration::from_millis(20),
            balance_threshold: Upokt(1),
            stake_warning_proof_threshold: 10,
            stake_critical_proof_threshold: 3,
        },
        blocks: BlockHealthConfig {
            enabled: false,
            slowness_threshold: 1.5,
        },
        block_time: Duration::from_secs(1),
        redis_every: Duration::from_millis(100),
    }
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Actor::named(name).private_key).unwrap()
}
