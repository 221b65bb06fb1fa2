//! `make chaos`: one line a round, then `N passed, N failed`. Exits with 1 when a round failed, and with 2 when the
//! run did not come to its end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use pocket_chaos::{Outcome, RedisKind, Settings, run};

/// Break a fleet of relayers and miners in every way, and check on the chain that nothing is lost.
#[derive(Parser)]
struct Arguments {
    /// Decides the faults and their moments; a new one each time if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Sessions with faults.
    #[arg(long, default_value_t = 200)]
    rounds: u64,
    /// The only kind of Redis; without it most rounds have a single one, and the last failing primaries.
    #[arg(long, value_enum)]
    redis: Option<RedisKind>,
    /// Milliseconds from block to block.
    #[arg(long, default_value_t = 150)]
    block_time: u64,
    /// Programs are stopped in order (SIGTERM), and nothing else goes wrong.
    #[arg(long)]
    stops_only: bool,
    /// The program; the one beside this if not given.
    #[arg(long, value_name = "FILE")]
    relay_miner: Option<PathBuf>,
    /// Keeps configurations and logs, also when all rounds passed.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match play(Arguments::parse()).await {
        Ok(Outcome { failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn play(arguments: Arguments) -> anyhow::Result<Outcome> {
    let program = match arguments.relay_miner {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("relay-miner"),
    };
    anyhow::ensure!(program.exists(), "{} is not built", program.display());
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let mut folder = tempfile::Builder::new().prefix("chaos-").tempdir()?;
    println!(
        "seed {seed}, {} rounds, logs in {}",
        arguments.rounds,
        folder.path().display()
    );
    let started = Instant::now();
    let mut sum = Outcome::default();
    for (redis, rounds) in phases(arguments.redis, arguments.rounds) {
        println!("Redis: {redis:?}");
        let settings = Settings {
            program: program.clone(),
            folder: folder.path().join(format!("{redis:?}").to_lowercase()),
            redis,
            seed,
            rounds,
            stops_only: arguments.stops_only,
            block_time: Duration::from_millis(arguments.block_time),
            ..Settings::default()
        };
        std::fs::create_dir(&settings.folder)?;
        let outcome = run(&settings, |line| println!("{line}")).await;
        let failed = !matches!(outcome, Ok(Outcome { failed: 0, .. }));
        folder.disable_cleanup(arguments.keep || failed || sum.failed > 0);
        let outcome = outcome.with_context(|| format!("seed {seed}"))?;
        sum.passed += outcome.passed;
        sum.failed += outcome.failed;
    }
    println!("seed {seed}, {} s", started.elapsed().as_secs());
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(sum)
}

/// Kinds of Redis with their rounds.
fn phases(only: Option<RedisKind>, rounds: u64) -> Vec<(RedisKind, u64)> {
    if let Some(only) = only {
        return vec![(only, rounds)];
    }
    let each = rounds / 7;
    let all = [
        (RedisKind::Single, rounds - 2 * each),
        (RedisKind::Sentinel, each),
        (RedisKind::Cluster, each),
    ];
    all.into_iter().filter(|(_, rounds)| *rounds > 0).collect()
}
