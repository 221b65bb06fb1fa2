//! The Redis between relayers and miners: one server, or some that take each other's place.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use pocket_devnet::Actor;
use pocket_store::{Keys, PrivateCluster, PrivateRedis, PrivateSentinel};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::fleet::SUPPLIERS;
use crate::process;

/// How Redis is made safe against the loss of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RedisKind {
    /// It is not: what it had logged is there again when it starts again.
    #[default]
    Single,
    /// A replica takes over when three sentinels say so.
    Sentinel,
    /// Three primaries, each with a replica that takes over.
    Cluster,
}

/// A Redis of our own.
pub enum Redis {
    Single {
        /// `None`: killed.
        server: Option<PrivateRedis>,
        port: u16,
        folder: PathBuf,
    },
    Sentinel(PrivateSentinel),
    Cluster(PrivateCluster),
}

impl Redis {
    /// Starts it with its files in `folder`.
    pub async fn start(kind: RedisKind, folder: &Path) -> anyhow::Result<Self> {
        let this = match kind {
            RedisKind::Single => {
                let server = PrivateRedis::start(folder, true).await?;
                Self::Single {
                    port: server.port(),
                    server: Some(server),
                    folder: folder.to_owned(),
                }
            }
            RedisKind::Sentinel => Self::Sentinel(PrivateSentinel::start(folder).await?),
            RedisKind::Cluster => Self::Cluster(PrivateCluster::start(folder).await?),
        };
        this.demand_replica().await?;
        Ok(this)
    }

    /// Keeps a primary that is replaced while it is paused from taking what it will lose when it is demoted, as
    /// `docs/durability.md` asks of operators. In a Cluster it stops by itself.
    async fn demand_replica(&self) -> anyhow::Result<()> {
        let Self::Sentinel(redis) = self else { return Ok(()) };
        let primary = redis.primary().await?;
        let info: redis::InfoDict = ask(primary, redis::cmd("INFO").arg("replication")).await?;
        let replica: Option<String> = info.get("slave0");
        let port = replica
            .as_deref()
            .and_then(|fields| fields.split("port=").nth(1)?.split(',').next());
        let replica = port.context("the primary has a replica")?.parse()?;
        for port in [primary, replica] {
            let mut demand = redis::cmd("CONFIG");
            demand.arg("SET").arg("min-replicas-to-write").arg(1);
            ask::<()>(port, &demand).await?;
        }
        Ok(())
    }

    /// The server's address if there is only one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Single { port, .. } => Some((Ipv4Addr::LOCALHOST, *port).into()),
            _ => None,
        }
    }

    /// What programs are told; a single server is reached through `proxy`.
    pub fn section(&self, proxy: SocketAddr) -> String {
        match self {
            Self::Single { .. } => format!("{{ url: \"redis://{proxy}\" }}"),
            Self::Sentinel(redis) => format!("{{ url: \"{}\" }}", redis.url()),
            Self::Cluster(redis) => format!("{{ url: \"{}\" }}", redis.url()),
        }
    }

    /// Kills the server that has a supplier's keys. One that nobody replaces is down for so long; others come back as
    /// replicas once they are replaced.
    pub async fn kill(&mut self, supplier: usize, down: Duration) -> anyhow::Result<()> {
        let key = stream(supplier);
        match self {
            Self::Single { server, port, folder } => {
                *server = None;
                sleep(down).await;
                *server = Some(PrivateRedis::start_on(*port, folder, true).await?);
            }
            Self::Sentinel(redis) => {
                let old = redis.kill_primary().await?;
                redis.wait_for_another(old).await?;
                sleep(down).await;
                redis.revive().await?;
            }
            Self::Cluster(redis) => {
                let old = redis.kill_primary_of(&key).await?;
                redis.wait_for_another(&key, old).await?;
                sleep(down).await;
                redis.revive().await?;
            }
        }
        self.demand_replica().await
    }

    /// Lets a replica take the place of the primary that has a supplier's keys, while both live.
    pub async fn fail_over(&self, supplier: usize) -> anyhow::Result<()> {
        let key = stream(supplier);
        match self {
            Self::Single { .. } => {}
            Self::Sentinel(redis) => {
                let old = redis.primary().await?;
                redis.fail_over().await?;
                redis.wait_for_another(old).await?;
                redis.wait_until_replicated().await?;
            }
            Self::Cluster(redis) => {
                let old = redis.primary_of(&key).await?;
                redis.fail_over(&key).await?;
                redis.wait_for_another(&key, old).await?;
                redis.wait_until_replicated().await?;
            }
        }
        Ok(())
    }

    /// Holds the server that has a supplier's keys where it stands for so long.
    pub async fn pause(&self, supplier: usize, time: Duration) -> anyhow::Result<()> {
        let id = match self {
            Self::Single { server, .. } => server.as_ref().map(PrivateRedis::process_id),
            Self::Sentinel(redis) => redis.process_id(redis.primary().await?),
            Self::Cluster(redis) => redis.process_id(redis.primary_of(&stream(supplier)).await?),
        };
        let id = id.ok_or_else(|| io::Error::other("the primary is no server of ours"))?;
        process::send(id, Signal::STOP)?;
        sleep(time).await;
        process::send(id, Signal::CONT)?;
        // If it was replaced meanwhile.
        match self {
            Self::Single { .. } => {}
            Self::Sentinel(redis) => redis.wait_until_replicated().await?,
            Self::Cluster(redis) => redis.wait_until_replicated().await?,
        }
        Ok(())
    }
}

async fn ask<T: redis::FromRedisValue>(port: u16, command: &redis::Cmd) -> anyhow::Result<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    Ok(command.query_async(&mut connection).await?)
}

/// The key of a supplier's stream, which tells the server of a Cluster.
fn stream(supplier: usize) -> String {
    Keys::default().stream(&Actor::named(&format!("supplier{}", supplier % SUPPLIERS + 1)).address)
}
