//! The way to Redis, whichever kind it is of.

use std::{
    io,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    address::{Address, tls_mode},
    error::Verdict,
};

/// Longest time that one answer of Redis may take before it counts as unavailable.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time to find a server and connect to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a Cluster's client follows a slot that moves, or waits for its new primary, within one call.
const CLUSTER_RETRIES: u32 = 6;

/// A connection that finds its server again by itself. Clones share it.
#[derive(Clone)]
pub(crate) enum Link {
    /// To the one server that may write.
    Primary(Arc<Primary>),
    /// To every primary of a Cluster.
    Cluster(ClusterConnection),
}

impl Link {
    /// Prepares a connection; must be called inside a tokio runtime.
    pub fn open(address: &Address) -> RedisResult<Self> {
        Ok(match address {
            Address::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.clone())
                    .retries(CLUSTER_RETRIES)
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    .overall_response_timeout(Some(RESPONSE_TIMEOUT * 2))
                    .build()?;
                Self::Cluster(client.get_pending_async_connection_with_config(ClusterConfig::new()))
            }
            _ => Self::Primary(Arc::new(Primary {
                address: address.clone(),
                slot: ArcSwap::default(),
                made: AtomicU64::new(0),
            })),
        })
    }
}

impl Link {
    /// Looks for the server anew at the next call. A Cluster's map tells by itself.
    pub fn forget(&self) {
        if let Self::Primary(primary) = self {
            primary.slot.store(Arc::default());
        }
    }

    /// See [`crate::Store::connections`].
    pub fn connections(&self) -> u64 {
        match self {
            Self::Primary(primary) => primary.made.load(Ordering::Acquire),
            Self::Cluster(_) => 0,
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Primary(primary) => Box::pin(primary.command(command)),
            Self::Cluster(cluster) => {
                if !is_script_load(command) {
                    return cluster.req_packed_command(command);
                }
                // By default every node must take a script, and a dead one would hold up all others.
                let one_is_enough = Some(ResponsePolicy::OneSucceeded);
                let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, one_is_enough));
                Box::pin(cluster.route_command(command.clone(), everywhere))
            }
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Primary(primary) => Box::pin(primary.commands(pipeline, offset, count)),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Primary(primary) => primary.address.database(),
            Self::Cluster(_) => 0,
        }
    }
}

fn is_script_load(command: &Cmd) -> bool {
    let mut words = command.args_iter().map(|word| match word {
        redis::Arg::Simple(word) => word,
        _ => &[],
    });
    words.next() == Some(b"SCRIPT") && words.next() == Some(b"LOAD")
}

/// The connection to the one server that may write, made when it is needed, and again when it broke.
pub(crate) struct Primary {
    address: Address,
    // A broken connection's cell is replaced by an empty one; who comes first fills it, the others wait for it.
    slot: ArcSwap<OnceCell<MultiplexedConnection>>,
    /// Connections so far.
    made: AtomicU64,
}

type Slot = Arc<OnceCell<MultiplexedConnection>>;

impl Primary {
    async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let (slot, mut connection) = self.connected().await?;
        let answer = connection.req_packed_command(command).await;
        self.look_at(&slot, answer.as_ref().err());
        answer
    }

    async fn commands(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let (slot, mut connection) = self.connected().await?;
        let answers = connection.req_packed_commands(pipeline, offset, count).await;
        let refused = answers.as_ref().ok().and_then(|answers| {
            let mut errors = answers.iter().filter(|answer| matches!(answer, Value::ServerError(_)));
            errors.find_map(|answer| answer.clone().extract_error().err())
        });
        self.look_at(&slot, answers.as_ref().err().or(refused.as_ref()));
        answers
    }

    async fn connected(&self) -> RedisResult<(Slot, MultiplexedConnection)> {
        let slot = self.slot.load_full();
        let connecting = slot.get_or_try_init(async || {
            let connection = connect(&self.address, RESPONSE_TIMEOUT).await?;
            self.made.fetch_add(1, Ordering::AcqRel);
            RedisResult::Ok(connection)
        });
        // Whoever waits behind others that try in vain gives up as soon as they do.
        let connection = timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)??.clone();
        Ok((slot, connection))
    }

    /// Forgets a connection that leads to no primary any more, unless another call has done so.
    fn look_at(&self, slot: &Slot, error: Option<&RedisError>) {
        if error.is_some_and(|error| Verdict::of(error) == Verdict::Reconnect) {
            self.slot.compare_and_swap(slot, Arc::default());
        }
    }
}

/// A connection to the primary of a single server or of sentinels; one answer may take `longest`.
pub(crate) async fn connect(address: &Address, longest: Duration) -> RedisResult<MultiplexedConnection> {
    connect_to(primary_address(address).await?, longest).await
}

/// Where the primary of a single server or of sentinels is now.
pub(crate) async fn primary_address(address: &Address) -> RedisResult<ConnectionInfo> {
    match address {
        Address::Single(server) => Ok(server.clone()),
        Address::Sentinel {
            sentinels,
            name,
            primary,
        } => {
            let mut node =
                SentinelNodeConnectionInfo::default().set_redis_connection_info(primary.redis_settings().clone());
            if let Some(tls) = tls_mode(primary) {
                node = node.set_tls_mode(tls);
            }
            // Asked anew each time, all of them: the answer must not be one of before a failover.
            let mut asked = Sentinel::build(sentinels.clone())?;
            let found = timeout(CONNECT_TIMEOUT, asked.async_master_for(name, Some(&node)));
            let found = found.await.map_err(late)??;
            Ok(found.get_connection_info().clone())
        }
        Address::Cluster(_) => Err((ErrorKind::Client, "a Cluster has more than one primary").into()),
    }
}

/// A connection to this very server.
pub(crate) async fn connect_to(server: ConnectionInfo, longest: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(longest));
    Client::open(server)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

// The error type is tokio's, which says no more.
#[allow(clippy::needless_pass_by_value)]
fn late(_: tokio::time::error::Elapsed) -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
