use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{PrivateRedis, PrivateRedisError, ask, free_port, until};

const NAME: &str = "mymaster";
const SENTINELS: usize = 3;
/// Silence after which a sentinel holds a server for dead, in milliseconds.
const DOWN_AFTER: u32 = 800;

/// A primary, a replica and three sentinels on loopback ports, all ended when this is dropped. Every write is logged
/// to disk before it is answered.
#[derive(Debug)]
pub struct PrivateSentinel {
    folder: PathBuf,
    /// `None`: killed.
    servers: Vec<(u16, Option<PrivateRedis>)>,
    sentinels: Vec<SentinelProcess>,
}

#[derive(Debug)]
struct SentinelProcess {
    child: Child,
    port: u16,
}

impl PrivateSentinel {
    /// Starts all, and waits until they know each other.
    pub async fn start(folder: &Path) -> Result<Self, PrivateRedisError> {
        Self::start_all(folder).await.map_err(PrivateRedisError::of)
    }

    async fn start_all(folder: &Path) -> io::Result<Self> {
        let ports = [free_port()?, free_port()?];
        let mut this = Self {
            folder: folder.to_owned(),
            servers: Vec::new(),
            sentinels: Vec::new(),
        };
        for port in ports {
            let of = (port != ports[0]).then_some(ports[0]);
            let server = this.start_server(port, of).await?;
            this.servers.push((port, Some(server)));
        }
        for _ in 0..SENTINELS {
            this.sentinels.push(start_sentinel(folder, free_port()?, ports[0])?);
        }
        until("the sentinels do not find each other", async || {
            for sentinel in &this.sentinels {
                if !sentinel.knows_all().await {
                    return false;
                }
            }
            true
        })
        .await?;
        Ok(this)
    }

    async fn start_server(&self, port: u16, replica_of: Option<u16>) -> io::Result<PrivateRedis> {
        let folder = self.folder.join(port.to_string());
        fs::create_dir_all(&folder)?;
        let mut arguments = texts(["--repl-diskless-sync-delay", "0"]);
        if let Some(primary) = replica_of {
            arguments.extend(texts(["--replicaof", "127.0.0.1", &primary.to_string()]));
        }
        PrivateRedis::start_with(port, &folder, true, &arguments).await
    }

    /// `redis-sentinel://` address.
    pub fn url(&self) -> String {
        let sentinels: Vec<String> = self
            .sentinels
            .iter()
            .map(|at| format!("127.0.0.1:{}", at.port))
            .collect();
        format!("redis-sentinel://{}/{NAME}", sentinels.join(","))
    }

    /// The port of the server that the sentinels hold for the primary.
    pub async fn primary(&self) -> io::Result<u16> {
        for sentinel in &self.sentinels {
            if let Some(port) = sentinel.primary().await {
                return Ok(port);
            }
        }
        Err(io::Error::other("no sentinel answers"))
    }

    /// Process ids: of both servers as far as they live, then of the sentinels.
    pub fn process_ids(&self) -> Vec<u32> {
        let servers = self.servers.iter().filter_map(|(_, server)| server.as_ref());
        let sentinels = self.sentinels.iter().map(|sentinel| sentinel.child.id());
        servers.map(PrivateRedis::process_id).chain(sentinels).collect()
    }

    /// Process id of the server on `port`, if it lives.
    pub fn process_id(&self, port: u16) -> Option<u32> {
        let server = self.servers.iter().find(|(at, _)| *at == port)?.1.as_ref()?;
        Some(server.process_id())
    }

    /// Kills the primary and tells its port; the sentinels will take a second to replace it.
    pub async fn kill_primary(&mut self) -> io::Result<u16> {
        let port = self.primary().await?;
        if let Some((_, server)) = self.servers.iter_mut().find(|(at, _)| *at == port) {
            *server = None;
        }
        Ok(port)
    }

    /// Kills the replica.
    pub async fn kill_replica(&mut self) -> io::Result<()> {
        let primary = self.primary().await?;
        for (_, server) in self.servers.iter_mut().filter(|(port, _)| *port != primary) {
            *server = None;
        }
        Ok(())
    }

    /// Asks the sentinels to swap the servers, which both live.
    pub async fn fail_over(&self) -> io::Result<()> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("FAILOVER").arg(NAME);
        let url = self.sentinels[0].url();
        until("the sentinels do not fail over", async || {
            // Refused while an earlier failover is not done with, or the replica not yet in step.
            ask::<()>(&url, &command).await.is_ok()
        })
        .await
    }

    /// Waits until the sentinels agree on another primary than `old`, and it takes writes.
    pub async fn wait_for_another(&self, old: u16) -> io::Result<u16> {
        let mut found = old;
        until("no other primary", async || {
            let mut ports = Vec::new();
            for sentinel in &self.sentinels {
                ports.push(sentinel.primary().await);
            }
            let Some(Some(port)) = ports.first().copied() else {
                return false;
            };
            if port == old || ports.iter().any(|other| *other != Some(port)) {
                return false;
            }
            found = port;
            replication(port)
                .await
                .is_some_and(|info| info.get::<String>("role").as_deref() == Some("master"))
        })
        .await?;
        Ok(found)
    }

    /// Starts what was killed, as a replica of the present primary, and waits until it has all.
    pub async fn revive(&mut self) -> io::Result<()> {
        let primary = self.primary().await?;
        let dead: Vec<u16> = self.servers.iter().filter(|at| at.1.is_none()).map(|at| at.0).collect();
        for port in dead {
            let server = self.start_server(port, (port != primary).then_some(primary)).await?;
            if let Some(place) = self.servers.iter_mut().find(|(at, _)| *at == port) {
                place.1 = Some(server);
            }
        }
        self.wait_until_replicated().await
    }

    /// Waits until the primary has a replica that is in step.
    pub async fn wait_until_replicated(&self) -> io::Result<()> {
        until("the replica does not follow", async || {
            let Ok(primary) = self.primary().await else {
                return false;
            };
            let info = replication(primary).await;
            info.and_then(|info| info.get::<String>("slave0"))
                .is_some_and(|replica| replica.contains("state=online"))
        })
        .await
    }
}

impl SentinelProcess {
    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn primary(&self) -> Option<u16> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(NAME);
        ask::<(String, u16)>(&self.url(), &command).await.ok().map(|at| at.1)
    }

    async fn knows_all(&self) -> bool {
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(NAME);
        let told = ask::<std::collections::HashMap<String, String>>(&self.url(), &command).await;
        told.is_ok_and(|told| {
            told.get("num-slaves").is_some_and(|count| count == "1")
                && told
                    .get("num-other-sentinels")
                    .is_some_and(|count| *count == (SENTINELS - 1).to_string())
        })
    }
}

impl Drop for SentinelProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_sentinel(folder: &Path, port: u16, primary: u16) -> io::Result<SentinelProcess> {
    // Sentinels write down what they learn in their configuration.
    let folder = folder.join(port.to_string());
    fs::create_dir_all(&folder)?;
    let file = folder.join("sentinel.conf");
    let quorum = SENTINELS / 2 + 1;
    fs::write(
        &file,
        format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor {NAME} 127.0.0.1 {primary} {quorum}\n\
             sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\nsentinel failover-timeout {NAME} 4000\n",
            folder.display()
        ),
    )?;
    let child = Command::new("redis-server")
        .arg(file)
        .arg("--sentinel")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(SentinelProcess { child, port })
}

async fn replication(port: u16) -> Option<redis::InfoDict> {
    let url = format!("redis://127.0.0.1:{port}");
    ask(&url, redis::cmd("INFO").arg("replication")).await.ok()
}

fn texts<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
