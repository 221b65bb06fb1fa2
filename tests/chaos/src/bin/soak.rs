//! `make soak`: a line a minute, then a JSON line. Exits with 1 when something was lost, and with 2 when the run did not
//! come to its end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use pocket_chaos::{RedisKind, Report, SoakSettings, soak};

/// Serve relays on the real chain, kill or pause something every minute, and check on the chain that nothing is lost.
#[derive(Parser)]
struct Arguments {
    /// Decides the faults and their moments; a new one each time if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Minutes with load and faults.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// What relayers and miners share.
    #[arg(long, value_enum, default_value = "single")]
    redis: RedisKind,
    /// Milliseconds that the chain pauses after a block.
    #[arg(long, default_value_t = 1_000)]
    block_time: u64,
    /// Share of claims that must be proven.
    #[arg(long, default_value_t = 0.5)]
    proof_probability: f64,
    /// The program; the one beside this if not given.
    #[arg(long, value_name = "FILE")]
    relay_miner: Option<PathBuf>,
    /// Keeps configurations and logs, also when nothing was lost.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match play(Arguments::parse()).await {
        Ok(report) => {
            println!("{}", report.to_json());
            ExitCode::from(u8::from(!report.is_passed()))
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn play(arguments: Arguments) -> anyhow::Result<Report> {
    let program = match arguments.relay_miner {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("relay-miner"),
    };
    anyhow::ensure!(program.exists(), "{} is not built", program.display());
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let mut folder = tempfile::Builder::new().prefix("soak-").tempdir()?;
    println!(
        "seed {seed}, {} minutes, logs in {}",
        arguments.minutes,
        folder.path().display()
    );
    let settings = SoakSettings {
        program,
        folder: folder.path().to_owned(),
        redis: arguments.redis,
        seed,
        minutes: arguments.minutes,
        block_time: Duration::from_millis(arguments.block_time),
        proof_probability: arguments.proof_probability,
        ..SoakSettings::default()
    };
    let report = soak(&settings, |line| println!("{line}")).await;
    let is_passed = report.as_ref().is_ok_and(Report::is_passed);
    folder.disable_cleanup(arguments.keep || !is_passed);
    report.with_context(|| format!("seed {seed}"))
}
