//! Two relayers, two miners and what they work with.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use pocket_devnet::Actor;
use pocket_query::{ChainClient, NodeConfig};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::backend::Backend;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::redis_server::{Redis, RedisKind};

/// Longest wait for a port to be listened on.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port that nobody has.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Services that are served, each by the application of the same place: `app1`, `app2`, …
pub const SERVICES: [&str; 3] = ["svc-http", "svc-ws", "svc-grpc"];
/// Suppliers, each with all services.
pub const SUPPLIERS: usize = 2;
/// Relayers and miners, so many of each.
pub const TWINS: usize = 2;

/// Where a chain's node answers.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// `CometBFT`'s RPC.
    pub rpc: SocketAddr,
    /// gRPC in plain text.
    pub grpc: SocketAddr,
}

impl Node {
    /// Reads `http://host:port` twice.
    pub fn at(rpc: &str, grpc: &str) -> anyhow::Result<Self> {
        let address = |url: &str| url.trim_start_matches("http://").parse().context("a node's address");
        Ok(Self {
            rpc: address(rpc)?,
            grpc: address(grpc)?,
        })
    }

    /// A client that asks it.
    pub fn client(&self) -> anyhow::Result<ChainClient> {
        let config = NodeConfig::new(format!("http://{}", self.rpc), format!("http://{}", self.grpc));
        Ok(ChainClient::new(config)?)
    }
}

/// All that can be broken. Locks are held while something is broken, so that two faults do not meet in one process.
pub struct Fleet {
    pub miners: [Mutex<Process>; TWINS],
    pub relayers: [Mutex<Process>; TWINS],
    pub redis: Mutex<Redis>,
    pub to_redis: Proxy,
    /// RPC and gRPC of two nodes; behind both is the same chain.
    pub to_chain: [[Proxy; 2]; TWINS],
    addresses: [SocketAddr; TWINS],
    // Ends with the fleet.
    _backend: Backend,
}

impl Fleet {
    /// Starts everything; files and logs go to `folder`. A dead miner holds its suppliers no longer than `lease`.
    pub async fn start(
        program: &Path,
        kind: RedisKind,
        node: &Node,
        lease: Duration,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let redis_folder = folder.join("redis");
        std::fs::create_dir_all(&redis_folder)?;
        let redis = Redis::start(kind, &redis_folder).await?;
        let backend = Backend::start().await?;
        // Servers that take each other's place are found by their own addresses.
        let to_redis = Proxy::to(redis.address().unwrap_or(NOWHERE)).await?;
        let to_chain = [
            [Proxy::to(node.rpc).await?, Proxy::to(node.grpc).await?],
            [Proxy::to(node.rpc).await?, Proxy::to(node.grpc).await?],
        ];

        write_keys(&folder.join("keys.yaml"))?;
        let common = common(folder, &redis.section(to_redis.address()), &to_chain);
        let addresses = [free_address()?, free_address()?];
        let mut relayers = Vec::new();
        for (number, address) in (1..).zip(addresses) {
            let log = folder.join(format!("relayer-{number}-relays"));
            let config = format!("{common}{}", relayer(address, &backend.url(), &log));
            relayers.push(program_of(program, "relayer", number, folder, &config)?);
        }
        let mut miners = Vec::new();
        for number in 1..=TWINS {
            miners.push(program_of(
                program,
                "miner",
                number,
                folder,
                &format!("{common}{}", miner(lease)),
            )?);
        }
        let fleet = Self {
            redis: Mutex::new(redis),
            miners: twins(miners)?,
            relayers: twins(relayers)?,
            to_redis,
            to_chain,
            addresses,
            _backend: backend,
        };
        for number in 0..TWINS {
            fleet.relayers[number].lock().await.start(&[], &[])?;
            start_miner(&mut *fleet.miners[number].lock().await, number, &[], None)?;
        }
        for address in addresses {
            until_open(address).await?;
        }
        Ok(fleet)
    }

    /// Where relays are sent.
    pub fn addresses(&self) -> [SocketAddr; TWINS] {
        self.addresses
    }

    /// Processes that ended though nobody ended them.
    pub async fn casualties(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for (kind, processes) in [("miner", &self.miners), ("relayer", &self.relayers)] {
            for (number, process) in (1..).zip(processes) {
                if let Some(status) = process.lock().await.ended()? {
                    found.push(format!("{kind} {number} ended by itself: {status}"));
                }
            }
        }
        Ok(found)
    }

    /// Ends all programs in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        for process in self.relayers.iter().chain(&self.miners) {
            process.lock().await.terminate().await?;
        }
        Ok(())
    }
}

/// Starts a miner, under the name it always has or another one.
pub fn start_miner(
    miner: &mut Process,
    number: usize,
    environment: &[(&str, &str)],
    name: Option<u32>,
) -> anyhow::Result<()> {
    let name = name.map_or(String::new(), |name| format!("-{name}"));
    let name = ["--consumer-name".to_owned(), format!("miner-{}{name}", number + 1)];
    miner.start(environment, &name)
}

fn twins(processes: Vec<Process>) -> anyhow::Result<[Mutex<Process>; TWINS]> {
    let processes: Vec<_> = processes.into_iter().map(Mutex::new).collect();
    processes.try_into().ok().context("there are two of each")
}

fn program_of(program: &Path, half: &str, number: usize, folder: &Path, config: &str) -> anyhow::Result<Process> {
    let path = folder.join(format!("{half}-{number}.yaml"));
    std::fs::write(&path, config)?;
    let arguments = vec![half.to_owned(), "--config".to_owned(), path.display().to_string()];
    let log = folder.join(format!("{half}-{number}.log"));
    Ok(Process::new(program.to_owned(), arguments, log))
}

fn write_keys(path: &Path) -> anyhow::Result<()> {
    let mut text = "keys:\n".to_owned();
    for number in 1..=SUPPLIERS {
        let key = Actor::named(&format!("supplier{number}")).private_key;
        writeln!(text, "  - \"{}\"", hex::encode(key))?;
    }
    Ok(std::fs::write(path, text)?)
}

fn common(folder: &Path, redis: &str, [one, other]: &[[Proxy; 2]; TWINS]) -> String {
    format!(
        "redis: {redis}
pocket_node:
  query_node_rpc_url: [http://{}, http://{}]
  query_node_grpc_url: ['{}', '{}']
  grpc_insecure: true
  chain_id: pocket
keys: {{ keys_file: {}/keys.yaml }}
metrics: {{ enabled: false }}
pprof: {{ enabled: false }}
logging: {{ level: info, format: text }}
",
        one[0].address(),
        other[0].address(),
        one[1].address(),
        other[1].address(),
        folder.display()
    )
}

/// A relayer that promises the most: it answers what it has verified and written down.
fn relayer(address: SocketAddr, backend: &str, log: &Path) -> String {
    let mut text = format!(
        "health_check: {{ enabled: false }}
listen_addr: {address}
default_validation_mode: eager
relay_log: {{ dir: {}, max_outage_seconds: 15 }}
services:
",
        log.display()
    );
    for service in SERVICES {
        text.extend(["  ", service, ": { backends: { jsonrpc: { url: ", backend, " } } }\n"]);
    }
    text
}

fn miner(lease: Duration) -> String {
    let (ttl, renew) = (lease.as_secs(), lease.as_secs() / 3);
    format!("supplier_claiming: {{ claim_ttl_seconds: {ttl}, renew_rate_seconds: {renew} }}\n")
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

async fn until_open(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(Instant::now() < deadline, "nothing listens on {address}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
