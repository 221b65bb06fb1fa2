//! What a miner costs at scale: mined relays are fed to the program `relay-miner miner`, a process of its own, as fast
//! as it takes them in; then blocks are made until every session is settled. The last line of standard output is JSON:
//! times, the miner's CPU time a relay, peak memory of miner and Redis. Exits with 1 when the chain did not get a claim
//! and a valid proof for all that was fed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use pocket_devnet::{Actor, Devnet, DevnetConfig, Localnet, RelayMaker};
use pocket_proto::pocket::proof::ClaimProofStatus;
use pocket_protocol::{Height, SupplierAddress};
use pocket_smst::Digest;
use pocket_store::{PrivateRedis, PublisherConfig, RelayPublisher, Store, StoreConfig, Watermark};
use prost::Message as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Stream entries that may wait for the miner: what a lively relayer leaves there, not the whole load.
const BACKLOG: u64 = 20_000;
/// Relays made between two looks at the backlog.
const STRIDE: usize = 500;
/// Longest that nothing may happen.
const PATIENCE: Duration = Duration::from_mins(2);
/// A session is served and claimed in these windows, wide enough for a thousand claims on a slow machine.
const WINDOW_BLOCKS: u64 = 10;
const COMPUTE_UNITS: u64 = 100;

/// Feed mined relays to a miner and measure what it needs for them.
#[derive(Parser)]
struct Arguments {
    /// Relays, dealt over the sessions in turn.
    #[arg(long, default_value_t = 100_000)]
    relays: usize,
    /// Suppliers, 15 at most.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=15))]
    suppliers: u8,
    /// Applications; each has one session with each supplier.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    applications: u16,
    /// Bytes of a question.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Milliseconds from block to block, once relays are fed.
    #[arg(long, default_value_t = 1000)]
    block_time: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let localnet = Localnet {
        claim_window: WINDOW_BLOCKS,
        proof_window: WINDOW_BLOCKS,
        compute_units: COMPUTE_UNITS,
        suppliers: usize::from(arguments.suppliers),
        applications: usize::from(arguments.applications),
        ..Localnet::default()
    };
    let config = DevnetConfig {
        genesis: localnet.genesis(),
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await?;
    devnet.advance(1);
    let folder = tempfile::tempdir()?;
    let redis = PrivateRedis::start(folder.path(), false).await?;
    let store = Store::new(StoreConfig::at(redis.url()))?;
    let lines = makers(&devnet, arguments)?;
    let sessions = lines.len();
    let end = devnet.read(|chain| chain.view().state.windows(10));
    let miner = Miner::start(folder.path(), &devnet, &redis, arguments.suppliers)?;

    let began = Instant::now();
    feed(&store, lines, arguments).await?;
    let taken_in = began.elapsed();
    let mining = miner.usage()?;
    eprintln!("{} relays taken in after {taken_in:.1?}", arguments.relays);

    let open_from = Watermark {
        height: Height(100),
        open_from: Height(100),
    };
    store
        .write_watermark("scale", open_from, Duration::from_hours(1))
        .await?;
    let (claims, claimed, proven) =
        settle(&devnet, end.proof_close.0, Duration::from_millis(arguments.block_time)).await;
    let whole = miner.usage()?;
    let redis_peak: u64 = store
        .info("used_memory_peak")
        .await?
        .context("Redis tells its memory")?
        .trim()
        .parse()?;
    ensure!(
        claimed == arguments.relays as u64 && claims == sessions && proven == sessions,
        "{claimed} of {} relays claimed in {claims} claims, {proven} proven, of {sessions} sessions",
        arguments.relays
    );
    let micros = |time: Duration| (time.as_secs_f64() * 1e7 / arguments.relays as f64).round() / 10.0;
    Ok(json!({
        "relays": arguments.relays,
        "sessions": sessions,
        "seconds_to_take_in": (taken_in.as_secs_f64() * 10.0).round() / 10.0,
        "miner_cpu_us_per_relay_taken_in": micros(mining.cpu),
        "miner_cpu_us_per_relay_to_settlement": micros(whole.cpu),
        "miner_resident_mb_after_intake": mining.resident_kb / 1000,
        "miner_peak_mb": whole.peak_kb / 1000,
        "redis_peak_mb": redis_peak / 1_000_000,
        "claimed": claimed,
        "claims": claims,
        "proofs_valid": proven,
    }))
}

/// A maker of relays for each session, with its supplier.
fn makers(devnet: &Devnet, arguments: &Arguments) -> anyhow::Result<Vec<(SupplierAddress, RelayMaker)>> {
    let mut makers = Vec::new();
    for application in (1..=arguments.applications).map(|number| format!("app{number}")) {
        let address = Actor::named(&application).address;
        let session = devnet.read(|chain| {
            let view = chain.view();
            let stake = view
                .state
                .applications
                .get(&address)
                .context("the application is staked")?;
            let service = &stake.service_configs.first().context("it has a service")?.service_id;
            pocket_devnet::chain::session::get_session(view.state, &view.context, &address, service, 0)
                .map_err(|refusal| anyhow::anyhow!("no session: {refusal:?}"))
        })?;
        let header = session.header.context("a session has a header")?;
        for supplier in (1..=arguments.suppliers).map(|number| format!("supplier{number}")) {
            let maker = RelayMaker::new(header.clone(), &application, &supplier, COMPUTE_UNITS);
            makers.push((Actor::named(&supplier).address.parse()?, maker));
        }
    }
    Ok(makers)
}

/// Appends all relays as a relayer does and waits until the miner has taken them in.
async fn feed(store: &Store, lines: Vec<(SupplierAddress, RelayMaker)>, arguments: &Arguments) -> anyhow::Result<()> {
    let config = PublisherConfig::default();
    let (publisher, task) = RelayPublisher::start(store.clone(), config, CancellationToken::new());
    let suppliers: Vec<SupplierAddress> = lines.iter().map(|(supplier, _)| supplier.clone()).collect();
    let (total, bytes) = (arguments.relays, arguments.bytes);
    let (made, mut relays) = tokio::sync::mpsc::channel(4 * STRIDE);
    // Signing takes a processor of its own.
    let making = tokio::task::spawn_blocking(move || {
        for number in 0..total {
            let (supplier, maker) = &lines[number % lines.len()];
            let question = format!("{number:0>bytes$}").into();
            let message = maker.mined(question, format!("answer {number}").into());
            if made.blocking_send((supplier.clone(), message.encode_to_vec())).is_err() {
                return;
            }
        }
    });
    let mut fed = 0;
    while let Some((supplier, message)) = relays.recv().await {
        let slot = loop {
            match publisher.try_reserve() {
                Some(slot) => break slot,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        ensure!(
            publisher.publish(slot, supplier, message.into(), ()),
            "the publisher ended"
        );
        fed += 1;
        if fed % STRIDE == 0 {
            until_shorter(store, &suppliers, BACKLOG).await?;
        }
    }
    making.await?;
    drop(publisher);
    task.await?;
    until_shorter(store, &suppliers, 0).await
}

/// Waits until no more than `limit` entries wait for the miner.
async fn until_shorter(store: &Store, suppliers: &[SupplierAddress], limit: u64) -> anyhow::Result<()> {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let mut waiting = 0;
        for supplier in suppliers.iter().collect::<std::collections::BTreeSet<_>>() {
            waiting += store.stream_length(supplier).await?;
        }
        if waiting <= limit {
            return Ok(());
        }
        if waiting < least {
            (least, since) = (waiting, Instant::now());
        }
        ensure!(
            since.elapsed() < PATIENCE,
            "the miner leaves {waiting} relays in the streams"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Makes blocks until the proof window is over; gives claims, their relays, and how many have a valid proof.
async fn settle(devnet: &Devnet, last: i64, block_time: Duration) -> (usize, u64, usize) {
    let mut found = (0, 0, 0);
    while devnet.height() <= last {
        tokio::time::sleep(block_time).await;
        devnet.advance(1);
        let claims = devnet.claims();
        // Settled claims are gone.
        if claims.len() < found.0 {
            break;
        }
        let relays = claims
            .iter()
            .filter_map(|claim| Digest::try_from(&claim.root_hash[..]).ok());
        let proven = claims
            .iter()
            .filter(|claim| claim.proof_validation_status() == ClaimProofStatus::Validated);
        found = (claims.len(), relays.map(|root| root.count()).sum(), proven.count());
        eprintln!(
            "height {}: {} claims, {} relays, {} proven",
            devnet.height(),
            found.0,
            found.1,
            found.2
        );
    }
    found
}

/// The program, killed when this is dropped.
struct Miner(Child);

/// What a process has used.
struct Usage {
    cpu: Duration,
    resident_kb: u64,
    peak_kb: u64,
}

impl Miner {
    fn start(folder: &Path, devnet: &Devnet, redis: &PrivateRedis, suppliers: u8) -> anyhow::Result<Self> {
        let keys = (1..=suppliers).map(|number| hex::encode(Actor::named(&format!("supplier{number}")).private_key));
        let keys: Vec<String> = keys.collect();
        std::fs::write(folder.join("keys.yaml"), json!({ "keys": keys }).to_string())?;
        let config = json!({
            "redis": { "url": redis.url() },
            "pocket_node": {
                "query_node_rpc_url": devnet.rpc_url(),
                "query_node_grpc_url": devnet.grpc_url().trim_start_matches("http://"),
                "grpc_insecure": true,
            },
            "keys": { "keys_file": folder.join("keys.yaml") },
            "metrics": { "enabled": false },
            "pprof": { "enabled": false },
            "logging": { "level": "warn" },
        });
        std::fs::write(folder.join("miner.yaml"), config.to_string())?;
        let program = program()?;
        let mut command = Command::new(&program);
        command.arg("miner").arg("--config").arg(folder.join("miner.yaml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::inherit()).spawn();
        Ok(Self(
            child.with_context(|| format!("{} does not start", program.display()))?,
        ))
    }

    fn usage(&self) -> anyhow::Result<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id()));
        // In ticks of 10 ms.
        let stat = read("stat").context("the miner has ended")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            bail!("/proc/stat is not as on Linux");
        };
        let status = read("status")?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
                .unwrap_or(0)
        };
        Ok(Usage {
            cpu: Duration::from_millis((user + system) * 10),
            resident_kb: field("VmRSS:"),
            peak_kb: field("VmHWM:"),
        })
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `relay-miner`, beside this program.
fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.with_file_name("relay-miner");
    ensure!(
        program.exists(),
        "{} is not built: cargo build --release --bins",
        program.display()
    );
    Ok(program)
}
