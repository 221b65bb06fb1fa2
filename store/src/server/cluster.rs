use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{PrivateRedis, PrivateRedisError, ask, free_port, until};

const PRIMARIES: usize = 3;
const SLOTS: usize = 16384;
/// Silence after which a node holds another for dead, in milliseconds.
const NODE_TIMEOUT: u32 = 1000;

/// A Cluster of three primaries with a replica each on loopback ports, all ended when this is dropped. Every write is
/// logged to disk before it is answered.
#[derive(Debug)]
pub struct PrivateCluster {
    folder: PathBuf,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    port: u16,
    bus: u16,
    /// `None`: killed.
    server: Option<PrivateRedis>,
}

/// A line of `CLUSTER NODES`.
struct Known {
    id: String,
    port: u16,
    is_primary: bool,
    is_well: bool,
    /// Of whom it is a replica.
    primary: Option<String>,
    slots: Vec<(u16, u16)>,
}

impl PrivateCluster {
    /// Starts all nodes, spreads the slots, and waits until every node knows every other.
    pub async fn start(folder: &Path) -> Result<Self, PrivateRedisError> {
        Self::start_all(folder).await.map_err(PrivateRedisError::of)
    }

    async fn start_all(folder: &Path) -> io::Result<Self> {
        let mut this = Self {
            folder: folder.to_owned(),
            nodes: Vec::new(),
        };
        for _ in 0..PRIMARIES * 2 {
            let (port, bus) = (free_port()?, free_port()?);
            let server = this.start_node(port, bus).await?;
            this.nodes.push(Node {
                port,
                bus,
                server: Some(server),
            });
        }
        for (number, node) in this.nodes.iter().enumerate().take(PRIMARIES) {
            let (first, last) = (SLOTS * number / PRIMARIES, SLOTS * (number + 1) / PRIMARIES - 1);
            cluster(node.port, &["ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await?;
        }
        let (first, others) = this.nodes.split_first().expect("there are six");
        for other in others {
            let (port, bus) = (other.port.to_string(), other.bus.to_string());
            cluster(first.port, &["MEET", "127.0.0.1", &port, &bus]).await?;
        }
        this.wait_until(|known| known.len() == PRIMARIES * 2 && known.iter().all(|node| node.is_well))
            .await?;
        for number in 0..PRIMARIES {
            let id = own_id(this.nodes[number].port).await?;
            cluster(this.nodes[PRIMARIES + number].port, &["REPLICATE", &id]).await?;
        }
        this.wait_until_replicated().await?;
        Ok(this)
    }

    async fn start_node(&self, port: u16, bus: u16) -> io::Result<PrivateRedis> {
        let folder = self.folder.join(port.to_string());
        fs::create_dir_all(&folder)?;
        let (bus, timeout) = (bus.to_string(), NODE_TIMEOUT.to_string());
        let arguments = [
            ("--cluster-enabled", "yes"),
            ("--cluster-config-file", "nodes.conf"),
            ("--cluster-node-timeout", &timeout),
            ("--cluster-port", &bus),
            ("--repl-diskless-sync-delay", "0"),
            // A replica that was cut off for long may still take over: there is no other.
            ("--cluster-replica-validity-factor", "0"),
        ];
        let arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(name, value)| [name.into(), value.into()])
            .collect();
        PrivateRedis::start_with(port, &folder, true, &arguments).await
    }

    /// `redis-cluster://` address.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    /// Process ids of all nodes that live.
    pub fn process_ids(&self) -> Vec<u32> {
        let servers = self.nodes.iter().filter_map(|node| node.server.as_ref());
        servers.map(PrivateRedis::process_id).collect()
    }

    /// Process id of the node on `port`, if it lives.
    pub fn process_id(&self, port: u16) -> Option<u32> {
        let node = self.nodes.iter().find(|node| node.port == port)?;
        node.server.as_ref().map(PrivateRedis::process_id)
    }

    /// The port of the primary that has `key`, as most nodes know it.
    pub async fn primary_of(&self, key: &str) -> io::Result<u16> {
        let slot: u16 = self.ask_any(&["KEYSLOT", key]).await?;
        let known = self.known().await?;
        let owner = known.iter().find(|node| {
            node.is_primary && node.is_well && node.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
        });
        owner
            .map(|node| node.port)
            .ok_or_else(|| io::Error::other("no primary has the slot"))
    }

    /// Kills the primary that has `key` and tells its port; its replica will take two seconds to replace it.
    pub async fn kill_primary_of(&mut self, key: &str) -> io::Result<u16> {
        let port = self.primary_of(key).await?;
        if let Some(node) = self.nodes.iter_mut().find(|node| node.port == port) {
            node.server = None;
        }
        Ok(port)
    }

    /// Lets the replica of the primary that has `key` take its place, while both live.
    pub async fn fail_over(&self, key: &str) -> io::Result<()> {
        let old = self.primary_of(key).await?;
        let id = own_id(old).await?;
        let known = self.known().await?;
        let replica = known
            .iter()
            .find(|node| node.is_well && node.primary.as_ref() == Some(&id));
        let replica = replica
            .ok_or_else(|| io::Error::other("the primary has no replica"))?
            .port;
        cluster(replica, &["FAILOVER"]).await
    }

    /// Waits until another node than `old` has `key` and all live nodes say that the Cluster is well.
    pub async fn wait_for_another(&self, key: &str, old: u16) -> io::Result<u16> {
        let mut found = old;
        until("no other primary", async || {
            for node in self.nodes.iter().filter(|node| node.server.is_some()) {
                let info: io::Result<redis::InfoDict> = asked(node.port, &["INFO"]).await;
                let state = info.ok().and_then(|info| info.get::<String>("cluster_state"));
                if state.as_deref() != Some("ok") {
                    return false;
                }
            }
            found = self.primary_of(key).await.unwrap_or(old);
            found != old
        })
        .await?;
        Ok(found)
    }

    /// Starts what was killed; it becomes a replica of whoever took its place. Waits until it has all.
    pub async fn revive(&mut self) -> io::Result<()> {
        let dead: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].server.is_none())
            .collect();
        for at in dead {
            let (port, bus) = (self.nodes[at].port, self.nodes[at].bus);
            self.nodes[at].server = Some(self.start_node(port, bus).await?);
        }
        self.wait_until_replicated().await
    }

    /// Waits until every primary has a replica that is in step.
    pub async fn wait_until_replicated(&self) -> io::Result<()> {
        self.wait_until(|known| {
            let replicas = known.iter().filter(|node| node.primary.is_some());
            known.iter().all(|node| node.is_well) && replicas.count() == PRIMARIES
        })
        .await?;
        until("the replicas do not follow", async || {
            let Ok(known) = self.known().await else { return false };
            for node in known.iter().filter(|node| node.is_primary) {
                let url = url(node.port);
                let info = ask::<redis::InfoDict>(&url, redis::cmd("INFO").arg("replication")).await;
                let replica = info.ok().and_then(|info| info.get::<String>("slave0"));
                if !replica.is_some_and(|replica| replica.contains("state=online")) {
                    return false;
                }
            }
            true
        })
        .await
    }

    /// Moves the slot of `key`, which must be empty, to another primary, and tells its port.
    pub async fn move_empty_slot(&self, key: &str) -> io::Result<u16> {
        let slot: u16 = self.ask_any(&["KEYSLOT", key]).await?;
        let from = self.primary_of(key).await?;
        let known = self.known().await?;
        let to = known.iter().find(|node| node.is_primary && node.port != from);
        let to = to.ok_or_else(|| io::Error::other("there is no other primary"))?;
        for node in known.iter().filter(|node| node.is_primary) {
            cluster(node.port, &["SETSLOT", &slot.to_string(), "NODE", &to.id]).await?;
        }
        Ok(to.port)
    }

    /// What a live node knows of all.
    async fn known(&self) -> io::Result<Vec<Known>> {
        let text: String = self.ask_any(&["NODES"]).await?;
        Ok(text.lines().filter_map(Known::read).collect())
    }

    async fn ask_any<T: redis::FromRedisValue>(&self, words: &[&str]) -> io::Result<T> {
        let node = self.nodes.iter().find(|node| node.server.is_some());
        asked(node.ok_or_else(|| io::Error::other("no node lives"))?.port, words).await
    }

    /// Waits until every live node says so of what it knows.
    async fn wait_until(&self, is_so: impl Fn(&[Known]) -> bool) -> io::Result<()> {
        until("the nodes do not agree", async || {
            for node in self.nodes.iter().filter(|node| node.server.is_some()) {
                let told: io::Result<String> = asked(node.port, &["NODES"]).await;
                let known: Vec<Known> = told.unwrap_or_default().lines().filter_map(Known::read).collect();
                if !is_so(&known) {
                    return false;
                }
            }
            true
        })
        .await
    }
}

impl Known {
    /// Reads `id host:port@bus[,hostname] flags primary ping pong epoch link slots…`.
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, address, flags, primary, _, _, _, link, slots @ ..] = words.as_slice() else {
            return None;
        };
        let port = address.split('@').next()?.rsplit_once(':')?.1.parse().ok()?;
        let has = |wanted: &str| flags.split(',').any(|flag| flag == wanted);
        let range = |slot: &&str| {
            let (first, last) = slot.split_once('-').unwrap_or((slot, slot));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Some(Self {
            id: (*id).to_owned(),
            port,
            is_primary: has("master"),
            is_well: !has("fail") && !has("fail?") && !has("handshake") && (*link == "connected" || has("myself")),
            primary: (*primary != "-").then(|| (*primary).to_owned()),
            slots: slots.iter().filter_map(range).collect(),
        })
    }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

async fn asked<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> io::Result<T> {
    let mut command = redis::cmd("CLUSTER");
    ask(&url(port), command.arg(words)).await.map_err(io::Error::other)
}

async fn cluster(port: u16, words: &[&str]) -> io::Result<()> {
    asked(port, words).await
}

async fn own_id(port: u16) -> io::Result<String> {
    asked(port, &["MYID"]).await
}
