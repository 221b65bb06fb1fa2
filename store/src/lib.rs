//! What relayers and miners share in Redis: streams of mined relays, session records, tree nodes,
//! leases, the supplier registry, and watermarks that tell a miner when a session is drained.
//!
//! Touches Redis alone. Every key is built in [`Keys`], with the Go peer's names, so that a mixed
//! fleet can share one Redis. Whatever a miner writes for a supplier shows its [`Lease`]: a paused
//! owner that wakes up can write no more.

mod address;
mod appender;
mod blocks;
mod commit;
mod connection;
mod dedicated;
mod error;
mod health;
mod inspect;
mod keys;
mod lease;
mod link;
mod meter;
mod metrics;
mod progress;
mod publisher;
mod replicas;
mod server;
mod session;
mod shared_params;
mod stream;
mod supplier;
mod tree;
mod watermark;

pub use blocks::BlockEvent;
pub use commit::SessionCommit;
pub use connection::{Store, StoreConfig};
pub use error::StoreError;
pub use health::RedisHealth;
pub use inspect::{
    GroupInfo, Heard, KeyInfo, KeyScan, SetSample, StoredValue, StreamContents, StreamEntry, Subscription, TreeContents,
};
pub use keys::{CacheKind, Keys, Namespace};
pub use lease::{Lease, LeaseKind};
pub use meter::{MeterGrant, MeterRecord, MeterVisit, ServiceFactors};
pub use metrics::{PublisherMetrics, RedisMetrics};
pub use progress::StreamProgress;
pub use publisher::{PublishGuard, PublishSlot, PublisherConfig, PublisherStats, RelayPublisher};
pub use server::{KeptRedis, KeptRedisError, PrivateCluster, PrivateRedis, PrivateRedisError, PrivateSentinel};
pub use session::{SessionRecord, SessionState};
pub use stream::{Delivery, Pending, StreamConsumer, StreamId};
pub use supplier::{StakedEndpoint, SupplierEntry, SupplierStatus};
pub use tree::{TreeRoots, TreeStore};
pub use watermark::{Relayers, Watermark};
